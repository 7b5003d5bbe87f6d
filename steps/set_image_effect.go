package steps

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"go.uber.org/zap"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
	"slipway/steps/internal/kustomization"
	"slipway/steps/internal/manifest"
)

// RenderedImage is an image field of a rendered object that an edit changes; Old is empty for a new field, New for one that
// is gone.
type RenderedImage struct {
	Object string `json:"object"`
	Field  string `json:"field"`
	Old    string `json:"old"`
	New    string `json:"new"`
}

// effect is what an edit does to the objects that --path renders. A name in the images of a kustomization may match
// nothing, or more than is meant, and kustomize is silent about both: only builds tell.
type effect struct {
	path  string // from the root of the repository
	build func(edits map[string][]byte) (*manifest.Result, error)
	name  func(*kustomization.File) (string, error) // of a file, from the root of the repository

	after *manifest.Result // what is rendered with the edit, once it is known

	built  bool // without the edit, which is done once
	result *manifest.Result
	broken error
	// The image entries of the kustomization: all as they were, those that are set as they are now, and the others.
	was, now, others []kustomization.Entry
	rest             map[string][]byte // the edits, without the entries that are set
}

// repository returns the root of the repository that a directory lies in. A directory outside of any checkout is taken for
// the whole of it.
func repository(dir string) (root string, err error) {
	root, err = gitrepo.Root(dir)
	if !errors.Is(err, gitrepo.ErrNoCheckout) {
		return root, err
	}
	if root, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(root)
}

func (s *SetImage) effect(ctx context.Context) (*effect, error) {
	root, err := repository(s.Dir)
	if err != nil {
		return nil, err
	}
	source, err := manifest.Dir(root)
	if err != nil {
		return nil, err
	}
	path, err := repoPath(root, s.Dir, s.Path)
	if err != nil {
		return nil, err
	}
	build, err := s.building.builder()
	if err != nil {
		return nil, err
	}
	return &effect{
		path: path,
		build: func(edits map[string][]byte) (*manifest.Result, error) {
			return build(ctx, manifest.Overlay(source, edits), path)
		},
		name: func(f *kustomization.File) (string, error) {
			name, err := filepath.Rel(root, f.Location())
			return filepath.ToSlash(name), err
		},
	}, nil
}

// prove builds --path with and without the edit, and refuses one that would not do what it says.
func (s *SetImage) prove(env *Env, f *effect, e *edit, contents []kustomization.Content) ([]RenderedImage, error) {
	if len(contents) == 0 && len(e.requests) == 0 {
		return nil, nil
	}
	edits := map[string][]byte{}
	for _, c := range contents {
		name, err := f.name(c.File)
		if err != nil {
			return nil, err
		}
		edits[name] = c.Data
	}
	after, err := f.build(edits)
	if err != nil {
		return nil, err
	}
	f.after = after
	if len(e.requests) > 0 {
		return s.proveImages(env, e, f, edits, after)
	}
	before, err := f.before()
	switch {
	case err != nil:
		f.brokenBefore(env, err)
		return []RenderedImage{}, nil
	case slices.EqualFunc(before.JSON, after.JSON, slices.Equal):
		err = s.accept(failure.New(failure.Invalid, "check that --path includes the file and does not replace the value"+orAccept,
			"%s: the edit changes no rendered object", f.path))
	}
	return renderedImages(before, after), err
}

// before is what is rendered without the edit.
func (f *effect) before() (*manifest.Result, error) {
	if !f.built {
		f.result, f.broken = f.build(nil)
		f.built = true
	}
	return f.result, f.broken
}

func (f *effect) brokenBefore(env *Env, err error) {
	env.Log.Warn("before the edit the kustomization did not build, so what changes cannot be told", zap.String("path", f.path), zap.Error(err))
}

