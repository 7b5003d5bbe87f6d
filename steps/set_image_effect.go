package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

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
	// others are the image entries of the kustomization that are not set.
	others []kustomization.Entry
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
	return &effect{
		path: path,
		build: func(edits map[string][]byte) (*manifest.Result, error) {
			return manifest.Build(ctx, manifest.Overlay(source, edits), path, manifest.Limits{})
		},
		name: func(f *kustomization.File) (string, error) {
			name, err := filepath.Rel(root, f.Location())
			return filepath.ToSlash(name), err
		},
	}, nil
}

// prove builds --path with and without the edit, and refuses one that would not do what it says.
func (s *SetImage) prove(ctx context.Context, env *Env, e *edit, contents []kustomization.Content) ([]RenderedImage, error) {
	if s.Path == "" || len(contents) == 0 && len(e.requests) == 0 {
		return nil, nil
	}
	f, err := s.effect(ctx)
	if err != nil {
		return nil, err
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
	before := after
	if len(contents) > 0 {
		if before, err = f.build(nil); err != nil {
			env.Log.Warn("before the edit the kustomization did not build, so what changes cannot be told", zap.Error(err))
			before = after
		}
	}
	changes := renderedImages(before, after)
	if len(e.requests) > 0 {
		return changes, s.proveImages(env, e, f, edits, changes, after)
	}
	if err == nil && bytes.Equal(before.YAML, after.YAML) {
		err = s.accept(failure.New(failure.Invalid, "check that --path includes the file and does not replace the value"+orAccept,
			"%s: the edit changes no rendered object", f.path))
		return changes, err
	}
	return changes, nil
}

// proveImages compares the build with one that lacks the entries that are set: what differs is what they do, and a request
// is about the fields that have its very name there.
func (s *SetImage) proveImages(env *Env, e *edit, f *effect, edits map[string][]byte, changes []RenderedImage, after *manifest.Result) error {
	if len(manifest.Images(after.Objects)) == 0 {
		return s.accept(failure.New(failure.Invalid, "check --path"+orAccept, "%s: renders no image at all", f.path))
	}
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
	entries, rest, err := kustomization.Cut(data, names...)
	if err != nil {
		return err
	}
	if f.others, err = kustomization.Images(rest); err != nil {
		return err
	}
	edits = maps.Clone(edits)
	edits[name] = rest
	bare, err := f.build(edits)
	if err != nil {
		return fmt.Errorf("without the images that are set: %w", err)
	}
	for _, c := range manifest.DiffImages(bare, after) {
		if !slices.Contains(names, repositoryOf(c.Old)) {
			return failure.New(failure.Invalid, "give one of the two another name; kustomize takes the names of images for patterns",
				"%s: image %s, which is not named, would change too: %s %s would become %s", f.path, repositoryOf(c.Old), c.Object, c.Path, c.New)
		}
	}
	for _, entry := range entries {
		if err := s.accept(f.took(env, entry, bare, after, changes)); err != nil {
			return err
		}
	}
	return nil
}

const orAccept = ", or pass --allow-no-effect"

// accept drops what --allow-no-effect puts up with.
func (s *SetImage) accept(err error) error {
	if s.AllowNoEffect {
		return nil
	}
	return err
}

// took says whether the images that an entry is about are as the entry says.
func (f *effect) took(env *Env, entry kustomization.Entry, bare, after *manifest.Result, changes []RenderedImage) error {
	var named []imagePlace
	rendered := images(after)
	var missed []imagePlace
	for _, field := range manifest.Images(bare.Objects) {
		if repositoryOf(field.Image) != entry.Name {
			continue
		}
		at := imagePlace{field.Object, field.Path}
		if named = append(named, at); !entry.Made(rendered[at]) {
			missed = append(missed, at)
		}
	}
	switch {
	case len(named) == 0:
		return failure.New(failure.Invalid, "correct the name"+orAccept, "%s: image %q is in no rendered object; %s", f.path, entry.Name, f.nearest(entry.Name, bare))
	case len(missed) == len(named):
		return failure.New(failure.Invalid, "look for what else sets it; where kustomize does not know the field as an image's, use --set or its configurations"+orAccept,
			"%s: %s %s is rendered as %s and not as %s", f.path, missed[0].object, missed[0].field, rendered[missed[0]], entry.Ref())
	case pinned(named, changes):
		return failure.New(failure.Invalid, "give the digest of the new tag, or leave the digest out"+orAccept,
			"%s: image %q is pulled by its digest, which stays the same", f.path, entry.Name)
	}
	for _, at := range missed {
		env.Log.Warn("an image of this name stays as it is: kustomize does not know the field as an image's",
			zap.String("object", at.object), zap.String("field", at.field), zap.String("image", rendered[at]))
	}
	return nil
}

// imagePlace is where an image stands.
type imagePlace struct{ object, field string }

func images(r *manifest.Result) map[imagePlace]string {
	found := map[imagePlace]string{}
	for _, field := range manifest.Images(r.Objects) {
		found[imagePlace{field.Object, field.Path}] = field.Image
	}
	return found
}

func renderedImages(before, after *manifest.Result) []RenderedImage {
	changes := []RenderedImage{}
	for _, c := range manifest.DiffImages(before, after) {
		changes = append(changes, RenderedImage{c.Object, c.Path, c.Old, c.New})
	}
	return changes
}

func repositoryOf(reference string) string {
	name, _, _ := kustomization.SplitReference(reference)
	return name
}

// pinned says whether images change in writing only, since all of them have a digest, and keep it.
func pinned(named []imagePlace, changes []RenderedImage) bool {
	same := 0
	for _, c := range changes {
		if !slices.Contains(named, imagePlace{c.Object, c.Field}) {
			continue
		}
		name, _, digest := kustomization.SplitReference(c.New)
		old, _, was := kustomization.SplitReference(c.Old)
		if name != old || digest == "" || digest != was {
			return false
		}
		same++
	}
	return same > 0
}

// nearest names images as an entry would have to, which is before another entry has renamed them.
func (f *effect) nearest(name string, r *manifest.Result) string {
	var names []string
	for _, field := range manifest.Images(r.Objects) {
		n := repositoryOf(field.Image)
		if i := slices.IndexFunc(f.others, func(e kustomization.Entry) bool { return e.NewName == n }); i >= 0 {
			n = f.others[i].Name
		}
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return "the nearest names are " + strings.Join(kustomization.Nearest(name, names), ", ")
}
