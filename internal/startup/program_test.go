package startup_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"slipway/internal/startup"
)

// build builds the program as it is shipped.
func build(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("links the whole program")
	}
	program := filepath.Join(t.TempDir(), "slipway")
	cmd := exec.Command("go", "build", "-trimpath", "-o", program, "slipway")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

func TestTheProgramStartsWithoutWhatItDoesNotNeed(t *testing.T) {
	program := build(t)
	t.Run("no catalogue of translations is unpacked, and nothing is initialised too early", func(t *testing.T) {
		cmd := exec.Command(program, "version")
		cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		order, allocated := trace(t, string(out))
		for _, pair := range [][2]string{
			{"slipway/internal/startup", "github.com/argoproj/argo-cd/v2/util/config"},
			{"slipway/internal/startup/untranslated", "k8s.io/kubectl/pkg/cmd/apiresources"},
		} {
			if order[pair[0]] == 0 || order[pair[1]] == 0 || order[pair[0]] > order[pair[1]] {
				t.Errorf("%s is initialised as number %d, and %s as %d", pair[0], order[pair[0]], pair[1], order[pair[1]])
			}
		}
		if bytes := allocated["k8s.io/kubectl/pkg/cmd/apiresources"]; bytes > 1<<20 {
			t.Errorf("kubectl allocates %d bytes, as if it read its translations", bytes)
		}
	})
	t.Run("a broken ARGOCD_OPTS harms no step that does not use it", func(t *testing.T) {
		for _, opts := range []string{"-H x", "'", "x y z", "--header"} {
			cmd := exec.Command(program, "version")
			cmd.Env = append(os.Environ(), "ARGOCD_OPTS="+opts)
			if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "ARGOCD") {
				t.Errorf("with %q: %v\n%s", opts, err, out)
			}
		}
	})
	t.Run("the step that uses it reads it", func(t *testing.T) {
		cmd := exec.Command(program, "argocd-sync", "--app", "web", "--revision", strings.Repeat("a", 40))
		cmd.Env = append(os.Environ(), "ARGOCD_OPTS=stray", "ARGOCD_AUTH_TOKEN=token")
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(string(out), "ARGOCD_OPTS: word 1 belongs to no option") {
			t.Errorf("ended with %d, %v\n%s", code, err, out)
		}
	})
}

var traced = regexp.MustCompile(`(?m)^init (\S+) @\S+ ms, \S+ ms clock, (\d+) bytes`)

// trace returns the order of initialisation, counted from 1, and how many bytes each package allocated.
func trace(t *testing.T, text string) (order, allocated map[string]int) {
	t.Helper()
	order, allocated = map[string]int{}, map[string]int{}
	for i, match := range traced.FindAllStringSubmatch(text, -1) {
		bytes, err := strconv.Atoi(match[2])
		if err != nil {
			t.Fatal(err)
		}
		order[match[1]], allocated[match[1]] = i+1, bytes
	}
	return order, allocated
}

func TestOtherVariablesAreReadAsTheyAre(t *testing.T) {
	t.Setenv("SOMETHING", "else")
	if value, found := startup.LookupEnv("SOMETHING"); !found || value != "else" {
		t.Errorf("is %q, %t", value, found)
	}
	if _, found := os.LookupEnv("ARGOCD_OPTS"); found {
		t.Error("ARGOCD_OPTS is left where the SDK finds it")
	}
}
