package steps_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"slipway/steps"
)

// terminal is a pseudo-terminal with a step on it, and whoever sits there.
type terminal struct {
	t             *testing.T
	keys, line    *os.File // the side of the person, and that of the step
	before        unix.Termios
	cmd           *exec.Cmd
	stdout        bytes.Buffer
	orders, given *os.File

	mu     sync.Mutex
	seen   []byte        // and not expected yet
	change chan struct{} // there is more
}

// patience is for a machine that is busy; nothing takes that long.
const patience = 30 * time.Second

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	term := &terminal{t: t, change: make(chan struct{}, 1)}
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	term.must(err)
	term.keys = os.NewFile(uintptr(fd), "keys")
	t.Cleanup(func() { _ = term.keys.Close() })
	term.must(unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	term.must(err)
	term.line, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	term.must(err)
	t.Cleanup(func() { _ = term.line.Close() })
	term.before = term.mode()
	term.resize(120)
	go term.look()
	return term
}

// look keeps what the terminal shows until it is closed.
func (term *terminal) look() {
	for chunk := make([]byte, 4096); ; {
		n, err := term.keys.Read(chunk)
		if err != nil {
			return
		}
		term.mu.Lock()
		term.seen = append(term.seen, chunk[:n]...)
		term.mu.Unlock()
		select {
		case term.change <- struct{}{}:
		default:
		}
	}
}

// prepare makes the command of a step that asks, with variables.
func (term *terminal) prepare(window string, variables ...string) {
	term.t.Helper()
	self, err := os.Executable()
	term.must(err)
	term.given, term.orders, err = os.Pipe()
	term.must(err)
	term.t.Cleanup(func() { _ = term.orders.Close() })
	term.cmd = exec.Command(self)
	term.cmd.Env = append(append(os.Environ(), "TERM=xterm", windowVariable+"="+window), variables...)
	term.cmd.Stdin, term.cmd.Stdout, term.cmd.Stderr = term.line, &term.stdout, term.line
	term.cmd.ExtraFiles = []*os.File{term.given, term.line}
	term.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 4}
}

func (term *terminal) run() {
	term.t.Helper()
	term.must(term.cmd.Start())
	term.must(term.given.Close())
	term.t.Cleanup(func() { _ = term.cmd.Process.Kill() })
}

func (term *terminal) start(window string, variables ...string) {
	term.t.Helper()
	term.prepare(window, variables...)
	term.run()
}

// order sends the step a line.
func (term *terminal) order(line string) {
	term.t.Helper()
	_, err := fmt.Fprintln(term.orders, line)
	term.must(err)
}

func (term *terminal) press(keys string) {
	term.t.Helper()
	_, err := term.keys.WriteString(keys)
	term.must(err)
}

// expect waits until the terminal shows something after what was expected before, and returns it with its groups.
func (term *terminal) expect(pattern string) []string {
	term.t.Helper()
	late := time.After(patience)
	wanted := regexp.MustCompile(pattern)
	for {
		term.mu.Lock()
		seen := string(term.seen)
		match := wanted.FindStringSubmatchIndex(seen)
		if match != nil {
			term.seen = term.seen[match[1]:]
		}
		term.mu.Unlock()
		if match != nil {
			return wanted.FindStringSubmatch(seen)
		}
		select {
		case <-term.change:
		case <-late:
			term.t.Fatalf("the terminal does not show %q, but %q", pattern, seen)
		}
	}
}

func (term *terminal) mode() unix.Termios {
	term.t.Helper()
	mode, err := unix.IoctlGetTermios(int(term.line.Fd()), unix.TCGETS)
	term.must(err)
	return *mode
}

func (term *terminal) set(mode unix.Termios) {
	term.t.Helper()
	term.must(unix.IoctlSetTermios(int(term.line.Fd()), unix.TCSETS, &mode))
}

// await waits until the terminal is in a mode.
func (term *terminal) await(what string, reached func(unix.Termios) bool) {
	term.t.Helper()
	late := time.After(patience)
	for !reached(term.mode()) {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-late:
			term.t.Fatalf("the terminal is not %s", what)
		}
	}
}

func (term *terminal) resize(columns uint16) {
	term.t.Helper()
	term.must(unix.IoctlSetWinsize(int(term.line.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))
}

func (term *terminal) signal(s os.Signal) {
	term.t.Helper()
	term.must(term.cmd.Process.Signal(s))
}

// ends waits for the end of the step, which has to leave the terminal as it was.
func (term *terminal) ends(code int) {
	term.t.Helper()
	late := time.AfterFunc(patience, func() { _ = term.cmd.Process.Signal(syscall.SIGABRT) })
	defer late.Stop()
	_ = term.cmd.Wait()
	if got := term.cmd.ProcessState.ExitCode(); got != code {
		term.t.Errorf("the exit code is %d, not %d; the terminal shows %q", got, code, term.rest())
	}
	if term.mode() != term.before {
		term.t.Errorf("the terminal is left in mode %+v, and was in %+v", term.mode(), term.before)
	}
}

func (term *terminal) rest() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return string(term.seen)
}

// asked waits for the end of a step that succeeds, and returns what it was told.
func (term *terminal) asked() steps.Asked {
	term.t.Helper()
	term.ends(steps.ExitOK)
	var document struct{ Details steps.Asked }
	if err := json.NewDecoder(strings.NewReader(term.stdout.String())).Decode(&document); err != nil {
		term.t.Fatalf("stdout is %q: %v", term.stdout.String(), err)
	}
	return document.Details
}

func (term *terminal) must(err error) {
	term.t.Helper()
	if err != nil {
		term.t.Fatal(err)
	}
}
