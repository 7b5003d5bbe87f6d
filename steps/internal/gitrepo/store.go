package gitrepo

import (
	"errors"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/memory"
)

// store holds fetched and built objects in memory, in front of the objects of a local checkout if there is one. It never
// writes to the checkout.
type store struct {
	*memory.Storage
	local storer.EncodedObjectStorer
}

func newStore() *store { return &store{Storage: memory.NewStorage()} }

func (s *store) EncodedObject(t plumbing.ObjectType, h Hash) (plumbing.EncodedObject, error) {
	o, err := s.Storage.EncodedObject(t, h)
	if errors.Is(err, plumbing.ErrObjectNotFound) && s.local != nil {
		return s.local.EncodedObject(t, h)
	}
	return o, err
}

func (s *store) HasEncodedObject(h Hash) error {
	err := s.Storage.HasEncodedObject(h)
	if err != nil && s.local != nil && holds(s.local, h) {
		return nil
	}
	return err
}

// holds says whether a checkout's repository has an object. go-git's HasEncodedObject leaves out what a clone borrows from
// a reference repository.
func holds(local storer.EncodedObjectStorer, h Hash) bool {
	if local.HasEncodedObject(h) == nil {
		return true
	}
	_, err := local.EncodedObject(plumbing.AnyObject, h)
	return err == nil
}

func (s *store) EncodedObjectSize(h Hash) (int64, error) {
	n, err := s.Storage.EncodedObjectSize(h)
	if err != nil && s.local != nil {
		return s.local.EncodedObjectSize(h)
	}
	return n, err
}

func (s *store) has(h Hash) bool { return s.HasEncodedObject(h) == nil }

// bytes returns the contents of an object; ok is false when it is not at hand.
func (s *store) bytes(t plumbing.ObjectType, h Hash) (data []byte, ok bool) {
	o, err := s.EncodedObject(t, h)
	if err != nil {
		return nil, false
	}
	r, err := o.Reader()
	if err != nil {
		return nil, false
	}
	defer r.Close()
	data, err = io.ReadAll(r)
	return data, err == nil
}

// fetched returns the objects that are in memory: what was fetched and built.
func (s *store) fetched() []packObject {
	all := make([]packObject, 0, len(s.Objects))
	for h, o := range s.Objects {
		if data, ok := s.bytes(o.Type(), h); ok {
			all = append(all, packObject{kind: o.Type(), data: data})
		}
	}
	return all
}

func (s *store) put(t plumbing.ObjectType, data []byte) (Hash, error) {
	o := s.NewEncodedObject()
	o.SetType(t)
	w, err := o.Writer()
	if err != nil {
		return Hash{}, err
	}
	if _, err := w.Write(data); err != nil {
		return Hash{}, err
	}
	if err := w.Close(); err != nil {
		return Hash{}, err
	}
	return s.SetEncodedObject(o)
}

// readPack adds the objects of a pack; deltas may refer to objects that are at hand already.
func (s *store) readPack(r io.Reader) error {
	p, err := packfile.NewParserWithStorage(packfile.NewScanner(r), s)
	if err != nil {
		return err
	}
	if _, err := p.Parse(); err != nil && !errors.Is(err, packfile.ErrEmptyPackfile) {
		return err
	}
	// The scanner stops behind the checksum; what follows (a last flush) must be read for the connection to be used again.
	_, err = io.Copy(io.Discard, r)
	return err
}
