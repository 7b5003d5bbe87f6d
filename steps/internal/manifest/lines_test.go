package manifest_test

import (
	"context"
	"errors"
	"testing"

	"slipway/steps/internal/manifest"
)

// counted counts the files that are read.
type counted struct {
	manifest.Source
	reads map[string]int
}

func (c counted) ReadFile(ctx context.Context, name string) ([]byte, error) {
	c.reads[name]++
	return c.Source.ReadFile(ctx, name)
}

func TestLinesReadEachFileOnceAndNoneBeforeTheFirstQuestion(t *testing.T) {
	t.Parallel()
	source := counted{reads: map[string]int{}, Source: files(t, map[string]string{
		"app/kustomization.yaml":  "resources: [../base]\npatches: [{path: patch.yaml}]\n",
		"app/patch.yaml":          "kind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: patched\n",
		"base/kustomization.yaml": "resources: [a.yaml, b.yaml]\n",
		"base/a.yaml":             "kind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: v\n  l: w\n",
		"base/b.yaml":             "kind: ConfigMap\nmetadata: {name: b}\n",
	})}
	lines := manifest.NewLines(t.Context(), source, "app")
	if len(source.reads) > 0 {
		t.Errorf("read before the first question: %v", source.reads)
	}
	o := manifest.Object{Kind: "ConfigMap", Name: "a", Origin: "base/a.yaml", Data: map[string]any{
		"kind": "ConfigMap", "data": map[string]any{"k": "patched", "l": "w"},
	}}
	for range 2 {
		for _, c := range []struct {
			key, file string
			line      int
		}{{"l", "base/a.yaml", 5}, {"k", "app/patch.yaml", 4}, {"m", "base/a.yaml", 3}} {
			if file, line := lines.Find(o, []any{"data", c.key}); file != c.file || line != c.line {
				t.Errorf("%s: %s:%d", c.key, file, line)
			}
		}
	}
	for name, n := range source.reads {
		if n > 1 || name == "base/b.yaml" {
			t.Errorf("%s is read %d times", name, n)
		}
	}
}

// What a build refuses is looked at for lines all the same.
func TestLinesComeToAnEndWhateverTheFilesSay(t *testing.T) {
	t.Parallel()
	const endless = "a: &a\n  <<: *a\n  b: *a\n"
	for name, kustomization := range map[string]string{
		"nothing":           "",
		"a list":            "- a\n",
		"fields of nothing": "resources:\npatches:\nimages:\nlabels:\nreplicas:\n",
		"fields of others":  "resources: {a: b}\npatches: [a, [b], {}, {patch: [c]}, {path: {}}, {target: [], patch: ''}]\nimages: [1]\nlabels: [[a]]\n",
		"itself":            "resources: [., ../app, a.yaml]\ncomponents: [.]\n",
		"endless resources": "resources: [endless.yaml]\npatches: [{path: endless.yaml}]\n",
		"an endless patch":  "patches:\n- patch: |\n    --- &a\n    <<: *a\n",
		"a hidden one":      "patches:\n- patch: |\n    x: y\n    ---z: &a\n      <<: *a\n    kind: ConfigMap\n",
		"odd operations":    "patches:\n- target: {kind: '('}\n  patch: '[1, [], {op: add}, {path: x}, {path: /data/k/l/m, op: remove}]'\n- target: {}\n  patch: '[1, [], {op: add}, {path: x}, {path: /data/-, value: 1}]'\n",
		"endless itself":    endless + "resources: [a.yaml]\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := files(t, map[string]string{
				"app/kustomization.yaml": kustomization,
				"app/endless.yaml":       endless,
				"app/a.yaml":             "kind: ConfigMap\nmetadata: {name: a}\nitems: {}\ndata: {k: v}\n",
			})
			lines := manifest.NewLines(t.Context(), source, "app")
			for _, data := range []map[string]any{nil, {"data": nil}, {"data": map[string]any{"k": "w"}}, {"data": []any{"w"}}} {
				for _, steps := range [][]any{nil, {"data"}, {"data", "k"}, {"data", 0}, {"data", 7, "x"}, {"image"}, {"spec", "selector"}, {"metadata", "labels", "a"}} {
					for _, origin := range []string{"", "app/a.yaml", "app/endless.yaml", "app/nowhere.yaml", "../a.yaml"} {
						o := manifest.Object{Kind: "ConfigMap", Name: "a", Origin: origin, Data: data}
						if file, line := lines.Find(o, steps); line < 0 || origin == "app/a.yaml" && file == "" {
							t.Errorf("%v: %s:%d", steps, file, line)
						}
					}
				}
			}
			for _, message := range []string{"", "app", "app/a.yaml: x", "app: a.yaml: ConfigMap.v1.[noGrp]/a.[noNs]", "app: yaml: line 3: x", "missing path: /data: x"} {
				if _, line := lines.FindError(errors.New(message)); line < 0 {
					t.Errorf("%s: line %d", message, line)
				}
			}
		})
	}
}
