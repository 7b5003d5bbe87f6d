package manifest

import (
	"context"
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

// Source is where files come from: a directory, a commit's tree, or either with edits laid over it. Names are relative to
// the root of the repository, cleaned and separated by slashes; the root is ".". What is not there is fs.ErrNotExist. A
// Source follows symlinks itself and refuses those that lead out of the root. It is safe for concurrent use.
type Source interface {
	// ReadFile returns the content of a regular file.
	ReadFile(ctx context.Context, name string) ([]byte, error)
	// Stat describes the file or the directory that name stands for once all symlinks are followed.
	Stat(ctx context.Context, name string) (Info, error)
	// ReadDir returns the sorted names of a directory's entries.
	ReadDir(ctx context.Context, name string) ([]string, error)
}

// Info describes a file or a directory. Path is its name without symlinks; Size is 0 where the source does not know it
// without reading the file.
type Info struct {
	Path string
	Dir  bool
	Size int64
}

// Dir returns the files below a directory. Symlinks that lead out of it are refused with kind Invalid, and so is all that
// is neither a file nor a directory.
func Dir(root string) (Source, error) {
	full, err := filepath.Abs(root)
	if err == nil {
		full, err = filepath.EvalSymlinks(full)
	}
	if err != nil {
		return nil, failure.New(failure.Usage, "name the directory of the checkout", "directory %s: %w", root, bare(err))
	}
	return directory(full), nil
}

type directory string

func (d directory) resolve(name string) (full, relative string, err error) {
	if !filepath.IsLocal(name) {
		return "", "", outside(name)
	}
	full, err = filepath.EvalSymlinks(filepath.Join(string(d), name))
	var at *fs.PathError
	switch {
	case errors.As(err, &at):
		return "", "", fmt.Errorf("%s: %w", name, at.Err)
	case err != nil:
		return "", "", failure.New(failure.Invalid, "remove the symlink", "%s: a symlink leads to itself", name)
	}
	relative, err = filepath.Rel(string(d), full)
	if err != nil || !filepath.IsLocal(relative) {
		return "", "", failure.New(failure.Invalid, "replace the symlink by what it stands for", "%s: a symlink leads out of the repository", name)
	}
	return full, filepath.ToSlash(relative), nil
}

func (d directory) ReadFile(ctx context.Context, name string) ([]byte, error) {
	info, err := d.Stat(ctx, name)
	if err != nil {
		return nil, err
	}
	if info.Dir {
		return nil, fmt.Errorf("%s: is a directory", name)
	}
	data, err := os.ReadFile(filepath.Join(string(d), info.Path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, bare(err))
	}
	return data, nil
}

func (d directory) Stat(_ context.Context, name string) (Info, error) {
	full, relative, err := d.resolve(name)
	if err != nil {
		return Info{}, err
	}
	info, err := os.Lstat(full)
	if err != nil {
		return Info{}, fmt.Errorf("%s: %w", name, bare(err))
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return Info{}, failure.New(failure.Invalid, "keep files and directories in the repository, nothing else", "%s: not a regular file", name)
	}
	return Info{Path: relative, Dir: info.IsDir(), Size: info.Size()}, nil
}

func (d directory) ReadDir(_ context.Context, name string) ([]string, error) {
	full, _, err := d.resolve(name)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(full)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, bare(err))
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// Overlay returns the files of s as if the edits were made: content by name, nil for a file that is deleted. Names are
// those of the files themselves, without symlinks. A directory that an edit needs is there.
func Overlay(s Source, edits map[string][]byte) Source {
	return overlay{s, edits}
}

type overlay struct {
	Source
	edits map[string][]byte
}

// edited follows the symlinks of the source first, so that an edit is seen under all names of its file.
func (o overlay) edited(ctx context.Context, name string) (real string, data []byte, ok bool) {
	if info, err := o.Source.Stat(ctx, name); err == nil {
		name = info.Path
	}
	data, ok = o.edits[name]
	return name, data, ok
}

func (o overlay) ReadFile(ctx context.Context, name string) ([]byte, error) {
	_, data, ok := o.edited(ctx, name)
	switch {
	case !ok:
		return o.Source.ReadFile(ctx, name)
	case data == nil:
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return data, nil
}

func (o overlay) Stat(ctx context.Context, name string) (Info, error) {
	real, data, ok := o.edited(ctx, name)
	switch {
	case ok && data == nil:
		return Info{}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	case ok:
		return Info{Path: real, Size: int64(len(data))}, nil
	}
	info, err := o.Source.Stat(ctx, name)
	if errors.Is(err, fs.ErrNotExist) && len(o.added(name)) > 0 {
		return Info{Path: name, Dir: true}, nil
	}
	return info, err
}

func (o overlay) ReadDir(ctx context.Context, name string) ([]string, error) {
	real, _, _ := o.edited(ctx, name)
	added := o.added(real)
	names, err := o.Source.ReadDir(ctx, real)
	if err != nil && (!errors.Is(err, fs.ErrNotExist) || len(added) == 0) {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(n string) bool {
		data, ok := o.edits[path.Join(real, n)]
		return ok && data == nil
	})
	names = append(names, added...)
	slices.Sort(names)
	return slices.Compact(names), nil
}

// added returns the entries of a directory that the edits make or change.
func (o overlay) added(directory string) (names []string) {
	for edit, data := range o.edits {
		if inside, ok := below(edit, directory); ok && data != nil {
			first, _, _ := strings.Cut(inside, "/")
			names = append(names, first)
		}
	}
	return names
}

// below returns the part of a name below a directory.
func below(name, directory string) (string, bool) {
	if directory == "." {
		return name, true
	}
	return strings.CutPrefix(name, directory+"/")
}

func outside(name string) error {
	return failure.New(failure.Invalid, "refer to files of the repository only", "%s: leads out of the repository", name)
}

// bare strips the path of the machine from an error; the name within the repository is put before it.
func bare(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
