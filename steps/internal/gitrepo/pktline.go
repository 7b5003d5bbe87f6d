package gitrepo

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// A packet line is four hexadecimal digits of length, themselves included, and a payload of at most 65,516 bytes
// (gitprotocol-common). go-git's own reader rejects the delimiter packet of protocol version 2, hence this one.
type packet int

const (
	packetData packet = iota
	packetFlush
	packetDelimiter
	packetResponseEnd
)

const maxPacket = 65520

type packetReader struct {
	r   *bufio.Reader
	buf []byte
}

func newPacketReader(r io.Reader) *packetReader {
	return &packetReader{r: bufio.NewReaderSize(r, maxPacket)}
}

// next returns the kind and payload of the next packet; the payload is valid until the next call. At the end of the
// stream the error is io.EOF.
func (p *packetReader) next() (packet, []byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return 0, nil, err
	}
	n, err := strconv.ParseUint(string(head[:]), 16, 16)
	if err != nil || n > maxPacket {
		return 0, nil, fmt.Errorf("%w: %q is no packet length", errNotGit, head[:])
	}
	switch {
	case n == 0:
		return packetFlush, nil, nil
	case n == 1:
		return packetDelimiter, nil, nil
	case n == 2:
		return packetResponseEnd, nil, nil
	case n < 4:
		return 0, nil, fmt.Errorf("%w: packet of length %d", errNotGit, n)
	}
	if cap(p.buf) < int(n) {
		p.buf = make([]byte, maxPacket)
	}
	data := p.buf[:n-4]
	if _, err := io.ReadFull(p.r, data); err != nil {
		return 0, nil, unexpectedEOF(err)
	}
	return packetData, data, nil
}

// line is next for packets that hold text: the line end is cut off, and an ERR packet becomes an error.
func (p *packetReader) line() (packet, string, error) {
	kind, data, err := p.next()
	if err != nil {
		return 0, "", err
	}
	if message, ok := bytes.CutPrefix(data, []byte("ERR ")); ok {
		return 0, "", &ServerError{Message: string(bytes.TrimSpace(message))}
	}
	return kind, string(bytes.TrimSuffix(data, []byte("\n"))), nil
}

// sideband reads the pack of a side-band-64k stream: channel 1 is data, 2 is progress and messages, 3 is a fatal error.
type sideband struct {
	packets  *packetReader
	rest     []byte
	messages *bytes.Buffer // what channel 2 said; nil to drop it
	done     bool
}

func (s *sideband) Read(b []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.done {
			return 0, io.EOF
		}
		kind, data, err := s.packets.next()
		switch {
		case errors.Is(err, io.EOF):
			return 0, io.ErrUnexpectedEOF
		case err != nil:
			return 0, err
		case kind != packetData:
			s.done = true
		case len(data) == 0:
		case data[0] == 1:
			s.rest = data[1:]
		case data[0] == 2:
			if s.messages != nil {
				s.messages.Write(data[1:])
			}
		case data[0] == 3:
			return 0, &ServerError{Message: string(bytes.TrimSpace(data[1:]))}
		}
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func appendPacket(b *bytes.Buffer, format string, args ...any) {
	payload := fmt.Sprintf(format, args...)
	fmt.Fprintf(b, "%04x%s", len(payload)+4, payload)
}

func appendFlush(b *bytes.Buffer)     { b.WriteString("0000") }
func appendDelimiter(b *bytes.Buffer) { b.WriteString("0001") }
