// Package gitrepotest is a real Git server on loopback: bare repositories served over HTTP as `git http-backend` does and, where
// asked for, SSH, with a log of requests and faults on demand. It needs the git binary and nothing of the machine's Git
// configuration.
package gitrepotest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Options say what kind of server is started. The zero value is plain HTTP, open to everybody, in a temporary directory.
type Options struct {
	// Dir holds the bare repositories and is kept; if empty, a temporary one is made and removed by Close.
	Dir string
	// TLS serves HTTPS with a certificate of the server's own CA, valid for 127.0.0.1, localhost and *.example.com.
	TLS bool
	// Username and Password, where set, must be sent as basic authentication.
	Username, Password string
	// Token, where set, is accepted as a bearer token and as the password of any user name.
	Token string
	// ProtocolV0 ignores the client's wish for another protocol version, as old servers do, over HTTP and SSH.
	ProtocolV0 bool
	// Skew is how far the clock of the HTTP server is ahead.
	Skew time.Duration
	// SSH also serves the repositories over SSH, to the keys of ClientKeyFile and EncryptedClientKeyFile.
	SSH bool
	// Stderr receives what the Git processes of HTTP requests write to their stderr; nil discards it.
	Stderr io.Writer
}

// Server is a running Git server. All methods may be used concurrently.
type Server struct {
	options Options
	git     gitBinary
	root    string // bare repositories
	state   string // keys and certificates, always temporary
	backend *cgi.Handler

	http     *http.Server
	listener net.Listener
	ssh      *sshServer
	handlers sync.WaitGroup
	devNull  *os.File

	mu     sync.Mutex
	closed bool
	log    []*Request
	fault  func(Request) Action
}

// Start starts a server; the caller must Close it.
func Start(o Options) (*Server, error) {
	s := &Server{options: o, root: o.Dir}
	if err := s.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("git test server: %w", err), s.Close())
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
	if s.state, err = os.MkdirTemp("", "gitrepotest-"); err != nil {
		return err
	}
	if s.root == "" {
		s.root = filepath.Join(s.state, "repos")
	}
	if err = os.MkdirAll(s.root, 0o755); err != nil {
		return err
	}
	if s.git, err = findGit(s.state); err != nil {
		return err
	}
	if s.devNull, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0); err != nil {
		return err
	}
	s.backend = &cgi.Handler{
		Path:   s.git.httpBackend,
		Root:   "/",
		Dir:    s.root,
		Env:    append(s.git.env(), "GIT_PROJECT_ROOT="+s.root, "GIT_HTTP_EXPORT_ALL=1"),
		Logger: log.New(io.Discard, "", 0),
		Stderr: s.devNull,
	}
	if s.options.Stderr != nil {
		s.backend.Stderr = s.options.Stderr
	}
	if s.options.SSH {
		if s.ssh, err = startSSH(s); err != nil {
			return err
		}
	}
	return s.listen()
}

func (s *Server) listen() error {
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	s.http = &http.Server{Handler: s, ErrorLog: log.New(io.Discard, "", 0)}
	if !s.options.TLS {
		go func() { _ = s.http.Serve(s.listener) }()
		return nil
	}
	certificate, err := newCertificate(s.CAFile())
	if err != nil {
		return errors.Join(err, s.listener.Close())
	}
	// Dropping a connection means one thing only with HTTP/1: there is one request on it.
	secured := tls.NewListener(s.listener, &tls.Config{
		Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12,
	})
	go func() { _ = s.http.Serve(secured) }()
	return nil
}

// Close ends all connections, waits for the requests at work and removes everything temporary.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	var errs []error
	if s.http != nil {
		errs = append(errs, s.http.Close())
	}
	if s.ssh != nil {
		errs = append(errs, s.ssh.close())
	}
	s.handlers.Wait()
	if s.devNull != nil {
		errs = append(errs, s.devNull.Close())
	}
	if s.state != "" {
		errs = append(errs, os.RemoveAll(s.state))
	}
	return errors.Join(errs...)
}

// URL returns the address of a repository over HTTP or HTTPS, without credentials.
func (s *Server) URL(repo string) string {
	return s.scheme() + "://" + s.Addr() + "/" + repo + ".git"
}

func (s *Server) scheme() string {
	if s.options.TLS {
		return "https"
	}
	return "http"
}

// Addr returns the host and port of the HTTP server.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// CAFile returns the PEM file of the CA that signed the certificate of a TLS server.
func (s *Server) CAFile() string { return filepath.Join(s.state, "ca.pem") }

// ServeHTTP answers one Git request: it logs it, asks Fault what to do, checks the credentials and runs git.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		panic(http.ErrAbortHandler)
	}
	defer s.handlers.Done()
	if s.options.Skew != 0 {
		w.Header().Set("Date", time.Now().Add(s.options.Skew).UTC().Format(http.TimeFormat))
	}
	// CGI needs to know the length of a body, which chunked requests do not say. It also makes sure that a client that
	// is killed by a fault has sent its request.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	setBody(r, body)
	entry, action := s.record(newRequest(r, len(body)))
	s.act(&countingWriter{ResponseWriter: w, server: s, entry: entry}, r, action)
}

// begin counts a request that Close has to wait for; after Close it returns false.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.handlers.Add(1)
	return true
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if !s.authorized(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="gitrepotest"`)
		http.Error(w, "access denied", http.StatusUnauthorized)
		return
	}
	r.Header.Del("Authorization")
	if s.options.ProtocolV0 {
		r.Header.Del("Git-Protocol")
	}
	if !s.serveGit(w, r) {
		s.backend.ServeHTTP(w, r)
	}
}

func (s *Server) authorized(r *http.Request) bool {
	o := s.options
	if o.Username == "" && o.Password == "" && o.Token == "" {
		return true
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return o.Token != "" && bearer == o.Token
	}
	username, password, ok := r.BasicAuth()
	if !ok {
		return false
	}
	if o.Token != "" && password == o.Token {
		return true
	}
	return o.Password != "" && username == o.Username && password == o.Password
}
