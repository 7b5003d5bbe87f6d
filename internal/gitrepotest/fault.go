package gitrepotest

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"time"
)

// Action is what happens to a request. The zero value handles it; the fields may be combined and take effect in their
// order.
type Action struct {
	// Before is called when the whole request has arrived.
	Before func()
	// Delay holds the request up, at most until the client hangs up.
	Delay time.Duration
	// DropBefore closes the connection; the request is not handled.
	DropBefore bool
	// Reply is sent instead of handling the request.
	Reply *Reply
	// After is called when the request has been handled wholly and nothing of the reply has been sent.
	After func()
	// DropAfter closes the connection without a reply.
	DropAfter bool
	// CutBody, if above 0, closes the connection after that many bytes of the reply's body.
	CutBody int
}

// Reply is an answer that did not come from Git.
type Reply struct {
	Status int
	Header http.Header
	Body   string
}

// Pass handles the request as if there were no fault.
func Pass() Action { return Action{} }

// Status answers with a status, headers (may be nil) and a body instead of handling the request.
func Status(code int, header http.Header, body string) Action {
	return Action{Reply: &Reply{Status: code, Header: header, Body: body}}
}

// DropBefore closes the connection without handling the request.
func DropBefore() Action { return Action{DropBefore: true} }

// DropAfter handles the request wholly, a push is applied, and then closes the connection without a reply.
func DropAfter() Action { return Action{DropAfter: true} }

// Delay handles the request after a while.
func Delay(d time.Duration) Action { return Action{Delay: d} }

// Call runs before ahead of handling the request and after once it has been handled wholly but before the reply. Either
// may be nil. To kill a client before its request takes effect, combine Before with DropBefore.
func Call(before, after func()) Action { return Action{Before: before, After: after} }

// CutBody closes the connection after n bytes of the reply's body.
func CutBody(n int) Action { return Action{CutBody: n} }

// Fault sets a function that is asked about every request before it is handled, nil for none. It must be safe for
// concurrent use. Of requests over SSH only Before and DropBefore have an effect.
func (s *Server) Fault(f func(Request) Action) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// RandomFaults returns a fault that hits requests at a rate from 0 to 1 with an answer of 503, a connection dropped before
// handling or, for pushes, after, or a short delay. The choice depends on the seed and the request's index only.
func RandomFaults(seed int64, rate float64) func(Request) Action {
	return func(r Request) Action {
		random := rand.New(rand.NewPCG(uint64(seed), uint64(r.Index)))
		if random.Float64() >= rate {
			return Pass()
		}
		switch random.IntN(4) {
		case 0:
			return Status(http.StatusServiceUnavailable, nil, "the server is restarting\n")
		case 1:
			return DropBefore()
		case 2:
			if r.Push {
				return DropAfter()
			}
		}
		return Delay(time.Duration(random.IntN(200)) * time.Millisecond)
	}
}

func (s *Server) act(w *countingWriter, r *http.Request, a Action) {
	if a.Before != nil {
		a.Before()
	}
	if a.DropBefore || !pause(r.Context(), a.Delay) {
		w.drop()
	}
	handle := s.serve
	if a.Reply != nil {
		handle = a.Reply.serve
	}
	if a.After == nil && !a.DropAfter && a.CutBody == 0 {
		handle(w, r)
		return
	}
	held := httptest.NewRecorder()
	handle(held, r)
	if a.After != nil {
		a.After()
	}
	if a.DropAfter {
		w.drop()
	}
	release(w, held, a.CutBody)
}

// release sends a reply that was held back, or the first cut bytes of it if cut is above 0.
func release(w *countingWriter, held *httptest.ResponseRecorder, cut int) {
	for key, values := range held.Header() {
		w.Header()[key] = values
	}
	body := held.Body.Bytes()
	w.WriteHeader(held.Code)
	if cut == 0 || cut >= len(body) {
		_, _ = w.Write(body)
		return
	}
	_, _ = w.Write(body[:cut])
	_ = http.NewResponseController(w).Flush()
	w.drop()
}

func (a *Reply) serve(w http.ResponseWriter, _ *http.Request) {
	for key, values := range a.Header {
		w.Header()[key] = values
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write([]byte(a.Body))
}

// pause returns false if the client has gone before the time has passed.
func pause(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
