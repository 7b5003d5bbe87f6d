package manifest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"slipway/steps/internal/failure"
)

// order is what the parent says first; after that it says an answer to each question of the child.
type order struct {
	Dir    string
	Limits Limits
}

// utterance is what the child says: a question as long as neither of the others is there, which end the conversation.
type utterance struct {
	Question question
	Result   *Result
	Error    *crossed
}

// question is a method of Source and its argument.
type question struct{ Method, Name string }

const (
	readFile = "ReadFile"
	stat     = "Stat"
	readDir  = "ReadDir"
)

type answer struct {
	Data  []byte
	Info  Info
	Names []string
	Error *crossed
}

var errProtocol = errors.New("it said what it may not")

// send writes a value as JSON after its length.
func send(w io.Writer, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint64(nil, uint64(len(text))), text...))
	return err
}

// receive reads a value of at most so many bytes. It takes memory for what comes, not for what is announced.
func receive(r io.Reader, most int64, value any) error {
	var length uint64
	if err := binary.Read(r, binary.BigEndian, &length); err != nil {
		return err
	}
	if length > uint64(most) {
		return fmt.Errorf("%w: a message of %d bytes", errProtocol, length)
	}
	var text bytes.Buffer
	if _, err := io.CopyN(&text, r, int64(length)); err != nil {
		return err
	}
	if err := json.Unmarshal(text.Bytes(), value); err != nil {
		return fmt.Errorf("%w: %w", errProtocol, err)
	}
	return nil
}

// restore decodes the objects' data, which cross as the JSON of the result alone.
func (r *Result) restore() (*Result, error) {
	if len(r.JSON) != len(r.Objects) {
		return nil, fmt.Errorf("%w: %d objects and the JSON of %d", errProtocol, len(r.Objects), len(r.JSON))
	}
	for i, text := range r.JSON {
		var err error
		if r.Objects[i].Data, err = decodeObject(text); err != nil {
			return nil, fmt.Errorf("%w: %w", errProtocol, err)
		}
	}
	return r, nil
}

// crossed is an error on its way to the other process: what is asked of errors here survives, which is their text, whether
// they are Invalid and with what hint, and whether something is absent. An error that the parent gave comes back to it as
// the value that it was.
type crossed struct {
	Text    string
	Invalid bool
	Hint    string
	Absent  bool
	Given   int // counts the errors that the parent gave, from 1
}

func crossing(err error) *crossed {
	c := &crossed{Text: err.Error(), Absent: errors.Is(err, fs.ErrNotExist)}
	var given *restored
	if errors.As(err, &given) {
		c.Given = given.Given
	}
	// A kind below a given error is its own.
	var kind *failure.Error
	if errors.As(err, &kind) && (given == nil || errors.As(kind, &given)) {
		c.Invalid, c.Hint = kind.Kind == failure.Invalid, failure.HintOf(kind)
	}
	return c
}

type restored struct {
	*crossed
	cause error
}

func (r *restored) Error() string { return r.Text }

func (r *restored) Unwrap() error { return r.cause }

func (c *crossed) restore(given []error) error {
	r := &restored{crossed: c}
	switch {
	case c.Given > 0 && c.Given <= len(given):
		r.cause = given[c.Given-1]
	case c.Absent:
		r.cause = fs.ErrNotExist
	}
	switch {
	case c.Invalid:
		return &failure.Error{Kind: failure.Invalid, Hint: c.Hint, Err: r}
	case r.cause != nil && r.cause.Error() == c.Text:
		return r.cause
	}
	return r
}
