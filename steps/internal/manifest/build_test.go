package manifest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/manifest"
)

// files is a source in memory.
func files(t testing.TB, content map[string]string) manifest.Source {
	t.Helper()
	empty, err := manifest.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	edits := map[string][]byte{}
	for name, text := range content {
		edits[name] = []byte(text)
	}
	return manifest.Overlay(empty, edits)
}

func three() map[string]string {
	var all strings.Builder
	for i := range 3 {
		fmt.Fprintf(&all, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d}\n", i)
	}
	return app("resources: [all.yaml]\n", "app/all.yaml", all.String())
}

// It does not run beside other tests, which would give back memory while it watches.
func TestLimitsAreKept(t *testing.T) {
	copies := "resources: [a.yaml]\npatches:\n- target: {kind: ConfigMap}\n  patch: |-\n    - {op: add, path: /data, value: {a: b}}\n"
	for i := range 13 {
		copies += fmt.Sprintf("    - {op: copy, from: /data, path: /data/x%d}\n", i)
	}
	tests := map[string]struct {
		files  map[string]string
		limits manifest.Limits
		want   string
	}{
		"bytes of a file":   {three(), manifest.Limits{File: 100}, "app/all.yaml: larger than 100 bytes"},
		"bytes in all":      {three(), manifest.Limits{Total: 100}, "app/all.yaml: the build reads more than 100 bytes"},
		"nodes":             {three(), manifest.Limits{Nodes: 20}, "app/all.yaml: more than 20 YAML nodes"},
		"objects":           {three(), manifest.Limits{Objects: 2}, "app: renders 3 objects, more than 2"},
		"time":              {three(), manifest.Limits{Time: 1}, "app: the build took longer than 1ns"},
		"memory of a patch": {app(copies), manifest.Limits{Memory: 4 << 20}, "app: the build needs more than 4194304 bytes of memory"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := manifest.Build(t.Context(), files(t, test.files), "app", test.limits)
			wantRefusal(t, err, "/tmp", test.want)
		})
	}
	t.Run("data of config maps is not counted as YAML", func(t *testing.T) {
		source := files(t, map[string]string{
			kustomized:   "configMapGenerator: [{name: a, files: [d.json]}]\n",
			"app/d.json": "[" + strings.Repeat("1,\n", 1000) + "1]\n",
		})
		if _, err := manifest.Build(t.Context(), source, "app", manifest.Limits{Nodes: 100}); err != nil {
			t.Error(err)
		}
	})
}

func TestWhatIsBuiltMustBeThere(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ dir, want string }{
		"a directory outside":               {"../x", "../x: leads out of the repository"},
		"a directory without kustomization": {"plain", "plain: 0 kustomization files"},
		"a directory with two":              {"two", "two: 2 kustomization files"},
		"a file":                            {"plain/a.yaml", "plain/a.yaml: is a file"},
		"a directory that is missing":       {"missing", "missing: "},
	}
	source := files(t, map[string]string{"plain/a.yaml": object, "two/kustomization.yaml": "", "two/Kustomization": ""})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := manifest.Build(t.Context(), source, test.dir, manifest.Limits{})
			wantRefusal(t, err, "/tmp", test.want)
		})
	}
}

// broken is a source that loses its connection at one file.
type broken struct {
	manifest.Source
	file string
}

var errLost = errors.New("connection lost")

func (b broken) ReadFile(ctx context.Context, name string) ([]byte, error) {
	if name == b.file {
		return nil, errLost
	}
	return b.Source.ReadFile(ctx, name)
}

func TestErrorsOfTheSourceComeAsTheyAre(t *testing.T) {
	t.Parallel()
	source := files(t, app("resources: [a.yaml, ../b]\n", "b/kustomization.yaml", "namePrefix: x\n"))
	for _, file := range []string{kustomized, "app/a.yaml", "b/kustomization.yaml"} {
		if _, err := manifest.Build(t.Context(), broken{source, file}, "app", manifest.Limits{}); !errors.Is(err, errLost) {
			t.Errorf("%s: error is %v", file, err)
		}
	}
}

func TestACancelledBuildIsNoFinding(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := manifest.Build(ctx, files(t, app("resources: [a.yaml]\n")), "app", manifest.Limits{})
	if !errors.Is(err, context.Canceled) || failure.KindOf(err) == failure.Invalid {
		t.Errorf("error is %v", err)
	}
}

// A schema that a kustomization brings is a global of kustomize: here it gives a list of robots' parts a merge key.
func TestBuildsAtTheSameTimeDoNotSeeEachOthersSchemas(t *testing.T) {
	t.Parallel()
	with := files(t, corpusCase(t, "testdata/corpus/openapi_schema_with_merge_keys.txtar"))
	without := files(t, corpusCase(t, "testdata/corpus/patch_of_a_custom_resource.txtar"))
	var group sync.WaitGroup
	for i := range 24 {
		group.Go(func() {
			source, legs := with, true
			if i%3 > 0 {
				source, legs = without, false
			}
			r, err := manifest.Build(t.Context(), source, "app", manifest.Limits{Time: time.Minute})
			if err != nil {
				t.Error(err)
			} else if strings.Contains(fmt.Sprintf("%s", r.JSON), `"name":"leg"`) != legs {
				t.Errorf("build with a schema: %v, got\n%s", legs, r.JSON)
			}
		})
	}
	group.Wait()
}

func TestObjectsSayWhatTheyAreAndWhereTheyAreFrom(t *testing.T) {
	t.Parallel()
	source := files(t, map[string]string{
		kustomized:                "resources: [../base, list.yaml]\nnamePrefix: p-\nnamespace: prod\nconfigMapGenerator: [{name: gen, literals: [a=b]}]\n",
		"app/list.yaml":           "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: s}\n",
		"base/kustomization.yaml": "resources: [a.yaml, b.yaml]\npatches: [{path: patch.yaml}]\n",
		"base/a.yaml":             object,
		"base/b.yaml":             "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2, paused: false, ratio: 1.5, none: null}\n",
		"base/patch.yaml":         "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {minReadySeconds: 1}\n",
	})
	r, err := manifest.Build(t.Context(), source, "app", manifest.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range r.Objects {
		got = append(got, o.APIVersion+" "+o.ID()+" from "+o.Origin)
	}
	want := []string{
		"v1 ConfigMap prod/p-a from base/a.yaml",
		"v1 ConfigMap prod/p-gen-4h2mbtbbt6 from app/kustomization.yaml",
		"v1 Secret prod/p-s from app/list.yaml",
		"apps/v1 Deployment prod/p-web from base/b.yaml",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	spec := map[string]any{"replicas": 2, "paused": false, "ratio": 1.5, "minReadySeconds": 1}
	rendered, _ := r.Objects[3].Data["spec"].(map[string]any)
	delete(rendered, "none")
	if diff := cmp.Diff(spec, rendered); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}
