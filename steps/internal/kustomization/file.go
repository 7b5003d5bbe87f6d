package kustomization

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/yamledit"
)

// File is the kustomization file of an overlay, opened for a change. While it is open, other slipway processes on the
// machine wait for it, so that of two changes at once none is lost.
type File struct {
	Path string // relative to the tree, with slashes
	Data []byte

	full      string // with symlinks followed
	info      fs.FileInfo
	directory *os.File
}

// Open reads the kustomization file in the directory overlay of the tree at root. What leads out of the tree, through a
// symlink too, is refused, as is everything but a regular file with one name.
func Open(root, overlay string) (*File, error) {
	if !filepath.IsLocal(overlay) {
		return nil, failure.New(failure.Usage, "name a directory below --dir", "path %q leaves the tree", overlay)
	}
	tree, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", root, err)
	}
	if tree, err = filepath.EvalSymlinks(tree); err != nil {
		return nil, denied(failure.New(failure.Usage, "name the directory of the checkout with --dir", "tree %s: %w", root, cause(err)))
	}
	directory, err := resolve(tree, overlay)
	if err != nil {
		return nil, err
	}
	names, err := list(directory)
	if err != nil {
		return nil, denied(failure.New(failure.Invalid, "check that the path is the directory of an overlay", "path %s: %w", overlay, cause(err)))
	}
	name, err := Find(names)
	if err != nil {
		return nil, fmt.Errorf("path %s: %w", overlay, err)
	}
	f := &File{Path: filepath.ToSlash(filepath.Join(overlay, name))}
	if f.full, err = resolve(tree, filepath.Join(overlay, name)); err != nil {
		return nil, err
	}
	if err = f.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", f.Path, denied(err)), f.Close())
	}
	return f, nil
}

// resolve follows the symlinks of a path inside of the tree.
func resolve(tree, path string) (string, error) {
	full, err := filepath.EvalSymlinks(filepath.Join(tree, path))
	if err != nil {
		return "", denied(failure.New(failure.Invalid, "check the path; it is relative to --dir", "path %s: %w", path, cause(err)))
	}
	if inside, outside := filepath.Rel(tree, full); outside != nil || !filepath.IsLocal(inside) {
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

func (f *File) read() (err error) {
	if f.directory, err = os.Open(filepath.Dir(f.full)); err != nil {
		return cause(err)
	}
	lock(f.directory)
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

// Close lets others have the file.
func (f *File) Close() error {
	if f.directory == nil {
		return nil
	}
	return f.directory.Close()
}

// Replace writes the file anew: whoever reads it, even after a crash, finds the old or the new content. A file that may
// not be written is refused, and one with several hard links, since the others would keep the old content.
func (f *File) Replace(data []byte) error {
	if err := f.checkWritable(); err != nil {
		return fmt.Errorf("%s: %w", f.Path, denied(err))
	}
	// The name is always the same, so that what a killed run leaves behind goes away with the next one; and its beginning
	// keeps it out of commits.
	temporary := filepath.Join(filepath.Dir(f.full), ".slipway-"+filepath.Base(f.full))
	if err := f.replace(temporary, data); err != nil {
		_ = os.Remove(temporary)
		return fmt.Errorf("%s: %w", f.Path, denied(err))
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
