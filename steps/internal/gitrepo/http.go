package gitrepo

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"slipway/steps/internal/failure"
)

// httpConnection speaks Git's smart HTTP (gitprotocol-http). go-git's own transport is not used: it drops Retry-After
// and the bodies of errors, and knows no protocol version 2.
type httpConnection struct {
	base        *url.URL
	auth        Auth
	agent       string
	idle        time.Duration
	client      *http.Client
	date, dated time.Time // the clock of the server, and when it told it
}

func newHTTP(u *url.URL, o Options) (*httpConnection, error) {
	roots, err := certificates(o.CAFile)
	if err != nil {
		return nil, err
	}
	auth := o.Auth
	if auth.Username == "" {
		auth.Username = u.User.Username()
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() // brings proxies from the environment, and time limits
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	// The HTTP client makes a bare text of a proxy's refusal to connect.
	transport.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
		if res.StatusCode == http.StatusOK {
			return nil
		}
		return fmt.Errorf("the proxy refused to connect: %w", &StatusError{Status: res.StatusCode, RetryAfter: retryAfter(res.Header)})
	}
	base := *u
	base.User, base.RawQuery, base.Fragment = nil, "", ""
	base.Path = strings.TrimSuffix(base.Path, "/")
	base.RawPath = ""
	return &httpConnection{
		base: &base, auth: auth, agent: o.UserAgent, idle: o.IdleTimeout,
		client: &http.Client{Transport: transport, CheckRedirect: checkRedirect},
	}, nil
}

// certificates returns the system's trusted certificates and those of a file; nil stands for the system's alone.
func certificates(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, failure.New(failure.Usage, "give the path of a PEM file", "CA file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, failure.New(failure.Usage, "give a file with certificates in PEM form", "CA file %s: no certificate found", file)
	}
	return pool, nil
}

func checkRedirect(next *http.Request, via []*http.Request) error {
	if next.Method != http.MethodGet {
		return fmt.Errorf("%w: redirected from %s to %s", errNotGit, via[0].URL.Redacted(), next.URL.Redacted())
	}
	if next.URL.Scheme != "http" && next.URL.Scheme != "https" {
		return fmt.Errorf("%w: redirected to %s", errNotGit, next.URL.Redacted())
	}
	if via[0].URL.Scheme == "https" && next.URL.Scheme != "https" {
		return fmt.Errorf("%w: redirected from https to %s", errNotGit, next.URL.Redacted())
	}
	if len(via) >= 10 {
		return fmt.Errorf("%w: too many redirects", errNotGit)
	}
	return nil
}

func (c *httpConnection) close() error {
	c.client.CloseIdleConnections()
	return nil
}

func (c *httpConnection) open(ctx context.Context, service string, v2 bool) (conversation, error) {
	u := *c.base
	u.Path += "/info/refs"
	u.RawQuery = "service=" + service
	answer, err := c.do(ctx, http.MethodGet, &u, service, v2, nil)
	if err != nil {
		return nil, c.explain(err)
	}
	defer answer.Close()
	if err := answer.checkType("application/x-" + service + "-advertisement"); err != nil {
		return nil, c.explain(err)
	}
	all, err := io.ReadAll(answer)
	if err != nil {
		return nil, c.explain(err)
	}
	// Redirects are followed here only; requests then go where the advertisement came from, as Git does.
	if final := answer.from; final.Host != c.base.Host || !strings.HasPrefix(final.Path, c.base.Path) || final.Scheme != c.base.Scheme {
		if path, ok := strings.CutSuffix(final.Path, "/info/refs"); ok {
			if final.Host != c.base.Host {
				// The HTTP client drops the credentials on the way to another host. They stay dropped.
				c.auth = Auth{}
			}
			c.base = &url.URL{Scheme: final.Scheme, Host: final.Host, Path: path}
		}
	}
	packets := newPacketReader(bytes.NewReader(all))
	if bytes.HasPrefix(all, []byte("001e# service=")) || bytes.HasPrefix(all, []byte("001f# service=")) {
		// A preamble of smart HTTP in version 0, and in version 2 with some servers: one line and a flush.
		for kind := packetData; kind != packetFlush; {
			if kind, _, err = packets.next(); err != nil {
				return nil, c.explain(unexpectedEOF(err))
			}
		}
	}
	return &httpConversation{c: c, service: service, v2: v2, packets: packets}, nil
}

