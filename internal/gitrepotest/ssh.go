package gitrepotest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// ClientKeyPassphrase opens the key of EncryptedClientKeyFile.
const ClientKeyPassphrase = "correct horse battery staple"

// sshServer serves git-upload-pack and git-receive-pack to one client key.
type sshServer struct {
	git        gitBinary
	root       string
	state      string
	protocolV0 bool
	record     func(Request) (*Request, Action)

	listener  net.Listener
	config    *ssh.ServerConfig
	hostKey   ssh.PublicKey
	clientKey ed25519.PrivateKey
	work      sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
	count  int
}

func startSSH(server *Server) (*sshServer, error) {
	s := &sshServer{
		git: server.git, root: server.root, state: server.state, protocolV0: server.options.ProtocolV0,
		record: server.record, open: map[net.Conn]bool{},
	}
	if err := s.makeKeys(); err != nil {
		return nil, err
	}
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if err := s.writeKnownHosts(); err != nil {
		return nil, errors.Join(err, s.listener.Close())
	}
	s.work.Go(s.accept)
	return s, nil
}

func (s *sshServer) makeKeys() error {
	_, hostKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	host, err := ssh.NewSignerFromKey(hostKey)
	if err != nil {
		return err
	}
	var clientPublic ed25519.PublicKey
	if clientPublic, s.clientKey, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return err
	}
	client, err := ssh.NewPublicKey(clientPublic)
	if err != nil {
		return err
	}
	s.config = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if !bytes.Equal(key.Marshal(), client.Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	s.config.AddHostKey(host)
	s.hostKey = host.PublicKey()
	block, err := ssh.MarshalPrivateKey(s.clientKey, "")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.state, "client_key"), pem.EncodeToMemory(block), 0o600)
}

func (s *sshServer) writeKnownHosts() error {
	line := knownhosts.Line([]string{s.listener.Addr().String()}, s.hostKey)
	return os.WriteFile(filepath.Join(s.state, "known_hosts"), []byte(line+"\n"), 0o644)
}

// SSHURL returns the address of a repository over SSH; the server must have been started with SSH.
func (s *Server) SSHURL(repo string) string {
	return "ssh://git@" + s.ssh.listener.Addr().String() + "/" + repo + ".git"
}

// KnownHostsFile returns a known_hosts file that holds the SSH server's key.
func (s *Server) KnownHostsFile() string { return filepath.Join(s.state, "known_hosts") }

// ClientKeyFile returns the file of an OpenSSH private key that the SSH server lets in.
func (s *Server) ClientKeyFile() string { return filepath.Join(s.state, "client_key") }

// EncryptedClientKeyFile writes the key of ClientKeyFile once more, protected by ClientKeyPassphrase, and returns the file.
func (s *Server) EncryptedClientKeyFile() (string, error) {
	file := filepath.Join(s.state, "client_key_encrypted")
	if keygen, err := exec.LookPath("ssh-keygen"); err == nil {
		plain, err := os.ReadFile(s.ClientKeyFile())
		if err == nil {
			err = os.WriteFile(file, plain, 0o600)
		}
		if err != nil {
			return "", err
		}
		// One round in place of sixteen, each of which takes long under the race detector.
		out, err := exec.Command(keygen, "-q", "-p", "-a", "1", "-P", "", "-N", ClientKeyPassphrase, "-f", file).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
		return file, nil
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(s.ssh.clientKey, "", []byte(ClientKeyPassphrase))
	if err != nil {
		return "", err
	}
	return file, os.WriteFile(file, pem.EncodeToMemory(block), 0o600)
}

// SSHConnections returns how many SSH connections have been opened since the start.
func (s *Server) SSHConnections() int {
	s.ssh.mu.Lock()
	defer s.ssh.mu.Unlock()
	return s.ssh.count
}

func (s *sshServer) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.count++
		if s.closed {
			_ = conn.Close()
		} else {
			s.open[conn] = true
		}
		s.mu.Unlock()
		s.work.Go(func() { s.serve(conn) })
	}
}

func (s *sshServer) close() error {
	err := s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for conn := range s.open {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
	return err
}

func (s *sshServer) serve(conn net.Conn) {
	defer func() {
		_ = conn.Close()
		s.mu.Lock()
		delete(s.open, conn)
		s.mu.Unlock()
	}()
	_, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offer := range channels {
		if offer.ChannelType() != "session" {
			_ = offer.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		channel, requests, err := offer.Accept()
		if err != nil {
			return
		}
		s.work.Go(func() { s.session(conn, channel, requests) })
	}
}

// session runs the command of one session; a second one in the same session is refused.
func (s *sshServer) session(conn net.Conn, channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	protocol := ""
	for request := range requests {
		var payload struct{ Name, Value string }
		var command struct{ Line string }
		switch {
		case request.Type == "env" && ssh.Unmarshal(request.Payload, &payload) == nil:
			accepted := payload.Name == "GIT_PROTOCOL" && !s.protocolV0
			if accepted {
				protocol = payload.Value
			}
			_ = request.Reply(accepted, nil)
		case request.Type == "exec" && ssh.Unmarshal(request.Payload, &command) == nil:
			_ = request.Reply(true, nil)
			go ssh.DiscardRequests(requests)
			s.exec(conn, channel, command.Line, protocol)
			return
		default:
			_ = request.Reply(false, nil)
		}
	}
}

func (s *sshServer) exec(conn net.Conn, channel ssh.Channel, line, protocol string) {
	service, argument, _ := strings.Cut(line, " ")
	path := strings.TrimPrefix(strings.Trim(argument, "'"), "/")
	_, action := s.record(Request{Method: "SSH", Path: "/" + path, Service: service, Protocol: protocol, Push: service == ReceivePack})
	if action.Before != nil {
		action.Before()
	}
	if action.DropBefore {
		_ = conn.Close()
		return
	}
	status := struct{ Code uint32 }{128}
	if service == UploadPack || service == ReceivePack {
		status.Code = s.runGit(channel, strings.TrimPrefix(service, "git-"), filepath.Join(s.root, filepath.FromSlash(path)), protocol)
	}
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(status))
}

func (s *sshServer) runGit(channel ssh.Channel, service, dir, protocol string) uint32 {
	cmd := exec.Command(s.git.path, service, dir)
	cmd.Env = s.git.env()
	if protocol != "" {
		cmd.Env = append(cmd.Env, "GIT_PROTOCOL="+protocol)
	}
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	// With cmd.Stdin set, Wait would wait for the client to close its side, which not every client does.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 128
	}
	if err := cmd.Start(); err != nil {
		return 128
	}
	go func() {
		_, _ = io.Copy(stdin, channel)
		_ = stdin.Close()
	}()
	if err := cmd.Wait(); err != nil {
		return 128
	}
	return 0
}
