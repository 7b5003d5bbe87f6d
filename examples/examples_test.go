// Package examples_test checks what people copy from here. Jenkinsfiles are run by the tests of the Jenkins library.
package examples_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// document is one object of a YAML file.
type document struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct {
		Name        string
		Annotations map[string]string
	}
	Type       string
	StringData map[string]string `yaml:"stringData"`
	Data       map[string]string
	Spec       map[string]any
}

func documents(t *testing.T, file string) []document {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []document
	for decoder := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var d document
		if err := decoder.Decode(&d); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, d)
	}
}

// manifests returns the files of each kustomization, by directory.
func manifests(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (path == "gitops-repo" || path == "testdata"):
			return fs.SkipDir
		case filepath.Ext(path) == ".yaml":
			found[filepath.Dir(path)] = append(found[filepath.Dir(path)], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func validate(t *testing.T, from string, edit func(string) string, flags ...string) ended {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(from, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(edit(string(data))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return run(t, "", os.Environ(), "slipway", append([]string{"validate", "--dir", dir, "--path", "."}, flags...)...)
}

func asItIs(text string) string { return text }

// definitions are the flags of validate with which it takes the definitions of a release of KubeSphere instead of its own.
var definitions = map[string][]string{
	"slipway's own":    nil,
	"KubeSphere 3.1.1": {"--crds", "testdata/crds/kubesphere-3.1.1"},
	"KubeSphere 3.4.1": {"--crds", "testdata/crds/kubesphere-3.4.1"},
}

func TestEveryManifestIsValid(t *testing.T) {
	t.Parallel()
	for dir, files := range manifests(t) {
		objects := 0
		for _, file := range files {
			if filepath.Base(file) != "kustomization.yaml" {
				objects += len(documents(t, file))
			}
		}
		for whose, flags := range definitions {
			t.Run(dir+" by "+whose+" definitions", func(t *testing.T) {
				t.Parallel()
				got := validate(t, dir, asItIs, flags...)
				var result struct {
					Details struct {
						Objects  int
						Findings []any
					}
				}
				if err := json.Unmarshal([]byte(got.stdout), &result); err != nil || got.code != 0 || len(result.Details.Findings) > 0 {
					t.Fatalf("exit %d: %s", got.code, got.stdout)
				}
				if result.Details.Objects != objects {
					t.Errorf("checked %d objects of %d: is a file missing in kustomization.yaml?", result.Details.Objects, objects)
				}
			})
		}
	}
}

func TestEachReleaseOfKubeSphereIsCheckedByItsOwnDefinitions(t *testing.T) {
	t.Parallel()
	const field = "disable_concurrent: true"
	add := func(text string) string {
		return strings.Replace(text, field, field+"\n    generic_webhook: {enable: false}", 1)
	}
	misspell := func(text string) string { return strings.Replace(text, field, "disable_concurent: true", 1) }
	for whose, flags := range definitions {
		if got := validate(t, "kubesphere/pipelines", misspell, flags...); got.code != 3 || !strings.Contains(got.stdout, "disable_concurent") {
			t.Errorf("a field that is misspelt, by %s definitions: exit %d: %s", whose, got.code, got.stdout)
		}
	}
	for release, want := range map[string]int{"KubeSphere 3.1.1": 3, "KubeSphere 3.4.1": 0} {
		if got := validate(t, "kubesphere/pipelines", add, definitions[release]...); got.code != want {
			t.Errorf("a field of 3.4, by the definitions of %s: exit %d, not %d: %s", release, got.code, want, got.stdout)
		}
	}
}

func TestCredentialsAreWhatJenkinsReads(t *testing.T) {
	t.Parallel()
	const prefix = "credential.devops.kubesphere.io/"
	keys := map[string][]string{prefix + "basic-auth": {"username", "password"}, prefix + "secret-text": {"secret"}}
	checked := 0
	for _, files := range manifests(t) {
		for _, file := range files {
			for _, d := range documents(t, file) {
				if !strings.HasPrefix(d.Type, prefix) {
					continue
				}
				checked++
				if d.Metadata.Annotations[prefix+"autosync"] == "" {
					t.Errorf("%s: a new password will not get to Jenkins without the annotation %sautosync", file, prefix)
				}
				for _, key := range keys[d.Type] {
					if d.StringData[key] == "" {
						t.Errorf("%s: %s needs %s", file, d.Type, key)
					}
				}
				if len(d.StringData) != len(keys[d.Type]) {
					t.Errorf("%s: more than %s has", file, d.Type)
				}
			}
		}
	}
	if checked == 0 {
		t.Error("no credentials")
	}
}

func TestThePipelineOfKubeSphereIsThePlainOne(t *testing.T) {
	t.Parallel()
	plain, err := os.ReadFile("jenkins/plain/Jenkinsfile")
	if err != nil {
		t.Fatal(err)
	}
	d := documents(t, "kubesphere/pipelines/shop-web.yaml")[0]
	if got := d.Spec["pipeline"].(map[string]any)["jenkinsfile"]; got != string(plain) {
		t.Error("kubesphere/pipelines/shop-web.yaml has another Jenkinsfile than jenkins/plain: copy it, indented by six spaces")
	}
}
