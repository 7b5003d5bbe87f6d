package steps_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"slipway/internal/gitrepotest"
	"slipway/steps"
)

// TestRevertsAgreeWithGit reverts every commit of random histories twice, by git revert and by slipway, and compares the
// trees. Where git conflicts slipway conflicts, except for image entries, which merge by name.
func TestRevertsAgreeWithGit(t *testing.T) {
	t.Parallel()
	server := gitrepotest.New(t, gitrepotest.Options{})
	counts := map[string]int{}
	for seed := range uint64(5) {
		h := newRandomHistory(t, server, seed)
		for _, commit := range h.commits[1:] {
			counts[h.compare(commit)]++
		}
	}
	t.Log(counts)
	for _, kind := range []string{"same tree", "both conflict", "nothing left", "images merged"} {
		if counts[kind] == 0 {
			t.Errorf("no case of %q: the histories prove little", kind)
		}
	}
}

// randomHistory is a branch on which lines, images, modes and whole files changed at random, and a clone of it.
type randomHistory struct {
	t       *testing.T
	server  *gitrepotest.Server
	random  *rand.Rand
	name    string
	clone   string
	commits []string // oldest first
	files   map[string]string
	modes   map[string]string
}

func newRandomHistory(t *testing.T, server *gitrepotest.Server, seed uint64) *randomHistory {
	t.Helper()
	h := &randomHistory{
		t: t, server: server, random: rand.New(rand.NewPCG(seed, 3)), name: fmt.Sprintf("history-%d", seed),
		files: map[string]string{}, modes: map[string]string{}, clone: filepath.Join(t.TempDir(), "clone"),
	}
	for i := range 3 {
		h.files[fmt.Sprintf("text/%d", i)] = strings.Repeat("same\n", 3) + "a\nb\nc\nd\ne\nf\n"
	}
	h.files["apps/block/kustomization.yaml"] = "# app\nresources:\n- x.yaml\n\nimages:\n- name: one\n  newTag: v0\n- name: two\n  newTag: v0\n"
	// Two services on adjacent lines, which a merge by lines cannot tell apart.
	h.files["apps/flow/kustomization.yaml"] = "images:\n- {name: one, newTag: v0}\n- {name: two, newTag: v0}\n"
	if err := server.CreateRepo(h.name, gitrepotest.RepoOptions{Files: h.files}); err != nil {
		t.Fatal(err)
	}
	for i := range 14 {
		change := gitrepotest.Commit{Message: fmt.Sprintf("change %d", i), Files: map[string]string{}, Modes: h.modes}
		h.change(i, &change)
		maps.Copy(h.files, change.Files)
		for _, p := range change.Delete {
			delete(h.files, p)
		}
		if _, err := server.Commit(h.name, change); err != nil {
			t.Fatal(err)
		}
	}
	out, err := server.Git(h.name, "rev-list", "--reverse", "main")
	if err != nil {
		t.Fatal(err)
	}
	h.commits = strings.Fields(out)
	h.git(".", "clone", "-q", server.URL(h.name), h.clone)
	return h
}

// change edits one or two files.
func (h *randomHistory) change(n int, c *gitrepotest.Commit) {
	for range 1 + h.random.IntN(2) {
		names := slices.Sorted(maps.Keys(h.files))
		name := names[h.random.IntN(len(names))]
		lines := strings.SplitAfter(h.files[name], "\n")
		at := h.random.IntN(len(lines))
		switch k := h.random.IntN(10); {
		case strings.HasSuffix(name, "kustomization.yaml"):
			image := []string{"one", "two"}[h.random.IntN(2)]
			entry := regexp.MustCompile(`(name: ` + image + `,?\s+newTag: )v\d+`)
			c.Files[name] = entry.ReplaceAllString(h.files[name], fmt.Sprintf("${1}v%d", n+1))
		case k == 0:
			c.Delete = append(c.Delete, name)
			delete(c.Files, name)
		case k == 1:
			c.Files[fmt.Sprintf("text/new-%d", n)] = fmt.Sprintf("new %d\n", n)
		case k == 2:
			h.modes[name] = "100755"
			c.Files[name] = h.files[name]
		case k < 6:
			c.Files[name] = strings.Join(slices.Insert(lines, at, fmt.Sprintf("line %d\n", n)), "")
		default:
			c.Files[name] = strings.Join(slices.Delete(lines, at, min(at+1, len(lines)-1)), "") + fmt.Sprintf("end %d\n", n)
		}
	}
	for _, p := range c.Delete {
		delete(c.Files, p)
	}
}

// compare reverts a commit in both ways and says how that went.
func (h *randomHistory) compare(commit string) string {
	h.t.Helper()
	tip := h.git(h.clone, "rev-parse", "HEAD")
	conflicts, gitTree := h.gitRevert(commit)
	code, said := h.slipwayRevert(commit)
	defer h.serverGit("update-ref", "refs/heads/main", tip)
	tree := h.serverGit("rev-parse", "main^{tree}")
	onlyImages := !slices.ContainsFunc(conflicts, func(p string) bool { return !strings.HasSuffix(p, "/kustomization.yaml") })
	switch {
	case len(conflicts) == 0 && code == 0 && tree == gitTree:
		if tree == h.serverGit("rev-parse", tip+"^{tree}") {
			return "nothing left"
		}
		return "same tree"
	case len(conflicts) > 0 && (code == int(steps.ExitConflict) || code == int(steps.ExitSuperseded)):
		return "both conflict"
	case len(conflicts) > 0 && onlyImages && code == 0:
		return "images merged"
	}
	h.t.Errorf("%s: revert of %s: git conflicts in %v, tree %s; slipway exits with %d, tree %s: %s", h.name, commit, conflicts, gitTree, code, tree, said)
	return "different"
}

// gitRevert returns the files in which git revert conflicts, and the tree it makes otherwise.
func (h *randomHistory) gitRevert(commit string) (conflicts []string, tree string) {
	h.t.Helper()
	defer h.git(h.clone, "reset", "-q", "--hard", "HEAD")
	// Renames are followed by git only.
	cmd := h.gitCommand(h.clone, "-c", "merge.renames=false", "revert", "--no-commit", commit)
	if out, err := cmd.CombinedOutput(); err != nil {
		conflicts = strings.Fields(h.git(h.clone, "diff", "--name-only", "--diff-filter=U"))
		if len(conflicts) == 0 {
			h.t.Fatalf("git revert %s: %v\n%s", commit, err, out)
		}
		return conflicts, ""
	}
	return nil, h.git(h.clone, "write-tree")
}

func (h *randomHistory) slipwayRevert(commit string) (code int, said string) {
	h.t.Helper()
	var stdout, stderr bytes.Buffer
	code = steps.Main(context.Background(), []string{"slipway", "revert", "--repo", h.server.URL(h.name), "--commit", commit},
		strings.NewReader(""), &stdout, &stderr, func(string) (string, bool) { return "", false })
	return code, stdout.String() + stderr.String()
}

func (h *randomHistory) serverGit(args ...string) string {
	h.t.Helper()
	out, err := h.server.Git(h.name, args...)
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func (h *randomHistory) gitCommand(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), gitrepotest.Environ(h.t.TempDir())...)
	return cmd
}

func (h *randomHistory) git(dir string, args ...string) string {
	h.t.Helper()
	out, err := h.gitCommand(dir, args...).CombinedOutput()
	if err != nil {
		h.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
