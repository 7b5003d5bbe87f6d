package schema_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Kubernetes keeps, for each of its kinds, an object with every field there is, to prove that it can still read it.
func TestEveryFieldOfKubernetesOwnSamplesIsKnown(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}|{{.Version}}", "k8s.io/api").Output()
	dir, version, _ := strings.Cut(strings.TrimSpace(string(out)), "|")
	if err != nil || dir == "" {
		t.Fatalf("the files of the module are not here: %v", err)
	}
	set := newSet(t, strings.Replace(version, "v0.", "1.", 1))
	files, err := filepath.Glob(filepath.Join(dir, "testdata", "HEAD", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		problems, known := set.Validate(parse(t, string(data)))
		if !known || len(problems) > 0 && problems[0].Path == "apiVersion" { // what a server of this version does not serve
			continue
		}
		checked++
		if len(problems) > 0 {
			t.Errorf("%s: %+v", filepath.Base(file), problems)
		}
	}
	if checked < 60 {
		t.Errorf("checked only %d objects", checked)
	}
}
