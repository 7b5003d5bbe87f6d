// Package kustomization reads and changes the image entries of kustomization files, byte-exactly. All changes go through
// package yamledit, so whatever is ambiguous is refused with its line and no half of a change is ever returned.
package kustomization

import (
	"path"
	"slices"
	"strings"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/yamledit"
)

// Entry is one item of the images list of a kustomization.
type Entry struct {
	Name, NewName, NewTag, Digest, TagSuffix string
	Line                                     int
}

// Ref returns the image reference that the entry makes kustomize write: the new name or the name, with what the entry
// says of tag and digest.
func (e Entry) Ref() string {
	ref := e.repository()
	if e.NewTag != "" {
		ref += ":" + e.NewTag + e.TagSuffix
	}
	if e.Digest != "" {
		ref += "@" + e.Digest
	}
	return ref
}

func (e Entry) repository() string {
	if e.NewName != "" {
		return e.NewName
	}
	return e.Name
}

// Set returns what kustomize makes of an image reference that the entry matches.
func (e Entry) Set(reference string) string {
	name, tag, digest := SplitReference(reference)
	if e.NewName != "" {
		name = e.NewName
	}
	if e.NewTag != "" || e.Digest != "" {
		tag, digest = e.NewTag, e.Digest
	}
	if tag != "" {
		name += ":" + tag + e.TagSuffix
	}
	if digest != "" {
		name += "@" + digest
	}
	return name
}

// Made reports whether a rendered image is one that the entry has set: with all that the entry says.
func (e Entry) Made(reference string) bool {
	name, tag, digest := SplitReference(reference)
	return name == e.repository() && (e.NewTag == "" || tag == e.NewTag+e.TagSuffix) && (e.Digest == "" || digest == e.Digest)
}

// same reports whether both entries ask for the same, wherever they stand.
func (e Entry) same(other Entry) bool {
	return e.Name == other.Name && e.NewName == other.NewName && e.NewTag == other.NewTag && e.Digest == other.Digest
}

var (
	fileNames   = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}
	entryFields = []string{"name", "newName", "newTag", "digest", "tagSuffix"}
)

// IsFile reports whether a path has one of the names under which kustomize looks for a kustomization.
func IsFile(name string) bool { return slices.Contains(fileNames, path.Base(name)) }

// Find picks the kustomization file out of the names in a directory. None and several are errors of kind Invalid.
func Find(names []string) (string, error) {
	var found []string
	for _, name := range names {
		if slices.Contains(fileNames, name) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return "", failure.New(failure.Invalid, "check that the path is the directory of an overlay",
			"no kustomization file (%s)", strings.Join(fileNames, ", "))
	case 1:
		return found[0], nil
	}
	return "", failure.New(failure.Invalid, "remove all but one of them; kustomize refuses such a directory too",
		"several kustomization files: %s", strings.Join(found, ", "))
}

// Images returns the image entries of a kustomization in their order. A file that is ambiguous to its readers, for
// instance for two entries of the same name, is an error of kind Invalid.
func Images(data []byte) ([]Entry, error) {
	_, entries, err := load(data)
	return entries, err
}

func load(data []byte) (*yamledit.Document, []Entry, error) {
	doc, err := yamledit.Parse(data)
	if err != nil {
		return nil, nil, err
	}
	if err = checkTop(doc); err != nil {
		return nil, nil, err
	}
	images := doc.Look(imagesPath)
	switch images.Kind {
	case yamledit.Missing, yamledit.Null:
		return doc, nil, nil
	case yamledit.Sequence:
	default:
		return nil, nil, refuse(images.Line, "images is not a list")
	}
	entries := make([]Entry, 0, images.Len)
	for i := range images.Len {
		var e Entry
		e, err = entryAt(doc, i)
		if err != nil {
			return nil, nil, err
		}
		if first := find(entries, e.Name); first >= 0 {
			return nil, nil, refuse(e.Line, "image %q is already on line %d", e.Name, entries[first].Line)
		}
		entries = append(entries, e)
	}
	return doc, entries, nil
}

var imagesPath = yamledit.Path{"images"}

func refuse(line int, format string, args ...any) error {
	return failure.New(failure.Invalid, "correct the kustomization by hand", "line %d: "+format, append([]any{line}, args...)...)
}

func find(entries []Entry, name string) int {
	return slices.IndexFunc(entries, func(e Entry) bool { return e.Name == name })
}

func checkTop(doc *yamledit.Document) error {
	kind := doc.Look(yamledit.Path{"kind"})
	if kind.Kind != yamledit.Missing && kind.Text != "Kustomization" && kind.Text != "Component" {
		return refuse(kind.Line, "kind is %q, not Kustomization or Component", kind.Text)
	}
	for _, key := range doc.Look(nil).Keys {
		line := doc.Look(yamledit.Path{key}).Line
		switch {
		case key == "imageTags":
			return failure.New(failure.Invalid, "rename it with kustomize edit fix", "line %d: legacy field imageTags", line)
		case key == "<<":
			return refuse(line, "merge key at the top of the file")
		case key != "images" && strings.EqualFold(key, "images"):
			// Kustomize matches keys without regard to case.
			return refuse(line, "key %q must be written images", key)
		}
	}
	return nil
}

func entryAt(doc *yamledit.Document, i int) (Entry, error) {
	item := imagesPath.With(i)
	v := doc.Look(item)
	if v.Kind != yamledit.Mapping {
		return Entry{}, refuse(v.Line, "image entry is not a mapping")
	}
	e := Entry{Line: v.Line}
	fields := map[string]*string{
		"name": &e.Name, "newName": &e.NewName, "newTag": &e.NewTag, "digest": &e.Digest, "tagSuffix": &e.TagSuffix,
	}
	for _, key := range v.Keys {
		field, value := fields[key], doc.Look(item.With(key))
		switch {
		case field == nil:
			return Entry{}, refuse(value.Line, "image entry has a field %q; the fields are %s", key, strings.Join(entryFields, ", "))
		case value.Kind != yamledit.Scalar && value.Kind != yamledit.Null:
			return Entry{}, refuse(value.Line, "%s of an image entry is not a single value", key)
		}
		*field = value.Text
	}
	if e.Name == "" {
		return Entry{}, refuse(e.Line, "image entry without a name")
	}
	return e, nil
}
