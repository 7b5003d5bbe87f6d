package steps_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/gitrepotest"
	"slipway/steps"
	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
	"slipway/steps/internal/manifest"
)

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {containers: [{name: web, image: "web:1"}]}}}
`

// commitOf serves files as the one commit of a repository and returns them as they are fetched.
func commitOf(t *testing.T, files, modes map[string]string) (*gitrepotest.Server, *gitrepo.Tree) {
	t.Helper()
	server := gitrepotest.New(t, gitrepotest.Options{})
	if err := server.CreateRepo("gitops", gitrepotest.RepoOptions{Files: files, Modes: modes}); err != nil {
		t.Fatal(err)
	}
	remote, err := gitrepo.Open(server.URL("gitops"), gitrepo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = remote.Close() })
	tip, err := remote.Tip(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := remote.Tree(t.Context(), tip)
	if err != nil {
		t.Fatal(err)
	}
	return server, tree
}

// answers says what a source has to say to a name.
func answers(t *testing.T, s manifest.Source, name string) []string {
	t.Helper()
	kind := func(err error) string {
		switch {
		case err == nil:
			return ""
		case errors.Is(err, fs.ErrNotExist):
			return "absent"
		}
		return string(failure.KindOf(err))
	}
	info, err := s.Stat(t.Context(), name)
	said := []string{fmt.Sprint(info.Path, info.Dir, kind(err))}
	data, err := s.ReadFile(t.Context(), name)
	said = append(said, string(data)+kind(err))
	if err != nil && info.Dir {
		names, err := s.ReadDir(t.Context(), name)
		said = append(said, fmt.Sprint(names, kind(err)))
	}
	return said
}

func TestACommitHasTheFilesThatItsCheckoutHas(t *testing.T) {
	t.Parallel()
	links := map[string]string{
		"to-file": "a/file", "to-dir": "a/sub", "a/up": "../b/file", "twice": "to-dir/link", "a/sub/link": "../file",
		"out": "../outside", "out-and-in": "../gone/a/file", "absolute": "/etc/hosts", "nowhere": "missing", "loop": "loop", "here": ".", "through-file": "a/file/x",
	}
	files := map[string]string{"a/file": "1", "a/sub/deep": "2", "a/sub.txt": "3", "b/file": "4"}
	modes := map[string]string{}
	for name, target := range links {
		files[name], modes[name] = target, "120000"
	}
	_, tree := commitOf(t, files, modes)
	dir := filepath.Join(t.TempDir(), "checkout")
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		write := func() error { return os.WriteFile(file, []byte(content), 0o666) }
		if modes[name] != "" {
			write = func() error { return os.Symlink(content, file) }
		}
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	disk, err := manifest.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	commit := steps.TreeSource(tree)
	for _, name := range []string{
		".", "a", "a/file", "a/sub", "a/sub/deep", "a/up", "to-file", "to-dir", "to-dir/deep", "to-dir/link", "twice", "here", "here/here/a/file",
		"missing", "a/missing", "missing/x", "nowhere", "loop", "..", "../x", "a/../../x",
	} {
		if diff := cmp.Diff(answers(t, disk, name), answers(t, commit, name)); diff != "" {
			t.Errorf("%s (-directory +commit):\n%s", name, diff)
		}
	}
	for _, name := range []string{"a/file/x", "through-file"} {
		if _, err := commit.Stat(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	// What another machine may or may not have is refused wherever it is built.
	for _, name := range []string{"out", "absolute", "out/x", "out-and-in"} {
		if _, err := commit.Stat(t.Context(), name); failure.KindOf(err) != failure.Invalid || failure.HintOf(err) == "" {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestABuildOfACommitFetchesNothingThatWasFetched(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"svc/base/kustomization.yaml":          "resources: [web.yaml]\n",
		"svc/base/web.yaml":                    deployment,
		"svc/overlays/prod/kustomization.yaml": "namePrefix: prod-\nresources: [../../base, ../../../common]\n",
		"common/kustomization.yaml":            "resources: [config.yaml]\n",
		"common/config.yaml":                   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared}\n",
	}
	for i := range 100 {
		files[fmt.Sprintf("other/%02d/kustomization.yaml", i)] = fmt.Sprintf("namePrefix: n%d-\n", i)
	}
	server, tree := commitOf(t, files, nil)
	const overlay = "svc/overlays/prod"
	if _, err := steps.Referred(t.Context(), tree, []string{overlay}); err != nil {
		t.Fatal(err)
	}
	server.Reset()
	result, err := manifest.Build(t.Context(), steps.TreeSource(tree), overlay, manifest.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Objects) != 2 || result.Objects[1].ID() != "Deployment prod-web" {
		t.Errorf("rendered is %+v", result.Objects)
	}
	if n := len(server.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}
