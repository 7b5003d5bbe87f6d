package steps

import "golang.org/x/sys/unix"

// How the mode of a terminal is read and set here, and the control character that no key sends.
const (
	getMode         = unix.TIOCGETA
	setMode         = unix.TIOCSETA
	setModeAndFlush = unix.TIOCSETAF
	noKey           = 0xff
)
