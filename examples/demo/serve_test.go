package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever does what the screen says has a release in the cluster a few seconds later.
func TestTheServersServeWhatTheScreenSays(t *testing.T) {
	program := filepath.Join(t.TempDir(), "demo")
	t.Setenv("CGO_ENABLED", "0") // as the slipway that it builds is built elsewhere, too
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	demo := exec.CommandContext(t.Context(), program, "-serve")
	stdout, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	var commands []string
	for screen := bufio.NewScanner(stdout); screen.Scan() && !strings.HasPrefix(screen.Text(), "Tags"); {
		if command, shown := strings.CutPrefix(screen.Text(), "  "); shown {
			commands = append(commands, command)
		}
	}
	if len(commands) != 2 {
		t.Fatalf("it says to run %q", commands)
	}
	shell := exec.CommandContext(t.Context(), "sh", "-ec", strings.ReplaceAll(strings.Join(commands, "\n"), "5m", "100ms"))
	shell.Dir = t.TempDir()
	shell.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + shell.Dir}
	if out, err := shell.CombinedOutput(); err != nil || !strings.Contains(string(out), "approval accepted") {
		t.Errorf("%v\n%s", err, out)
	}
	if err := demo.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := demo.Wait(); err != nil {
		t.Errorf("interrupted: %v", err)
	}
	dir := filepath.Dir(strings.TrimPrefix(commands[0], ". "))
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left behind: %v", dir, err)
	}
}
