package argocdtest

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

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
		e.status = f.Page
		e.ending.Store(sendPage)
	case f.Reset:
		e.ending.Store(resetStream)
	case f.Drop:
		e.ending.Store(closeConnection)
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
		e.ending.Store(closeConnection)
	}
}

// untilShutdown returns the context of a call with an end when the server shuts down.
func (s *Server) untilShutdown(call context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(call)
	s.mu.Lock()
	defer s.mu.Unlock()
	stop := context.AfterFunc(s.serving, cancel)
	return ctx, func() { stop(); cancel() }
}

func (s *Server) unaryFault(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	ctx, cancel := s.untilShutdown(ctx)
	defer cancel()
	fault, e := s.record(ctx, info.FullMethod, request), exchangeOf(ctx)
	if err := fault.arrive(ctx, e); err != nil {
		return nil, err
	}
	reply, err := handle(ctx, request)
	fault.handled(e)
	return reply, err
}

func (s *Server) streamFault(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx, cancel := s.untilShutdown(stream.Context())
	defer cancel()
	faulty := &faultyStream{ServerStream: stream, ctx: ctx, cancel: cancel, server: s, method: info.FullMethod, exchange: exchangeOf(ctx)}
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
	cancel   context.CancelFunc
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
	if f.fault.CutIn > 0 {
		timer := time.AfterFunc(f.fault.CutIn, func() {
			f.exchange.cut.Store(true)
			f.cancel()
		})
		context.AfterFunc(f.ctx, func() { timer.Stop() })
	}
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
