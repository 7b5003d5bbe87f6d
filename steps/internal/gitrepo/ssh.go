package gitrepo

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"slipway/steps/internal/failure"
)

// SSHOptions say how an SSH server is authenticated, and how slipway authenticates to it.
type SSHOptions struct {
	// KeyFile names a private key; "" leaves the choice to the agent at AgentSocket, then to the usual files below HOME.
	KeyFile string
	// Passphrase decrypts the private key.
	Passphrase string
	// KnownHosts names files with host keys; none stands for ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts.
	KnownHosts []string
	// AcceptNew trusts a server that no known_hosts file names. A server whose key differs is refused all the same.
	AcceptNew bool
	// AgentSocket is where an SSH agent listens, as SSH_AUTH_SOCK names it.
	AgentSocket string
}

// sshConnection runs every conversation as a session of one SSH connection: a handshake costs more than the rest of a
// release, and go-git's transport pays it for every request. It also asks for protocol version 2, without which a stock
// server refuses to send single directories.
type sshConnection struct {
	user, addr, path string
	name             string // for errors
	options          SSHOptions
	idle             time.Duration
	client           *ssh.Client
}

func newSSH(userName, host, path string, o Options) (*sshConnection, error) {
	if userName == "" {
		userName = "git"
	}
	addr := host
	if _, _, err := net.SplitHostPort(host); err != nil {
		addr = net.JoinHostPort(strings.Trim(host, "[]"), "22")
	}
	if strings.HasPrefix(path, "-") || strings.ContainsAny(path, "'\n\x00!") {
		return nil, failure.New(failure.Usage, "check the path in the repository's address", "repository path %q has characters that a shell would read", path)
	}
	return &sshConnection{user: userName, addr: addr, path: path, name: "ssh://" + userName + "@" + host, options: o.SSH, idle: o.IdleTimeout}, nil
}

func (c *sshConnection) close() error {
	if c.client == nil {
		return nil
	}
	err := c.client.Close()
	c.client = nil
	return err
}

func (c *sshConnection) explain(err error) error { return classify(c.name, err) }

func (c *sshConnection) connect(ctx context.Context) error {
	if c.client != nil {
		return nil
	}
	methods, cleanup, err := c.authentication()
	if err != nil {
		return err
	}
	defer cleanup()
	check, algorithms, err := c.hostKeys()
	if err != nil {
		return err
	}
	dialer := net.Dialer{Timeout: c.idle}
	conn, err := dialer.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return c.explain(err)
	}
	// The handshake knows no context: closing the connection is what ends it.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(c.idle)); err != nil {
		return c.explain(err)
	}
	sshConn, channels, requests, err := ssh.NewClientConn(conn, c.addr, &ssh.ClientConfig{
		User: c.user, Auth: methods, HostKeyCallback: check, HostKeyAlgorithms: algorithms, Timeout: c.idle,
	})
	if err != nil {
		_ = conn.Close() // the first error is the one to report
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return c.explainHandshake(err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return c.explain(err)
	}
	c.client = ssh.NewClient(sshConn, channels, requests)
	return nil
}

func (c *sshConnection) explainHandshake(err error) error {
	var key *knownhosts.KeyError
	switch {
	case errors.As(err, &key) && len(key.Want) == 0:
		return failure.New(failure.Denied, "add the server's key to known_hosts (ssh-keyscan, checked by hand), or trust it now with --ssh-accept-new",
			"%s: the host key is unknown", c.name)
	case errors.As(err, &key):
		return failure.New(failure.Denied, "find out why the key changed before trusting it; then replace the line in known_hosts",
			"%s: the host key differs from the one in %s line %d", c.name, key.Want[0].Filename, key.Want[0].Line)
	case strings.Contains(err.Error(), "unable to authenticate"):
		return failure.New(failure.Denied, "name a private key that the server accepts with --ssh-key-file, or start an agent and set SSH_AUTH_SOCK",
			"%s: the server accepted none of the keys: %w", c.name, err)
	}
	return c.explain(err)
}

