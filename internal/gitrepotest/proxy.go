package gitrepotest

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"testing"
	"time"
)

// ProxyOptions say how a Proxy behaves.
type ProxyOptions struct {
	// Upstream, where set, is the host:port that every request goes to, whatever host it names. Clients leave proxies
	// out for loopback addresses, so tests use a name such as git.example.com in the URL.
	Upstream string
	// Username and Password, where set, must be sent as basic proxy authentication.
	Username, Password string
	// Reply, where set, is the answer to everything, such as a company's error page.
	Reply *Reply
}

// Proxy is a forward HTTP proxy on loopback that tunnels with CONNECT.
type Proxy struct {
	options  ProxyOptions
	server   *http.Server
	listener net.Listener
	forward  *httputil.ReverseProxy
	tunnels  sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	open     []net.Conn
	requests int
}

// StartProxy starts a proxy; the caller must Close it.
func StartProxy(o ProxyOptions) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{options: o, listener: listener}
	quiet := log.New(io.Discard, "", 0)
	p.forward = &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.Host = r.In.Host },
		Transport: &http.Transport{DialContext: p.dial},
		ErrorLog:  quiet,
	}
	p.server = &http.Server{Handler: p, ErrorLog: quiet, ReadHeaderTimeout: time.Minute}
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

// NewProxy starts a proxy that is closed when the test ends.
func NewProxy(tb testing.TB, o ProxyOptions) *Proxy {
	tb.Helper()
	p, err := StartProxy(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return p
}

// URL returns the address for HTTP_PROXY and HTTPS_PROXY, without credentials.
func (p *Proxy) URL() string { return "http://" + p.listener.Addr().String() }

// Requests returns how many requests, a CONNECT being one, have arrived, refused ones included.
func (p *Proxy) Requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

// Close ends all connections and waits for the tunnels.
func (p *Proxy) Close() error {
	err := p.server.Close()
	p.mu.Lock()
	p.closed = true
	for _, conn := range p.open {
		_ = conn.Close()
	}
	p.mu.Unlock()
	p.tunnels.Wait()
	p.forward.Transport.(*http.Transport).CloseIdleConnections()
	return err
}

// ServeHTTP answers one proxy request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.requests++
	p.mu.Unlock()
	switch {
	case p.options.Reply != nil:
		p.options.Reply.serve(w, r)
	case !p.authorized(r):
		w.Header().Set("Proxy-Authenticate", `Basic realm="proxy"`)
		http.Error(w, "proxy authentication required", http.StatusProxyAuthRequired)
	case r.Method == http.MethodConnect:
		p.tunnel(w, r)
	case r.URL.Host == "":
		http.Error(w, "not a proxy request", http.StatusBadRequest)
	default:
		p.forward.ServeHTTP(w, r)
	}
}

func (p *Proxy) authorized(r *http.Request) bool {
	if p.options.Username == "" && p.options.Password == "" {
		return true
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(p.options.Username+":"+p.options.Password))
	return r.Header.Get("Proxy-Authorization") == want
}

func (p *Proxy) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if p.options.Upstream != "" {
		address = p.options.Upstream
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

func (p *Proxy) tunnel(w http.ResponseWriter, r *http.Request) {
	upstream, err := p.dial(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = upstream.Close()
		return
	}
	if !p.keep(client, upstream) {
		return
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	copyAndClose := func(to net.Conn, from io.Reader) {
		defer p.tunnels.Done()
		_, _ = io.Copy(to, from)
		_ = errors.Join(client.Close(), upstream.Close())
	}
	go copyAndClose(upstream, buffered)
	go copyAndClose(client, upstream)
}

// keep remembers the two ends of a tunnel for Close; after Close it closes them at once and returns false.
func (p *Proxy) keep(ends ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = append(p.open, ends...)
	if p.closed {
		for _, conn := range ends {
			_ = conn.Close()
		}
		return false
	}
	p.tunnels.Add(2)
	return true
}
