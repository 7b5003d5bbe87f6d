package steps_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// allValidated is the result of slipway validate --all on a repository with findings.
type allValidated struct {
	Error struct {
		Category string
		Details  struct {
			Paths    int
			Objects  int
			Findings []struct{ Path, Rule, Object, File, Field string }
		}
	}
}

// TestValidateAllFindsExactlyWhatIsBroken checks a repository of 50 services with three overlays each, in two of which the
// objects are wrong and one of which does not build.
func TestValidateAllFindsExactlyWhatIsBroken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 50 {
		writeService(t, dir, fmt.Sprintf("svc-%05d", i))
	}
	edit(t, filepath.Join(dir, "services/svc-00007/overlays/prod/resources.yaml"), "cpu: 100m", "cpu: 100mb")
	edit(t, filepath.Join(dir, "services/svc-00042/overlays/test/kustomization.yaml"), "../../base", "../../bass")
	edit(t, filepath.Join(dir, "services/svc-00049/overlays/dev/kustomization.yaml"), "newTag: 1.0.0", "newTag: \"1 0\"")

	stdout, stderr := validateAll(t, dir)
	var got allValidated
	if err := json.Unmarshal(stdout, &got); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	details := got.Error.Details
	if got.Error.Category != "invalid" || details.Paths != 150 || details.Objects != 149*3 {
		t.Errorf("%s, %d paths, %d objects", got.Error.Category, details.Paths, details.Objects)
	}
	var found []string
	for _, f := range details.Findings {
		found = append(found, strings.Join([]string{f.Path, f.Rule, f.Object}, " | "))
	}
	want := []string{
		"services/svc-00007/overlays/prod | schema | Deployment shop-prod/svc-00007",
		"services/svc-00042/overlays/test | build | ",
		"services/svc-00049/overlays/dev | image | Deployment shop-dev/svc-00049",
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if !strings.Contains(stderr, "kustomizations=150") {
		t.Errorf("says nothing of how much there is to do:\n%s", stderr)
	}

	if alone, _ := validateAll(t, dir, "GOMAXPROCS=1"); !bytes.Equal(stdout, alone) {
		t.Errorf("on all processors:\n%s\non one:\n%s", stdout, alone)
	}
}

func validateAll(t *testing.T, dir string, env ...string) (stdout []byte, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "slipway", "validate", "--all")
	var log bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), env...), &log
	stdout, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Fatalf("%v\n%s", err, &log)
	}
	return stdout, log.String()
}

func edit(t *testing.T, file, from, to string) {
	t.Helper()
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	after := strings.ReplaceAll(string(before), from, to)
	if after == string(before) {
		t.Fatalf("%s: no %q", file, from)
	}
	if err := os.WriteFile(file, []byte(after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// writeService writes a service in the form of those that bench generates.
func writeService(t *testing.T, root, name string) {
	t.Helper()
	files := map[string]string{
		"base/kustomization.yaml":          "resources: [deployment.yaml, service.yaml, configmap.yaml]\n",
		"base/deployment.yaml":             fmt.Sprintf(deploymentYAML, name),
		"base/service.yaml":                fmt.Sprintf(serviceYAML, name),
		"base/configmap.yaml":              fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\ndata:\n  LOG_LEVEL: info\n", name),
		"overlays/prod/resources.yaml":     fmt.Sprintf(resourcesYAML, name),
		"overlays/prod/kustomization.yaml": "patches:\n  - path: resources.yaml\n",
	}
	for _, environment := range []string{"dev", "test", "prod"} {
		files["overlays/"+environment+"/kustomization.yaml"] += fmt.Sprintf(
			"namespace: shop-%s\nresources:\n  - ../../base\nimages:\n  - name: registry.example.com/%s\n    newTag: 1.0.0\n", environment, name)
	}
	for file, content := range files {
		full := filepath.Join(root, "services", name, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const deploymentYAML = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
spec:
  selector:
    matchLabels: {app: %[1]s}
  template:
    metadata:
      labels: {app: %[1]s}
    spec:
      containers:
        - name: %[1]s
          image: registry.example.com/%[1]s
          ports:
            - name: http
              containerPort: 8080
`

const serviceYAML = `apiVersion: v1
kind: Service
metadata:
  name: %[1]s
spec:
  selector: {app: %[1]s}
  ports:
    - name: http
      port: 80
      targetPort: http
`

const resourcesYAML = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
spec:
  template:
    spec:
      containers:
        - name: %[1]s
          resources:
            requests:
              cpu: 100m
`
