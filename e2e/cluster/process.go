package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Server is one of the programs of the cluster. Its methods may be used by one goroutine at a time.
type Server struct {
	name    string
	command []string // the path of the program, then its arguments
	dir     string
	env     []string
	log     string
	ready   func() error // nil where nobody waits for it

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
}

// Start starts the server and waits until it serves.
func (s *Server) Start() error {
	if err := s.launch(); err != nil {
		return err
	}
	return s.await(time.Minute)
}

func (s *Server) launch() error {
	log, err := os.OpenFile(s.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	fmt.Fprintf(log, "=== %s: %q\n", time.Now().Format(time.RFC3339), s.command)
	cmd := exec.Command(s.command[0], s.command[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.env, log, log
	// A signal of a terminal goes to its whole group. It is for the stories, which stop the servers in their order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd, s.done = cmd, done
	return nil
}

func (s *Server) await(limit time.Duration) error {
	if s.ready == nil {
		return nil
	}
	err := poll(limit, func() error {
		select {
		case <-s.done:
			return final{fmt.Errorf("it has ended: %s", s.cmd.ProcessState)}
		default:
			return s.ready()
		}
	})
	if err != nil {
		return fmt.Errorf("%s: %w; its log is %s", s.name, err, s.log)
	}
	return nil
}

// Signal sends a signal to the server: SIGSTOP lets it stand still, SIGCONT go on.
func (s *Server) Signal(signal syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil
	}
	err := s.cmd.Process.Signal(signal)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Stop ends the server, by force where it does not go within a second.
func (s *Server) Stop() error {
	if s.cmd == nil {
		return nil
	}
	err := s.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
		return err
	case <-time.After(time.Second):
		return s.Kill()
	}
}

// Kill ends the server as a machine that fails does.
func (s *Server) Kill() error {
	if s.cmd == nil {
		return nil
	}
	err := s.Signal(syscall.SIGKILL)
	<-s.done
	return err
}

// final is an error for which waiting is in vain.
type final struct{ error }

// poll asks until there is no error.
func poll(limit time.Duration, ask func() error) error {
	deadline := time.Now().Add(limit)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := ask()
		if err == nil || errors.As(err, &final{}) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %w", limit, err)
		}
		<-ticker.C
	}
}

// server prepares a program; the path is that of a file or a link, whose base name a multi-call binary looks at.
func (c *Cluster) server(path string, ready func() error, args ...string) *Server {
	name := filepath.Base(path)
	s := &Server{
		name: name, command: append([]string{path}, args...), dir: c.dir("empty"), env: c.env,
		log: filepath.Join(c.Logs, name+".log"), ready: ready,
	}
	c.servers = append(c.servers, s)
	return s
}
