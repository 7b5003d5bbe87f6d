package manifest

import (
	"io/fs"
	"path/filepath"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

var _ filesys.FileSystem = (*guard)(nil)

// CleanedAbs follows symlinks, and what it returns is what kustomize compares to keep files below their kustomization.
func (g *guard) CleanedAbs(file string) (filesys.ConfirmedDir, string, error) {
	info, err := g.stat(file)
	if err != nil {
		return "", "", err
	}
	if !info.Dir && isKustomization(filepath.ToSlash(file)) {
		g.links[info.Path] = true // kustomize asks for its content by this name
	}
	full := filepath.Join(tree, info.Path)
	if info.Dir {
		return filesys.ConfirmedDir(full), "", nil
	}
	return filesys.ConfirmedDir(filepath.Dir(full)), filepath.Base(full), nil
}

func (g *guard) IsDir(file string) bool {
	info, err := g.stat(file)
	return err == nil && info.Dir
}

func (g *guard) Exists(file string) bool {
	_, err := g.stat(file)
	return err == nil
}

func (g *guard) ReadDir(file string) ([]string, error) {
	name, err := g.name(file)
	if err != nil {
		return nil, err
	}
	names, err := g.source.ReadDir(g.ctx, name)
	return names, g.refuse(err)
}

// A build neither writes nor searches.

func (g *guard) Create(string) (filesys.File, error)  { return nil, fs.ErrPermission }
func (g *guard) Open(string) (filesys.File, error)    { return nil, fs.ErrPermission }
func (g *guard) Mkdir(string) error                   { return fs.ErrPermission }
func (g *guard) MkdirAll(string) error                { return fs.ErrPermission }
func (g *guard) RemoveAll(string) error               { return fs.ErrPermission }
func (g *guard) WriteFile(string, []byte) error       { return fs.ErrPermission }
func (g *guard) Glob(string) ([]string, error)        { return nil, fs.ErrPermission }
func (g *guard) Walk(string, filepath.WalkFunc) error { return fs.ErrPermission }
