package manifest

import (
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// patch is one document of a patch: an object, or a list of JSON patch operations.
type patch struct {
	file   string
	target *yaml.Node // nil where the object says it
	top    *yaml.Node
}

func (p patch) places(q query) (found []place) {
	if !p.matches(q) {
		return nil
	}
	if p.top.Kind == yaml.MappingNode {
		found = []place{follow(p.top, q.steps, q.Data, true)}
	} else {
		for _, operation := range p.top.Content {
			found = append(found, operated(operation, q))
		}
	}
	for i := range found {
		found[i].file = p.file
	}
	return found
}

func (p patch) matches(q query) bool {
	if p.target == nil {
		return text(p.top, "kind") == q.Kind && q.named(text(p.top, "metadata", "name"))
	}
	kind, name := text(p.target, "kind"), text(p.target, "name")
	return whole(kind, q.Kind) && (whole(name, q.Name) || whole(name, q.original.name) || q.named(name))
}

// whole reports whether a pattern of a target matches all of a text, as kustomize understands it.
func whole(pattern, text string) bool {
	expression, err := regexp.Compile("^(?:" + pattern + ")$")
	return pattern == "" || err == nil && expression.MatchString(text)
}

// operated returns the place of a field in an operation of a JSON patch.
func operated(operation *yaml.Node, q query) place {
	pointer := strings.Split(text(operation, "path"), "/")[1:]
	if len(pointer) > len(q.steps) {
		return place{}
	}
	for i, token := range pointer {
		if !points(unescape.Replace(token), q, i) {
			return place{}
		}
	}
	if text(operation, "op") == "remove" {
		return place{line: operation.Line, node: &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}, whole: len(pointer) == len(q.steps)}
	}
	at, value := entry(operation, "value")
	if value == nil {
		return place{}
	}
	inner, _ := lookup(q.Data, q.steps[:len(pointer)])
	p := follow(value, q.steps[len(pointer):], inner, true)
	if len(pointer) == len(q.steps) {
		p.line = at.Line
	}
	return p
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// points reports whether a token of a JSON pointer means step i. "-" is behind the end of a list before the patch, and its
// end thereafter.
func points(token string, q query, i int) bool {
	step, isIndex := q.steps[i].(int)
	if !isIndex {
		return token == q.steps[i]
	}
	list, _ := lookup(q.Data, q.steps[:i])
	items, _ := list.([]any)
	return token == strconv.Itoa(step) || token == "-" && step == len(items)-1
}
