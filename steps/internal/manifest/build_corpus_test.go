package manifest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/manifest"
)

// TestBuildAgreesWithTheKustomizeCLI builds every case of testdata/corpus with both, and wants the same bytes, or a refusal
// by both.
func TestBuildAgreesWithTheKustomizeCLI(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the kustomize CLI")
	}
	t.Parallel()
	cases, err := filepath.Glob("testdata/corpus/*.txtar")
	if err != nil || len(cases) < 60 {
		t.Fatalf("%d cases, error %v", len(cases), err)
	}
	for _, file := range cases {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		if name == "common" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			lay(t, root, corpusCase(t, file))
			cmd := exec.CommandContext(t.Context(), kustomize(t), "build", filepath.Join(root, "app"))
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			want, refusal := cmd.Output()
			source, err := manifest.Dir(root)
			if err != nil {
				t.Fatal(err)
			}
			got, err := manifest.Build(t.Context(), source, "app", manifest.Limits{})
			refused := strings.HasPrefix(name, "refused_")
			if refused != (refusal != nil) || refused != (err != nil) {
				t.Fatalf("kustomize: %v %s\nslipway: %v", refusal, &stderr, err)
			}
			if refused {
				t.Logf("kustomize: %sslipway: %v\nhint: %s", &stderr, err, failure.HintOf(err))
				wantRefusal(t, err, root, "")
				return
			}
			text, err := got.YAML()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(text)); diff != "" {
				t.Errorf("output (-kustomize +slipway):\n%s", diff)
			}
		})
	}
}

// kustomize returns the CLI, built once per machine.
func kustomize(t *testing.T) string {
	t.Helper()
	program, err := builtKustomize()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

var builtKustomize = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(cache, "slipway-bench", "v1", "kustomize-"+manifest.KustomizeVersion)
	program := filepath.Join(bin, "kustomize")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	cmd := exec.CommandContext(context.Background(), "go", "install", "sigs.k8s.io/kustomize/kustomize/v5@"+manifest.KustomizeVersion)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+bin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return program, nil
})

func corpusCase(t *testing.T, file string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, f := range []string{"testdata/corpus/common.txtar", file} {
		archive, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range archive.Files {
			files[entry.Name] = string(entry.Data)
		}
	}
	return files
}

// lay writes files below a directory.
func lay(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		full := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// wantRefusal wants an error of kind Invalid with a hint and a text in it, which says nothing of the machine.
func wantRefusal(t *testing.T, err error, root, text string) {
	t.Helper()
	switch {
	case err == nil:
		t.Fatal("no error")
	case failure.KindOf(err) != failure.Invalid || failure.HintOf(err) == "":
		t.Errorf("error is of kind %s with the hint %q: %v", failure.KindOf(err), failure.HintOf(err), err)
	case !strings.Contains(err.Error(), text):
		t.Errorf("error is %q, want %q in it", err, text)
	case strings.Contains(err.Error(), root) || strings.Contains(err.Error(), "/repository") && !strings.Contains(text, "/repository"):
		t.Errorf("error names a path of the machine: %v", err)
	}
}
