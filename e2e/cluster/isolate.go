package cluster

import (
	"errors"
	"fmt"
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
// the first of its own processes: when it ends, however it ends, the kernel ends all the others.
func rerun(env ...string) error {
	// The kernel ends the other process when the thread that has started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(append(os.Environ(), isolated+"=true"), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("namespaces for the servers: %w; a container needs the rights of unshare -n and -p for this", err)
	}
	return forward(cmd)
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
