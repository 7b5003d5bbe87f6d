package yamledit

import (
	"slices"

	"go.yaml.in/yaml/v3"

	"slipway/steps/internal/failure"
)

// The safety net compares whole documents as trees of scalars, []any and []pair. A tree keeps the order of keys, and each
// alias is a copy of its own, so that changing an anchor's value shows up at every place that refers to it.
type (
	scalar struct{ tag, value string }
	pair   struct {
		key   scalar
		value any
	}
)

func text(value string) scalar { return scalar{tag: "!!str", value: value} }

func expand(n *yaml.Node, budget *int, depth int) (any, error) {
	if depth > maxDepth {
		return nil, refuse(n.Line, "nested in more than %d levels, or in itself", maxDepth)
	}
	if *budget--; *budget < 0 {
		return nil, failure.New(failure.Invalid, "expand fewer aliases", "document has more than %d nodes with its aliases expanded", maxNodes)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return expand(n.Alias, budget, depth+1)
	case yaml.SequenceNode:
		items := make([]any, 0, len(n.Content))
		for _, child := range n.Content {
			item, err := expand(child, budget, depth+1)
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		return items, nil
	case yaml.MappingNode:
		pairs := make([]pair, 0, len(n.Content)/2)
		for i := 0; i < len(n.Content); i += 2 {
			value, err := expand(n.Content[i+1], budget, depth+1)
			if err != nil {
				return nil, err
			}
			pairs = append(pairs, pair{key: scalarOf(n.Content[i]), value: value})
		}
		return pairs, nil
	default:
		return scalarOf(n), nil
	}
}

func scalarOf(n *yaml.Node) scalar { return scalar{tag: n.ShortTag(), value: n.Value} }

// change returns tree with the value at path replaced by what f makes of it. f gets nil for a key that is missing and
// returns nil to delete; the parts of the tree that are not on the path are shared with the old one.
func change(tree any, path Path, f func(old any) any) any {
	if len(path) == 0 {
		return f(tree)
	}
	switch node := tree.(type) {
	case []pair:
		i := slices.IndexFunc(node, func(p pair) bool { return p.key.value == path[0] })
		if i < 0 {
			return append(slices.Clone(node), pair{key: text(path[0].(string)), value: change(nil, path[1:], f)})
		}
		node = slices.Clone(node)
		if node[i].value = change(node[i].value, path[1:], f); node[i].value == nil {
			return slices.Delete(node, i, i+1)
		}
		return node
	case []any:
		node, i := slices.Clone(node), path[0].(int)
		if node[i] = change(node[i], path[1:], f); node[i] == nil {
			return slices.Delete(node, i, i+1)
		}
		return node
	default:
		return f(nil)
	}
}
