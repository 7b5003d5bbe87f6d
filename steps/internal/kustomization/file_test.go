package kustomization_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/kustomization"
)

func TestChangesAtOnceAreAllKept(t *testing.T) {
	const writers = 16
	dir := t.TempDir()
	var text strings.Builder
	text.WriteString("images:\n")
	for i := range writers {
		fmt.Fprintf(&text, "- name: app%d\n  newTag: v1\n", i)
	}
	write(t, filepath.Join(dir, "kustomization.yaml"), text.String())
	var group sync.WaitGroup
	for i := range writers {
		r := request(t, fmt.Sprintf("app%d:v2", i))
		group.Go(func() {
			if err := bump(dir, r); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := read(t, dir, "kustomization.yaml"); got != strings.ReplaceAll(text.String(), "v1", "v2") {
		t.Errorf("a change was lost:\n%s", got)
	}
}

func bump(dir string, r kustomization.Request) error {
	f, err := kustomization.Open(dir, ".")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	data, _, err := kustomization.Set(f.Data, []kustomization.Request{r}, kustomization.Options{})
	if err != nil {
		return err
	}
	return f.Replace(data)
}

func TestWhatAKilledRunLeftBehindGoesAway(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "kustomization.yaml"), "images:\n- name: app\n  newTag: v1\n")
	write(t, filepath.Join(dir, ".slipway-kustomization.yaml"), "half of a fi")
	if err := bump(dir, request(t, "app:v2")); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the directory has %v, %v", entries, err)
	}
}

func TestHugeFilesAreNotRead(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "Kustomization")
	write(t, name, "")
	if err := os.Truncate(name, 1<<40); err != nil {
		t.Skip("no sparse files here")
	}
	_, err := kustomization.Open(dir, ".")
	if failure.KindOf(err) != failure.Invalid || !strings.Contains(err.Error(), "more than the limit") {
		t.Errorf("error is %v", err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
