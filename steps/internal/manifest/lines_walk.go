package manifest

import (
	"fmt"
	"reflect"
	"time"

	"go.yaml.in/yaml/v3"
)

// place is where a path led to in a file. It is whole if the path did not end before.
type place struct {
	file  string
	line  int
	node  *yaml.Node
	whole bool
}

// holds reports whether the value at a place is the rendered one. Of mappings and lists it is enough that they are there:
// what a finding says of them is rarely about one of their values.
func (p place) holds(rendered any) bool {
	if !p.whole {
		return false
	}
	switch rendered.(type) {
	case map[string]any:
		return p.node.Kind == yaml.MappingNode
	case []any:
		return p.node.Kind == yaml.SequenceNode
	}
	return reflect.DeepEqual(p.value(), rendered)
}

// differs reports whether a mapping or a list of a field is another one than the rendered. An item of a list differs for many
// reasons.
func (p place) differs(steps []any, rendered any) bool {
	if len(steps) == 0 {
		return false
	}
	_, isField := steps[len(steps)-1].(string)
	return isField && !reflect.DeepEqual(p.value(), rendered)
}

// value returns what is at a place, as Object.Data would have it.
func (p place) value() (value any) {
	if p.node.Decode(&value) != nil {
		return nil
	}
	if _, ok := value.(time.Time); ok {
		return p.node.Value // JSON has no dates
	}
	return value
}

// lookup returns the value of a field of a rendered object.
func lookup(value any, steps []any) (any, bool) {
	for _, step := range steps {
		switch step := step.(type) {
		case string:
			mapping, _ := value.(map[string]any)
			next, ok := mapping[step]
			if !ok {
				return nil, false
			}
			value = next
		case int:
			list, _ := value.([]any)
			if step >= len(list) {
				return nil, false
			}
			value = list[step]
		}
	}
	return value, true
}

// follow walks a path of the rendered value as far as the node has it. A patch has some items of a list only.
func follow(n *yaml.Node, steps []any, rendered any, patch bool) place {
	p := place{line: n.Line, node: resolve(n)}
	for i, step := range steps {
		var at, next *yaml.Node
		switch step := step.(type) {
		case string:
			at, next = entry(p.node, step)
		case int:
			list, _ := lookup(rendered, steps[:i])
			items, _ := list.([]any)
			next = item(p.node, items, step, patch)
			at = next
		}
		if next == nil {
			return p
		}
		p = place{line: at.Line, node: resolve(next)}
	}
	p.whole = true
	return p
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// entry returns the key and the value of a mapping, or of what is merged into it.
func entry(n *yaml.Node, key string) (at, value *yaml.Node) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		merged := []*yaml.Node{n.Content[i+1]}
		if resolve(merged[0]).Kind == yaml.SequenceNode {
			merged = resolve(merged[0]).Content
		}
		for _, m := range merged {
			if at, value = entry(m, key); value != nil {
				return at, value
			}
		}
	}
	return nil, nil
}

// text returns the scalar at the end of keys, or "".
func text(n *yaml.Node, keys ...string) string {
	for _, key := range keys {
		if _, n = entry(n, key); n == nil {
			return ""
		}
	}
	if n = resolve(n); n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// identities are the fields by which patches find an item in a list.
var identities = []string{"name", "mountPath", "devicePath", "containerPort", "port", "key", "ip", "topologyKey"}

// item returns what became item i of a rendered list: the item of the same identity or value, counted where there are several
// of it. The file's own list, unlike that of a patch, may have it at the same index under another name.
func item(n *yaml.Node, rendered []any, i int, patch bool) *yaml.Node {
	if n.Kind != yaml.SequenceNode || i >= len(rendered) {
		return nil
	}
	key, identity := identityOf(rendered[i])
	nth := 0
	for _, before := range rendered[:i] {
		if k, id := identityOf(before); k == key && id == identity && (key != "" || reflect.DeepEqual(before, rendered[i])) {
			nth++
		}
	}
	for _, candidate := range n.Content {
		if key != "" && text(candidate, key) != identity || key == "" && !reflect.DeepEqual(place{node: candidate}.value(), rendered[i]) {
			continue
		}
		if nth == 0 {
			return candidate
		}
		nth--
	}
	if !patch && len(n.Content) == len(rendered) {
		return n.Content[i]
	}
	return nil
}

func identityOf(item any) (key, value string) {
	mapping, _ := item.(map[string]any)
	for _, key := range identities {
		if v := mapping[key]; v != nil {
			return key, fmt.Sprint(v)
		}
	}
	return "", ""
}
