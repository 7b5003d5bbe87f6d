// Package failure is the vocabulary of failed steps: a kind that decides the exit code, and a hint that tells the user
// what to do next. Adapters classify with it; only package steps turns a kind into an exit code. It imports nothing of
// slipway.
package failure

import (
	"errors"
	"fmt"
)

// Kind says how a pipeline should react to a failure. The exit code table in package steps has one row per kind.
type Kind string

// The kinds. Failure is what an error without a kind is.
const (
	Failure    Kind = "failure"
	Usage      Kind = "usage"
	Invalid    Kind = "invalid"
	Conflict   Kind = "conflict"
	Transient  Kind = "transient"
	Superseded Kind = "superseded"
	Unhealthy  Kind = "unhealthy"
	Pending    Kind = "pending"
	Denied     Kind = "denied"
	Rejected   Kind = "rejected"
)

// Error is an error with a kind and, where there is something to say, a hint: one sentence, lower case, that names the
// next action of the user.
type Error struct {
	Kind Kind
	Hint string
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error that was classified.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error of a kind; the message follows fmt.Errorf, %w included.
func New(kind Kind, hint, format string, args ...any) error {
	return &Error{Kind: kind, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// KindOf returns the kind of the outermost classified error in err's chain, or Failure.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Failure
}

// HintOf returns the outermost hint in err's chain that is not empty, or "".
func HintOf(err error) string {
	for {
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
}
