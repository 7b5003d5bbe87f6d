package manifest

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// origin is an object as a file has it, before kustomize changed its name.
type origin struct{ kind, name, file string }

func originsOf(file string, doc *yaml.Node) (found []origin) {
	var object struct {
		Kind     string
		Metadata struct{ Name string }
		Items    []yaml.Node
	}
	if doc.Decode(&object) != nil {
		return nil
	}
	for i := range object.Items {
		found = append(found, originsOf(file, &object.Items[i])...)
	}
	return append(found, origin{object.Kind, object.Metadata.Name, file})
}

// originOf finds the file of a rendered object: the only one with that kind and name, or else with the longest name that
// the rendered one contains, since prefixes, suffixes and hashes are added around it.
func (u *uses) originOf(kind, name string) string {
	best, file := "", ""
	for _, o := range u.origins {
		switch {
		case o.kind != kind || o.name == "" || !strings.Contains(name, o.name) || len(o.name) < len(best):
		case len(o.name) > len(best):
			best, file = o.name, o.file
		case o.file != file:
			file = "" // two files have it
		}
	}
	return file
}
