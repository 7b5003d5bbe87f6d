package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"slipway/steps/internal/failure"
)

// workDir is a directory into which files of a commit are laid out. Names are slash-separated and below it; no symlink
// leads out of it.
type workDir struct {
	path  string
	root  *os.Root
	links map[string]bool // directories, and whether a symlink leads into them
}

// lstat is for looking at thousands of files: os.Root opens every directory on the way each time. As for Git, what lies
// behind a symlink is not there.
func (w *workDir) lstat(name string) (fs.FileInfo, error) {
	if w.behindLink(path.Dir(name)) {
		return nil, notExist(name)
	}
	return os.Lstat(filepath.Join(w.path, name))
}

func (w *workDir) behindLink(dir string) bool {
	if dir == "." {
		return false
	}
	link, known := w.links[dir]
	if !known {
		info, err := os.Lstat(filepath.Join(w.path, dir))
		link = err == nil && info.Mode()&fs.ModeSymlink != 0 || w.behindLink(path.Dir(dir))
		w.links[dir] = link
	}
	return link
}

func openWorkDir(dir string) (*workDir, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, failure.New(failure.Usage, "name an existing directory with --dir", "directory %s: %w", dir, err)
	}
	return &workDir{path: abs, root: root, links: map[string]bool{}}, nil
}

// ownPrefix begins the names of what slipway keeps in a checkout; none of it is ever committed.
const ownPrefix = ".slipway"

// maxFile is the size up to which a file is taken into a commit. Manifests are far smaller, and a larger one would be held
// in memory several times.
const maxFile = 50 << 20

// read returns a file as Git would store it, nil when there is none. A directory counts as none.
func (w *workDir) read(name string) (*File, error) {
	info, err := w.lstat(name)
	if absent(err) || err == nil && info.IsDir() {
		return nil, nil
	}
	if err != nil {
		// Among other reasons: a directory on the way is a symlink that leads out of the checkout.
		return nil, failure.New(failure.Invalid, "put the directory back, or limit the commit with --path", "%s: it cannot be read: %w", name, err)
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := w.root.Readlink(name)
		return &File{Mode: ModeSymlink, Data: []byte(target)}, err
	case !info.Mode().IsRegular():
		return nil, failure.New(failure.Invalid, "remove it, or limit the commit with --path", "%s: it is neither a file nor a symlink", name)
	case info.Size() > maxFile:
		return nil, failure.New(failure.Invalid, "keep it out of the repository, or commit it with git", "%s: it has %d bytes, more than slipway commits (%d)", name, info.Size(), maxFile)
	}
	data, err := w.root.ReadFile(name)
	if err != nil {
		return nil, err
	}
	mode := ModeRegular
	if info.Mode()&0o100 != 0 {
		mode = ModeExecutable
	}
	return &File{Mode: mode, Data: data}, nil
}

// absent says whether a file is not there, or one of the directories on its way is none.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || err != nil && isNotDir(err)
}

// write puts a file in place in one step; nil removes it, with the directories it leaves empty.
func (w *workDir) write(name string, f *File) error {
	if f == nil {
		return w.remove(name)
	}
	if err := checkPath(name); err != nil {
		return err
	}
	clear(w.links)
	if w.behindLink(path.Dir(name)) {
		return failure.New(failure.Invalid, "put a directory in the place of the symlink", "%s: a symlink leads there", name)
	}
	if f.Mode == ModeSubmodule {
		return w.root.MkdirAll(name, 0o777)
	}
	if err := w.root.MkdirAll(path.Dir(name), 0o777); err != nil {
		return err
	}
	// The name is always the same, so that what a killed run leaves behind goes away when it is finished.
	temp := path.Join(path.Dir(name), ownPrefix+"-"+path.Base(name))
	if err := w.root.Remove(temp); err != nil && !absent(err) {
		return err
	}
	if err := w.create(temp, f); err != nil {
		_ = w.root.Remove(temp) // the first error is the one to report
		return err
	}
	if err := w.root.Rename(temp, name); err != nil {
		_ = w.root.Remove(temp)
		return err
	}
	return nil
}

func (w *workDir) create(name string, f *File) error {
	if f.Mode == ModeSymlink {
		return w.root.Symlink(string(f.Data), name)
	}
	perm := fs.FileMode(0o666)
	if f.Mode == ModeExecutable {
		perm = 0o777
	}
	out, err := w.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = out.Write(f.Data)
	return errors.Join(err, out.Close())
}