func (c *httpConnection) explain(err error) error { return classify(c.base.String(), err) }

// answer is the body of an answer with status 200.
type answer struct {
	*idleReader
	kind string   // its media type
	from *url.URL // where it came from in the end
}

// do sends one request; the caller closes the answer. A status other than 200 is a StatusError.
func (c *httpConnection) do(ctx context.Context, method string, u *url.URL, service string, v2 bool, body []byte) (*answer, error) {
	ctx, idle := watchIdle(ctx, c.idle)
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		_ = idle.Close()
		return nil, err
	}
	req.Header.Set("User-Agent", "git/"+c.agent) // forges send other clients to their web pages
	if v2 {
		req.Header.Set("Git-Protocol", "version=2")
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-"+service+"-request")
		req.Header.Set("Accept", "application/x-"+service+"-result")
	}
	switch {
	case c.auth.Bearer && c.auth.Token != "":
		req.Header.Set("Authorization", "Bearer "+c.auth.Token)
	case c.auth.Token != "":
		user := c.auth.Username
		if user == "" {
			user = "oauth2"
		}
		req.SetBasicAuth(user, c.auth.Token)
	case c.auth.Username != "" || c.auth.Password != "":
		req.SetBasicAuth(c.auth.Username, c.auth.Password)
	}
	res, err := c.client.Do(req) //nolint:bodyclose // the answer closes it
	if err != nil {
		err = idle.explain(err)
		_ = idle.Close()
		var wrapped *url.Error
		switch {
		case !errors.As(err, &wrapped):
		case errors.Is(err, errNotGit): // a redirect that was refused
			err = wrapped.Err
		default:
			err = &transportError{wrapped}
		}
		return nil, err
	}
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		c.date, c.dated = date, time.Now()
	}
	idle.ReadCloser = res.Body
	if res.StatusCode != http.StatusOK {
		defer idle.Close()
		page, _ := io.ReadAll(io.LimitReader(idle, 2048)) // what cannot be read of an error page is no error of its own
		return nil, &StatusError{Status: res.StatusCode, Message: readable(page), RetryAfter: retryAfter(res.Header)}
	}
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	return &answer{idleReader: idle, kind: kind, from: res.Request.URL}, nil
}

// transportError keeps the chain of an url.Error and leaves out its text, which repeats the URL that stands in front of
// every error already.
type transportError struct{ err *url.Error }

func (e *transportError) Error() string { return e.err.Err.Error() }
func (e *transportError) Unwrap() error { return e.err }

func (a *answer) checkType(want string) error {
	if a.kind == want {
		return nil
	}
	page, _ := io.ReadAll(io.LimitReader(a, 2048)) // what cannot be read of an error page is no error of its own
	if text := readable(page); text != "" {
		return fmt.Errorf("%w: a page of type %q that says: %s", errNotGit, a.kind, text)
	}
	return fmt.Errorf("%w: an empty page of type %q", errNotGit, a.kind)
}

type httpConversation struct {
	c       *httpConnection
	service string
	v2      bool
	packets *packetReader
}

func (h *httpConversation) greeting() *packetReader { return h.packets }
func (h *httpConversation) reusable() bool          { return true }
func (h *httpConversation) close() error            { return nil }

func (h *httpConversation) send(ctx context.Context, body []byte) (io.ReadCloser, error) {
	u := *h.c.base
	u.Path += "/" + h.service
	reply, err := h.c.do(ctx, http.MethodPost, &u, h.service, h.v2, body)
	if err != nil {
		return nil, h.c.explain(err)
	}
	if err := reply.checkType("application/x-" + h.service + "-result"); err != nil {
		_ = reply.Close()
		return nil, h.c.explain(err)
	}
	return reply, nil
}
