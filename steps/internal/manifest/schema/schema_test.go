package schema_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/manifest/schema"
)

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := yaml.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(err)
	}
	return object
}

func newSet(t *testing.T, version string, extra ...schema.CRD) *schema.Set {
	t.Helper()
	set, err := schema.New(version, extra...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestThirteenVersionsAreEmbeddedInOrder(t *testing.T) {
	t.Parallel()
	versions := schema.Versions()
	if len(versions) != 13 || versions[0] != "1.23" || versions[12] != "1.35" {
		t.Errorf("got %v", versions)
	}
	for _, version := range append(versions, "v1.30.4", "") {
		newSet(t, version)
	}
	if _, err := schema.New("1.22"); failure.KindOf(err) != failure.Usage || !strings.Contains(failure.HintOf(err), "1.35") {
		t.Errorf("1.22: %v", err)
	}
}

func TestWhichAPIsAVersionServes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		version, apiVersion, kind string
		known                     bool
		want                      []schema.Problem
	}{
		"a kind that is served": {"1.30", "v1", "ConfigMap", true, nil},
		"a custom kind of Argo CD's": {"1.23", "argoproj.io/v1alpha1", "AppProject", true, []schema.Problem{
			{"spec", "required field is missing", "add it"},
		}},
		"one removed before all versions here": {"1.23", "extensions/v1beta1", "Ingress", true, []schema.Problem{
			{"apiVersion", "extensions/v1beta1 Ingress was removed in 1.22", "use networking.k8s.io/v1"},
		}},
		"one removed between two versions": {"1.26", "autoscaling/v2beta2", "HorizontalPodAutoscaler", true, []schema.Problem{
			{"apiVersion", "autoscaling/v2beta2 HorizontalPodAutoscaler was removed in 1.26", "use autoscaling/v2"},
		}},
		"one that nothing replaces": {"1.25", "policy/v1beta1", "PodSecurityPolicy", true, []schema.Problem{
			{"apiVersion", "policy/v1beta1 PodSecurityPolicy was removed in 1.25", "remove the object: nothing replaces it"},
		}},
		"one that comes later": {"1.29", "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", true, []schema.Problem{
			{
				"apiVersion", "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy is served from Kubernetes 1.30 on, not by 1.29",
				"use admissionregistration.k8s.io/v1beta1",
			},
		}},
		"a version that never was": {"1.30", "apps/v2", "Deployment", false, []schema.Problem{
			{"apiVersion", "apps/v2 Deployment is not known to Kubernetes 1.30", "use apps/v1"},
		}},
		"a mistyped kind": {"1.30", "apps/v1", "Deploymnt", false, []schema.Problem{
			{"kind", "unknown kind apps/v1 Deploymnt", "did you mean Deployment?"},
		}},
		"a custom kind nobody gave": {"1.30", "example.com/v1", "Widget", false, []schema.Problem{
			{"kind", "no schema for example.com/v1 Widget", "give its CustomResourceDefinition, or say that the group is to be ignored"},
		}},
		"no kind at all": {"1.30", "v1", "", false, []schema.Problem{
			{"kind", "required field is missing", "every object needs apiVersion and kind"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			object := map[string]any{"apiVersion": test.apiVersion, "kind": test.kind, "metadata": map[string]any{"name": "a"}}
			got, known := newSet(t, test.version).Validate(object)
			if known != test.known {
				t.Errorf("known is %v", known)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFieldsAreThoseOfTheVersion(t *testing.T) {
	t.Parallel()
	cronJob := parse(t, `{apiVersion: batch/v1, kind: CronJob, metadata: {name: a}, spec: {schedule: "@daily", timeZone: UTC, jobTemplate: {}}}`)
	for _, version := range schema.Versions() {
		problems, _ := newSet(t, version).Validate(cronJob)
		want := []schema.Problem(nil)
		if version == "1.23" {
			want = problems
			if len(problems) != 1 || problems[0].Path != "spec.timeZone" {
				t.Errorf("%s: %+v", version, problems)
			}
		}
		if diff := cmp.Diff(want, problems); diff != "" {
			t.Errorf("%s: %s", version, diff)
		}
	}
}

const widgets = `
apiVersion: v1
kind: ConfigMap
metadata: {name: not-a-definition}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  names: {kind: Widget}
  versions:
  - name: v1
    served: true
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            required: [size, filled]
            properties:
              size: {type: integer, minimum: 1, maximum: 9}
              filled: {type: string, default: x}
              colour: {type: string, enum: [red, blue]}
              code: {type: string, pattern: '^[a-z]+$', maxLength: 3}
              port: {x-kubernetes-int-or-string: true, anyOf: [{type: integer}, {type: string}]}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true}
              empty: {type: object}
              tags: {type: object, additionalProperties: {type: string}}
              list: {type: array, minItems: 1, items: {type: object, properties: {description: {type: string}}}}
              source:
                type: object
                properties: {git: {type: string}, helm: {type: string}}
                oneOf: [{required: [git]}, {required: [helm]}]
`

func TestCustomResourcesAreCheckedLikeTheServerDoes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "widgets.yaml"), []byte(widgets), 0o600); err != nil {
		t.Fatal(err)
	}
	crds, err := schema.LoadCRDs(dir)
	if err != nil || len(crds) != 1 || crds[0].Group != "example.com" || crds[0].Kind != "Widget" {
		t.Fatalf("%+v, %v", crds, err)
	}
	set := newSet(t, "", crds...)
	for spec, at := range map[string]string{
		"{size: 3, colour: red, code: abc, port: 80, free: {a: {b: 1}}, tags: {a.b/c: d}, list: [{description: x}]}": "",
		"{size: 3, port: http, colour: null, source: {git: a}}":                                                      "",
		"{size: 0}":                            "spec.size",
		"{size: 1.5}":                          "spec.size",
		"{}":                                   "spec.size",
		"{size: 1, colour: green}":             "spec.colour",
		"{size: 1, code: A}":                   "spec.code",
		"{size: 1, code: abcd}":                "spec.code",
		"{size: 1, port: true}":                "spec.port",
		"{size: 1, empty: {a: b}}":             "spec.empty.a",
		"{size: 1, tags: {a.b/c: 1}}":          `spec.tags["a.b/c"]`,
		"{size: 1, list: []}":                  "spec.list",
		"{size: 1, list: [{descr: x}]}":        "spec.list[0].descr",
		"{size: 1, source: {}}":                "spec.source",
		"{size: 1, source: {git: a, helm: b}}": "spec.source",
	} {
		object := parse(t, "{apiVersion: example.com/v1, kind: Widget, metadata: {name: a}, spec: "+spec+"}")
		problems, known := set.Validate(object)
		if at == "" && len(problems) > 0 || at != "" && (len(problems) != 1 || problems[0].Path != at || problems[0].Fix == "") || !known {
			t.Errorf("%s: want one at %q, got %+v, known %v", spec, at, problems, known)
		}
	}
	problems, _ := set.Validate(parse(t, "{apiVersion: example.com/v1, kind: Widget, metadata: {name: a, labels: {a: 1}}, spec: {size: 1}}"))
	if len(problems) != 1 || problems[0].Path != "metadata.labels.a" {
		t.Errorf("metadata: %+v", problems)
	}
}

func TestBadDefinitionsAreNamedByFileAndLine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ content, want string }{
		"broken YAML": {"a: b\nc: d: e\n", "bad.yaml:2: "},
		"no group":    {"a: b\n---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: {}\n", "bad.yaml:3: spec.group"},
		"no versions": {
			"kind: CustomResourceDefinition\nspec: {group: a.b, names: {kind: C}}\n", "bad.yaml:1: C.a.b serves no version",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "bad.yaml"), []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := schema.LoadCRDs(dir)
			if err == nil || !strings.Contains(err.Error(), test.want) || failure.KindOf(err) != failure.Invalid {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := schema.LoadCRDs(filepath.Join(t.TempDir(), "missing")); failure.KindOf(err) != failure.Usage {
		t.Errorf("missing directory: %v", err)
	}
}

func TestASetIsUsedByManyAtOnce(t *testing.T) {
	t.Parallel()
	set := newSet(t, "1.31")
	pod := parse(t, "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: b, ports: [{containerPort: x}]}]}}")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if problems, _ := set.Validate(pod); len(problems) != 1 {
				t.Errorf("%+v", problems)
			}
		})
	}
	group.Wait()
}

