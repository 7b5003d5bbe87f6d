package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"slipway/steps/internal/kustomization"
	"slipway/steps/internal/release"
	"slipway/steps/internal/udiff"
)

// SetImage writes image references into the kustomization of one overlay, and single values into any YAML files, changing
// their bytes only.
type SetImage struct {
	Dir, Path     string
	Images        []string
	Values        []string
	Create        bool
	KeepTag       bool
	AllowNoEffect bool
	DryRun        bool
	Record        string

	building buildOptions
}

// SetImageDetails is what the result of set-image says. File and Changes are about --image, Values about --set.
type SetImageDetails struct {
	Path    string        `json:"path,omitempty"`
	File    string        `json:"file,omitempty"`
	Changes []ImageChange `json:"changes"`
	Values  []ValueChange `json:"values,omitempty"`
	// Rendered are the image fields of the objects of --path that change.
	Rendered []RenderedImage `json:"rendered,omitzero"`
	DryRun   bool            `json:"dryRun,omitempty"`
}

// ImageChange is an image reference that was set; Old is empty for an image that was added.
type ImageChange struct {
	Name string `json:"name"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

func newSetImage() *cli.Command {
	s := &SetImage{}
	flags := []cli.Flag{
		stringFlag(&s.Dir, "dir", ".", "the checkout to work in"),
		stringFlag(&s.Path, "path", "", "the directory of the kustomization, relative to --dir; needed with --image, and what proves the effect of --set"),
		stringSliceFlag(&s.Images, "image", "the image to set, as [NAME=]NEWNAME[:TAG][@DIGEST]"),
		stringSliceFlag(&s.Values, "set", "the value to set, as FILE[#CONDITIONS]:PATH=VALUE; text stays text, "+
			"a number or boolean only becomes another"),
	}
	flags = append(flags, s.editFlags()...)
	flags = append(flags,
		boolFlag(&s.DryRun, "dry-run", "print the difference and write nothing"),
		stringFlag(&s.Record, "record", defaultRecord, "the file that tells later steps what was found out"),
	)
	return step(s, &cli.Command{
		Name:  "set-image",
		Usage: "set image references in a kustomization, or values in YAML files, changing nothing else in them",
		Description: "Writes [NAME=]NEWNAME[:TAG][@DIGEST] into the images of the kustomization file in --path. NAME is an entry of the\n" +
			"file. What is not given stays, except that a tag alone drops the digest, which would win over it, and a digest alone\n" +
			"drops the tag (see --keep-tag); * in the place of a part keeps it.\n\n" +
			valuesDescription + "\n\n" +
			"The kustomization in --path is then built before and after, in this process and without a network, and nothing is written\n" +
			"unless it builds, every image that was asked for is rendered as asked, and no other image changes. The result lists the\n" +
			"changed images by object. --set without --path is not built, as a Helm chart cannot be.\n\n" +
			"All other bytes stay as they are. Unchanged when the files say so already. A file that could be read in two ways is\n" +
			"refused, and then none is touched.",
		Flags: append(flags, s.building.flags()...),
	})
}

// editFlags say how to treat what is not there, or has no effect.
func (s *SetImage) editFlags() []cli.Flag {
	return []cli.Flag{
		boolFlag(&s.Create, "create", "add an image or a key that the file does not have; a new key gets text"),
		boolFlag(&s.KeepTag, "keep-tag", "leave the tag in place when only a digest is given"),
		boolFlag(&s.AllowNoEffect, "allow-no-effect", "accept an edit that does not change what is rendered as it says"),
	}
}

// Run sets all the images and values or none of them. It works on the files of --dir and of the repository around it, and
// needs neither Git nor a network.
func (s *SetImage) Run(ctx context.Context, env *Env) (result Result, err error) {
	e, err := s.parse()
	if err != nil {
		return Result{}, err
	}
	tree, err := kustomization.OpenTree(s.Dir)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, tree.Close()) }()
	if err = e.open(tree, s.Path); err != nil {
		return Result{}, err
	}
	details := SetImageDetails{DryRun: s.DryRun}
	contents, err := e.apply(&details)
	if err != nil {
		return Result{}, err
	}
	if e.kustomization != nil {
		details.Path, details.File = filepath.ToSlash(filepath.Clean(s.Path)), e.kustomization.Path
	}
	if s.Path != "" {
		f, err := s.effect(ctx)
		if err != nil {
			return Result{}, err
		}
		if details.Rendered, err = s.prove(env, f, e, contents); err != nil {
			return Result{}, err
		}
	}
	result = Result{Step: "set-image", Outcome: Changed, Details: details}
	if len(contents) == 0 {
		result.Outcome = Unchanged
		env.Log.Info("all is as asked already", zap.Strings("files", e.names()))
	}
	if s.DryRun {
		return result, s.preview(env.Stderr, contents, details.Rendered)
	}
	return result, s.write(env, e, contents, details)
}

// preview shows what would be written, and what that would change.
func (s *SetImage) preview(w io.Writer, contents []kustomization.Content, rendered []RenderedImage) (err error) {
	for _, c := range contents {
		_, err = fmt.Fprint(w, udiff.Unified(c.File.Path, c.File.Data, c.Data))
	}
	for _, r := range rendered {
		_, err = fmt.Fprintf(w, "%s %s: %s -> %s\n", r.Object, r.Field, cmp.Or(r.Old, "none"), cmp.Or(r.New, "none"))
	}
	return err
}

func (s *SetImage) write(env *Env, e *edit, contents []kustomization.Content, details SetImageDetails) error {
	record, err := release.ReadRecord(s.Record)
	if err != nil {
		return err
	}
	if err = kustomization.Replace(contents); err != nil {
		return err
	}
	for _, c := range details.Changes {
		env.Log.Info("image set", zap.String("file", details.File), zap.String("old", c.Old), zap.String("new", c.New))
	}
	for _, r := range details.Rendered {
		env.Log.Info("rendered image changes", zap.String("object", r.Object), zap.String("field", r.Field), zap.String("old", r.Old), zap.String("new", r.New))
	}
	for _, v := range details.Values {
		env.Log.Info("value set", zap.String("file", v.File), zap.String("path", v.Path), zap.String("old", v.Old), zap.String("new", v.New))
	}
	// A record that names a commit is of a release that is over.
	over := record.Commit != ""
	if over {
		record = release.Record{}
	}
	if over && len(contents) == 0 || !over && e.kustomization == nil {
		return nil
	}
	if e.kustomization != nil {
		if len(details.Changes) == 0 {
			if details.Changes, err = e.unchanged(); err != nil {
				return err
			}
		}
		record = withImages(record, details)
	}
	env.keep(record, s.Record)
	return nil
}

// withImages adds the changes to a record.
func withImages(r release.Record, details SetImageDetails) release.Record {
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
