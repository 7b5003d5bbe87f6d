package approval

import (
	"fmt"
	"strings"
)

// imageView is an image with what is before and after the arrow.
type imageView struct {
	Name, Path string // Path only where it is not that of the release
	Old, New   reference
}

// reference is what follows the name in a reference, which is all of it where it begins with another name.
type reference struct{ Version, Digest string }

func viewImage(i Image, path string) imageView {
	v := imageView{Name: i.Name, Old: viewReference(i.Name, i.Old, "not there"), New: viewReference(i.Name, i.New, "removed")}
	if i.Path != path {
		v.Path = i.Path
	}
	return v
}

func viewReference(name, ref, none string) reference {
	if ref == "" {
		return reference{Version: none}
	}
	version, digest, _ := strings.Cut(ref, "@")
	if tag, ok := strings.CutPrefix(version, name+":"); ok {
		version = tag
	} else if version == name && digest != "" {
		version = ""
	}
	return reference{version, digest}
}

func (r reference) String() string { return orElse(r.Version, r.Digest) }

type objectsView struct {
	Objects []Object
	Summary string
	Open    bool
}

func viewObjects(objects []Object, folded bool) objectsView {
	var kinds []string
	counts := map[string]int{}
	for _, o := range objects {
		if counts[o.Change]++; counts[o.Change] == 1 {
			kinds = append(kinds, o.Change)
		}
	}
	for i, kind := range kinds {
		kinds[i] = fmt.Sprintf("%d %s", counts[kind], kind)
	}
	return objectsView{objects, strings.Join(kinds, ", "), !folded && len(objects) <= shortList}
}

type diffView struct {
	Parts   []diffPart
	Summary string
	Open    bool
}

// diffPart is successive lines of one kind.
type diffPart struct{ Kind, Text string }

func viewDiff(diff string, folded bool) diffView {
	if diff == "" {
		return diffView{}
	}
	lines := strings.SplitAfter(strings.TrimSuffix(diff, "\n"), "\n")
	v := diffView{Summary: count(len(lines), "line"), Open: !folded && len(lines) <= shortDiff}
	for i := range lines {
		kind := lineKind(lines, i)
		if last := len(v.Parts) - 1; last >= 0 && v.Parts[last].Kind == kind {
			v.Parts[last].Text += lines[i]
		} else {
			v.Parts = append(v.Parts, diffPart{kind, lines[i]})
		}
	}
	return v
}

// lineKind tells a removed line that begins with "--" from the name of a file by the lines around it. A line that begins with
// "~" is outside of a unified diff: it says what changes in an object.
func lineKind(lines []string, i int) string {
	begins := func(i int, prefix string) bool {
		return i >= 0 && i < len(lines) && strings.HasPrefix(lines[i], prefix)
	}
	names := func(i int) bool { return begins(i, "--- ") && begins(i+1, "+++ ") && begins(i+2, "@@ ") }
	switch {
	case begins(i, "~ "):
		return "object"
	case names(i), names(i - 1), begins(i, "@@ "):
		return "place"
	case begins(i, "+"):
		return "added"
	case begins(i, "-"):
		return "removed"
	default:
		return ""
	}
}
