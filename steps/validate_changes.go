package steps

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"slipway/steps/internal/manifest"
	"slipway/steps/internal/udiff"
)

// ObjectChange is what becomes of one rendered object: added, removed or changed. Was is its earlier name where a generator
// gave it another one. Images are the fields that name an image, Fields all others; of those, More are left out. Values of
// Secrets are hidden.
type ObjectChange struct {
	Path   string              `json:"path"`
	Object string              `json:"object"`
	Was    string              `json:"was,omitempty"`
	Change manifest.ChangeKind `json:"change"`
	Images []FieldChange       `json:"images,omitempty"`
	Fields []FieldChange       `json:"fields,omitempty"`
	More   int                 `json:"more,omitempty"`
}

// FieldChange is a value of an object that differs. Old is absent for a field that is new, New for one that is gone.
type FieldChange struct {
	Field string `json:"field"`
	Old   any    `json:"old,omitempty"`
	New   any    `json:"new,omitempty"`
}

// mostFields and mostRunes keep the changes short enough to be posted; the difference on stderr shows all.
const (
	mostFields = 20
	mostRunes  = 200
)

func objectChange(path string, c manifest.ObjectChange) ObjectChange {
	o := ObjectChange{Path: path, Object: c.Object, Was: c.Was, Change: c.Kind}
	for _, i := range c.Images {
		f := FieldChange{Field: i.Path}
		if i.Old != "" {
			f.Old = i.Old
		}
		if i.New != "" {
			f.New = i.New
		}
		o.Images = append(o.Images, f)
	}
	for _, f := range c.Fields {
		if len(o.Fields) == mostFields {
			o.More++
			continue
		}
		o.Fields = append(o.Fields, FieldChange{f.Path, clipped(f.Old), clipped(f.New)})
	}
	return o
}

// clipped leaves numbers and the like as they are, and makes a text of what has parts.
func clipped(value any) any {
	text, ok := value.(string)
	switch value.(type) {
	case map[string]any, []any:
		data, err := json.Marshal(value)
		if err != nil {
			data = fmt.Append(nil, value)
		}
		text, ok = string(data), true
	case float64:
		return json.Number(fmt.Sprint(value))
	}
	if !ok {
		return value
	}
	if runes := []rune(text); len(runes) > mostRunes {
		text = string(runes[:mostRunes]) + "…"
	}
	return text
}

// printChanges writes a line for each object that differs, followed by the difference of its YAML.
func printChanges(w io.Writer, ref string, checked []checkedPath) {
	for _, c := range checked {
		if len(c.changes) == 0 {
			continue
		}
		_, _ = fmt.Fprintf(w, "%s: objects that differ from %s: %d\n", c.path, ref, len(c.changes)) // stderr is for people; the JSON says it, too
		for _, change := range c.changes {
			_, _ = fmt.Fprintln(w, changeLine(objectChange(c.path, change)))
			if change.Kind == manifest.Changed {
				_, _ = fmt.Fprint(w, udiff.Unified(change.Object, change.Before, change.After))
			}
		}
	}
}

// changeLine says in a line what happens to an object.
func changeLine(c ObjectChange) string {
	mark := map[manifest.ChangeKind]string{manifest.Added: "+", manifest.Removed: "-", manifest.Changed: "~"}[c.Change]
	line := mark + " " + c.Object
	if c.Was != "" {
		line += ", before " + c.Was
	}
	var parts []string
	for _, i := range c.Images {
		parts = append(parts, "image "+fromTo(i))
	}
	switch {
	case len(c.Fields) == 1:
		parts = append(parts, c.Fields[0].Field+" "+fromTo(c.Fields[0]))
	case len(c.Fields) > 1:
		parts = append(parts, fmt.Sprintf("%d fields", len(c.Fields)+c.More))
	}
	if len(parts) > 0 {
		line += "  " + strings.Join(parts, ", ")
	}
	return line
}

func fromTo(f FieldChange) string {
	switch {
	case f.Old == nil:
		return fmt.Sprint(f.New)
	case f.New == nil:
		return fmt.Sprintf("%v removed", f.Old)
	}
	return strings.ReplaceAll(fmt.Sprintf("%v -> %v", f.Old, f.New), "\n", "\\n")
}
