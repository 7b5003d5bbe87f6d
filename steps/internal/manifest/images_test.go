package manifest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/steps/internal/manifest"
)

const workload = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, annotations: {image: "not:this"}}
spec:
  template:
    spec:
      initContainers: [{name: init, image: "init:1"}]
      ephemeralContainers: [{name: debug, image: busybox}]
      containers:
      - {name: app, image: "registry.local:5000/team/app:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
      - {name: side, image: $(ODD)}
      volumes: [{name: v, image: {reference: "data:1"}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {image: "not:this"}
---
apiVersion: example.com/v1
kind: Robot
metadata: {name: bender}
spec:
  image: robot
  baseImage: quay.io/team/base:2
  pullImage: Always
  steps:
  - {image: "step:1"}
  - {image: "step:2"}
  logo: {image: "https://example.com/logo.png"}
`

func rendered(t *testing.T, text, kustomization string) *manifest.Result {
	t.Helper()
	source := files(t, app("resources: [w.yaml]\n"+kustomization, "app/w.yaml", text))
	r, err := manifest.Build(t.Context(), source, "app", manifest.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestImagesOfAllKindsOfFieldsAreFound(t *testing.T) {
	t.Parallel()
	const spec = "spec.template.spec."
	want := []manifest.ImageField{
		{"Deployment web", spec + "containers[name=app].image", "registry.local:5000/team/app:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"Deployment web", spec + "containers[name=side].image", "$(ODD)"},
		{"Deployment web", spec + "ephemeralContainers[name=debug].image", "busybox"},
		{"Deployment web", spec + "initContainers[name=init].image", "init:1"},
		{"Deployment web", spec + "volumes[name=v].image.reference", "data:1"},
		{"Robot bender", "spec.baseImage", "quay.io/team/base:2"},
		{"Robot bender", "spec.image", "robot"},
		{"Robot bender", "spec.steps[0].image", "step:1"},
		{"Robot bender", "spec.steps[1].image", "step:2"},
	}
	if diff := cmp.Diff(want, manifest.Images(rendered(t, workload, "").Objects)); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestDiffImagesTellsWhatAnEditChanges(t *testing.T) {
	t.Parallel()
	before := rendered(t, workload, "")
	tests := map[string]struct {
		kustomization string
		want          []manifest.ImageChange
	}{
		"an image that is there": {"images: [{name: init, newTag: '2'}]\n", []manifest.ImageChange{
			{"Deployment web", "spec.template.spec.initContainers[name=init].image", "init:1", "init:2"},
		}},
		"a name that is written wrong": {"images: [{name: innit, newTag: '2'}]\n", nil},
		"a name that is a pattern for others": {"images: [{name: .*i.*, newTag: '2'}]\n", []manifest.ImageChange{
			{
				"Deployment web", "spec.template.spec.containers[name=app].image",
				"registry.local:5000/team/app:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "registry.local:5000/team/app:2",
			},
			{"Deployment web", "spec.template.spec.initContainers[name=init].image", "init:1", "init:2"},
		}},
		"an object that is renamed and one that is gone": {
			"nameSuffix: '2'\npatches: [{target: {kind: Deployment}, patch: '{apiVersion: v1, kind: X, metadata: {name: x}, $patch: delete}'}]\n",
			[]manifest.ImageChange{
				{"Robot bender2", "spec.baseImage", "", "quay.io/team/base:2"},
				{"Robot bender2", "spec.image", "", "robot"},
				{"Robot bender2", "spec.steps[0].image", "", "step:1"},
				{"Robot bender2", "spec.steps[1].image", "", "step:2"},
				{"Deployment web", "spec.template.spec.containers[name=app].image", "registry.local:5000/team/app:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", ""},
				{"Deployment web", "spec.template.spec.containers[name=side].image", "$(ODD)", ""},
				{"Deployment web", "spec.template.spec.ephemeralContainers[name=debug].image", "busybox", ""},
				{"Deployment web", "spec.template.spec.initContainers[name=init].image", "init:1", ""},
				{"Deployment web", "spec.template.spec.volumes[name=v].image.reference", "data:1", ""},
				{"Robot bender", "spec.baseImage", "quay.io/team/base:2", ""},
				{"Robot bender", "spec.image", "robot", ""},
				{"Robot bender", "spec.steps[0].image", "step:1", ""},
				{"Robot bender", "spec.steps[1].image", "step:2", ""},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, manifest.DiffImages(before, rendered(t, workload, test.kustomization))); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}
