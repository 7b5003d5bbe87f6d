package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

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

// child is a process that serves until its stdin ends, and answers lines with lines.
type child struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

// startChild returns a child that serves, and its first line.
func startChild(cmd *exec.Cmd) (*child, string, error) {
	c := &child{cmd: cmd}
	cmd.Stderr, cmd.SysProcAttr = os.Stderr, ownGroup()
	var err error
	if c.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, "", err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	c.stdout = bufio.NewReader(stdout)
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	first, err := c.stdout.ReadString('\n')
	if err != nil {
		return nil, "", errors.Join(err, c.close())
	}
	return c, strings.TrimSpace(first), nil
}

func (c *child) ask(line string) (string, error) {
	if _, err := fmt.Fprintln(c.stdin, line); err != nil {
		return "", err
	}
	return c.stdout.ReadString('\n')
}

func (c *child) close() error { return errors.Join(c.stdin.Close(), c.cmd.Wait()) }

// server is the client's side of serve.
type server struct {
	*child
	addr string
}

func startServer(dir string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c, addr, err := startChild(exec.Command(self, "serve", dir))
	if err != nil {
		return nil, err
	}
	return &server{c, addr}, nil
}

func (s *server) url(repo string) string { return "http://" + s.addr + "/" + repo + ".git" }

// traffic returns what has been sent since the last call.
func (s *server) traffic() (traffic, error) {
	var t traffic
	line, err := s.ask("")
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal([]byte(line), &t)
}
