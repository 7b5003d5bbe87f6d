package manifest_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/manifest"
)

func TestADirectoryMustBeThere(t *testing.T) {
	t.Parallel()
	_, err := manifest.Dir(filepath.Join(t.TempDir(), "missing"))
	if failure.KindOf(err) != failure.Usage || failure.HintOf(err) == "" {
		t.Errorf("error is %v", err)
	}
}

func TestEditsAreLaidOverASource(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	lay(t, root, map[string]string{"a/one": "1", "a/two": "2", "b/three": "3"})
	if err := os.Symlink("a", filepath.Join(root, "l")); err != nil {
		t.Fatal(err)
	}
	under, err := manifest.Dir(root)
	if err != nil {
		t.Fatal(err)
	}
	s := manifest.Overlay(under, map[string][]byte{"a/one": []byte("new"), "a/two": nil, "c/d/four": []byte("4"), "b": nil})
	contents := map[string]string{"a/one": "new", "l/one": "new", "b/three": "3", "c/d/four": "4"}
	for name, want := range contents {
		if got, err := s.ReadFile(t.Context(), name); err != nil || string(got) != want {
			t.Errorf("%s is %q, error %v", name, got, err)
		}
	}
	for _, name := range []string{"a/two", "l/two", "nothing", "c/nothing"} {
		if _, err := s.ReadFile(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	lists := map[string]string{".": "a c l", "a": "one", "l": "one", "c": "d", "c/d": "four"}
	for name, want := range lists {
		if got, err := s.ReadDir(t.Context(), name); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s has %q, error %v", name, got, err)
		}
	}
	info, err := s.Stat(t.Context(), "c")
	if diff := cmp.Diff(manifest.Info{Path: "c", Dir: true}, info); diff != "" || err != nil {
		t.Errorf("new directory: error %v\n%s", err, diff)
	}
	info, err = s.Stat(t.Context(), "l/one")
	if diff := cmp.Diff(manifest.Info{Path: "a/one", Size: 3}, info); diff != "" || err != nil {
		t.Errorf("file behind a symlink: error %v\n%s", err, diff)
	}
}

func TestRootsAreWhatNothingElseIncludes(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	component := "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
	lay(t, root, map[string]string{
		"prod/web/kustomization.yaml":     "resources: [../../base, ../../link]\ncomponents: [../../part]\ntransformers: [../../common]\n",
		"prod/api/Kustomization":          "bases: [../../base]\n",
		"base/kustomization.yml":          "resources: [a.yaml]\n",
		"base/a.yaml":                     object,
		"linked/kustomization.yaml":       "namePrefix: x\n",
		"part/kustomization.yaml":         component,
		"unused/kustomization.yaml":       component,
		"common/kustomization.yaml":       "resources: [t.yaml]\n",
		"broken/kustomization.yaml":       "resources: [\n",
		"bomb/kustomization.yaml":         bomb(),
		"x/kustomization.yaml":            "resources: [../y]\n",
		"y/kustomization.yaml":            "resources: [../x, ../../outside, 'https://example.com/x']\n",
		"self/kustomization.yaml":         "resources: [.]\n",
		".git/hooks/kustomization.yaml":   "namePrefix: x\n",
		"charts/kustomization.yaml/a.yml": "",
	})
	for from, to := range map[string]string{"link": "linked", "out": "/", "lost": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(root, from)); err != nil {
			t.Fatal(err)
		}
	}
	source, err := manifest.Dir(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := manifest.Roots(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"bomb", "broken", "prod/api", "prod/web", "self", "x"}, got); diff != "" {
		t.Errorf("roots (-want +got):\n%s", diff)
	}
}
