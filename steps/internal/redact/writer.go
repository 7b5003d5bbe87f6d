package redact

import (
	"io"
	"sync"
)

// Writer masks what passes through it. It may be used from several goroutines.
type Writer struct {
	mu     sync.Mutex
	redact *Redactor
	to     io.Writer
	held   string
}

// Writer returns a writer to w that masks secrets, also those that are split over several calls of Write. For that it
// holds back a tail that may be the beginning of a secret; call Flush when nothing follows.
func (r *Redactor) Writer(w io.Writer) *Writer { return &Writer{redact: r, to: w} }

// Write always accepts all of p.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.redact.mu.RLock()
	masked, rest := w.redact.scan(w.held+string(p), false)
	w.redact.mu.RUnlock()
	w.held = rest
	if _, err := io.WriteString(w.to, masked); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush writes what was held back.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	masked := w.redact.String(w.held)
	w.held = ""
	_, err := io.WriteString(w.to, masked)
	return err
}
