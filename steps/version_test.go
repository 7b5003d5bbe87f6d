package steps_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A released version is only what the linker says, so this test links one.
func TestAReleasedVersionIsHeldAgainstTheRange(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "slipway")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", binary,
		"-ldflags", "-X slipway/steps.linkedVersion=v1.4.2 -X slipway/steps.linkedCommit=4f1c0de", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, test := range map[string]struct {
		wanted string
		code   int
		says   string
	}{
		"inside of the range":         {">=1.4,<2", 0, `"version":"1.4.2","commit":"4f1c0de"`},
		"too old":                     {">=1.5", 2, "this is slipway 1.4.2, but >=1.5 is required"},
		"too new":                     {">= 1.0, < 1.4", 2, "this is slipway 1.4.2, but >= 1.0, < 1.4 is required"},
		"a range that is none":        {"latest", 2, `--require \"latest\": `},
		"a condition that is missing": {">=1.4,", 2, `--require \">=1.4,\": `},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), binary, "version", "--require", test.wanted).Output()
			code := 0
			if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
				code = failed.ExitCode()
			}
			if code != test.code || !strings.Contains(string(out), test.says) {
				t.Errorf("exit code %d, stdout %s", code, out)
			}
		})
	}
}
