package manifest

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"

	"sigs.k8s.io/kustomize/api/types"

	"slipway/steps/internal/failure"
)

// Roots returns the sorted directories of all kustomizations that no other one includes: what a repository deploys. Of a
// cycle it returns one, so that building the roots reports it. Components are built only by what includes them. A
// kustomization that cannot be read is a root: building it says why. Symlinks and .git are not entered.
func Roots(ctx context.Context, s Source) ([]string, error) {
	w := walk{ctx: ctx, source: s, found: map[string][]string{}, components: map[string]bool{}}
	if err := w.visit("."); err != nil {
		return nil, err
	}
	included, reached := map[string]bool{}, map[string]bool{}
	for dir, references := range w.found {
		for i, name := range references {
			references[i] = w.resolve(name)
			included[references[i]] = included[references[i]] || references[i] != dir
		}
	}
	var roots []string
	root := func(dir string) {
		if !w.components[dir] && !reached[dir] {
			roots = append(roots, dir)
			w.reach(dir, reached)
		}
	}
	dirs := slices.Sorted(maps.Keys(w.found))
	for _, dir := range dirs {
		if !included[dir] {
			root(dir)
		}
	}
	for _, dir := range dirs {
		root(dir) // in a cycle that nothing leads into
	}
	slices.Sort(roots)
	return roots, nil
}

type walk struct {
	ctx        context.Context
	source     Source
	found      map[string][]string // what a kustomization refers to, by its directory
	components map[string]bool
}

func (w walk) visit(dir string) error {
	names, err := w.source.ReadDir(w.ctx, dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		full := path.Join(dir, name)
		info, err := w.source.Stat(w.ctx, full)
		switch {
		case errors.Is(err, fs.ErrNotExist), failure.KindOf(err) == failure.Invalid:
			continue // a symlink to nowhere or out of the repository: it matters where something refers to it
		case err != nil:
			return err
		case info.Path != full || name == ".git":
			continue
		case info.Dir:
			err = w.visit(full)
		case isKustomization(full):
			err = w.read(dir, full)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w walk) read(dir, file string) error {
	w.found[dir] = append(w.found[dir], nil...)
	data, err := newGuard(w.ctx, w.source, Limits{}.orDefaults()).load(file)
	if err != nil {
		if failure.KindOf(err) == failure.Invalid {
			return nil
		}
		return err
	}
	var k types.Kustomization
	if k.Unmarshal(data) != nil {
		return nil
	}
	k.FixKustomization()
	w.components[dir] = k.Kind == types.ComponentKind
	for _, name := range slices.Concat(k.Resources, k.Components, k.Generators, k.Transformers, k.Validators) {
		if full := path.Join(dir, name); filepath.IsLocal(full) {
			w.found[dir] = append(w.found[dir], full)
		}
	}
	return nil
}

// resolve follows the symlinks of a reference that is not a directory's own name.
func (w walk) resolve(name string) string {
	if _, ok := w.found[name]; ok {
		return name
	}
	if info, err := w.source.Stat(w.ctx, name); err == nil {
		return info.Path
	}
	return name
}

func (w walk) reach(dir string, reached map[string]bool) {
	reached[dir] = true
	for _, next := range w.found[dir] {
		if !reached[next] {
			w.reach(next, reached)
		}
	}
}
