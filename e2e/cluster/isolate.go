package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolated names the variable that tells a process that it is in namespaces of its own.
const isolated = "SLIPWAY_E2E_ISOLATED"

// errFailed is the error of a process that has said itself what has gone wrong.
var errFailed = errors.New("it has failed")

// rerun runs this program again, in a network of its own, where ports are free and nobody else can reach the servers, and as
// the first of its own processes: when it ends, however it ends, the kernel ends all the others. The prefix begins each line
// that it prints.
func rerun(prefix string, env ...string) error {
	// The kernel ends the other process when the thread that has started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(append(os.Environ(), isolated+"=true"), env...)
	output := &lineWriter{prefix: prefix, to: os.Stdout}
	cmd.Stdout, cmd.Stderr = output, output
	if prefix == "" { // it is alone, and may ask somebody at a terminal
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("namespaces for the servers: %w; a container needs the rights of unshare -n and -p for this", err)
	}
	return errors.Join(forward(cmd), output.flush())
}

// lineWriter hands whole lines on, so that those of several processes do not run into each other.
type lineWriter struct {
	prefix string
	to     io.Writer
	rest   []byte
}

// Write is called by one goroutine at a time: os/exec promises it where stdout and stderr are the same writer.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		end := bytes.IndexByte(w.rest, '\n')
		if end < 0 {
			return len(p), nil
		}
		if _, err := fmt.Fprintf(w.to, "%s%s", w.prefix, w.rest[:end+1]); err != nil {
			return 0, err
		}
		w.rest = w.rest[end+1:]
	}
}

func (w *lineWriter) flush() error {
	if len(w.rest) == 0 {
		return nil
	}
	_, err := w.Write([]byte("\n"))
	return err
}

// forward hands signals on, so that whoever interrupts this process does not leave before the servers have.
func forward(cmd *exec.Cmd) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	var interrupted error
	for {
		select {
		case s := <-signals:
			interrupted = fmt.Errorf("stopped by %s", s)
			_ = cmd.Process.Signal(syscall.SIGTERM)
		case err := <-done:
			if exit := new(exec.ExitError); errors.As(err, &exit) && interrupted == nil {
				return errFailed
			}
			return errors.Join(interrupted, err)
		}
	}
}

// raiseLoopback turns on the only interface that a new network has.
func raiseLoopback() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("interface lo: %w", err)
	}
	return nil
}
