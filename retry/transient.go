package retry

import (
	"errors"
	"time"
)

// Transient marks err as one that another attempt may not meet. It returns nil for nil; the text stays as it is and
// errors.Is and errors.As see through the mark.
func Transient(err error) error { return TransientAfter(err, 0) }

// TransientAfter is Transient for an error that came with the server's wish when to come back (Retry-After): the wait
// before the next attempt is at least d.
func TransientAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &transientError{err: err, after: d}
}

// IsTransient reports whether an error in err's chain is marked.
func IsTransient(err error) bool {
	var t *transientError
	return errors.As(err, &t)
}

type transientError struct {
	err   error
	after time.Duration
}

func (t *transientError) Error() string { return t.err.Error() }

func (t *transientError) Unwrap() error { return t.err }

// after returns the longest wait that a mark in err's chain asks for: an adapter may mark what was marked below it.
func after(err error) time.Duration {
	var longest time.Duration
	for {
		var t *transientError
		if !errors.As(err, &t) {
			return longest
		}
		longest = max(longest, t.after)
		err = t.err
	}
}