// proveImages compares the build with one that lacks the entries that are set: what differs is what they do, and a request
// is about the fields that have its very name there.
func (s *SetImage) proveImages(env *Env, e *edit, f *effect, edits map[string][]byte, after *manifest.Result) ([]RenderedImage, error) {
	if len(manifest.Images(after.Objects)) == 0 {
		return []RenderedImage{}, s.accept(failure.New(failure.Invalid, "check --path"+orAccept, "%s: renders no image at all", f.path))
	}
	if err := f.cut(e, edits); err != nil {
		return nil, err
	}
	bare, changes, err := f.compare(env, e, edits, after)
	if err != nil {
		return nil, err
	}
	for _, c := range manifest.DiffImages(bare, after) {
		if !f.sets(repositoryOf(c.Old)) {
			return nil, failure.New(failure.Invalid, "give one of the two another name; kustomize takes the names of images for patterns",
				"%s: image %s, which is not named, would change too: %s %s would become %s", f.path, repositoryOf(c.Old), c.Object, c.Path, c.New)
		}
	}
	for _, entry := range f.now {
		if err := s.accept(f.took(env, entry, bare, after, changes)); err != nil {
			return nil, err
		}
	}
	return changes, nil
}

// cut finds the entries that are set, as they were and as they are now, and the kustomization without them.
func (f *effect) cut(e *edit, edits map[string][]byte) error {
	name, err := f.name(e.kustomization)
	if err != nil {
		return err
	}
	data := e.kustomization.Data
	if edited, ok := edits[name]; ok {
		data = edited
	}
	var names []string
	for _, r := range e.requests {
		names = append(names, r.Name)
	}
	if f.was, err = kustomization.Images(e.kustomization.Data); err != nil {
		return err
	}
	now, rest, err := kustomization.Cut(data, names...)
	if err != nil {
		return err
	}
	f.now, f.rest = now, maps.Clone(edits)
	f.rest[name] = rest
	f.others, err = kustomization.Images(rest)
	return err
}

func (f *effect) sets(name string) bool {
	return slices.ContainsFunc(f.now, func(e kustomization.Entry) bool { return e.Name == name })
}

// compare returns the build without the entries that are set, and what changes from the one before the edit. A build costs
// more than all else that the step does: where one of the two tells what is in the other, that one is not made.
func (f *effect) compare(env *Env, e *edit, edits map[string][]byte, after *manifest.Result) (bare *manifest.Result, changes []RenderedImage, err error) {
	before := after
	renames := func(e kustomization.Entry) bool { return e.NewName != "" && f.sets(e.Name) }
	tells := len(e.settings) == 0 && !slices.ContainsFunc(f.was, renames) && !slices.ContainsFunc(f.now, renames)
	if len(edits) > 0 && (tells || len(e.settings) > 0) {
		if before, err = f.before(); err != nil {
			f.brokenBefore(env, err)
			before, tells = after, false
		}
	}
	if tells {
		return before, renderedImages(before, after), nil // an image keeps its name, whatever its tag is
	}
	if bare, err = f.build(f.rest); err != nil {
		return nil, nil, fmt.Errorf("without the images that are set: %w", err)
	}
	if len(edits) == 0 || len(e.settings) > 0 {
		return bare, renderedImages(before, after), nil
	}
	if changes, ok := f.predict(bare, after); ok {
		return bare, changes, nil
	}
	if before, err = f.before(); err != nil {
		f.brokenBefore(env, err)
		before = after
	}
	return bare, renderedImages(before, after), nil
}

// predict works out what the entries made of each image before, if what it works out for now is what was built.
func (f *effect) predict(bare, after *manifest.Result) (changes []RenderedImage, ok bool) {
	rendered := images(after)
	changes = []RenderedImage{}
	for _, field := range manifest.Images(bare.Objects) {
		at, name := imagePlace{field.Object, field.Path}, repositoryOf(field.Image)
		now := slices.IndexFunc(f.now, func(e kustomization.Entry) bool { return e.Name == name })
		if now < 0 {
			continue
		}
		if f.now[now].Set(field.Image) != rendered[at] {
			return nil, false
		}
		old := field.Image
		if was := slices.IndexFunc(f.was, func(e kustomization.Entry) bool { return e.Name == name }); was >= 0 {
			old = f.was[was].Set(field.Image)
		}
		if old != rendered[at] {
			changes = append(changes, RenderedImage{at.object, at.field, old, rendered[at]})
		}
	}
	return changes, true
}

const orAccept = ", or pass --allow-no-effect"

// accept drops what --allow-no-effect puts up with.
func (s *SetImage) accept(err error) error {
	if s.AllowNoEffect {
		return nil
	}
	return err
}
