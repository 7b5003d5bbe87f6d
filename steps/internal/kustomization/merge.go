package kustomization

import (
	"bytes"
	"slices"

	"slipway/steps/internal/yamledit"
)

// Conflict is an image value that both sides of a merge changed differently. Key is like images[name=app].newTag; the
// values are what each side has, empty where it has none.
type Conflict struct{ Key, Base, Ours, Theirs string }

// Merge merges two versions of a kustomization that come from base. Image entries merge by name: the new name is one
// value, tag and digest together are another. All else goes through text, a merge by lines. It returns ok false when
// the file cannot be handled this way, for a refused file as well as for lines that conflict; conflicts are those of
// image values only, and merged is nil if there are any.
func Merge(base, ours, theirs []byte, text func(base, ours, theirs []byte) ([]byte, bool)) (merged []byte, conflicts []Conflict, ok bool) {
	sides := [][]byte{base, ours, theirs}
	entries := make([][]Entry, len(sides))
	for i, side := range sides {
		var err error
		if _, entries[i], err = load(side); err != nil {
			return nil, nil, false
		}
	}
	want, conflicts := mergeEntries(entries[0], entries[1], entries[2])
	if len(conflicts) > 0 {
		return nil, conflicts, true
	}
	// With the merged images on all three sides, what still differs is no image value and only the text is left to merge.
	for i, side := range sides {
		var err error
		if sides[i], err = replaceAll(side, want); err != nil {
			return nil, nil, false
		}
	}
	merged, ok = mergeText(sides[0], sides[1], sides[2], text)
	if !ok {
		return nil, nil, false
	}
	got, err := Images(merged)
	if err != nil || !sameSet(got, want) {
		return nil, nil, false
	}
	return merged, nil, true
}

func mergeText(base, ours, theirs []byte, text func(base, ours, theirs []byte) ([]byte, bool)) ([]byte, bool) {
	switch {
	case bytes.Equal(base, theirs), bytes.Equal(ours, theirs):
		return ours, true
	case bytes.Equal(base, ours):
		return theirs, true
	}
	return text(base, ours, theirs)
}

func sameSet(got, want []Entry) bool {
	return len(got) == len(want) && !slices.ContainsFunc(got, func(e Entry) bool {
		i := find(want, e.Name)
		return i < 0 || !e.same(want[i])
	})
}

// mergeEntries returns ours' entries with theirs' changes, what theirs added last.
func mergeEntries(base, ours, theirs []Entry) (merged []Entry, conflicts []Conflict) {
	names := slices.Concat(ours, theirs, base)
	for i, e := range names {
		if find(names[:i], e.Name) >= 0 {
			continue
		}
		m := entryMerge{name: e.Name, base: lookup(base, e.Name), ours: lookup(ours, e.Name), theirs: lookup(theirs, e.Name)}
		result, conflict := m.merge()
		if result != nil {
			merged = append(merged, *result)
		}
		conflicts = append(conflicts, conflict...)
	}
	return merged, conflicts
}

func lookup(entries []Entry, name string) *Entry {
	if i := find(entries, name); i >= 0 {
		return &entries[i]
	}
	return nil
}

// entryMerge is the three-way merge of the entries of one name; nil is a side without such an entry.
type entryMerge struct {
	name               string
	base, ours, theirs *Entry
}

func (m entryMerge) merge() (*Entry, []Conflict) {
	switch {
	case equal(m.ours, m.theirs), equal(m.base, m.theirs):
		return m.ours, nil
	case equal(m.base, m.ours):
		return m.theirs, nil
	case m.base == nil, m.ours == nil, m.theirs == nil:
		return nil, []Conflict{{Key: m.key(""), Base: refOf(m.base), Ours: refOf(m.ours), Theirs: refOf(m.theirs)}}
	}
	e, conflicts := *m.ours, []Conflict(nil)
	var ok bool
	if e.NewName, ok = threeWay(m.base.NewName, m.ours.NewName, m.theirs.NewName); !ok {
		conflicts = append(conflicts, Conflict{Key: m.key(".newName"), Base: m.base.NewName, Ours: m.ours.NewName, Theirs: m.theirs.NewName})
	}
	version, ok := threeWay(m.base.version(), m.ours.version(), m.theirs.version())
	if !ok {
		conflicts = append(conflicts, m.versionConflict())
	}
	e.NewTag, e.Digest = version.tag, version.digest
	return &e, conflicts
}

func (m entryMerge) key(field string) string { return "images[name=" + m.name + "]" + field }

func (m entryMerge) versionConflict() Conflict {
	base, ours, theirs := m.base.version(), m.ours.version(), m.theirs.version()
	if base.tag == ours.tag && ours.tag == theirs.tag {
		return Conflict{Key: m.key(".digest"), Base: base.digest, Ours: ours.digest, Theirs: theirs.digest}
	}
	return Conflict{Key: m.key(".newTag"), Base: base.String(), Ours: ours.String(), Theirs: theirs.String()}
}

// version is tag and digest, which make sense together only.
type version struct{ tag, digest string }

func (e Entry) version() version { return version{e.NewTag, e.Digest} }

func (v version) String() string {
	if v.digest == "" {
		return v.tag
	}
	return v.tag + "@" + v.digest
}

func threeWay[T comparable](base, ours, theirs T) (T, bool) {
	if base == ours {
		return theirs, true
	}
	return ours, base == theirs || ours == theirs
}

func equal(a, b *Entry) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.same(*b)
}

func refOf(e *Entry) string {
	if e == nil {
		return ""
	}
	return e.Ref()
}

// replaceAll makes the images of a kustomization the wanted ones. Entries that are there already stay where they are;
// the others are put behind their predecessor in want.
func replaceAll(data []byte, want []Entry) ([]byte, error) {
	doc, have, err := load(data)
	if err != nil {
		return nil, err
	}
	at := 0
	for _, e := range want {
		i := find(have, e.Name)
		if i >= 0 {
			err = update(doc, i, have[i], e, Request{})
		} else {
			i, have = at, slices.Insert(have, at, e)
			err = insert(doc, i, e)
		}
		if err != nil {
			return nil, err
		}
		at = i + 1
	}
	return remove(doc, have, want)
}

func remove(doc *yamledit.Document, have, want []Entry) ([]byte, error) {
	if len(want) == 0 && len(have) > 0 {
		err := doc.Delete(imagesPath)
		return doc.Bytes(), err
	}
	for i := len(have) - 1; i >= 0; i-- {
		if find(want, have[i].Name) >= 0 {
			continue
		}
		if err := doc.Delete(imagesPath.With(i)); err != nil {
			return nil, err
		}
	}
	return doc.Bytes(), nil
}
