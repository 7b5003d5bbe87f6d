package argocdtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/casbin/casbin/v2"
	"google.golang.org/grpc"
)

// Options say what kind of server is started. The zero value is plaintext on loopback, version 2.14, where everything
// becomes healthy at once.
type Options struct {
	// Version is what the server says of itself and decides between the behaviours of v2 and v3; v2.14.21 if empty.
	Version string
	// TLS serves with the certificate whose CA is CAFile, valid for 127.0.0.1 and *.example.com.
	TLS bool
	// RootPath serves below a path, such as argo-cd, as behind an ingress that hands on nothing else: gRPC, which has paths
	// of its own, is answered 404, and only gRPC-web is left.
	RootPath string
	// Front is what stands between the client and the server.
	Front Front
	// Listener, where set, is served instead of a new one on loopback, such as a bufconn.Listener within a synctest bubble.
	Listener net.Listener
	// Namespace is where applications live that name no other, argocd if empty.
	Namespace string
	// Policy is the policy.csv of argocd-rbac-cm, besides the built-in one, by which the account admin may do everything.
	Policy string
	// EnforceLogs demands the right logs, get for pod logs, as v3 always does.
	EnforceLogs bool
	// OverrideForRevision is application.sync.requireOverridePrivilegeForRevisionSync of v3.
	OverrideForRevision bool
	// Skew is how far the server's clock is ahead.
	Skew time.Duration
	// ProgressingFor is how long a changed workload is Progressing before it is Healthy, unless Server.Rollout says otherwise.
	ProgressingFor time.Duration
	// OperationFor is how long an operation is Running before the first resource is applied.
	OperationFor time.Duration
	// RefreshFor is how long a comparison with Git takes.
	RefreshFor time.Duration
	// Resync is how often applications are compared with Git unasked, 3 minutes if zero.
	Resync time.Duration
	// DeletionFor is how long a hook that its policy deletes can still be found with its logs, 1 second if zero.
	DeletionFor time.Duration
	// WatchBuffer is how many events are kept for a slow reader of a watch before events are dropped, 1000 if zero.
	WatchBuffer int
}

// Front is what stands between the client and the server.
type Front int

// The fronts.
const (
	// FrontNone lets the client reach the server itself.
	FrontNone Front = iota
	// FrontHTTP1 is a proxy that speaks HTTP/1.1 only: gRPC does not pass, gRPC-web does.
	FrontHTTP1
	// FrontNoGRPC is a proxy that speaks HTTP/2 to the client and HTTP/1.1 to the server: it answers gRPC with a page of its
	// own, 502, and lets gRPC-web pass.
	FrontNoGRPC
	// FrontBlackHole accepts connections and never answers.
	FrontBlackHole
)

// Server is a running Argo CD: its API and its application controller. All methods may be used concurrently.
type Server struct {
	options Options
	state   string // mirrors and certificates, always temporary
	key     []byte // signs tokens
	rbac    enforcers
	repos   *repositories
	grpc    *grpc.Server

	ctx     context.Context
	cancel  context.CancelFunc
	working sync.WaitGroup

	mu          sync.Mutex
	address     string
	http        *http.Server
	streams     context.Context // ends when the server shuts down
	endStreams  context.CancelFunc
	apps        map[appKey]*application
	projects    map[string]*v1alpha1.AppProject
	subscribers map[*subscriber]struct{}
	version     int // the latest resource version
	paused      bool
	policy      string
	revoked     map[string]bool
	calls       []Call
	faults      []*planned
	hook        func(Call) Fault
}

// Start starts a server; the caller must Close it.
func Start(o Options) (*Server, error) {
	s := &Server{options: o.withDefaults()}
	if err := s.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("argo cd test server: %w", err), s.Close())
	}
	return s, nil
}

