package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"slipway/internal/gitrepotest"
)

// traffic sums up the requests since the last reset.
type traffic struct {
	Requests int
	Down, Up int64
	// Adverts and Pushes are the two requests of an attempt to push: one that reads the refs, one that sends the commit.
	Adverts, Pushes int
}

// serve runs a server on the repositories in dir until stdin ends. It writes its address as the first line, and the
// traffic as one line of JSON for each line it reads, which also resets it.
func serve(dir string, stdin io.Reader, stdout io.Writer) error {
	server, err := gitrepotest.Start(gitrepotest.Options{Dir: dir})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, server.Addr())
	lines := bufio.NewScanner(stdin)
	for err == nil && lines.Scan() {
		err = json.NewEncoder(stdout).Encode(sum(server.Requests()))
		server.Reset()
	}
	return errors.Join(err, lines.Err(), server.Close())
}

func sum(requests []gitrepotest.Request) traffic {
	t := traffic{Requests: len(requests)}
	for _, r := range requests {
		t.Down += r.BytesOut
		t.Up += r.BytesIn
		if r.Push {
			t.Pushes++
		} else if r.Service == gitrepotest.ReceivePack {
			t.Adverts++
		}
	}
	return t
}

// server is the client's side of serve.
type server struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	addr   string
}

func startServer(dir string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &server{cmd: exec.Command(self, "serve", dir)}
	s.cmd.Stderr, s.cmd.SysProcAttr = os.Stderr, ownGroup()
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.stdout = bufio.NewReader(stdout)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := fmt.Fscanln(s.stdout, &s.addr); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *server) url(repo string) string { return "http://" + s.addr + "/" + repo + ".git" }

// traffic returns what has been sent since the last call.
func (s *server) traffic() (traffic, error) {
	var t traffic
	if _, err := fmt.Fprintln(s.stdin); err != nil {
		return t, err
	}
	line, err := s.stdout.ReadBytes('\n')
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(line, &t)
}

func (s *server) close() error { return errors.Join(s.stdin.Close(), s.cmd.Wait()) }
