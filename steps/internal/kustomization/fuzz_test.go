package kustomization_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/kustomization"
)

func seeds(f *testing.F) [][]byte {
	f.Helper()
	files, err := filepath.Glob("testdata/set/*/before.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	var all [][]byte
	for _, file := range files {
		if strings.Contains(file, "bomb") {
			continue // slow to mutate, and a test of its own
		}
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, data)
	}
	return all
}

// FuzzSet checks that a file is either refused, or changed in the requested values and their lines only. It reads the
// files with the plain decoder, by no means of the package.
func FuzzSet(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed, "app:v2", true)
		f.Add(seed, "app=n/app:1.10@sha256:"+strings.Repeat("a", 64), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, arg string, create bool) {
		r, err := kustomization.ParseRequest(arg)
		if err != nil {
			return
		}
		options := kustomization.Options{Create: create}
		out, changes, err := kustomization.Set(data, []kustomization.Request{r}, options)
		if err != nil {
			if failure.KindOf(err) != failure.Invalid || out != nil || changes != nil {
				t.Fatalf("refused with %v, output %q, changes %v", err, out, changes)
			}
			return
		}
		if len(changes) == 0 != bytes.Equal(data, out) {
			t.Fatalf("changes %v\n%s\n%s", changes, data, out)
		}
		checkOnlyImageChanged(t, data, out, r)
		checkTouchedLines(t, data, out)
		again, changes, err := kustomization.Set(out, []kustomization.Request{r}, options)
		if err != nil || len(changes) > 0 || !bytes.Equal(again, out) {
			t.Fatalf("second run: %v, changes %v\n%s\n%s", err, changes, out, again)
		}
	})
}

func checkOnlyImageChanged(t *testing.T, before, after []byte, r kustomization.Request) {
	t.Helper()
	oldRest, oldImages := model(t, before)
	newRest, newImages := model(t, after)
	if !reflect.DeepEqual(oldRest, newRest) {
		t.Fatalf("another value changed\n%s\n%s", before, after)
	}
	oldEntry, newEntry := oldImages[r.Name], newImages[r.Name]
	delete(oldImages, r.Name)
	delete(newImages, r.Name)
	if !reflect.DeepEqual(oldImages, newImages) {
		t.Fatalf("another image changed\n%s\n%s", before, after)
	}
	want := map[string]any{"name": r.Name}
	maps.Copy(want, oldEntry) // a name that reads as a number stays one
	drop := func(key string) {
		if old := want[key]; old != nil && old != "" {
			delete(want, key)
		}
	}
	for key, value := range map[string]string{"newTag": r.NewTag, "digest": r.Digest} {
		if value != "" {
			want[key] = value
		}
	}
	switch {
	case r.NewName == r.Name:
		drop("newName")
	case r.NewName != "":
		want["newName"] = r.NewName
	}
	if r.NewTag != "" && r.Digest == "" && !r.KeepDigest {
		drop("digest")
	}
	if r.NewTag == "" && r.Digest != "" && !r.KeepTag {
		drop("newTag")
	}
	if !reflect.DeepEqual(want, newEntry) {
		t.Fatalf("entry is %v, want %v\n%s\n%s", newEntry, want, before, after)
	}
}

func model(t *testing.T, data []byte) (rest map[string]any, images map[string]map[string]any) {
	t.Helper()
	if err := yaml.Unmarshal(data, &rest); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	var texts struct {
		Images []struct {
			Name yaml.Node `yaml:"name"`
		} `yaml:"images"`
	}
	if err := yaml.Unmarshal(data, &texts); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	list, _ := rest["images"].([]any)
	delete(rest, "images")
	images = map[string]map[string]any{}
	for i, item := range list {
		name := texts.Images[i].Name
		if name.Alias != nil {
			name = *name.Alias
		}
		images[name.Value], _ = item.(map[string]any)
	}
	return rest, images
}

