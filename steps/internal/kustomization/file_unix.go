//go:build unix

package kustomization

import (
	"io/fs"
	"os"
	"syscall"
)

// lock holds until the directory is closed. Where the file system knows no locks, there is none.
func lock(directory *os.File) { _ = syscall.Flock(int(directory.Fd()), syscall.LOCK_EX) }

func links(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink) //nolint:unconvert // the type differs between systems
	}
	return 1
}

// keepOwner does what the user of the process may do: only root can give files away.
func keepOwner(file *os.File, info fs.FileInfo) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		_ = file.Chown(int(st.Uid), int(st.Gid))
	}
}