// authentication collects the keys to offer: the named file alone, else the agent's and the usual files.
func (c *sshConnection) authentication() (methods []ssh.AuthMethod, cleanup func(), err error) {
	if c.options.KeyFile != "" {
		signer, err := readKey("ssh key", "SLIPWAY_SSH_KEY_PASSPHRASE", c.options.KeyFile, c.options.Passphrase)
		if err != nil {
			return nil, nil, err
		}
		return []ssh.AuthMethod{ssh.PublicKeys(signer)}, func() {}, nil
	}
	var signers []ssh.Signer
	cleanup = func() {}
	if c.options.AgentSocket != "" {
		conn, err := net.Dial("unix", c.options.AgentSocket)
		if err != nil {
			return nil, nil, failure.New(failure.Denied, "start the agent again, or name a key with --ssh-key-file", "ssh agent: %w", err)
		}
		cleanup = func() { _ = conn.Close() }
		if signers, err = agent.NewClient(conn).Signers(); err != nil {
			cleanup()
			return nil, nil, failure.New(failure.Denied, "start the agent again, or name a key with --ssh-key-file", "ssh agent: %w", err)
		}
	}
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		// Only what can be used without asking: a missing file, or one with another passphrase, is no error here.
		if signer, err := readKey("ssh key", "", filepath.Join(home(), ".ssh", name), c.options.Passphrase); err == nil {
			signers = append(signers, signer)
		}
	}
	if len(signers) == 0 {
		cleanup()
		return nil, nil, failure.New(failure.Denied, "name a private key with --ssh-key-file, or start an agent and set SSH_AUTH_SOCK", "%s: no private key at hand", c.name)
	}
	return []ssh.AuthMethod{ssh.PublicKeys(signers...)}, cleanup, nil
}

// readKey reads a private key; variable is where the user puts its passphrase.
func readKey(what, variable, file, passphrase string) (ssh.Signer, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, failure.New(failure.Usage, "give the path of a private key", what+": %w", err)
	}
	var missing *ssh.PassphraseMissingError
	signer, err := ssh.ParsePrivateKey(pem)
	if errors.As(err, &missing) && passphrase != "" {
		signer, err = ssh.ParsePrivateKeyWithPassphrase(pem, []byte(passphrase))
	}
	switch {
	case errors.As(err, &missing):
		return nil, failure.New(failure.Denied, "set "+variable, what+" %s: it is protected by a passphrase", file)
	case errors.Is(err, x509.IncorrectPasswordError):
		return nil, failure.New(failure.Denied, "set "+variable+" to the passphrase of this key", what+" %s: the passphrase is wrong", file)
	case err != nil:
		// The text of the error is about the key's form, never its contents.
		return nil, failure.New(failure.Usage, "give an OpenSSH or PEM private key, and the right passphrase for it", what+" %s: %w", file, err)
	}
	return signer, nil
}

