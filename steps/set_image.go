package steps

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"slipway/steps/internal/kustomization"
	"slipway/steps/internal/release"
	"slipway/steps/internal/udiff"
)

// SetImage writes image references into the kustomization of one overlay, changing their bytes only.
type SetImage struct {
	Dir, Path string
	Images    []string
	Create    bool
	KeepTag   bool
	DryRun    bool
	Record    string
}

// SetImageDetails is what the result of set-image says.
type SetImageDetails struct {
	Path    string        `json:"path"`
	File    string        `json:"file"`
	Changes []ImageChange `json:"changes"`
	DryRun  bool          `json:"dryRun,omitempty"`
}

// ImageChange is an image reference that was set; Old is empty for an image that was added.
type ImageChange struct {
	Name string `json:"name"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

func newSetImage() *cli.Command {
	s := &SetImage{}
	return step(s, &cli.Command{
		Name:  "set-image",
		Usage: "set image references in a kustomization, changing nothing else in the file",
		Description: "Writes [NAME=]NEWNAME[:TAG][@DIGEST] into the images of the kustomization file in --path. NAME is an entry of the\n" +
			"file. What is not given stays, except that a tag alone drops the digest, which would win over it, and a digest alone\n" +
			"drops the tag (see --keep-tag); * in the place of a part keeps it. All other bytes of the file stay as they are.\n\n" +
			"Unchanged when the file says so already. A file that could be read in two ways is refused and not touched.",
		Flags: []cli.Flag{
			stringFlag(&s.Dir, "dir", ".", "the checkout to work in"),
			stringFlag(&s.Path, "path", "", "the directory of the kustomization, relative to --dir", required),
			stringSliceFlag(&s.Images, "image", "the image to set, as [NAME=]NEWNAME[:TAG][@DIGEST]", required),
			boolFlag(&s.Create, "create", "add an image that the kustomization does not have"),
			boolFlag(&s.KeepTag, "keep-tag", "leave the tag in place when only a digest is given"),
			boolFlag(&s.DryRun, "dry-run", "print the difference and write nothing"),
			stringFlag(&s.Record, "record", defaultRecord, "the file that tells later steps what was found out"),
		},
	})
}

// Run sets all the images or none of them. It works on the files of --dir only and needs neither Git nor a network.
func (s *SetImage) Run(_ context.Context, env *Env) (result Result, err error) {
	requests := make([]kustomization.Request, len(s.Images))
	for i, image := range s.Images {
		if requests[i], err = kustomization.ParseRequest(image); err != nil {
			return Result{}, err
		}
	}
	file, err := kustomization.Open(s.Dir, s.Path)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	data, changes, err := kustomization.Set(file.Data, requests, kustomization.Options{Create: s.Create, KeepTag: s.KeepTag})
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", file.Path, err)
	}
	details := SetImageDetails{Path: filepath.ToSlash(filepath.Clean(s.Path)), File: file.Path, Changes: []ImageChange{}, DryRun: s.DryRun}
	for _, c := range changes {
		details.Changes = append(details.Changes, ImageChange(c))
	}
	result = Result{Step: "set-image", Outcome: Changed, Details: details}
	switch {
	case len(changes) == 0:
		result.Outcome = Unchanged
		env.Log.Info("all images are as asked already", zap.String("file", file.Path))
		if !s.DryRun {
			err = s.note(env, file, requests, details)
		}
	case s.DryRun:
		_, err = fmt.Fprint(env.Stderr, udiff.Unified(file.Path, file.Data, data))
	default:
		err = s.write(env, file, data, details)
	}
	return result, err
}

// note tells commit-push which images it is about although none changes, so that it can name the commit that set them.
func (s *SetImage) note(env *Env, file *kustomization.File, requests []kustomization.Request, details SetImageDetails) error {
	record, err := release.ReadRecord(s.Record)
	if err != nil || record.Commit != "" {
		return err
	}
	entries, err := kustomization.Images(file.Data)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if slices.ContainsFunc(requests, func(r kustomization.Request) bool { return r.Name == e.Name }) {
			details.Changes = append(details.Changes, ImageChange{Name: e.Name, Old: e.Ref(), New: e.Ref()})
		}
	}
	env.keep(withImages(record, details), s.Record)
	return nil
}

func (s *SetImage) write(env *Env, file *kustomization.File, data []byte, details SetImageDetails) error {
	record, err := release.ReadRecord(s.Record)
	if err != nil {
		return err
	}
	if err = file.Replace(data); err != nil {
		return err
	}
	for _, c := range details.Changes {
		env.Log.Info("image set", zap.String("file", file.Path), zap.String("old", c.Old), zap.String("new", c.New))
	}
	env.keep(withImages(record, details), s.Record)
	return nil
}

// withImages adds the changes to a record. One that names a commit is of a release that is over.
func withImages(r release.Record, details SetImageDetails) release.Record {
	if r.Commit != "" {
		r = release.Record{}
	}
	i := slices.IndexFunc(r.Images, func(p release.PathImages) bool { return p.Path == details.Path })
	if i < 0 {
		i = len(r.Images)
		r.Images = append(r.Images, release.PathImages{Path: details.Path})
	}
	images := &r.Images[i].Images
	for _, c := range details.Changes {
		at := slices.IndexFunc(*images, func(image release.Image) bool { return image.Name == c.Name })
		if at < 0 {
			*images = append(*images, release.Image{Name: c.Name, New: c.New, Old: c.Old})
		} else {
			(*images)[at].New = c.New
		}
	}
	return r
}
