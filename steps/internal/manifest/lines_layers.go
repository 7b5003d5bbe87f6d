package manifest

import (
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// query asks for what sets a field of an object on top of its file.
type query struct {
	Object
	original original
	steps    []any
	value    any
}

// named reports whether the object may have had a name on its way from its file to the output.
func (q query) named(name string) bool {
	return strings.Contains(q.Name, name) && strings.Contains(name, q.original.name)
}

// layer is what may set fields of objects: a patch, or a kustomization with its own fields.
type layer interface {
	places(q query) []place
}

// kustomizations returns the layers of the kustomization and of all that it includes.
func (l *Lines) kustomizations() []layer {
	if !l.walked {
		l.walked = true
		l.walk(l.dir, map[string]bool{})
	}
	return l.layers
}

func (l *Lines) walk(dir string, seen map[string]bool) {
	files, err := l.guard.kustomizations(dir)
	if err != nil || seen[dir] {
		return
	}
	seen[dir] = true
	for _, file := range files {
		for _, top := range l.documents(file) {
			l.layers = append(l.layers, overrides{file, top})
			for i := 0; i+1 < len(top.Content); i += 2 {
				for _, item := range resolve(top.Content[i+1]).Content {
					l.entry(file, strings.ToLower(top.Content[i].Value), resolve(item), seen)
				}
			}
		}
	}
}

// entry takes note of an item in a list of a kustomization.
func (l *Lines) entry(file, field string, item *yaml.Node, seen map[string]bool) {
	switch field {
	case "resources", "bases", "components":
		info, err := l.guard.source.Stat(l.guard.ctx, path.Join(path.Dir(file), item.Value))
		switch {
		case err != nil:
		case info.Dir:
			l.walk(info.Path, seen)
		default:
			l.resources = append(l.resources, info.Path)
		}
	case "patches", "patchesjson6902":
		_, target := entry(item, "target")
		if _, inline := entry(item, "patch"); inline != nil {
			l.inline(file, resolve(inline), target)
		} else {
			l.patch(file, text(item, "path"), target)
		}
	case "patchesstrategicmerge":
		if isMapping(item.Value) {
			l.inline(file, item, nil)
		} else {
			l.patch(file, item.Value, nil)
		}
	}
}

func (l *Lines) patch(kustomization, name string, target *yaml.Node) {
	file := path.Join(path.Dir(kustomization), name)
	for _, top := range l.documents(file) {
		l.layers = append(l.layers, patch{file, target, top})
	}
}

// inline adds a patch that is a text of a kustomization. The lines of a text are those of the file only in a literal block.
func (l *Lines) inline(kustomization string, content, target *yaml.Node) {
	toLine := func(line int) int {
		if content.Style&yaml.LiteralStyle == 0 {
			return content.Line
		}
		return content.Line + line
	}
	data := []byte(content.Value)
	if l.guard.count(kustomization, data) != nil {
		return
	}
	for _, top := range l.parse(kustomization, data, toLine) {
		l.layers = append(l.layers, patch{kustomization, target, top})
	}
}
