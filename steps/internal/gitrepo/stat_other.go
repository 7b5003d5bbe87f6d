//go:build !linux

package gitrepo

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing/format/index"
)

// fillStat fills in what is portable; Git reads the file once to fill in the rest.
func fillStat(e *index.Entry, info fs.FileInfo) {
	e.ModifiedAt, e.Size = info.ModTime(), uint32(info.Size())
}

func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
