package manifest

import (
	"context"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Lines finds where the files of a repository say what a build renders. It reads nothing before it is asked, each file once,
// and within the limits of a build. It serves one kustomization and one goroutine.
type Lines struct {
	guard *guard
	dir   string
	files map[string][]*yaml.Node
	known map[string][]original

	walked    bool
	layers    []layer
	resources []string // files of objects
	malformed []place
}

// NewLines returns the lines of what Build renders of a directory of the source.
func NewLines(ctx context.Context, s Source, dir string) *Lines {
	return &Lines{guard: newGuard(ctx, s, Limits{}.orDefaults()), dir: dir, files: map[string][]*yaml.Node{}, known: map[string][]original{}}
}

// Find returns the file and the line of a field of an object that Build returned; steps lead to it, strings through
// mappings and ints through lists. It is the object's own file, or what sets the field on top of it where that is the only
// one: a patch, or a field of a kustomization such as images. Of a field that no file has, it is the line of what would
// contain it. The line is 0 where the object cannot be found in its file, as a generated ConfigMap.
func (l *Lines) Find(o Object, steps []any) (file string, line int) {
	source := l.original(o)
	if source.node == nil {
		return o.Origin, 0
	}
	value, rendered := lookup(o.Data, steps)
	at := follow(source.node, steps, o.Data, false)
	partly := false
	for !rendered && !at.whole { // nothing has the field: what would contain it is the place
		steps, partly = steps[:len(steps)-1], true
		value, rendered = lookup(o.Data, steps)
		at = follow(source.node, steps, o.Data, false)
	}
	if !at.holds(value) || !partly && at.differs(steps, value) {
		if p, only := l.setter(query{Object: o, original: source, steps: steps, value: value}); only {
			return p.file, p.line
		}
	}
	return o.Origin, at.line
}

// setter returns the only place in patches and kustomizations that sets a field to its rendered value.
func (l *Lines) setter(q query) (found place, only bool) {
	for _, layer := range l.kustomizations() {
		for _, p := range layer.places(q) {
			if p.holds(q.value) {
				if only {
					return place{}, false
				}
				found, only = p, true
			}
		}
	}
	return found, only
}

// original is an object as its file has it.
type original struct {
	apiVersion, kind, namespace, name string
	node                              *yaml.Node
}

// original returns the object in its file. Where two may be it, it is the one that shares more with the rendered object.
func (l *Lines) original(o Object) (best original) {
	most := 0
	for _, candidate := range l.objects(o.Origin) {
		if candidate.kind != o.Kind || candidate.name == "" || !strings.Contains(o.Name, candidate.name) {
			continue
		}
		score := 4 * len(candidate.name) // as originOf decides
		if candidate.namespace == o.Namespace {
			score += 2
		}
		if candidate.apiVersion == o.APIVersion {
			score++
		}
		if score > most {
			best, most = candidate, score
		}
	}
	return best
}

// objects returns the objects of a file, those in lists included.
func (l *Lines) objects(file string) []original {
	found, known := l.known[file]
	if !known {
		for _, doc := range l.documents(file) {
			found = append(found, objects(doc)...)
		}
		l.known[file] = found
	}
	return found
}

func objects(n *yaml.Node) []original {
	found := []original{{text(n, "apiVersion"), text(n, "kind"), text(n, "metadata", "namespace"), text(n, "metadata", "name"), resolve(n)}}
	if _, items := entry(n, "items"); items != nil && resolve(items).Kind == yaml.SequenceNode {
		for _, item := range resolve(items).Content {
			found = append(found, objects(item)...)
		}
	}
	return found
}

// documents returns the top nodes of a file, as far as it is YAML; of a file that cannot be read it returns none.
func (l *Lines) documents(file string) []*yaml.Node {
	docs, known := l.files[file]
	if !known && file != "" {
		if data, err := l.guard.load(file); err == nil {
			docs = l.parse(file, data, func(line int) int { return line })
		}
		l.files[file] = docs
	}
	return docs
}

// parse returns the top nodes of a text whose nodes the guard has counted: what it has not seen may have no end.
func (l *Lines) parse(file string, data []byte, toLine func(int) int) (tops []*yaml.Node) {
	if err := syntaxError(data); err != nil {
		l.malformed = append(l.malformed, place{file: file, line: toLine(malformedLine(data, err))})
	}
	for _, doc := range documents(data) {
		if len(doc.Content) > 0 {
			move(doc.Content[0], toLine)
			tops = append(tops, doc.Content[0])
		}
	}
	return tops
}

func move(n *yaml.Node, toLine func(int) int) {
	n.Line = toLine(n.Line)
	for _, child := range n.Content {
		move(child, toLine)
	}
}