func TestStatusAsksForNothing(t *testing.T) {
	t.Parallel()
	object := parse(t, `{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: a, creationTimestamp: null}, status: {}}`)
	if problems, _ := newSet(t, "").Validate(object); len(problems) > 0 {
		t.Errorf("%+v", problems)
	}
}

func TestPackingStoresWhatVersionsShareOnce(t *testing.T) {
	t.Parallel()
	document := func(fields ...string) map[string]any {
		properties := map[string]any{}
		for _, field := range fields {
			properties[field] = map[string]any{"type": "string", "description": strings.Repeat("words ", 1000)}
		}
		definition := map[string]any{"type": "object", "properties": properties}
		return map[string]any{"components": map[string]any{"schemas": map[string]any{"io.k8s.api.core.v1.Thing": definition}}}
	}
	size := func(releases ...schema.Release) int {
		var b bytes.Buffer
		if err := schema.Pack(&b, releases, nil); err != nil {
			t.Fatal(err)
		}
		return b.Len()
	}
	first := schema.Release{Version: "1.1", Documents: []map[string]any{document("a", "b")}}
	second := schema.Release{Version: "1.2", Documents: []map[string]any{document("a", "b"), document("a", "b")}}
	one, two := size(first), size(first, second)
	if one > 1000 || two > one+20 {
		t.Errorf("one release has %d bytes, two of the same %d", one, two)
	}
}
