package gitrepo_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
)

const (
	prodDir  = "services/svc-05/overlays/prod"
	prodFile = prodDir + "/kustomization.yaml"
	baseDir  = "services/svc-05/base"
)

func overlay(t *testing.T, f *fixture, dir string) (bool, error) {
	t.Helper()
	r := f.open(t)
	c, _ := tipTree(t, r)
	_, changed, err := gitrepo.MakeOverlay(t.Context(), r, "main", c.Hash, dir, []string{prodDir}, func(context.Context, *gitrepo.Tree, []string) ([]string, error) {
		return []string{baseDir}, nil
	})
	return changed, err
}

// attached opens an overlay as another process would.
func attached(t *testing.T, f *fixture, dir string) (*gitrepo.Overlay, *gitrepo.Remote) {
	t.Helper()
	o, err := gitrepo.OpenOverlay(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := f.open(t)
	if err := o.Attach(r); err != nil {
		t.Fatal(err)
	}
	return o, r
}

func filesBelow(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		if !strings.HasPrefix(rel, ".slipway") {
			all[rel] = string(data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAnOverlayIsPublishedWithoutAskingForAnythingTwice(t *testing.T) {
	t.Parallel()
	eachServer(t, func(f *fixture) {
		t := f.t
		dir := filepath.Join(t.TempDir(), "overlay")
		if changed, err := overlay(t, f, dir); err != nil || !changed {
			t.Fatalf("changed %v, %v", changed, err)
		}
		want := map[string]string{
			prodFile:                        "resources:\n- ../../base\nimages:\n- name: svc-05\n  newTag: v1\n",
			baseDir + "/deployment.yaml":    "kind: Deployment # 5\n",
			baseDir + "/kustomization.yaml": "resources:\n- deployment.yaml\n",
		}
		if diff := cmp.Diff(want, filesBelow(t, dir)); diff != "" {
			t.Fatalf("files (-want +got):\n%s", diff)
		}
		if changed, err := overlay(t, f, dir); err != nil || changed {
			t.Errorf("a second time: changed %v, %v", changed, err)
		}
		put(t, dir, prodFile, "edited\n")
		put(t, dir, prodDir+"/patch.yaml", "new\n")
		put(t, dir, "stray", "beyond the overlay\n")
		f.Reset()
		o, r := attached(t, f, dir)
		changes, _, err := o.Changes(nil)
		if err != nil || len(changes) != 2 {
			t.Fatalf("changes: %v, %v", changes, err)
		}
		c, _ := tipTree(t, r)
		built := build(t, r, c, changes...)
		if err := r.Swap(t.Context(), "main", built); err != nil {
			t.Fatal(err)
		}
		if err := o.Advance(t.Context(), "main", built.Hash, built, changes); err != nil {
			t.Fatal(err)
		}
		for _, q := range f.Requests() {
			if q.BytesOut > 2000 && !f.shallow {
				t.Errorf("%s %s: %d bytes were fetched again", q.Method, q.Path, q.BytesOut)
			}
		}
		o, _ = attached(t, f, dir)
		if changes, _, err := o.Changes(nil); err != nil || len(changes) != 0 || o.Base() != built.Hash {
			t.Errorf("afterwards: base %s, changes %v, %v", o.Base(), changes, err)
		}
		f.commit(t, "another", map[string]string{baseDir + "/deployment.yaml": "theirs\n", "README.md": "x"})
		if changed, err := overlay(t, f, dir); err != nil || !changed || filesBelow(t, dir)[baseDir+"/deployment.yaml"] != "theirs\n" {
			t.Errorf("brought to the newest commit: changed %v, %v", changed, err)
		}
	})
}

func TestCheckoutsRefuseToLoseWork(t *testing.T) {
	t.Parallel()
	f := newFixture(t, servers[0])
	dir := filepath.Join(t.TempDir(), "overlay")
	if _, err := overlay(t, f, dir); err != nil {
		t.Fatal(err)
	}
	put(t, dir, prodFile, "mine\n")
	if _, err := overlay(t, f, dir); failure.KindOf(err) != failure.Conflict || !strings.Contains(err.Error(), prodFile) {
		t.Errorf("with a change of its own: %v", err)
	}
	other := t.TempDir()
	put(t, other, "precious", "mine\n")
	if _, err := overlay(t, f, other); failure.KindOf(err) != failure.Usage {
		t.Errorf("a directory with files: %v", err)
	}
	if diff := cmp.Diff(map[string]string{"precious": "mine\n"}, filesBelow(t, other)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestAnOverlayWithASymlinkOutOfItStaysInside(t *testing.T) {
	t.Parallel()
	f := newFixture(t, servers[0])
	dir := filepath.Join(t.TempDir(), "overlay")
	if _, err := overlay(t, f, dir); err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	remove(t, dir, "services/svc-05/overlays")
	symlink(t, dir, outside, "services/svc-05/overlays")
	f.commit(t, "another", map[string]string{prodFile: "theirs\n"})
	if _, err := overlay(t, f, dir); err == nil {
		t.Error("the checkout was brought forward through a symlink")
	}
	if got := filesBelow(t, outside); len(got) != 0 {
		t.Errorf("files outside: %v", got)
	}
}

func TestAnInterruptedCheckoutIsMadeAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, servers[0])
	dir := filepath.Join(t.TempDir(), "overlay")
	if _, err := overlay(t, f, dir); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, ".slipway", "checkout.json")
	data, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, ".slipway/checkout.json", strings.Replace(string(data), `"complete": true`, `"complete": false`, 1))
	remove(t, dir, prodFile)
	o, err := gitrepo.OpenOverlay(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Attach(f.open(t)); failure.KindOf(err) != failure.Invalid {
		t.Errorf("used half done: %v", err)
	}
	if changed, err := overlay(t, f, dir); err != nil || !changed || len(filesBelow(t, dir)) != 3 {
		t.Errorf("made again: changed %v, %v, %v", changed, err, filesBelow(t, dir))
	}
}

func TestAKilledAdvanceIsFinished(t *testing.T) {
	t.Parallel()
	f := newFixture(t, servers[0])
	dir := filepath.Join(t.TempDir(), "overlay")
	if _, err := overlay(t, f, dir); err != nil {
		t.Fatal(err)
	}
	put(t, dir, prodFile, "edited\n")
	theirs := f.commit(t, "another", map[string]string{baseDir + "/deployment.yaml": "theirs\n"})
	o, r := attached(t, f, dir)
	changes, _, err := o.Changes(nil)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := tipTree(t, r)
	built := build(t, r, c, changes...)
	if c.Hash.String() != theirs {
		t.Fatal("the tip did not move")
	}
	if err := r.Swap(t.Context(), "main", built); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, ".slipway", "checkout.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Advance(t.Context(), "main", built.Hash, built, changes); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(dir, ".slipway", "checkout.json"))
	if err != nil {
		t.Fatal(err)
	}
	// What a kill between the first and the last file leaves: the journal in the old state, and old files.
	pending := strings.TrimSuffix(strings.TrimSpace(string(before)), "}") + `, "next": ` + string(after) + "}"
	put(t, dir, ".slipway/checkout.json", pending)
	put(t, dir, baseDir+"/deployment.yaml", "kind: Deployment # 5\n")
	o, _ = attached(t, f, dir)
	if err := o.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if changes, _, err := o.Changes(nil); err != nil || len(changes) != 0 || o.Base() != built.Hash {
		t.Errorf("base %s, changes %v, %v", o.Base(), changes, err)
	}
	if got := filesBelow(t, dir)[baseDir+"/deployment.yaml"]; got != "theirs\n" {
		t.Errorf("the other's file is %q", got)
	}
}