// checkTouchedLines asserts that every comment and blank line stays in its order, and that of the other lines at most those
// of one entry differ.
func checkTouchedLines(t *testing.T, before, after []byte) {
	t.Helper()
	oldComments, oldLines := split(before)
	newComments, newLines := split(after)
	if !slices.Equal(oldComments, newComments) {
		t.Fatalf("comments or blank lines changed\n%s\n%s", before, after)
	}
	for len(oldLines) > 0 && len(newLines) > 0 && oldLines[0] == newLines[0] {
		oldLines, newLines = oldLines[1:], newLines[1:]
	}
	for len(oldLines) > 0 && len(newLines) > 0 && oldLines[len(oldLines)-1] == newLines[len(newLines)-1] {
		oldLines, newLines = oldLines[:len(oldLines)-1], newLines[:len(newLines)-1]
	}
	// An entry has at most five values, each on its own line or on two; a new list has a line for its key.
	if len(oldLines) > 10 || len(newLines) > 10 {
		t.Fatalf("too many lines changed\n%s\n%s", before, after)
	}
}

func split(data []byte) (comments, lines []string) {
	for line := range strings.Lines(string(data)) {
		if text := strings.TrimSpace(line); text == "" || text[0] == '#' {
			comments = append(comments, line)
		} else {
			lines = append(lines, line)
		}
	}
	return comments, lines
}

// FuzzMerge checks that merging never panics, and that what it returns has the images that a simple model computes.
func FuzzMerge(f *testing.F) {
	for _, seed := range seeds(f) {
		bumped := bytes.Replace(seed, []byte("v1"), []byte("v2"), 1)
		f.Add(seed, bumped, append(bytes.Clone(seed), "# end\n"...))
		f.Add(seed, bumped, bytes.Replace(seed, []byte("name: app"), []byte("name: new"), 1))
	}
	f.Fuzz(func(t *testing.T, base, ours, theirs []byte) {
		// The line merge of the fuzz takes one side whole; the real one has tests of its own.
		text := func(_, ours, _ []byte) ([]byte, bool) { return ours, true }
		merged, conflicts, ok := kustomization.Merge(base, ours, theirs, text)
		if !ok {
			if merged != nil || conflicts != nil {
				t.Fatal("a result despite the refusal")
			}
			return
		}
		want, clash := referenceMerge(images(t, base), images(t, ours), images(t, theirs))
		if clash != (len(conflicts) > 0) {
			t.Fatalf("conflicts %v, want any: %v", conflicts, clash)
		}
		if clash {
			return
		}
		if got := images(t, merged); !reflect.DeepEqual(got, want) {
			t.Fatalf("images are %v, want %v\n%s", got, want, merged)
		}
	})
}

// values are the new name and the version of an image, the two that merge on their own.
type values [2]string

func images(t *testing.T, data []byte) map[string]values {
	t.Helper()
	var file struct {
		Images []map[string]yaml.Node
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	all := map[string]values{}
	for _, item := range file.Images {
		get := func(key string) string {
			n := item[key]
			if n.Alias != nil {
				n = *n.Alias
			}
			if n.Tag == "!!null" {
				return ""
			}
			return n.Value
		}
		all[get("name")] = values{get("newName"), get("newTag") + "@" + get("digest")}
	}
	return all
}

func referenceMerge(base, ours, theirs map[string]values) (merged map[string]values, clash bool) {
	merged = map[string]values{}
	names := maps.Clone(base)
	maps.Copy(names, ours)
	maps.Copy(names, theirs)
	for name := range names {
		b, inBase := base[name]
		o, inOurs := ours[name]
		x, inTheirs := theirs[name]
		switch {
		case inOurs == inTheirs && o == x, inBase == inTheirs && b == x:
			if inOurs {
				merged[name] = o
			}
		case inBase == inOurs && b == o:
			if inTheirs {
				merged[name] = x
			}
		case !inBase || !inOurs || !inTheirs:
			clash = true
		default:
			for i := range o {
				if o[i] == b[i] {
					o[i] = x[i]
				} else if x[i] != b[i] && x[i] != o[i] {
					clash = true
				}
			}
			merged[name] = o
		}
	}
	return merged, clash
}
