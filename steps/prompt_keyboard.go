package steps

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// keyboard reads single keys of a terminal, which neither collects lines nor echoes meanwhile. Signals of keys and the
// processing of output stay, so that Ctrl-C ends the step and a log of other goroutines keeps its lines.
type keyboard struct {
	fd         int
	wake, stop *os.File // reading ends when stop is closed
	unwatch    func() bool
	decoder    keyDecoder

	mu            sync.Mutex
	before, while unix.Termios
	closed        bool
}

// openKeyboard forgets what was typed before: it cannot be meant for a question that was not to be seen yet. The keyboard is
// closed when ctx ends, even while its owner hangs in writing to a terminal that was stopped with Ctrl-S.
func openKeyboard(ctx context.Context, fd int) (*keyboard, error) {
	before, err := unix.IoctlGetTermios(fd, getMode)
	if err != nil {
		return nil, os.NewSyscallError("tcgetattr", err)
	}
	k := &keyboard{fd: fd, before: *before, while: *before}
	k.while.Lflag &^= unix.ICANON | unix.ECHO
	k.while.Cc[unix.VMIN], k.while.Cc[unix.VTIME] = 1, 0
	k.while.Cc[unix.VQUIT] = noKey // it would end the process without restoring the terminal
	if k.wake, k.stop, err = os.Pipe(); err != nil {
		return nil, err
	}
	if err := unix.IoctlSetTermios(fd, setModeAndFlush, &k.while); err != nil {
		return nil, errors.Join(os.NewSyscallError("tcsetattr", err), k.wake.Close(), k.stop.Close())
	}
	k.unwatch = context.AfterFunc(ctx, k.restore)
	return k, nil
}

// close restores the terminal. What was typed and not read is left for the next reader.
func (k *keyboard) close() {
	k.unwatch()
	k.restore()
	_ = k.wake.Close()
}

func (k *keyboard) restore() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	k.closed = true
	_ = k.stop.Close()
	if inForeground(k.fd) {
		_ = unix.IoctlSetTermios(k.fd, setMode, &k.before)
	}
}

// read waits for a key, but not longer than wait and not after the keyboard is closed, and returns the character if it is
// complete. The error is io.EOF when the terminal is gone.
func (k *keyboard) read(wait time.Duration) (r rune, pressed bool, err error) {
	listening := k.listen()
	var ready unix.FdSet // poll knows no terminals on macOS
	wake := int(k.wake.Fd())
	ready.Set(wake)
	if listening {
		ready.Set(k.fd)
	}
	timeout := unix.NsecToTimeval(wait.Nanoseconds())
	if n, err := unix.Select(max(k.fd, wake)+1, &ready, nil, nil, &timeout); err != nil || n == 0 {
		if errors.Is(err, unix.EINTR) {
			err = nil
		}
		return 0, false, os.NewSyscallError("select", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || !ready.IsSet(k.fd) {
		return 0, false, nil
	}
	var one [1]byte // a second one could be meant for whoever reads after the answer
	n, err := unix.Read(k.fd, one[:])
	switch {
	case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN):
		return 0, false, nil
	case err != nil || n == 0:
		return 0, false, io.EOF
	}
	r, pressed = k.decoder.add(one[0])
	return r, pressed, nil
}

// listen says whether keys are meant for this process. A shell takes the terminal, and its mode, while the process is stopped
// with Ctrl-Z or goes on in the background.
func (k *keyboard) listen() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || !inForeground(k.fd) {
		return false
	}
	if now, err := unix.IoctlGetTermios(k.fd, getMode); err == nil && *now != k.while {
		_ = unix.IoctlSetTermios(k.fd, setMode, &k.while)
	}
	return true
}

// inForeground says that the terminal does not belong to another job of the shell.
func inForeground(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

// keyDecoder makes characters of bytes. It swallows the sequences of arrow and function keys and the marks around what is
// pasted.
type keyDecoder struct{ partial []byte }

const escape = 0x1b

func (d *keyDecoder) add(b byte) (r rune, complete bool) {
	if b < ' ' && b != escape {
		d.partial = nil
		return rune(b), true
	}
	if b == escape {
		d.partial = nil
	}
	d.partial = append(d.partial, b)
	if d.partial[0] == escape {
		if sequenceEnds(d.partial) {
			d.partial = nil
		}
		return 0, false
	}
	if !utf8.FullRune(d.partial) {
		return 0, false
	}
	r, _ = utf8.DecodeRune(d.partial)
	d.partial = nil
	return r, r != utf8.RuneError
}

// sequenceEnds knows ESC [ parameters letter, ESC O letter, and ESC key, which is that key with Alt.
func sequenceEnds(sequence []byte) bool {
	switch last := sequence[len(sequence)-1]; {
	case len(sequence) < 2:
		return false
	case len(sequence) == 2:
		return last != '[' && last != 'O'
	case sequence[1] == 'O':
		return true
	default:
		return last >= '@' && last <= '~'
	}
}
