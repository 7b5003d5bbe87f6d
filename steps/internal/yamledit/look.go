package yamledit

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/steps/internal/failure"
)

// Path leads from the top of a document to a value: a string is a key of a mapping, an int an index of a sequence.
type Path []any

// With returns the path to a value below p.
func (p Path) With(more ...any) Path { return append(slices.Clone(p), more...) }

func (p Path) String() string {
	var b strings.Builder
	for _, part := range p {
		if i, ok := part.(int); ok {
			fmt.Fprintf(&b, "[%d]", i)
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		fmt.Fprint(&b, part)
	}
	return b.String()
}

// Kind says what a path leads to.
type Kind string

// The kinds. Null is a key without a value, or one of the words for null.
const (
	Missing  Kind = "missing"
	Null     Kind = "null"
	Scalar   Kind = "scalar"
	Mapping  Kind = "mapping"
	Sequence Kind = "sequence"
)

// Value describes what a path leads to.
type Value struct {
	Kind Kind
	Line int      // where it begins, from 1; 0 when it is missing
	Text string   // of a scalar
	Keys []string // of a mapping, in their order
	Len  int      // of a sequence
}

// Look returns what is at a path. Unlike the edits it follows aliases.
func (d *Document) Look(path Path) Value {
	n := d.root()
	for _, part := range path {
		if n = child(target(n), part); n == nil {
			return Value{Kind: Missing}
		}
	}
	v := Value{Line: n.Line}
	switch n = target(n); n.Kind {
	case yaml.MappingNode:
		v.Kind = Mapping
		for i := 0; i < len(n.Content); i += 2 {
			v.Keys = append(v.Keys, n.Content[i].Value)
		}
	case yaml.SequenceNode:
		v.Kind, v.Len = Sequence, len(n.Content)
	default:
		if v.Kind, v.Text = Scalar, n.Value; isNull(n) {
			v = Value{Kind: Null, Line: v.Line}
		}
	}
	return v
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func child(n *yaml.Node, part any) *yaml.Node {
	switch part := part.(type) {
	case string:
		if i := keyIndex(n, part); i >= 0 {
			return n.Content[i+1]
		}
	case int:
		if n.Kind == yaml.SequenceNode && part >= 0 && part < len(n.Content) {
			return n.Content[part]
		}
	}
	return nil
}

func keyIndex(n *yaml.Node, key string) int {
	if n.Kind != yaml.MappingNode {
		return -1
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// place is a node with the way up from it.
type place struct {
	node   *yaml.Node
	parent *place
	index  int // of node in parent.node.Content
}

func (p *place) at(index int) *place {
	return &place{node: p.node.Content[index], parent: p, index: index}
}

func (p *place) flow() bool {
	for ; p != nil; p = p.parent {
		if p.node.Style&yaml.FlowStyle != 0 {
			return true
		}
	}
	return false
}

// find returns the place that an edit may change; what other parts of the document refer to is refused. The place is nil
// when only the last part of the path is missing.
func (d *Document) find(path Path) (*place, error) {
	p := &place{node: d.root()}
	for i, part := range path {
		if err := d.checkEditable(p.node); err != nil {
			return nil, err
		}
		if p.node.Kind == yaml.AliasNode {
			return nil, refuse(p.node.Line, "%s is an alias", path[:i])
		}
		index := -1
		switch part := part.(type) {
		case string:
			if index = keyIndex(p.node, part); index >= 0 {
				index++
			}
		case int:
			if child(p.node, part) != nil {
				index = part
			}
		}
		if index < 0 {
			return nil, missing(p.node, path, i)
		}
		p = p.at(index)
	}
	return p, d.checkEditable(p.node)
}

func (d *Document) checkEditable(n *yaml.Node) error {
	if d.used[n] {
		return refuse(n.Line, "anchor &%s is used elsewhere, so a change here would change other places too", n.Anchor)
	}
	return nil
}

func missing(n *yaml.Node, path Path, i int) error {
	if _, isKey := path[i].(string); isKey && i == len(path)-1 && n.Kind == yaml.MappingNode {
		return nil
	}
	return failure.New(failure.Invalid, "check the path", "line %d: there is no %s", n.Line, path[:i+1])
}
