package gitrepo

import (
	"context"
	"errors"
	"io"
	"net/url"
	"regexp"
	"strings"
	"time"

	"slipway/steps/internal/failure"
)

// The two services of a Git server.
const (
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack"
)

// connection opens conversations with the services of one repository. Its errors are classified.
type connection interface {
	// open starts a conversation; v2 asks for protocol version 2, which the server may ignore.
	open(ctx context.Context, service string, v2 bool) (conversation, error)
	close() error
}

// conversation is one exchange with a service. Over HTTP it may be used for any number of requests; over SSH for one
// request in version 0, for any number in version 2.
type conversation interface {
	// greeting is the advertisement of the server, up to its end or its first flush packet.
	greeting() *packetReader
	// send sends one request and returns the answer, which the caller reads to its end and closes.
	send(ctx context.Context, body []byte) (io.ReadCloser, error)
	// reusable says whether a second version 0 request may be sent.
	reusable() bool
	close() error
}

// scpLike is the short form of an SSH address: user@host:path.
var scpLike = regexp.MustCompile(`^(?:([^@/]+)@)?([^:/]+):([^/].*|/[^/].*)$`)

func dial(raw string, o Options) (connection, error) {
	if !strings.Contains(raw, "://") {
		m := scpLike.FindStringSubmatch(raw)
		if m == nil {
			return nil, failure.New(failure.Usage, "give an address that starts with https:// or ssh://, or has the form user@host:path",
				"repository %q: neither a URL nor user@host:path", raw)
		}
		return newSSH(m[1], m[2], m[3], o)
	}
	u, err := url.Parse(raw)
	if err != nil {
		// The text of url.Error repeats the address, password and all.
		return nil, failure.New(failure.Usage, "give an address that starts with https:// or ssh://", "repository: the URL cannot be parsed")
	}
	if _, secret := u.User.Password(); secret {
		return nil, failure.New(failure.Usage, hintCredentials, "repository %s: the URL carries a password", u.Redacted())
	}
	if u.Host == "" || strings.Trim(u.Path, "/") == "" {
		return nil, failure.New(failure.Usage, "give the whole address, as https://host/group/repository.git", "repository %q: host or path is missing", raw)
	}
	switch u.Scheme {
	case "http", "https":
		return newHTTP(u, o)
	case "ssh", "git+ssh", "ssh+git":
		return newSSH(u.User.Username(), u.Host, u.Path, o)
	}
	return nil, failure.New(failure.Usage, "use an https:// or ssh:// address", "repository %q: the protocol %s is not supported", raw, u.Scheme)
}

// errIdle is the cause of a request that was ended because the server said nothing for too long.
var errIdle = errors.New("the server said nothing for too long")

// idleReader ends a request by its cancel function when no byte arrives for a while, so that a hung server cannot hold a
// step while a slow one may take its time.
type idleReader struct {
	io.ReadCloser
	timer  *time.Timer
	limit  time.Duration
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func watchIdle(ctx context.Context, limit time.Duration) (context.Context, *idleReader) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &idleReader{limit: limit, ctx: ctx, cancel: cancel, timer: time.AfterFunc(limit, func() { cancel(errIdle) })}
}

func (r *idleReader) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	r.timer.Reset(r.limit)
	return n, r.explain(err)
}

// explain gives an error that the cancelled context caused its real reason.
func (r *idleReader) explain(err error) error {
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(context.Cause(r.ctx), errIdle) {
		return errIdle
	}
	return err
}

func (r *idleReader) Close() error {
	var err error
	if r.ReadCloser != nil {
		err = r.ReadCloser.Close()
	}
	r.timer.Stop()
	r.cancel(nil)
	return err
}

// withoutUser leaves the user out of an HTTP address, who may be a token; over SSH the user is part of the address.
func withoutUser(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return address
	}
	u.User = nil
	return u.String()
}
