package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
	"slipway/steps/internal/manifest"
)

// treeSource is the files of a commit for a build. Whatever is not at hand the tree fetches, directory by directory: where
// that costs requests, referred fetches what a kustomization needs before it is built.
type treeSource struct {
	tree *gitrepo.Tree
	// mu keeps builds that run side by side out of each other's way. Trees of one repository share it.
	mu *sync.Mutex
}

// maxLinks is how many symlinks are followed before they are taken to lead to themselves, as in Linux.
const maxLinks = 40

// ReadFile returns the content of a regular file.
func (s treeSource) ReadFile(ctx context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, entry, err := s.resolve(ctx, name)
	if err != nil {
		return nil, err
	}
	if entry.Mode == gitrepo.ModeTree {
		return nil, fmt.Errorf("%s: is a directory", name)
	}
	return s.content(ctx, at)
}

// Holds compares a file by its hash.
func (s treeSource) Holds(ctx context.Context, name string, content []byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, entry, err := s.resolve(ctx, name)
	return entry.Hash == (&gitrepo.File{Data: content}).Hash(), err
}

// Stat describes what a name stands for.
func (s treeSource) Stat(ctx context.Context, name string) (manifest.Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, entry, err := s.resolve(ctx, name)
	return manifest.Info{Path: at, Dir: entry.Mode == gitrepo.ModeTree}, err
}

// ReadDir returns the names in a directory.
func (s treeSource) ReadDir(ctx context.Context, name string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, _, err := s.resolve(ctx, name)
	if err != nil {
		return nil, err
	}
	entries, err := s.tree.List(ctx, at)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Mode != gitrepo.ModeSubmodule {
			names = append(names, e.Name)
		}
	}
	slices.Sort(names) // Git sorts directories as if their names ended in a slash
	return names, nil
}

// resolve follows symlinks, which Git does not. The commit of a submodule is in another repository: it is not there.
func (s treeSource) resolve(ctx context.Context, name string) (at string, entry gitrepo.Entry, err error) {
	if !filepath.IsLocal(name) {
		return "", entry, linkOut(name)
	}
	// Without a symlink on the way, which is nearly always, one look is enough.
	if entry, err = s.tree.Entry(ctx, path.Clean(name)); err == nil && entry.Mode != gitrepo.ModeSymlink && entry.Mode != gitrepo.ModeSubmodule {
		return path.Clean(name), entry, nil
	}
	at, links := ".", 0
	for rest := strings.Split(path.Clean(name), "/"); len(rest) > 0; {
		next := path.Join(at, rest[0])
		if rest = rest[1:]; !filepath.IsLocal(next) {
			return "", entry, linkOut(name)
		}
		entry, err = s.tree.Entry(ctx, next)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && entry.Mode == gitrepo.ModeSubmodule:
			return "", entry, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		case err != nil:
			return "", entry, err
		case entry.Mode != gitrepo.ModeSymlink:
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", entry, failure.New(failure.Invalid, "remove the symlink", "%s: a symlink leads to itself", name)
		}
		target, err := s.content(ctx, next)
		if err != nil {
			return "", entry, err
		}
		if path.IsAbs(string(target)) {
			return "", entry, linkOut(name)
		}
		rest = append(strings.Split(string(target), "/"), rest...)
	}
	return at, entry, nil
}

func linkOut(name string) error {
	return failure.New(failure.Invalid, "replace the symlink by what it stands for", "%s: a symlink leads out of the repository", name)
}

func (s treeSource) content(ctx context.Context, at string) ([]byte, error) {
	files, err := s.tree.Files(ctx, at)
	if err != nil {
		return nil, err
	}
	return files[at].Data, nil
}
