package gitrepo

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the checksum of the index format
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"

	"slipway/steps/internal/failure"
)

// stagingArea is the index of a checkout by name.
type stagingArea struct {
	*index.Index
	byName map[string]*index.Entry
}

func (w *Worktree) index() (*stagingArea, error) {
	idx, err := w.repo.Storer.Index()
	if err != nil {
		return nil, failure.New(failure.Invalid, "run git reset, or make a new checkout", "checkout %s: the index cannot be read: %w", w.dir.path, err)
	}
	s := &stagingArea{Index: idx, byName: make(map[string]*index.Entry, len(idx.Entries))}
	for _, e := range idx.Entries {
		if e.Stage != 0 {
			return nil, failure.New(failure.Conflict, "finish or abort the merge first", "checkout %s: %s is in the middle of a merge", w.dir.path, e.Name)
		}
		s.byName[e.Name] = e
	}
	return s, nil
}

// Sparse returns what says whether a file is left out of the work tree on purpose, as in a sparse checkout.
func (w *Worktree) Sparse() (func(name string) bool, error) {
	idx, err := w.index()
	if err != nil {
		return nil, err
	}
	return idx.sparse, nil
}

// sparse says whether a path is left out of the work tree on purpose.
func (s *stagingArea) sparse(name string) bool {
	e := s.byName[name]
	return e != nil && e.SkipWorktree
}

// unmodified says whether a file is as the index saw it, judged without reading it as Git does: a time stamp as young as
// the index itself proves nothing.
func (s *stagingArea) unmodified(e *index.Entry, info fs.FileInfo) bool {
	return !info.IsDir() && uint32(info.Size()) == e.Size && info.ModTime().Equal(e.ModifiedAt) && e.ModifiedAt.Before(s.ModTime) &&
		(info.Mode()&fs.ModeSymlink != 0) == (e.Mode == filemode.Symlink)
}

// updateIndex makes the index agree with moved files. Git's own lock file keeps other programs out meanwhile.
func (w *Worktree) updateIndex(from, to Hash, moves []move) (err error) {
	out, lock, own, err := w.lockIndex()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(lock))
		}
		err = errors.Join(err, os.Remove(own))
	}()
	idx, err := w.index()
	if err != nil {
		return errors.Join(err, out.Close())
	}
	extension := w.treeExtension(idx, from, to, moves)
	for _, m := range moves {
		if err := w.updateEntry(idx, m); err != nil {
			return errors.Join(err, out.Close())
		}
	}
	idx.Entries = slices.DeleteFunc(idx.Entries, func(e *index.Entry) bool { return idx.byName[e.Name] == nil })
	for _, e := range idx.Entries {
		if idx.Version == 2 && (e.SkipWorktree || e.IntentToAdd) {
			idx.Version = 3 // where these two flags were introduced; go-git writes them in any version
		}
	}
	var b bytes.Buffer
	if err := index.NewEncoder(&b).Encode(idx.Index); err != nil {
		return errors.Join(err, out.Close())
	}
	b.Truncate(b.Len() - sha1.Size) // the encoder writes no extensions, so the checksum is to be made anew
	b.Write(extension)
	sum := sha1.Sum(b.Bytes()) //nolint:gosec // the checksum of the index format
	if _, err := out.Write(append(b.Bytes(), sum[:]...)); err != nil {
		return errors.Join(err, out.Close())
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(lock, filepath.Join(w.dot, "index"))
}

// lockIndex takes Git's lock on the index. It is a hard link to a file of slipway's own: that is how the lock of a run that
// was killed is told from that of another Git process.
func (w *Worktree) lockIndex() (out *os.File, lock, own string, err error) {
	lock, own = filepath.Join(w.dot, "index.lock"), filepath.Join(w.dot, "slipway-index")
	if mine, err := os.Stat(own); err == nil {
		if held, err := os.Stat(lock); err == nil && os.SameFile(mine, held) {
			if err := os.Remove(lock); err != nil {
				return nil, "", "", err
			}
		}
		if err := os.Remove(own); err != nil {
			return nil, "", "", err
		}
	}
	if out, err = os.OpenFile(own, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666); err != nil { //nolint:gosec // as Git does: the umask decides
		return nil, "", "", err
	}
	err = os.Link(own, lock)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		// A file system without hard links: both names are taken, only a killed run's lock cannot be told by them.
		var held *os.File
		if held, err = os.OpenFile(lock, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666); err == nil { //nolint:gosec // as above
			err = out.Close()
			out = held
		}
	}
	if err == nil {
		return out, lock, own, nil
	}
	if errors.Is(err, fs.ErrExist) {
		err = failure.New(failure.Conflict, "wait for the other Git process, or remove the file if there is none", "checkout %s: index.lock exists", w.dir.path)
	}
	return nil, "", "", errors.Join(err, out.Close(), os.Remove(own))
}

func (w *Worktree) updateEntry(idx *stagingArea, m move) error {
	if m.to == nil {
		delete(idx.byName, m.path)
		return nil
	}
	e := idx.byName[m.path]
	if e == nil {
		e = &index.Entry{Name: m.path}
		idx.byName[m.path] = e
		idx.Entries = append(idx.Entries, e)
	}
	e.Hash, e.Mode, e.IntentToAdd = m.id, filemode.FileMode(m.to.Mode), false
	if e.SkipWorktree || m.to.Mode == ModeSubmodule {
		return nil
	}
	info, err := w.dir.root.Lstat(m.path)
	if err != nil {
		return err
	}
	fillStat(e, info)
	return nil
}

// under says whether a path is one of the given ones or below one of them; no paths at all are every path.
func under(p string, paths []string) bool {
	for _, dir := range paths {
		if dir == "." || dir == "" || p == dir || strings.HasPrefix(p, dir+"/") {
			return true
		}
	}
	return len(paths) == 0
}

// headFiles returns the files of HEAD. Its directories are not read where the index is known to hold just that.
func (w *Worktree) headFiles(idx *stagingArea) (map[string]Entry, error) {
	all := make(map[string]Entry, len(idx.Entries))
	if root := idx.cachedTree(); root != nil && root.hash == w.head.TreeHash {
		for _, e := range idx.Entries {
			all[e.Name] = Entry{Name: e.Name, Mode: Mode(e.Mode), Hash: e.Hash}
		}
		return all, nil
	}
	local := w.local()
	var visit func(h Hash, dir string) error
	visit = func(h Hash, dir string) error {
		tree, err := local.load(h)
		if err != nil {
			return failure.New(failure.Invalid, "make a new checkout", "checkout %s: directory %q cannot be read: %w", w.dir.path, dir, err)
		}
		for _, e := range tree.Entries {
			p := path.Join(dir, e.Name)
			if e.Mode == filemode.Dir {
				if err := visit(e.Hash, p); err != nil {
					return err
				}
				continue
			}
			all[p] = Entry{Name: p, Mode: Mode(e.Mode), Hash: e.Hash}
		}
		return nil
	}
	return all, visit(w.head.TreeHash, "")
}

// leadsTo says whether a directory lies on the way to one of the paths.
func leadsTo(dir string, paths []string) bool {
	return slices.ContainsFunc(paths, func(p string) bool { return strings.HasPrefix(p, dir+"/") })
}
