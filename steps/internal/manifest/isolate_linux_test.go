package manifest_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"slipway/steps/internal/manifest"
)

func TestAChildGetsNoFileThatThisProcessWasGiven(t *testing.T) {
	given, err := os.Create(filepath.Join(t.TempDir(), "given"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Dup3(int(given.Fd()), inheritedFile, 0); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(inheritedFile) }()
	_, err = manifest.BuildIsolated(t.Context(), child(t, "looks around"), files(t, app("")), "app", manifest.Limits{})
	if err == nil || !strings.Contains(err.Error(), "bad file descriptor") {
		t.Errorf("error is %v", err)
	}
}

func TestAChildEndsWithItsParent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lay(t, dir, map[string]string{"kustomization.yaml": ""})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	command := append(child(t, "has a child"), dir)
	parent := exec.CommandContext(t.Context(), command[0], command[1:]...)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.Open(filepath.Join(dir, "pipe"))
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	alive := bufio.NewReader(pipe)
	if line, err := alive.ReadString('\n'); line != "alive\n" {
		t.Fatalf("child says %q, error %v", line, err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	if _, err := alive.ReadByte(); err != io.EOF { // when the child has closed the pipe with all that it had
		t.Errorf("error is %v", err)
	}
}
