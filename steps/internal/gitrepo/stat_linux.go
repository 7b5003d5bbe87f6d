package gitrepo

import (
	"errors"
	"io/fs"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/index"
)

// fillStat copies what Git compares to tell without reading a file that it did not change.
func fillStat(e *index.Entry, info fs.FileInfo) {
	e.ModifiedAt, e.Size = info.ModTime(), uint32(info.Size())
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		e.CreatedAt = time.Unix(st.Ctim.Unix())
		e.Dev, e.Inode, e.UID, e.GID = uint32(st.Dev), uint32(st.Ino), st.Uid, st.Gid
	}
}

func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