// hostKeys returns the check of the server's key, and the algorithms of the keys known for it, best first: without them
// the server would offer a key of a kind that known_hosts does not have.
func (c *sshConnection) hostKeys() (ssh.HostKeyCallback, []string, error) {
	files := c.options.KnownHosts
	if len(files) == 0 {
		for _, f := range []string{filepath.Join(home(), ".ssh", "known_hosts"), "/etc/ssh/ssh_known_hosts"} {
			if _, err := os.Stat(f); err == nil {
				files = append(files, f)
			}
		}
	}
	check, err := knownhosts.New(files...)
	if err != nil {
		return nil, nil, failure.New(failure.Usage, "give files in the form of OpenSSH's known_hosts", "known_hosts: %w", err)
	}
	var algorithms []string
	var key *knownhosts.KeyError
	if err := check(c.addr, &net.TCPAddr{}, placeholderKey{}); errors.As(err, &key) {
		for _, known := range key.Want {
			if t := known.Key.Type(); t == ssh.KeyAlgoRSA {
				algorithms = append(algorithms, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
			} else {
				algorithms = append(algorithms, t)
			}
		}
	}
	if !c.options.AcceptNew {
		return check, algorithms, nil
	}
	return func(host string, remote net.Addr, offered ssh.PublicKey) error {
		err := check(host, remote, offered)
		var unknown *knownhosts.KeyError
		if errors.As(err, &unknown) && len(unknown.Want) == 0 {
			return nil
		}
		return err
	}, algorithms, nil
}

// placeholderKey matches no known key, so that knownhosts reports those it has.
type placeholderKey struct{}

func (placeholderKey) Type() string                        { return "none" }
func (placeholderKey) Marshal() []byte                     { return []byte("none") }
func (placeholderKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// home is the home directory by the user database where HOME is not set, as in a container with an arbitrary uid.
func home() string {
	if h := os.Getenv("HOME"); h != "" {
		return h
	}
	if u, err := user.Current(); err == nil {
		return u.HomeDir
	}
	return "/"
}

func (c *sshConnection) open(ctx context.Context, service string, v2 bool) (conversation, error) {
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	session, err := c.client.NewSession()
	if err != nil {
		_ = c.close() // a dead connection is dialled anew by the next attempt
		return nil, c.explain(err)
	}
	s := &sshConversation{c: c, session: session}
	session.Stderr = &s.stderr
	if s.stdin, err = session.StdinPipe(); err != nil {
		return nil, c.explain(err)
	}
	stdout, err := session.StdoutPipe()
	if err != nil {
		return nil, c.explain(err)
	}
	if v2 {
		// A server that does not accept the variable answers in version 0, which open's caller understands.
		_ = session.Setenv("GIT_PROTOCOL", "version=2")
	}
	if err := session.Start(service + " '" + c.path + "'"); err != nil {
		_ = s.close() // the first error is the one to report
		return nil, c.explain(err)
	}
	s.watch(ctx)
	s.packets = newPacketReader(&sessionReader{s: s, r: stdout})
	return s, nil
}

type sshConversation struct {
	c       *sshConnection
	session *ssh.Session
	stdin   io.WriteCloser
	stderr  limitedBuffer
	packets *packetReader
	idle    *idleReader
}

// watch ties the session to a context: it is closed when the context ends or the server falls silent.
func (s *sshConversation) watch(ctx context.Context) {
	ctx, s.idle = watchIdle(ctx, s.c.idle)
	context.AfterFunc(ctx, func() { _ = s.session.Close() })
}

func (s *sshConversation) greeting() *packetReader { return s.packets }
func (s *sshConversation) reusable() bool          { return false }

func (s *sshConversation) close() error {
	if s.idle != nil {
		_ = s.idle.Close()
	}
	return s.session.Close()
}

func (s *sshConversation) send(_ context.Context, body []byte) (io.ReadCloser, error) {
	s.idle.timer.Reset(s.idle.limit)
	if _, err := io.Copy(s.stdin, bytes.NewReader(body)); err != nil {
		return nil, s.c.explain(s.reason(err))
	}
	return io.NopCloser(s.packets.r), nil
}

// reason prefers what the server wrote to stderr over the bare end of the stream.
func (s *sshConversation) reason(err error) error {
	if message := strings.TrimSpace(s.stderr.String()); message != "" && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return &ServerError{Message: readable([]byte(message))}
	}
	return err
}

// sessionReader reads a session's output and keeps the idle limit alive.
type sessionReader struct {
	s *sshConversation
	r io.Reader
}

func (r *sessionReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	if r.s.idle != nil {
		r.s.idle.timer.Reset(r.s.idle.limit)
		err = r.s.idle.explain(err)
	}
	if err != nil && n == 0 && r.s.stderr.Len() == 0 && errors.Is(err, io.EOF) {
		// stderr is copied by another goroutine; Wait returns when it is all there.
		_ = r.s.session.Wait()
	}
	if err != nil {
		err = r.s.reason(err)
	}
	return n, err
}

// limitedBuffer keeps the first 4 KiB written to it.
type limitedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *limitedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if room := 4096 - l.b.Len(); room > 0 {
		l.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (l *limitedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *limitedBuffer) Len() int { return len(l.String()) }
