package gitrepo

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // the checksum of the pack format
	"encoding/binary"

	"github.com/go-git/go-git/v5/plumbing"
)

// packObject is one object of a pack. With a base it may be sent as a delta against an object that the server has: the
// pack is then "thin" (gitformat-pack), which go-git's encoder cannot write.
type packObject struct {
	kind     plumbing.ObjectType
	data     []byte
	base     Hash
	baseData []byte
}

// writePack returns a version 2 pack of the objects, thin if deltas is set, compressed by a level of package zlib.
func writePack(objects []packObject, deltas bool, level int) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("PACK")
	for _, n := range []uint32{2, uint32(len(objects))} {
		b.Write(binary.BigEndian.AppendUint32(nil, n))
	}
	z, err := zlib.NewWriterLevel(&b, level)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		kind, data := o.kind, o.data
		if deltas && !o.base.IsZero() {
			if d := delta(o.baseData, o.data); len(d) < len(data) {
				kind, data = plumbing.REFDeltaObject, d
			}
		}
		writeObjectHeader(&b, kind, len(data))
		if kind == plumbing.REFDeltaObject {
			b.Write(o.base[:])
		}
		z.Reset(&b)
		if _, err := z.Write(data); err != nil {
			return nil, err
		}
		if err := z.Close(); err != nil {
			return nil, err
		}
	}
	sum := sha1.Sum(b.Bytes()) //nolint:gosec // the checksum of the pack format
	b.Write(sum[:])
	return b.Bytes(), nil
}

// writeObjectHeader writes type and inflated size: three bits of type and four of size in the first byte, then seven bits
// of size a byte, least significant first.
func writeObjectHeader(b *bytes.Buffer, kind plumbing.ObjectType, size int) {
	c := byte(kind)<<4 | byte(size&0x0f)
	for size >>= 4; size > 0; size >>= 7 {
		b.WriteByte(c | 0x80)
		c = byte(size & 0x7f)
	}
	b.WriteByte(c)
}

// delta describes after as before with one part in the middle replaced, which is what a release does to a kustomization
// and to every directory above it. go-git's general DiffDelta indexes the whole of before to find the same thing.
func delta(before, after []byte) []byte {
	prefix := 0
	for prefix < len(before) && prefix < len(after) && before[prefix] == after[prefix] {
		prefix++
	}
	suffix := 0
	for suffix < len(before)-prefix && suffix < len(after)-prefix && before[len(before)-1-suffix] == after[len(after)-1-suffix] {
		suffix++
	}
	var d []byte
	d = appendSize(d, len(before))
	d = appendSize(d, len(after))
	d = appendCopy(d, 0, prefix)
	for insert := after[prefix : len(after)-suffix]; len(insert) > 0; {
		n := min(len(insert), 127)
		d = append(append(d, byte(n)), insert[:n]...)
		insert = insert[n:]
	}
	return appendCopy(d, len(before)-suffix, suffix)
}

func appendSize(d []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		d = append(d, byte(n)|0x80)
	}
	return append(d, byte(n))
}

// appendCopy appends "copy size bytes from offset": a first byte whose bits say which of four offset and three size bytes
// follow. A size of 0x10000 is the most that older readers accept, and is written as no size at all.
func appendCopy(d []byte, offset, size int) []byte {
	for size > 0 {
		n := min(size, 0x10000)
		at := len(d)
		d = append(d, 0x80)
		for i := range 4 {
			if c := byte(offset >> (8 * i)); c != 0 {
				d[at] |= 1 << i
				d = append(d, c)
			}
		}
		if n != 0x10000 {
			for i := range 2 {
				if c := byte(n >> (8 * i)); c != 0 {
					d[at] |= 0x10 << i
					d = append(d, c)
				}
			}
		}
		offset += n
		size -= n
	}
	return d
}