func (w *workDir) remove(name string) error {
	if err := w.root.Remove(name); err != nil && !absent(err) {
		return err
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if w.root.Remove(dir) != nil {
			break // not empty, or not there: as it should be
		}
	}
	return nil
}

// replaceFile writes a file outside of version control in one step.
func replaceFile(name string, data []byte) error {
	temp := name + ".tmp"
	if err := os.WriteFile(temp, data, 0o666); err != nil {
		return err
	}
	if err := os.Rename(temp, name); err != nil {
		_ = os.Remove(temp)
		return err
	}
	return nil
}

// move is the change of one path from the commit that is laid out to another one.
type move struct {
	path     string
	from, to *File
	id       Hash // of to, for a Worktree
	sparse   bool // left out of the work tree on purpose; from and to have no contents then
}

// checkPath refuses names that a commit must not have, for they would reach into .git or out of the directory.
func checkPath(p string) error {
	for _, name := range strings.Split(p, "/") {
		if name == "" || name == "." || name == ".." || strings.EqualFold(name, ".git") || strings.ContainsRune(name, 0) {
			return failure.New(failure.Invalid, "", "path %q is not allowed in a commit", p)
		}
	}
	return nil
}

// order sorts deletions before writes: a file may come where a directory was, and the other way round.
func order(to *File) int {
	if to == nil {
		return 0
	}
	return 1
}

// refuseLoss fails when a path to be replaced holds work that neither commit has and that was not published either.
func (w *workDir) refuseLoss(moves []move, published map[string]Hash) error {
	var lost []string
	leaving := map[string]bool{}
	for _, m := range moves {
		leaving[m.path] = m.to == nil
	}
	for _, m := range moves {
		blocked, err := w.blocked(m, published)
		if err != nil {
			return err
		}
		if !blocked && m.to != nil && m.to.Mode != ModeSubmodule {
			blocked = w.occupied(m.path, leaving)
		}
		if blocked {
			lost = append(lost, m.path)
		}
	}
	if len(lost) > 0 {
		return fmt.Errorf("changed here and in the published commits: %s", listSome(lost, 3))
	}
	return nil
}

// occupied says whether a directory with files that stay is in the place of a file.
func (w *workDir) occupied(name string, leaving map[string]bool) bool {
	if info, err := w.root.Lstat(name); err == nil && !info.IsDir() {
		return false // also because a walk refuses names that are no UTF-8
	}
	found := false
	err := fs.WalkDir(w.root.FS(), name, func(p string, e fs.DirEntry, err error) error {
		found = found || err == nil && p != name && !e.IsDir() && !leaving[p]
		return err
	})
	return found || err != nil && !absent(err)
}

// blocked says whether a path holds something that neither commit has and that was not published either, so that
// replacing it would lose work.
func (w *workDir) blocked(m move, published map[string]Hash) (bool, error) {
	now, err := w.read(m.path)
	if err != nil {
		return false, err
	}
	if sameFile(now, m.from) || sameFile(now, m.to) || m.from != nil && m.from.Mode == ModeSubmodule || m.to != nil && m.to.Mode == ModeSubmodule {
		return false, nil
	}
	if h, ok := published[m.path]; ok {
		return h != hashOf(now) && (now == nil || h != hashOf(&File{Mode: now.Mode, Data: toLF(now.Data)})), nil
	}
	if now != nil && m.from != nil && bytes.Equal(toLF(now.Data), m.from.Data) {
		return false, nil // the same file with the line ends of the platform
	}
	return true, nil
}

func hashOf(f *File) Hash {
	if f == nil {
		return Hash{}
	}
	return f.Hash()
}

func sameFile(a, b *File) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Mode == b.Mode && bytes.Equal(a.Data, b.Data)
}

func toLF(data []byte) []byte { return bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")) }

// list returns what is in a directory, by name. Unlike an fs.FS it takes names that are no UTF-8.
func (w *workDir) list(dir string) ([]fs.DirEntry, error) {
	opened, err := w.root.Open(dir)
	if err != nil {
		return nil, err
	}
	entries, err := opened.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, errors.Join(err, opened.Close())
}
