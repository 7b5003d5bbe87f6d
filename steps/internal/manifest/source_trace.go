package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"slipway/steps/internal/failure"
)

// Trace is a Source that remembers what it was asked and what it answered. Another source that gives the same answers
// renders the same objects, so that nothing need be built from it.
type Trace struct {
	source Source
	mu     sync.Mutex
	files  map[string][]byte
	rest   map[traced]string
}

// Holder is a Source that says whether a file has some content for less than it takes to read it.
type Holder interface {
	Holds(ctx context.Context, name string, content []byte) (bool, error)
}

type traced struct{ method, name string }

// NewTrace returns the files of s, with an empty memory.
func NewTrace(s Source) *Trace {
	return &Trace{source: s, files: map[string][]byte{}, rest: map[traced]string{}}
}

// ReadFile reads a file of the source.
func (t *Trace) ReadFile(ctx context.Context, name string) ([]byte, error) {
	data, err := t.source.ReadFile(ctx, name)
	if err != nil {
		t.keep(traced{"ReadFile", name}, "", err)
		return nil, err
	}
	t.mu.Lock()
	t.files[name] = data
	t.mu.Unlock()
	return data, nil
}

// Stat describes a file of the source. Its size is not remembered, since not every source knows it.
func (t *Trace) Stat(ctx context.Context, name string) (Info, error) {
	info, err := t.source.Stat(ctx, name)
	t.keep(traced{"Stat", name}, fmt.Sprint(info.Path, info.Dir), err)
	return info, err
}

// ReadDir lists a directory of the source.
func (t *Trace) ReadDir(ctx context.Context, name string) ([]string, error) {
	names, err := t.source.ReadDir(ctx, name)
	t.keep(traced{"ReadDir", name}, strings.Join(names, "/"), err)
	return names, err
}

func (t *Trace) keep(q traced, answer string, err error) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		answer = "absent"
	case err != nil:
		answer = "refused"
	}
	t.mu.Lock()
	t.rest[q] = answer
	t.mu.Unlock()
}

// Same asks another source what t was asked, and says whether all answers are the same. An error of kind Invalid, such as a
// symlink that leads out, is an answer; any other ends the comparison.
func (t *Trace) Same(ctx context.Context, other Source) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, content := range t.files {
		if held, err := holds(ctx, other, name, content); !held || err != nil {
			return false, unanswered(err)
		}
	}
	o := NewTrace(other)
	for q, answer := range t.rest {
		var err error
		switch q.method {
		case "ReadFile":
			_, err = o.ReadFile(ctx, q.name)
		case "Stat":
			_, err = o.Stat(ctx, q.name)
		case "ReadDir":
			_, err = o.ReadDir(ctx, q.name)
		}
		if err = unanswered(err); err != nil || o.rest[q] != answer {
			return false, err
		}
	}
	return true, nil
}

func holds(ctx context.Context, s Source, name string, content []byte) (bool, error) {
	if h, ok := s.(Holder); ok {
		return h.Holds(ctx, name, content)
	}
	data, err := s.ReadFile(ctx, name)
	return bytes.Equal(data, content), err
}

// unanswered returns an error that is no answer.
func unanswered(err error) error {
	if errors.Is(err, fs.ErrNotExist) || failure.KindOf(err) == failure.Invalid {
		return nil
	}
	return err
}
