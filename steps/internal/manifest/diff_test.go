package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"

	"slipway/steps/internal/manifest"
)

// diffed builds two versions of a kustomization, each with objects in w.yaml.
func diffed(t *testing.T, before, after [2]string) []manifest.ObjectChange {
	t.Helper()
	changes, err := manifest.DiffObjects(rendered(t, before[1], before[0]), rendered(t, after[1], after[0]))
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// lines renders changes without their YAML.
func lines(changes []manifest.ObjectChange) (all []string) {
	for _, c := range changes {
		head := string(c.Kind) + " " + c.Object
		if c.Was != "" {
			head += " was " + c.Was
		}
		all = append(all, head)
		for _, i := range c.Images {
			all = append(all, "image "+i.Path+" "+i.Old+" -> "+i.New)
		}
		for _, f := range c.Fields {
			all = append(all, f.Path)
		}
	}
	return all
}

const web = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app.kubernetes.io/name: web}}
spec:
  replicas: 2
  template:
    spec:
      containers:
      - {name: app, image: "app:1", args: [a, b], ports: [{containerPort: 80}]}
      - {name: side, image: "side:1"}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80}]}
`

func TestOnlyObjectsThatDifferAreListed(t *testing.T) {
	t.Parallel()
	const container = "spec.template.spec.containers"
	replaced := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(web) }
	objects := strings.SplitAfter(web, "---\n")
	tests := []struct {
		name  string
		after string
		want  []string
	}{
		{"nothing changed", web, nil},
		{"objects in another order", objects[1] + "---\n" + objects[0], nil},
		{"an image", replaced("app:1", "app:2"), []string{"changed Deployment web", "image " + container + "[name=app].image app:1 -> app:2"}},
		{"containers in another order, one without an argument", replaced(
			`- {name: app, image: "app:1", args: [a, b], ports: [{containerPort: 80}]}`, `- {name: side, image: "side:1"}`,
			`- {name: side, image: "side:1"}`, `- {name: app, image: "app:1", args: [a], ports: [{containerPort: 80}]}`,
		), []string{"changed Deployment web", container + "[name=app].args[1]"}},
		{"a number that becomes text", replaced("replicas: 2", "replicas: '2'"), []string{"changed Deployment web", "spec.replicas"}},
		{"a label with dots", replaced("name: web}}", "name: shop}}"), []string{"changed Deployment web", `metadata.labels."app.kubernetes.io/name"`}},
		{"a container more", replaced("      - {name: side", "      - {name: log, image: \"log:1\"}\n      - {name: side"), []string{
			"changed Deployment web", "image " + container + "[name=log].image  -> log:1", container + "[name=log]",
		}},
		{"a removed object", objects[0], []string{"removed Service web"}},
		{"an added object", web + "---\n" + replaced("name: web", "name: shop"), []string{
			"added Service shop", "added Deployment shop", "image " + container + "[name=app].image  -> app:1", "image " + container + "[name=side].image  -> side:1",
		}},
		{"another namespace", replaced("metadata: {name: web}", "metadata: {name: web, namespace: prod}"), []string{"added Service prod/web", "removed Service web"}},
		{"another version of the API", replaced("apps/v1", "apps/v1beta1"), []string{"changed Deployment web", "apiVersion"}},
		{"another group of the API", replaced("apps/v1", "extensions/v1beta1"), []string{"changed Deployment web", "apiVersion"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := lines(diffed(t, [2]string{"", web}, [2]string{"", strings.TrimSuffix(tt.after, "---\n")}))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

const uses = `apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
  - {name: app, envFrom: [{configMapRef: {name: conf}}]}
`

func TestAGeneratedObjectIsKnownByItsName(t *testing.T) {
	t.Parallel()
	changes := diffed(t, [2]string{"configMapGenerator: [{name: conf, literals: [a=1]}]", uses}, [2]string{"configMapGenerator: [{name: conf, literals: [a=2]}]", uses})
	const was, is = "conf-h29d89cmmt", "conf-6gtghh96k8"
	want := []manifest.ObjectChange{
		{
			Kind: manifest.Changed, Object: "ConfigMap " + is, Was: "ConfigMap " + was,
			Fields: []manifest.FieldChange{{"data.a", "1", "2"}},
		},
		{Kind: manifest.Changed, Object: "Pod p", Fields: []manifest.FieldChange{{"spec.containers[name=app].envFrom[0].configMapRef.name", was, is}}},
	}
	if diff := cmp.Diff(want, changes, cmpopts.IgnoreFields(manifest.ObjectChange{}, "Before", "After")); diff != "" {
		t.Error(diff)
	}
	got := lines(diffed(t, [2]string{"configMapGenerator: [{name: conf, literals: [a=1]}]", ""}, [2]string{"configMapGenerator: [{name: other, literals: [a=1]}]", ""}))
	if len(got) != 2 || !strings.HasPrefix(got[0], "added ConfigMap other-") || !strings.HasPrefix(got[1], "removed ConfigMap conf-") {
		t.Errorf("another name is %q", got)
	}
}

// secretOf is a build that renders one Secret, whatever it looks like.
func secretOf(t *testing.T, text string) *manifest.Result {
	t.Helper()
	var data map[string]any
	if err := yaml.Unmarshal([]byte(text), &data); err != nil {
		t.Fatal(err)
	}
	return &manifest.Result{Objects: []manifest.Object{{APIVersion: "v1", Kind: "Secret", Name: "s", Data: data}}}
}

func TestNoValueOfASecretIsShown(t *testing.T) {
	t.Parallel()
	secret := func(data string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata: {name: s, annotations: {kubectl.kubernetes.io/last-applied-configuration: '" +
			strings.ReplaceAll(data, "'", "") + "', note: kept}}\n" + data
	}
	tests := []struct{ name, before, after, want string }{
		{
			"values that change, stay, come and go",
			"stringData: {same: hunter1, changed: hunter2, gone: hunter3}", "stringData: {same: hunter1, changed: hunter4, new: hunter5}",
			"stringData.changed: *** (before) -> *** (after)|stringData.gone: *** -> <nil>|stringData.new: <nil> -> ***",
		},
		{"the first value", "type: Opaque", "data: {a: aHVudGVyMQ==}\ntype: Opaque", "data: <nil> -> map[a:***]"},
		{"data that is no map", "data: {a: aHVudGVyMQ==}", "data: [hunter1]", "data: *** (before) -> *** (after)"},
		{"a value that is no text", "data: {a: [hunter1]}", "data: {a: {b: hunter2}}", "data.a: *** (before) -> *** (after)"},
		{"a value inside of another", "data: {a: {b: hunter1}}", "data: {a: {b: hunter2}}", "data.a.b: *** (before) -> *** (after)"},
		{"only the annotation", "type: a # hunter1", "type: a # hunter2", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			changes, err := manifest.DiffObjects(secretOf(t, secret(tt.before)), secretOf(t, secret(tt.after)))
			if err != nil || len(changes) != 1 {
				t.Fatalf("changes %+v, error %v", changes, err)
			}
			var got []string
			for _, f := range changes[0].Fields {
				got = append(got, fmt.Sprintf("%s: %v -> %v", f.Path, f.Old, f.New))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, "|")); diff != "" {
				t.Error(diff)
			}
			shown := string(changes[0].Before) + string(changes[0].After)
			if strings.Contains(shown, "hunter") || strings.Contains(shown, "aHVudGVy") || !strings.Contains(shown, "note: kept") {
				t.Errorf("shown is\n%s", shown)
			}
		})
	}
}
