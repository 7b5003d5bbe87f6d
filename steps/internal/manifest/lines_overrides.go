package manifest

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// overrides is a kustomization whose own fields set fields of objects.
type overrides struct {
	file string
	top  *yaml.Node
}

func (o overrides) places(q query) (found []place) {
	var above, last string
	if n := len(q.steps); n > 1 {
		above, _ = q.steps[n-2].(string)
		last, _ = q.steps[n-1].(string)
	}
	switch {
	case last == "selector" || last == "matchLabels":
		found = o.value(o.top, "commonLabels")
		for _, item := range o.items("labels") {
			if text(item, "includeSelectors") == "true" {
				found = append(found, o.value(item, "pairs")...)
			}
		}
	case above == "labels" || above == "matchLabels" || above == "selector":
		found = o.value(o.top, "commonLabels", last)
		for _, item := range o.items("labels") {
			found = append(found, o.value(item, "pairs", last)...)
		}
	case above == "annotations":
		found = o.value(o.top, "commonAnnotations", last)
	case last == "namespace":
		found = o.value(o.top, "namespace")
	case last == "replicas":
		for _, item := range o.items("replicas") {
			if q.named(text(item, "name")) {
				found = append(found, o.value(item, "count")...)
			}
		}
	case last == "image":
		for _, item := range o.items("images") {
			if image, ok := setImage(item, q); ok {
				found = append(found, place{o.file, item.Line, image, true})
			}
		}
	}
	return found
}

// value returns the place at the end of keys, if it is there.
func (o overrides) value(n *yaml.Node, keys ...string) []place {
	p := place{file: o.file}
	for _, key := range keys {
		at, next := entry(n, key)
		if next == nil {
			return nil
		}
		n, p.line = resolve(next), at.Line
	}
	p.node, p.whole = n, true
	return []place{p}
}

func (o overrides) items(key string) []*yaml.Node {
	if _, list := entry(o.top, key); list != nil {
		return resolve(list).Content
	}
	return nil
}

// setImage returns the rendered image if an entry of images is for the original one and has part in the rendered one.
func setImage(item *yaml.Node, q query) (*yaml.Node, bool) {
	rendered, _ := q.value.(string)
	image, _ := follow(q.original.node, q.steps, q.Data, false).value().(string)
	foreign := func(key string) bool { return !strings.Contains(rendered, text(item, key)) }
	if imageName(image) != text(item, "name") || slices.ContainsFunc([]string{"newName", "newTag", "digest"}, foreign) {
		return nil, false
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: rendered}, true
}

// imageName returns an image reference without its tag and its digest.
func imageName(reference string) string {
	name, _, _ := strings.Cut(reference, "@")
	if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
		name = name[:i]
	}
	return name
}
