package steps

import (
	"slices"
	"strings"

	"go.uber.org/zap"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/kustomization"
	"slipway/steps/internal/manifest"
)

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
