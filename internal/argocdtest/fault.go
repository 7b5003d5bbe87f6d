package argocdtest

import (
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Call is one call of the API.
type Call struct {
	// Index counts the calls from 0.
	Index int
	// Method is the package and the method, such as application.Sync, session.GetUserInfo or version.Version.
	Method string
	// App is the application as NAME or, outside the server's namespace, NAMESPACE/NAME.
	App string
	// Project is what the request says, which is what keeps NotFound apart from PermissionDenied.
	Project string
	// Refresh is normal or hard, of application.Get only.
	Refresh string
	// Revisions are what application.Sync asks for; none is the revision of the application's specification.
	Revisions []string
	// Web says that the call came as gRPC-web.
	Web bool
}

// Fault is what happens to a call. The zero value handles it; fields may be combined and take effect in their order.
type Fault struct {
	// Before is called when the request has arrived.
	Before func()
	// Delay holds the call up, at most until the client gives up.
	Delay time.Duration
	// Hang never answers and does not handle the call.
	Hang bool
	// Refusal is returned instead of handling the call.
	Refusal error
	// Page is what a proxy answers, as HTML, instead of handing the call on.
	Page int
	// Reset resets the HTTP/2 stream, and Drop closes the connection; the call is not handled.
	Reset, Drop bool
	// CutAfter ends a stream after so many messages, with Refusal or, where that is nil, by closing the connection.
	CutAfter int
	// EndAfter ends a stream after so many messages with OK, as a server does that shuts down.
	EndAfter int
	// CutIn closes the connection of a stream after a while, as a load balancer does that sees nothing on it.
	CutIn time.Duration
	// Mute keeps a stream open and sends nothing on it after MuteAfter messages.
	Mute      bool
	MuteAfter int
	// After is called when the call has been handled and nothing of the reply has been sent.
	After func()
	// DropAfter closes the connection without a reply although the call was handled.
	DropAfter bool
}

// Status refuses a call with a gRPC status.
func Status(code codes.Code, message string) Fault {
	return Fault{Refusal: status.Error(code, message)}
}

// Page answers a call with an HTML page of a proxy, such as 502.
func Page(status int) Fault { return Fault{Page: status} }

// Hang never answers a call.
func Hang() Fault { return Fault{Hang: true} }

// Delay handles a call after a while.
func Delay(d time.Duration) Fault { return Fault{Delay: d} }

// Drop closes the connection instead of handling a call.
func Drop() Fault { return Fault{Drop: true} }

// Reset resets the stream instead of handling a call.
func Reset() Fault { return Fault{Reset: true} }

// LoseReply handles a call and closes the connection without a reply.
func LoseReply() Fault { return Fault{DropAfter: true} }

// CutAfter closes the connection when a stream has sent n messages.
func CutAfter(n int) Fault { return Fault{CutAfter: n} }

// EndAfter ends a stream with OK when it has sent n messages.
func EndAfter(n int) Fault { return Fault{EndAfter: n} }

// Mute keeps a stream open and sends nothing on it after n messages, as when the events after them are lost.
func Mute(n int) Fault { return Fault{Mute: true, MuteAfter: n} }

// Around runs before ahead of handling a call, and after once it was handled but before the reply. Either may be nil. To
// kill a client before its call takes effect, combine Before with Drop.
func Around(before, after func()) Fault { return Fault{Before: before, After: after} }

// Always is the number of times for Fail that never ends.
const Always = -1

type planned struct {
	method string
	left   int
	fault  Fault
}

// Fail makes the next n calls of a method, or of any if it is empty, meet a fault. Faults of the same method wait for each
// other.
func (s *Server) Fail(method string, n int, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &planned{method, n, f})
}

// Heal forgets all faults.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.hook = nil, nil
}

// Fault sets a function that is asked about every call for which Fail has planned nothing, nil for none. It must be safe for
// concurrent use.
func (s *Server) Fault(f func(Call) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = f
}

// Calls returns the calls so far, of the given methods or of all.
func (s *Server) Calls(methods ...string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var calls []Call
	for _, call := range s.calls {
		if len(methods) == 0 || slices.Contains(methods, call.Method) {
			calls = append(calls, call)
		}
	}
	return calls
}