// New starts a server that is closed when the test ends.
func New(tb testing.TB, o Options) *Server {
	tb.Helper()
	s, err := Start(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func (o Options) withDefaults() Options {
	if o.Version == "" {
		o.Version = "v2.14.21"
	}
	if o.Namespace == "" {
		o.Namespace = "argocd"
	}
	if o.Resync == 0 {
		o.Resync = 3 * time.Minute
	}
	if o.DeletionFor == 0 {
		o.DeletionFor = time.Second
	}
	if o.WatchBuffer == 0 {
		o.WatchBuffer = 1000
	}
	return o
}

func (s *Server) start() error {
	var err error
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.apps = map[appKey]*application{}
	s.subscribers = map[*subscriber]struct{}{}
	s.revoked = map[string]bool{}
	s.projects = map[string]*v1alpha1.AppProject{"default": newProject(s.options.Namespace, "default")}
	if s.state, err = os.MkdirTemp("", "argocdtest-"); err != nil {
		return err
	}
	if s.key, err = newKey(); err != nil {
		return err
	}
	s.rbac.known = map[string]*casbin.Enforcer{}
	if err = s.SetPolicy(s.options.Policy); err != nil {
		return err
	}
	if s.repos, err = newRepositories(s.state); err != nil {
		return err
	}
	s.grpc = s.newGRPC()
	if err = s.writeCA(); err != nil {
		return err
	}
	listener := s.options.Listener
	if listener == nil {
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
	}
	s.address = listener.Addr().String()
	s.serve(listener)
	return nil
}

// serve answers the connections of a listener until stop.
func (s *Server) serve(listener net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams, s.endStreams = context.WithCancel(s.ctx)
	s.http = &http.Server{
		Handler:     http.HandlerFunc(s.front),
		ErrorLog:    log.New(io.Discard, "", 0),
		Protocols:   s.protocols(),
		ConnContext: withConnection,
	}
	server, secured := s.http, s.options.TLS
	if s.options.Front == FrontBlackHole {
		listener, secured = newBlackHole(listener), false
	}
	s.working.Go(func() {
		if secured {
			server.TLSConfig = s.tlsConfig()
			_ = server.ServeTLS(listener, "", "")
			return
		}
		_ = server.Serve(listener)
	})
}

func (s *Server) protocols() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	if s.options.Front != FrontHTTP1 {
		p.SetHTTP2(true)
		p.SetUnencryptedHTTP2(true)
	}
	return &p
}

// stop ends all streams as a server does that is shut down, with OK, and then all connections.
func (s *Server) stop() error {
	s.mu.Lock()
	server, end := s.http, s.endStreams
	s.mu.Unlock()
	if server == nil {
		return nil
	}
	end()
	grace, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = server.Shutdown(grace)
	return server.Close()
}

// Restart stops the server, leaves its address refusing connections for a while, and starts it again. Applications, tokens
// and the controller survive, as they do when a pod of argocd-server is replaced. It works on loopback only.
func (s *Server) Restart(down time.Duration) error {
	if err := s.stop(); err != nil {
		return err
	}
	if !pause(s.ctx, down) {
		return s.ctx.Err()
	}
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		return err
	}
	s.serve(listener)
	return nil
}

// Close ends all connections, stops the controller and removes everything temporary.
func (s *Server) Close() error {
	s.cancel()
	err := s.stop()
	if s.grpc != nil {
		s.grpc.Stop()
	}
	s.working.Wait()
	if s.state != "" {
		err = errors.Join(err, os.RemoveAll(s.state))
	}
	return err
}

// Addr returns the host and port of the server, as ARGOCD_SERVER has it.
func (s *Server) Addr() string { return s.address }

// URL returns the address of the user interface.
func (s *Server) URL() string {
	scheme := "http"
	if s.options.TLS {
		scheme = "https"
	}
	url := scheme + "://" + s.address
	if root := s.rootPath(); root != "" {
		url += "/" + root
	}
	return url
}

// CAFile returns the PEM file of the CA that signed the certificate of a TLS server.
func (s *Server) CAFile() string { return filepath.Join(s.state, "ca.pem") }

// now is the server's clock, in the seconds that Kubernetes stores.
func (s *Server) now() time.Time { return time.Now().Add(s.options.Skew).Truncate(time.Second) }

// pause returns false if the context has ended before the time has passed.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
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
