package lint_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"slipway/steps/internal/manifest/lint"
	"slipway/steps/internal/manifest/schema"
)

// argoCDModule returns the directory of the Argo CD module that the binary is built with.
func argoCDModule(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/argoproj/argo-cd/v2").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Fatalf("the files of the module are not here: %v", err)
	}
	return dir
}

func TestArgoCDsOwnManifestsAndExamplesRaiseNoAlarm(t *testing.T) {
	t.Parallel()
	set, err := schema.New("")
	if err != nil {
		t.Fatal(err)
	}
	objects := 0
	for _, dir := range []string{"manifests", "examples"} {
		err := filepath.WalkDir(filepath.Join(argoCDModule(t), dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".yaml" && filepath.Ext(path) != ".yml" {
				return err
			}
			for _, object := range documents(t, path) {
				objects++
				problems, known := set.Validate(object)
				if known && len(problems) > 0 {
					t.Errorf("%s: %v: %+v", path, object["kind"], problems)
				}
				for _, finding := range lint.Check(object) {
					t.Errorf("%s: %v: %+v", path, object["kind"], finding)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if objects < 300 {
		t.Errorf("looked at only %d objects", objects)
	}
	t.Logf("%d objects", objects)
}

// documents returns the objects of a file that are complete: no kustomizations, patches, Helm templates or values.
func documents(t *testing.T, path string) []map[string]any {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var objects []map[string]any
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var object map[string]any
		if err := decoder.Decode(&object); err != nil { // the end, or a template of Helm
			return objects
		}
		if !fragment(object) {
			objects = append(objects, object)
		}
	}
}

// fragment says that a document is made for kustomize: a kustomization, or a patch, which shows in a workload without selector.
func fragment(object map[string]any) bool {
	apiVersion, _ := object["apiVersion"].(string)
	spec, _ := object["spec"].(map[string]any)
	return object["kind"] == nil || strings.HasPrefix(apiVersion, "kustomize.config.k8s.io/") ||
		apiVersion == "apps/v1" && spec["selector"] == nil
}
