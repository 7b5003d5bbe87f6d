package kustomization

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/yamledit"
)

// Tree is a directory of files that are opened for changes. While a file is open, other slipway processes on the machine
// wait for it, so that of two changes at once none is lost.
type Tree struct {
	root        string
	directories map[string]*os.File // that are locked
}

// File is a file of a tree.
type File struct {
	Path string // relative to the tree, with slashes
	Data []byte

	full      string // with symlinks followed
	info      fs.FileInfo
	directory *os.File
}

// Location is the absolute path of the file, with symlinks followed.
func (f *File) Location() string { return f.full }

// OpenTree returns the tree at root, which may be reached through symlinks.
func OpenTree(root string) (*Tree, error) {
	tree, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", root, err)
	}
	if tree, err = filepath.EvalSymlinks(tree); err != nil {
		return nil, denied(failure.New(failure.Usage, "name the directory of the checkout with --dir", "tree %s: %w", root, cause(err)))
	}
	return &Tree{root: tree, directories: map[string]*os.File{}}, nil
}

// Kustomization returns the path of the kustomization file in the directory overlay.
func (t *Tree) Kustomization(overlay string) (string, error) {
	directory, err := t.resolve(overlay)
	if err != nil {
		return "", err
	}
	names, err := list(directory)
	if err != nil {
		return "", denied(failure.New(failure.Invalid, "check that the path is the directory of an overlay", "path %s: %w", overlay, cause(err)))
	}
	name, err := Find(names)
	if err != nil {
		return "", fmt.Errorf("path %s: %w", overlay, err)
	}
	return filepath.Join(overlay, name), nil
}

// Open reads files and returns them in the order of their paths; two paths of one file yield the same File twice. What leads
// out of the tree, through a symlink too, is refused, as is everything but a regular file. It is called once.
func (t *Tree) Open(paths ...string) ([]*File, error) {
	files, byName := make([]*File, len(paths)), map[string]*File{}
	for i, path := range paths {
		full, err := t.resolve(path)
		if err != nil {
			return nil, err
		}
		if byName[full] == nil {
			byName[full] = &File{Path: filepath.ToSlash(filepath.Clean(path)), full: full}
		}
		files[i] = byName[full]
	}
	// All processes lock in the same order, so that no two wait for each other.
	names := slices.SortedFunc(maps.Keys(byName), func(a, b string) int {
		return cmp.Or(cmp.Compare(filepath.Dir(a), filepath.Dir(b)), cmp.Compare(a, b))
	})
	for _, name := range names {
		if err := t.read(byName[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", byName[name].Path, denied(err))
		}
	}
	return files, nil
}

// Close lets others have the files.
func (t *Tree) Close() error {
	var all error
	for _, directory := range t.directories {
		all = errors.Join(all, directory.Close())
	}
	return all
}

// resolve follows the symlinks of a path inside of the tree.
func (t *Tree) resolve(path string) (string, error) {
	if !filepath.IsLocal(path) {
		return "", failure.New(failure.Usage, "name what is below --dir", "path %q leaves the tree", path)
	}
	full, err := filepath.EvalSymlinks(filepath.Join(t.root, path))
	if err != nil {
		return "", denied(failure.New(failure.Invalid, "check the path; it is relative to --dir", "path %s: %w", path, cause(err)))
	}
	if inside, outside := filepath.Rel(t.root, full); outside != nil || !filepath.IsLocal(inside) {
		return "", failure.New(failure.Invalid, "replace the symlink by what it stands for", "path %s: a symlink leads out of the tree", path)
	}
	return full, nil
}

func list(directory string) ([]string, error) {
	entries, err := os.ReadDir(directory)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// cause takes the system's path off an error: the message names the path that the user knows.
func cause(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

func denied(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return failure.New(failure.Denied, "give the user of the pipeline the right to it", "%w", err)
	}
	return err
}

func (t *Tree) lock(name string) (*os.File, error) {
	if t.directories[name] == nil {
		directory, err := os.Open(name)
		if err != nil {
			return nil, cause(err)
		}
		lock(directory)
		t.directories[name] = directory
	}
	return t.directories[name], nil
}

func (t *Tree) read(f *File) (err error) {
	if f.directory, err = t.lock(filepath.Dir(f.full)); err != nil {
		return err
	}
	if f.info, err = os.Stat(f.full); err != nil {
		return cause(err)
	}
	switch {
	case !f.info.Mode().IsRegular():
		return failure.New(failure.Invalid, "replace it by a file", "not a regular file")
	case f.info.Size() > yamledit.MaxSize:
		return failure.New(failure.Invalid, "check that this is the right file",
			"%d bytes, more than the limit of %d", f.info.Size(), yamledit.MaxSize)
	}
	file, err := os.Open(f.full)
	if err != nil {
		return cause(err)
	}
	f.Data, err = io.ReadAll(io.LimitReader(file, yamledit.MaxSize+1))
	return errors.Join(err, file.Close())
}

// Content is what a file shall hold.
type Content struct {
	File *File
	Data []byte
}

// Replace writes files anew: whoever reads one, even after a crash, finds its old or its new content. When one of them may
// not be written none is, nor when one has several hard links, since the others would keep the old content.
func Replace(all []Content) error {
	for _, c := range all {
		if err := c.File.checkWritable(); err != nil {
			return fmt.Errorf("%s: %w", c.File.Path, denied(err))
		}
	}
	for _, c := range all {
		// The name is always the same, so that what a killed run leaves behind goes away with the next one; and its beginning
		// keeps it out of commits.
		temporary := filepath.Join(filepath.Dir(c.File.full), ".slipway-"+filepath.Base(c.File.full))
		if err := c.File.replace(temporary, c.Data); err != nil {
			_ = os.Remove(temporary)
			return fmt.Errorf("%s: %w", c.File.Path, denied(err))
		}
	}
	return nil
}

func (f *File) checkWritable() error {
	if f.info.Mode().Perm()&0o222 == 0 {
		return failure.New(failure.Denied, "make it writable with chmod u+w", "the file is read-only")
	}
	if n := links(f.info); n > 1 {
		return failure.New(failure.Invalid, "replace the hard links by copies", "the file has %d hard links", n)
	}
	file, err := os.OpenFile(f.full, os.O_WRONLY, 0)
	if err != nil {
		return cause(err)
	}
	return file.Close()
}

func (f *File) replace(temporary string, data []byte) error {
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cause(err)
	}
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return cause(err)
	}
	keepOwner(file, f.info)
	_, err = file.Write(data)
	err = errors.Join(err, file.Chmod(f.info.Mode().Perm()), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err = os.Rename(temporary, f.full); err != nil {
		return err
	}
	// Not every file system can sync a directory, and the content is safe already.
	_ = f.directory.Sync()
	return nil
}
