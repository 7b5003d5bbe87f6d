package gitrepo

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
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

// matchesTree says whether the index holds exactly the files of a directory, where Git noted that down.
func (s *stagingArea) matchesTree(root Hash) bool {
	return s.Cache != nil && len(s.Cache.Entries) > 0 && s.Cache.Entries[0].Path == "" && s.Cache.Entries[0].Entries >= 0 && s.Cache.Entries[0].Hash == root
}

// updateIndex makes the index agree with moved files. Git's own lock file keeps other programs out meanwhile.
func (w *Worktree) updateIndex(moves []move) (err error) {
	lock := filepath.Join(w.dot, "index.lock")
	out, err := os.OpenFile(lock, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666) //nolint:gosec // as Git does: the umask decides
	if errors.Is(err, fs.ErrExist) {
		return failure.New(failure.Conflict, "wait for the other Git process, or remove the file if there is none", "checkout %s: index.lock exists", w.dir.path)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(lock)
		}
	}()
	idx, err := w.index()
	if err != nil {
		return errors.Join(err, out.Close())
	}
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
	if _, err := out.Write(b.Bytes()); err != nil {
		return errors.Join(err, out.Close())
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(lock, filepath.Join(w.dot, "index"))
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
	e.Hash, e.Mode, e.IntentToAdd = m.to.Hash(), filemode.FileMode(m.to.Mode), false
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

// headFiles returns the files of HEAD below paths.
func (w *Worktree) headFiles(idx *stagingArea, paths []string) (map[string]Entry, error) {
	all := map[string]Entry{}
	if idx.matchesTree(w.head.TreeHash) {
		for _, e := range idx.Entries {
			if under(e.Name, paths) && !e.IntentToAdd {
				all[e.Name] = Entry{Name: e.Name, Mode: Mode(e.Mode), Hash: e.Hash}
			}
		}
		return all, nil
	}
	return all, w.headDir(all, w.head.TreeHash, "", paths)
}

func (w *Worktree) headDir(all map[string]Entry, h Hash, dir string, paths []string) error {
	local := w.local()
	tree, err := local.load(h)
	if err != nil {
		return failure.New(failure.Invalid, "make a new checkout", "checkout %s: directory %q cannot be read: %w", w.dir.path, dir, err)
	}
	for _, e := range tree.Entries {
		p := e.Name
		if dir != "" {
			p = dir + "/" + e.Name
		}
		if e.Mode == filemode.Dir {
			if under(p, paths) || leadsTo(p, paths) {
				if err := w.headDir(all, e.Hash, p, paths); err != nil {
					return err
				}
			}
		} else if under(p, paths) {
			all[p] = Entry{Name: p, Mode: Mode(e.Mode), Hash: e.Hash}
		}
	}
	return nil
}

// leadsTo says whether a directory lies on the way to one of the paths.
func leadsTo(dir string, paths []string) bool {
	return slices.ContainsFunc(paths, func(p string) bool { return strings.HasPrefix(p, dir+"/") })
}
