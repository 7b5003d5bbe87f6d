package kustomization

import (
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// References returns the paths that a kustomization may refer to, relative to its directory: every text in it that could
// be one, in any field, so that no field of any version of kustomize is missed. Most of them name nothing; which do is
// for the caller to look up. A file that is no YAML refers to nothing.
func References(data []byte) []string {
	var doc yaml.Node
	if yaml.Unmarshal(data, &doc) != nil {
		return nil
	}
	var found []string
	seen := map[string]bool{}
	var visit func(n *yaml.Node)
	visit = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			// configMapGenerator and secretGenerator write files as KEY=PATH.
			for _, text := range []string{n.Value, n.Value[strings.IndexByte(n.Value, '=')+1:]} {
				if p, ok := localPath(text); ok && !seen[p] {
					seen[p] = true
					found = append(found, p)
				}
			}
		}
		// An alias has its target's texts, which are visited where they stand.
		for _, c := range n.Content {
			visit(c)
		}
	}
	visit(&doc)
	return found
}

func localPath(text string) (string, bool) {
	if text == "" || len(text) > 1024 || strings.ContainsAny(text, "\n\x00") || strings.Contains(text, "://") || path.IsAbs(text) {
		return "", false
	}
	p := path.Clean(text)
	return p, p != "."
}
