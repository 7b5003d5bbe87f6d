package kustomization

import (
	"fmt"
	"regexp"
	"strings"

	"slipway/steps/internal/failure"
)

// Request is one parsed --image argument: what shall become of the image entry with that name. What is empty and not
// kept was not mentioned; see Set for what that means.
type Request struct {
	Name                    string
	NewName, NewTag, Digest string
	KeepTag, KeepDigest     bool // asked for with *
}

const (
	requestForms = "write [NAME=]NEWNAME[:TAG][@DIGEST], such as app:v2, " +
		"app=registry.local/team/app:v2, app=*:v2 or app@sha256:...; * keeps a value"
	host    = `[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*(:[0-9]+)?`
	segment = `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
	// Manifests may hold any placeholder that kustomize is to replace, so a NAME may have capitals.
	nameSegment = `[A-Za-z0-9]+((\.|_|__|-+)[A-Za-z0-9]+)*`
)

var (
	repositoryShape = regexp.MustCompile(`^(` + host + `/)?` + segment + `(/` + segment + `)*$`)
	nameShape       = regexp.MustCompile(`^(` + host + `/)?` + nameSegment + `(/` + nameSegment + `)*$`)
	tagShape        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	digestShape     = regexp.MustCompile(`^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`)
)

// ParseRequest reads [NAME=]NEWNAME[:TAG][@DIGEST], where * in the place of NEWNAME, TAG or DIGEST keeps what the file
// has. Without NAME= the image keeps its name, so app:v2 changes the tag only. Errors are of kind Usage.
func ParseRequest(arg string) (Request, error) {
	if strings.Contains(arg, "$") {
		return Request{}, failure.New(failure.Usage, "use double quotes around the argument and check that the variable is set",
			"image %q: a variable was not expanded", arg)
	}
	r, err := parse(arg)
	if err != nil {
		return Request{}, failure.New(failure.Usage, requestForms, "image %q: %w", arg, err)
	}
	return r, nil
}

func parse(arg string) (Request, error) {
	name, reference, named := strings.Cut(arg, "=")
	if !named {
		name, reference = "", arg
	}
	newName, tag, digest, err := split(reference)
	if err != nil {
		return Request{}, err
	}
	if !named {
		if tag == "" && digest == "" {
			return Request{}, fmt.Errorf("neither a tag nor a digest nor NAME= says what to change")
		}
		name, newName = newName, ""
	}
	if named && newName == "" && tag == "" && digest == "" {
		return Request{}, fmt.Errorf("nothing follows NAME=")
	}
	r := Request{Name: name, NewName: kept(newName), NewTag: kept(tag), Digest: kept(digest), KeepTag: tag == "*", KeepDigest: digest == "*"}
	return r, r.check()
}

// split takes a reference apart without judging the parts; a colon before the last slash belongs to a registry's port.
func split(reference string) (name, tag, digest string, err error) {
	name, digest, hasDigest := strings.Cut(reference, "@")
	if hasDigest && digest == "" {
		return "", "", "", fmt.Errorf("empty digest")
	}
	colon := strings.LastIndexByte(name, ':')
	if colon <= strings.LastIndexByte(name, '/') {
		return name, "", digest, nil
	}
	name, tag = name[:colon], name[colon+1:]
	if tag == "" {
		return "", "", "", fmt.Errorf("empty tag")
	}
	return name, tag, digest, nil
}

// SplitReference takes an image reference apart as kustomize does, whatever the parts are; tag and digest may be empty.
func SplitReference(reference string) (name, tag, digest string) {
	name, tag, digest, err := split(reference)
	if err != nil {
		return reference, "", ""
	}
	return name, tag, digest
}

func kept(part string) string {
	if part == "*" {
		return ""
	}
	return part
}

func (r Request) check() error {
	for _, part := range []struct {
		what, value string
		shape       *regexp.Regexp
	}{
		{"image name", r.Name, nameShape},
		{"new image name", r.NewName, repositoryShape},
		{"tag", r.NewTag, tagShape},
		{"digest", r.Digest, digestShape},
	} {
		if part.value == "" && part.what != "image name" {
			continue
		}
		if !part.shape.MatchString(part.value) || len(part.value) > 255 {
			return fmt.Errorf("%q is not a valid %s", part.value, part.what)
		}
	}
	return nil
}

// apply returns the entry as the request wants it.
func (r Request) apply(e Entry, keepTag bool) Entry {
	if r.NewName != "" && r.NewName != e.repository() {
		if e.NewName = r.NewName; r.NewName == e.Name {
			e.NewName = ""
		}
	}
	switch {
	case r.NewTag != "":
		e.NewTag = r.NewTag
		// A reference name:tag@digest is pulled by its digest: the new tag would have no effect.
		if r.Digest == "" && !r.KeepDigest {
			e.Digest = ""
		}
	case r.Digest != "" && !r.KeepTag && !keepTag:
		e.NewTag = ""
	}
	if r.Digest != "" {
		e.Digest = r.Digest
	}
	return e
}
