package kustomization

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/yamledit"
)

// Change is the effect of an edit on one image, as image references. Old is empty when the entry was created, New when it
// was removed. They are equal when only the way the value is written was repaired.
type Change struct{ Name, Old, New string }

// Options say how Set treats what a request leaves open.
type Options struct {
	Create  bool // add images that the file does not have
	KeepTag bool // a digest leaves the tag in place
}

// Set changes the image entries of a kustomization as requested. What a request does not mention stays, except that a tag
// alone drops the digest and a digest alone drops the tag, since a reference with both is pulled by its digest. When all
// is as requested already, out is data and there are no changes. On an error out is nil.
func Set(data []byte, requests []Request, o Options) (out []byte, changes []Change, err error) {
	requests, err = distinct(requests)
	if err != nil {
		return nil, nil, err
	}
	doc, entries, err := load(data)
	if err != nil {
		return nil, nil, err
	}
	out = doc.Bytes()
	for _, r := range requests {
		c := Change{Name: r.Name}
		i := find(entries, r.Name)
		if i < 0 {
			entries, c.New, err = r.create(doc, entries, o)
		} else {
			c.Old = entries[i].Ref()
			c.New, err = r.update(doc, i, entries[i], o)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("image %q: %w", r.Name, err)
		}
		if edited := doc.Bytes(); !bytes.Equal(out, edited) {
			out, changes = edited, append(changes, c)
		}
	}
	return out, changes, nil
}

func distinct(requests []Request) ([]Request, error) {
	var seen []Request
	for _, r := range requests {
		i := slices.IndexFunc(seen, func(s Request) bool { return s.Name == r.Name })
		if i < 0 {
			seen = append(seen, r)
		} else if seen[i] != r {
			return nil, failure.New(failure.Usage, "name each image once", "image %q is requested twice with different values", r.Name)
		}
	}
	return seen, nil
}

func (r Request) update(doc *yamledit.Document, i int, e Entry, o Options) (ref string, err error) {
	if e.TagSuffix != "" {
		return "", failure.New(failure.Invalid, "remove tagSuffix, or edit this entry by hand",
			"line %d: the entry has a tagSuffix, so the tag that is set would not be the one that is used", e.Line)
	}
	want := r.apply(e, o.KeepTag)
	return want.Ref(), update(doc, i, e, want, r)
}

func (r Request) create(doc *yamledit.Document, entries []Entry, o Options) (all []Entry, ref string, err error) {
	if !o.Create {
		return nil, "", r.notFound(entries)
	}
	e := r.apply(Entry{Name: r.Name}, o.KeepTag)
	if e == (Entry{Name: r.Name}) {
		return nil, "", failure.New(failure.Invalid, "name a tag, a digest or another image name",
			"not in the file, and nothing is given to set")
	}
	return append(entries, e), e.Ref(), insert(doc, len(entries), e)
}

func (r Request) notFound(entries []Entry) error {
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name)
	}
	const hint = "correct the name, or pass --create to add the image"
	if len(names) == 0 {
		return failure.New(failure.Invalid, hint, "not in the file, which has no images")
	}
	return failure.New(failure.Invalid, hint, "not in the file; the nearest names are %s", strings.Join(Nearest(r.Name, names), ", "))
}

// Nearest returns up to three of the names, those first that a mistyped name may stand for: with a similar last part,
// since it is the registry that a base renames, and then the similar ones.
func Nearest(name string, among []string) []string {
	sorted := slices.Clone(among)
	slices.SortStableFunc(sorted, func(a, b string) int {
		return cmp.Or(distance(path.Base(name), path.Base(a))-distance(path.Base(name), path.Base(b)), distance(name, a)-distance(name, b))
	})
	return sorted[:min(3, len(sorted))]
}

// distance is the number of single-byte edits between two names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// field is one value of an entry: what the file has, what it shall have, and whether a request names it.
type field struct {
	key, have, want string
	asked           bool
}

func fields(have, want Entry, r Request) []field {
	return []field{
		{"newName", have.NewName, want.NewName, r.NewName != ""},
		{"newTag", have.NewTag, want.NewTag, r.NewTag != ""},
		{"digest", have.Digest, want.Digest, r.Digest != ""},
	}
}

// insert adds an entry as item i of the images.
func insert(doc *yamledit.Document, i int, e Entry) error {
	item := []yamledit.Field{{Key: "name", Value: e.Name}}
	for _, f := range fields(Entry{}, e, Request{}) {
		if f.want != "" {
			item = append(item, yamledit.Field{Key: f.key, Value: f.want})
		}
	}
	return doc.Insert(imagesPath, i, item)
}

// update makes item i of the images, which is have, the wanted entry. A value that the request names is written again
// where some YAML readers would not take it for a string, even if it is the wanted one.
func update(doc *yamledit.Document, i int, have, want Entry, r Request) error {
	all := fields(have, want, r)
	for _, f := range all {
		if f.want == "" || f.want == f.have && !f.asked {
			continue
		}
		if err := doc.Set(imagesPath.With(i, f.key), f.want); err != nil {
			return err
		}
	}
	for _, f := range all {
		if f.want != "" || f.have == "" {
			continue
		}
		if err := doc.Delete(imagesPath.With(i, f.key)); err != nil {
			return err
		}
	}
	return nil
}

// Diff returns the image changes from one version of a kustomization to another, in the order of the newer one; either
// may be nil for a file that does not exist.
func Diff(before, after []byte) ([]Change, error) {
	olds, err := imagesOrNone(before)
	if err != nil {
		return nil, fmt.Errorf("old version: %w", err)
	}
	news, err := imagesOrNone(after)
	if err != nil {
		return nil, fmt.Errorf("new version: %w", err)
	}
	var changes []Change
	for _, e := range news {
		c := Change{Name: e.Name, New: e.Ref()}
		if i := find(olds, e.Name); i >= 0 {
			c.Old = olds[i].Ref()
		}
		if c.Old != c.New {
			changes = append(changes, c)
		}
	}
	for _, e := range olds {
		if find(news, e.Name) < 0 {
			changes = append(changes, Change{Name: e.Name, Old: e.Ref()})
		}
	}
	return changes, nil
}

func imagesOrNone(data []byte) ([]Entry, error) {
	if data == nil {
		return nil, nil
	}
	return Images(data)
}
