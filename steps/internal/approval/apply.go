package approval

import (
	"bytes"
	"context"
	"errors"
)

// Apply makes one attempt to change a record: it reads it, and writes what change makes of it if that differs. Where there is no
// record yet, change is given the zero Record and returns the one to create, or the zero Record again for ErrNone. Changed says
// that this attempt wrote; Stored is what is stored now.
//
// A lost race is ErrDiverged, and a lost answer some other transient error: then the whole attempt has to be made again. The
// attempt after a lost answer that had arrived finds its own change in place, and reports that it changed nothing.
func Apply(ctx context.Context, store Store, id string, change func(Record) (Record, error)) (Stored, bool, error) {
	was, err := store.Read(ctx, id)
	missing := errors.Is(err, ErrNone)
	if err != nil && !missing {
		return Stored{}, false, err
	}
	next, changeErr := change(was.Record)
	if changeErr != nil {
		return was, false, changeErr
	}
	if missing && next.ID == "" {
		return Stored{}, false, err
	}
	same, err := equal(was.Record, next)
	if err != nil || same {
		return was, false, err
	}
	now, err := store.Swap(ctx, was, next)
	if err != nil {
		return was, false, err
	}
	return now, true, nil
}

func equal(a, b Record) (bool, error) {
	was, err := a.Encode()
	if err != nil {
		return false, err
	}
	next, err := b.Encode()
	return bytes.Equal(was, next), err
}
