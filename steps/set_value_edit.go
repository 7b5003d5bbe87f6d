package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/kustomization"
	"slipway/steps/internal/manifest"
)

// edit is what the flags ask for, and the files it is about.
type edit struct {
	requests []kustomization.Request
	options  kustomization.Options
	settings []setting

	files         []*kustomization.File // each once
	kustomization *kustomization.File   // among files, if there are requests
}

func (s *SetImage) parse() (*edit, error) {
	e := &edit{options: kustomization.Options{Create: s.Create, KeepTag: s.KeepTag}}
	switch {
	case len(s.Images) == 0 && len(s.Values) == 0:
		return nil, failure.New(failure.Usage, "", "neither --image nor --set says what to set")
	case len(s.Images) > 0 && s.Path == "":
		return nil, failure.New(failure.Usage, "name the directory of the kustomization", "--image needs --path")
	}
	for _, image := range s.Images {
		r, err := kustomization.ParseRequest(image)
		if err != nil {
			return nil, err
		}
		e.requests = append(e.requests, r)
	}
	for _, value := range s.Values {
		v, err := parseSetting(value)
		if err != nil {
			return nil, err
		}
		e.settings = append(e.settings, v)
	}
	return e, nil
}

// open reads the files, all at once, since they are locked.
func (e *edit) open(tree *kustomization.Tree, overlay string) error {
	var paths []string
	for _, v := range e.settings {
		paths = append(paths, v.path)
	}
	if len(e.requests) > 0 {
		path, err := tree.Kustomization(overlay)
		if err != nil {
			return err
		}
		paths = append(paths, path)
	}
	files, err := tree.Open(paths...)
	if err != nil {
		return err
	}
	e.use(files)
	return nil
}

// read takes the files from a source, which are changed there by nobody.
func (e *edit) read(ctx context.Context, source manifest.Source, overlay string) error {
	var paths []string
	for _, v := range e.settings {
		paths = append(paths, v.path)
	}
	if len(e.requests) > 0 {
		names, err := source.ReadDir(ctx, overlay)
		if err != nil {
			return notThere(err)
		}
		name, err := kustomization.Find(names)
		if err != nil {
			return fmt.Errorf("path %s: %w", overlay, err)
		}
		paths = append(paths, path.Join(overlay, name))
	}
	files, byName := make([]*kustomization.File, len(paths)), map[string]*kustomization.File{}
	for i, p := range paths {
		info, err := source.Stat(ctx, p)
		if err != nil {
			return notThere(err)
		}
		if byName[info.Path] == nil {
			data, err := source.ReadFile(ctx, info.Path)
			if err != nil {
				return err
			}
			byName[info.Path] = &kustomization.File{Path: info.Path, Data: data}
		}
		files[i] = byName[info.Path]
	}
	e.use(files)
	return nil
}

func notThere(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return failure.New(failure.Usage, "check the path; it is relative to the root of the repository", "%w", err)
	}
	return err
}

// use takes the files of the settings, in their order, and behind them the kustomization.
func (e *edit) use(files []*kustomization.File) {
	for i := range e.settings {
		e.settings[i].file = files[i]
	}
	if len(e.requests) > 0 {
		e.kustomization = files[len(files)-1]
		files = slices.Insert(files[:len(files)-1], 0, e.kustomization)
	}
	for _, f := range files {
		if !slices.Contains(e.files, f) {
			e.files = append(e.files, f)
		}
	}
}

func (e *edit) names() []string {
	var names []string
	for _, f := range e.files {
		names = append(names, f.Path)
	}
	return names
}

// apply computes the files that change, and lists the changes in details.
func (e *edit) apply(details *SetImageDetails) (contents []kustomization.Content, err error) {
	details.Changes = []ImageChange{}
	for _, f := range e.files {
		data, err := e.applyTo(f, f.Data, details)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		if err = e.settled(f, data); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		if !bytes.Equal(data, f.Data) {
			contents = append(contents, kustomization.Content{File: f, Data: data})
		}
	}
	return contents, nil
}

// settled refuses a file that running again would change again.
func (e *edit) settled(f *kustomization.File, data []byte) error {
	if len(e.settings) == 0 {
		return nil
	}
	var again SetImageDetails
	if _, err := e.applyTo(f, data, &again); err != nil || len(again.Changes)+len(again.Values) > 0 {
		return failure.New(failure.Usage, "ask for each value once", "one of the settings undoes another")
	}
	return nil
}

func (e *edit) applyTo(f *kustomization.File, data []byte, details *SetImageDetails) ([]byte, error) {
	if f == e.kustomization {
		out, changes, err := kustomization.Set(data, e.requests, e.options)
		if err != nil {
			return nil, err
		}
		for _, c := range changes {
			details.Changes = append(details.Changes, ImageChange(c))
		}
		data = out
	}
	settings := slices.DeleteFunc(slices.Clone(e.settings), func(v setting) bool { return v.file != f })
	if len(settings) == 0 {
		return data, nil
	}
	out, changes, err := setValues(data, settings, e.options.Create)
	details.Values = append(details.Values, changes...)
	return out, err
}

// unchanged tells commit-push which images it is about although none changes, so that it can name the commit that set them.
func (e *edit) unchanged() (images []ImageChange, err error) {
	entries, err := kustomization.Images(e.kustomization.Data)
	for _, entry := range entries {
		if slices.ContainsFunc(e.requests, func(r kustomization.Request) bool { return r.Name == entry.Name }) {
			images = append(images, ImageChange{Name: entry.Name, Old: entry.Ref(), New: entry.Ref()})
		}
	}
	return images, err
}
