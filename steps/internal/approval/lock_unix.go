//go:build unix

package approval

import (
	"os"
	"syscall"
)

// lock holds until the file is closed.
func lock(file *os.File) error { return syscall.Flock(int(file.Fd()), syscall.LOCK_EX) }
