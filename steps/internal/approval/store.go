package approval

import (
	"context"
	"errors"
)

// ErrNone says that there is no record of that id.
var ErrNone = errors.New("there is no such approval")

// ErrDiverged says that somebody else has written the record since it was read: nothing was written. It is transient, and
// the next attempt reads what they wrote.
var ErrDiverged = errors.New("the record of the approval has changed")

// Stored is a record with the place in its history at which it was read.
type Stored struct {
	Record
	// Version is what Swap compares; it is empty for a record that is not stored yet.
	Version string
}

// Store keeps records. Of two writers that have read the same version one wins; the other's error is ErrDiverged. When the
// answer to a write was lost the error is transient, and the record has to be read to know. Errors are classified, and
// nothing is tried again here.
type Store interface {
	// Read returns the record as it is now, or ErrNone.
	Read(ctx context.Context, id string) (Stored, error)
	// Swap writes next if the record is still at the version of was; an empty version creates it. It returns what is stored now.
	Swap(ctx context.Context, was Stored, next Record) (Stored, error)
	// List returns the newest records, the last opened first, at most limit of them. The error names those that cannot be read;
	// if they are all that is wrong, the others are returned with it.
	List(ctx context.Context, limit int) ([]Record, error)
}
