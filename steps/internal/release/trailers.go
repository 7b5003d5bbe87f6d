// Package release holds what is known of a release: its trailers in the commit message, the rules that a walk of commits
// answers with them, and the record that carries it from one step to the next. The record is a convenience; the trailers
// are the truth.
package release

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Image is one image of a kustomization and its effective references. Old is empty when the release created the entry, New
// when it removed it.
type Image struct {
	Name string `json:"name"`
	New  string `json:"new,omitempty"`
	Old  string `json:"old,omitempty"`
}

// PathImages are the images that changed in the kustomization of one directory: slash separated, "." for the root.
type PathImages struct {
	Path   string  `json:"path"`
	Images []Image `json:"images,omitempty"`
}

// Trailers is what slipway writes at the end of a commit message. Empty fields are left out; an Order of 0 is none.
type Trailers struct {
	Release, Job                     string
	Order                            int64
	Build, Source, Reverts, Approval string
	Paths                            []PathImages
}

// The keys of the trailers.
const (
	keyRelease  = "Slipway-Release"
	keyJob      = "Slipway-Job"
	keyOrder    = "Slipway-Order"
	keyBuild    = "Slipway-Build"
	keySource   = "Source-Commit"
	keyReverts  = "Slipway-Reverts"
	keyApproval = "Slipway-Approval"
	keyPath     = "Slipway-Path"
	keyImage    = "Slipway-Image"
)

const none = "none"

// Append returns message with the trailers at its end, joined to the trailers that are there already. Trailers of slipway
// that the message brings along are replaced: only what t says is said. Values become one line, so that no value can hold
// another trailer.
func (t Trailers) Append(message string) string {
	body, block := split(message)
	var kept []string
	for _, tr := range block {
		if !tr.isOurs() {
			kept = append(kept, tr.raw)
		}
	}
	lines := append(kept, t.lines()...)
	body = strings.TrimRightFunc(body, unicode.IsSpace)
	if len(lines) == 0 {
		return body + "\n"
	}
	return body + "\n\n" + strings.Join(lines, "\n") + "\n"
}

func (t Trailers) lines() []string {
	var lines []string
	add := func(key, value string) {
		if value = oneLine(value); value != "" {
			lines = append(lines, key+": "+value)
		}
	}
	add(keyRelease, t.Release)
	add(keyReverts, t.Reverts)
	for _, p := range t.Paths {
		add(keyPath, orElse(oneLine(p.Path), "."))
		for _, i := range p.Images {
			add(keyImage, fmt.Sprintf("%s=%s (was %s)", i.Name, orElse(i.New, none), orElse(i.Old, none)))
		}
	}
	add(keyJob, t.Job)
	if t.Order != 0 {
		add(keyOrder, strconv.FormatInt(t.Order, 10))
	}
	add(keyBuild, t.Build)
	add(keySource, t.Source)
	add(keyApproval, t.Approval)
	return lines
}

// ParseTrailers reads the trailers of a commit message. Like git interpret-trailers it looks at the last paragraph only, so
// trailers of another commit that the text quotes do not count. What it does not understand is left out; of a value given
// twice the last counts.
func ParseTrailers(message string) Trailers {
	var t Trailers
	_, block := split(message)
	for _, tr := range block {
		switch strings.ToLower(tr.key) {
		case strings.ToLower(keyRelease):
			t.Release = tr.value
		case strings.ToLower(keyReverts):
			t.Reverts = tr.value
		case strings.ToLower(keyJob):
			t.Job = tr.value
		case strings.ToLower(keyOrder):
			t.Order, _ = strconv.ParseInt(tr.value, 10, 64)
		case strings.ToLower(keyBuild):
			t.Build = tr.value
		case strings.ToLower(keySource):
			t.Source = tr.value
		case strings.ToLower(keyApproval):
			t.Approval = tr.value
		case strings.ToLower(keyPath):
			t.Paths = append(t.Paths, PathImages{Path: tr.value})
		case strings.ToLower(keyImage):
			if image, ok := parseImage(tr.value); ok && len(t.Paths) > 0 {
				last := &t.Paths[len(t.Paths)-1]
				last.Images = append(last.Images, image)
			}
		}
	}
	return t
}

// parseImage reads "name=new (was old)".
func parseImage(value string) (Image, bool) {
	name, references, ok := strings.Cut(value, "=")
	if !ok {
		return Image{}, false
	}
	references, ok = strings.CutSuffix(references, ")")
	if !ok {
		return Image{}, false
	}
	to, from, ok := strings.Cut(references, " (was ")
	return Image{Name: name, New: unlessNone(to), Old: unlessNone(from)}, ok
}

func unlessNone(reference string) string {
	if reference == none {
		return ""
	}
	return reference
}

func orElse(value, empty string) string {
	if value == "" {
		return empty
	}
	return value
}

// oneLine replaces whatever could end the line, or hide from a reader what it says, by a space.
func oneLine(value string) string {
	visible := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(value, "\uFFFD"))
	return strings.TrimSpace(visible)
}
