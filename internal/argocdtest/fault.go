package argocdtest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
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

// record notes a call and says what happens to it.
func (s *Server) record(ctx context.Context, fullMethod string, request any) Fault {
	call := s.newCall(ctx, fullMethod, request)
	s.mu.Lock()
	call.Index = len(s.calls)
	s.calls = append(s.calls, call)
	hook := s.hook
	for _, p := range s.faults {
		if p.left == 0 || (p.method != "" && p.method != call.Method) {
			continue
		}
		if p.left > 0 {
			p.left--
		}
		s.mu.Unlock()
		return p.fault
	}
	s.mu.Unlock()
	if hook == nil {
		return Fault{}
	}
	return hook(call)
}

func (s *Server) newCall(ctx context.Context, fullMethod string, request any) Call {
	service, method, _ := strings.Cut(strings.TrimPrefix(fullMethod, "/"), "/")
	domain, _, _ := strings.Cut(service, ".")
	call := Call{Method: domain + "." + method, Web: exchangeOf(ctx).web}
	name, namespace := "", ""
	if r, ok := request.(interface{ GetName() string }); ok {
		name = r.GetName()
	}
	if r, ok := request.(interface{ GetApplicationName() string }); ok {
		name = r.GetApplicationName()
	}
	if r, ok := request.(interface{ GetAppNamespace() string }); ok {
		namespace = r.GetAppNamespace()
	}
	if domain == "application" {
		call.App = s.keyOf(namespace, name).display(s.options.Namespace)
	}
	switch r := request.(type) {
	case interface{ GetProject() string }:
		call.Project = r.GetProject()
	case interface{ GetProject() []string }:
		call.Project = strings.Join(r.GetProject(), ",")
	}
	if r, ok := request.(interface{ GetProjects() []string }); ok && call.Project == "" {
		call.Project = strings.Join(r.GetProjects(), ",")
	}
	if r, ok := request.(interface{ GetRefresh() string }); ok {
		call.Refresh = r.GetRefresh()
	}
	if r, ok := request.(interface{ GetRevision() string }); ok && r.GetRevision() != "" {
		call.Revisions = []string{r.GetRevision()}
	}
	if r, ok := request.(interface{ GetRevisions() []string }); ok && len(r.GetRevisions()) > 0 {
		call.Revisions = r.GetRevisions()
	}
	return call
}

// arrive carries out what comes before handling; an error ends the call.
func (f Fault) arrive(ctx context.Context, e *exchange) error {
	if f.Before != nil {
		f.Before()
	}
	if !pause(ctx, f.Delay) {
		return status.FromContextError(ctx.Err()).Err()
	}
	switch {
	case f.Hang:
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	case f.Page != 0:
		e.ending, e.status = sendPage, f.Page
	case f.Reset:
		e.ending = resetStream
	case f.Drop:
		e.ending = closeConnection
	case f.Refusal != nil && f.CutAfter == 0:
		return f.Refusal
	default:
		return nil
	}
	return errUnanswered
}

// errUnanswered ends the handling of a call whose reply HTTP takes care of.
var errUnanswered = status.Error(codes.Unavailable, "never sent")

// handled carries out what comes between handling and the reply.
func (f Fault) handled(e *exchange) {
	if f.After != nil {
		f.After()
	}
	if f.DropAfter {
		e.ending = closeConnection
	}
}

func (s *Server) unaryFault(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	fault, e := s.record(ctx, info.FullMethod, request), exchangeOf(ctx)
	if err := fault.arrive(ctx, e); err != nil {
		return nil, err
	}
	reply, err := handle(ctx, request)
	fault.handled(e)
	return reply, err
}

func (s *Server) streamFault(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	s.mu.Lock()
	shutdown := s.streams
	s.mu.Unlock()
	defer context.AfterFunc(shutdown, cancel)()
	faulty := &faultyStream{ServerStream: stream, ctx: ctx, server: s, method: info.FullMethod, exchange: exchangeOf(ctx)}
	err := handle(service, faulty)
	if errors.Is(err, errEnded) {
		err = nil
	}
	faulty.fault.handled(faulty.exchange)
	return err
}

var errEnded = errors.New("ended by a fault")

// faultyStream learns its fault from the request, which the handler of a stream of replies reads first. Its context ends when
// the server shuts down.
type faultyStream struct {
	grpc.ServerStream
	ctx      context.Context
	server   *Server
	method   string
	exchange *exchange
	fault    Fault
	sent     int
}

// Context returns the context of the stream.
func (f *faultyStream) Context() context.Context { return f.ctx }

// RecvMsg reads the request.
func (f *faultyStream) RecvMsg(m any) error {
	if err := f.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	f.fault = f.server.record(f.ctx, f.method, m)
	return f.fault.arrive(f.ctx, f.exchange)
}

// SendMsg sends a message unless the fault is against it.
func (f *faultyStream) SendMsg(m any) error {
	if f.fault.Mute && f.sent >= f.fault.MuteAfter {
		return nil
	}
	if err := f.ServerStream.SendMsg(m); err != nil {
		return err
	}
	f.sent++
	switch f.sent {
	case f.fault.EndAfter:
		return errEnded
	case f.fault.CutAfter:
		if f.fault.Refusal != nil {
			return f.fault.Refusal
		}
		f.exchange.cut.Store(true)
		return errUnanswered
	}
	return nil
}
