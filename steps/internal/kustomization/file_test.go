package kustomization_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

func TestFilesOfSeveralDirectoriesAreOpenedWithoutDeadlock(t *testing.T) {
	dir := t.TempDir()
	paths := []string{"b/x.yaml", "a/x.yaml", "a/y.yaml", "./b/x.yaml"}
	for _, path := range paths {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, path), "")
	}
	var group sync.WaitGroup
	for range 16 {
		slices.Reverse(paths)
		order := slices.Clone(paths)
		group.Go(func() {
			if err := grow(dir, order); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, path := range paths {
		if got := read(t, dir, path); len(got) != 16 {
			t.Errorf("%s: %d of 16 changes are kept", path, len(got))
		}
	}
}

// grow adds a byte to each of the files, of which the first and the last are one.
func grow(dir string, paths []string) error {
	tree, err := kustomization.OpenTree(dir)
	if err != nil {
		return err
	}
	defer func() { _ = tree.Close() }()
	files, err := tree.Open(paths...)
	if err != nil {
		return err
	}
	if files[0] != files[3] {
		return errors.New("one file is two")
	}
	var contents []kustomization.Content
	for _, f := range files[1:] {
		contents = append(contents, kustomization.Content{File: f, Data: append(f.Data, 'x')})
	}
	return kustomization.Replace(contents)
}

func bump(dir string, r kustomization.Request) error {
	tree, err := kustomization.OpenTree(dir)
	if err != nil {
		return err
	}
	defer func() { _ = tree.Close() }()
	files, err := tree.Open("kustomization.yaml")
	if err != nil {
		return err
	}
	data, _, err := kustomization.Set(files[0].Data, []kustomization.Request{r}, kustomization.Options{})
	if err != nil {
		return err
	}
	return kustomization.Replace([]kustomization.Content{{File: files[0], Data: data}})
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
	tree, err := kustomization.OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tree.Open("Kustomization")
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
