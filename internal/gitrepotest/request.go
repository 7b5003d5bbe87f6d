package gitrepotest

import (
	"bytes"
	"io"
	"net/http"
	"path"
	"strings"
)

// The Git services of a request.
const (
	UploadPack  = "git-upload-pack"
	ReceivePack = "git-receive-pack"
)

// Request is one line of the server's log.
type Request struct {
	// Index counts the requests from 0 in the order of their arrival.
	Index int
	// Method is the HTTP method, or SSH for a command over SSH.
	Method string
	Path   string
	Query  string
	// Protocol is the Git protocol that the client asked for, such as version=2.
	Protocol string
	// Service is UploadPack, ReceivePack or empty.
	Service string
	// Push is true for the request that carries the new commits, not for the one that reads the refs before it.
	Push bool
	// BytesIn and BytesOut are sizes of bodies on the wire, without headers. They stay 0 over SSH.
	BytesIn, BytesOut int64
	// Status is the HTTP status of the reply, 0 if none was sent (yet).
	Status int
	// Dropped is true if a fault closed the connection without a whole reply.
	Dropped bool
}

// Requests returns the log: all requests since the start or the last Reset, in the order of their arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := make([]Request, len(s.log))
	for i, entry := range s.log {
		requests[i] = *entry
	}
	return requests
}

// Reset empties the log, so that the next request has the index 0 again.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

// record adds a request to the log and decides what is done with it.
func (s *Server) record(r Request) (*Request, Action) {
	s.mu.Lock()
	r.Index = len(s.log)
	entry := &r
	s.log = append(s.log, entry)
	fault, seen := s.fault, r
	s.mu.Unlock()
	if fault == nil {
		return entry, Pass()
	}
	return entry, fault(seen)
}

func newRequest(r *http.Request, size int) Request {
	service := r.URL.Query().Get("service")
	if last := path.Base(r.URL.Path); last == UploadPack || last == ReceivePack {
		service = last
	}
	return Request{
		Method:   r.Method,
		Path:     r.URL.Path,
		Query:    r.URL.RawQuery,
		Protocol: r.Header.Get("Git-Protocol"),
		Service:  service,
		Push:     r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/"+ReceivePack),
		BytesIn:  int64(size),
	}
}

func setBody(r *http.Request, body []byte) {
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.TransferEncoding = nil
}

// countingWriter writes a reply into the log before it is sent, so that a client that has read a reply finds it there.
type countingWriter struct {
	http.ResponseWriter
	server *Server
	entry  *Request
}

func (w *countingWriter) WriteHeader(status int) {
	w.note(func(r *Request) { r.Status = status })
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.note(func(r *Request) {
		if r.Status == 0 {
			r.Status = http.StatusOK
		}
		r.BytesOut += int64(len(p))
	})
	return w.ResponseWriter.Write(p)
}

func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *countingWriter) note(change func(*Request)) {
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	change(w.entry)
}

// drop closes the connection; the client sees it break.
func (w *countingWriter) drop() {
	w.note(func(r *Request) { r.Dropped = true })
	panic(http.ErrAbortHandler)
}
