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
	"sync/atomic"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/casbin/casbin/v2"
	"google.golang.org/grpc"
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
	active  atomic.Int64 // requests that are being handled

	mu          sync.Mutex
	address     string
	http        *http.Server
	serving     context.Context // ends when the server shuts down
	shutdown    context.CancelFunc
	connections int
	apps        map[appKey]*application
	projects    map[string]*v1alpha1.AppProject
	subscribers map[*subscriber]struct{}
	version     int // the latest resource version
	paused      bool
	forgotten   map[string]bool // projects that the controller does not know
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

func (s *Server) start() error {
	var err error
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.apps = map[appKey]*application{}
	s.subscribers = map[*subscriber]struct{}{}
	s.revoked, s.forgotten = map[string]bool{}, map[string]bool{}
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
	if s.repos, err = newRepositories(s.state, s.options.GitEnv); err != nil {
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

// serve answers the connections of a listener until Stop.
func (s *Server) serve(listener net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving, s.shutdown = context.WithCancel(s.ctx)
	s.http = &http.Server{
		Handler:     http.HandlerFunc(s.front),
		ErrorLog:    log.New(io.Discard, "", 0),
		Protocols:   s.protocols(),
		ConnContext: s.withConnection,

		ReadHeaderTimeout: time.Minute,
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

// Stop ends all streams as a server does that is shut down, with OK, then all connections, and leaves its address refusing
// new ones. Applications, tokens and the controller live on, as they do when a pod of argocd-server is replaced.
func (s *Server) Stop() error {
	s.mu.Lock()
	server, shutdown := s.http, s.shutdown
	s.mu.Unlock()
	if server == nil {
		return nil
	}
	shutdown()
	for i := 0; s.active.Load() > 0 && i < 2000; i++ {
		pause(context.Background(), time.Millisecond)
	}
	grace, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = server.Shutdown(grace)
	return server.Close()
}

// Resume serves again at the address of before. It works on loopback only.
func (s *Server) Resume() error {
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
	err := s.Stop()
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

// Connections returns how many connections there have been.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
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
