package gitrepo_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/steps/internal/gitrepo"
)

// git runs the real git in a directory, without the machine's configuration.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=T", "GIT_AUTHOR_EMAIL=t@example.com",
		"GIT_COMMITTER_NAME=T", "GIT_COMMITTER_EMAIL=t@example.com", "HOME=/nonexistent")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func put(t *testing.T, dir, name, contents string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(contents), 0o666); err != nil {
		t.Fatal(err)
	}
}

// clone makes a checkout of the fixture's repository with the real git.
func (f *fixture) clone(t *testing.T, args ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "checkout")
	git(t, ".", append(append([]string{"clone", "-q"}, args...), f.URL("gitops"), dir)...)
	return dir
}

func worktree(t *testing.T, f *fixture, dir string) *gitrepo.Worktree {
	t.Helper()
	w, err := gitrepo.OpenWorktree(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Attach(f.open(t)); err != nil {
		t.Fatal(err)
	}
	return w
}

// changesOf renders changes as git status --porcelain would.
func changesOf(t *testing.T, w *gitrepo.Worktree, paths ...string) []string {
	t.Helper()
	changes, _, err := w.Changes(paths)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range changes {
		mark := "M"
		switch {
		case c.From == nil:
			mark = "A"
		case c.To == nil:
			mark = "D"
		}
		lines = append(lines, mark+" "+c.Path)
	}
	return lines
}

// gitChanges is what the real git would commit with `git add -A -- paths`.
func gitChanges(t *testing.T, dir string, paths ...string) []string {
	t.Helper()
	index := filepath.Join(t.TempDir(), "index")
	data, err := os.ReadFile(filepath.Join(dir, ".git", "index"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(index, data, 0o666); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GIT_INDEX_FILE", index)
	git(t, dir, append([]string{"add", "-A", "--"}, paths...)...)
	out := git(t, dir, append([]string{"diff-index", "--cached", "--name-status", "--no-renames", "-z", "HEAD", "--"}, paths...)...)
	if err := os.Unsetenv("GIT_INDEX_FILE"); err != nil {
		t.Fatal(err)
	}
	fields := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	var lines []string
	for i := 0; i+1 < len(fields); i += 2 {
		mark := fields[i]
		if mark == "T" {
			mark = "M"
		}
		lines = append(lines, mark+" "+fields[i+1])
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[2:], b[2:]) })
	return lines
}

// work is a checkout to be edited in.
type work struct {
	t   *testing.T
	dir string
}

func (w work) put(name, contents string) {
	w.t.Helper()
	put(w.t, w.dir, name, contents)
}

func (w work) remove(name string) {
	w.t.Helper()
	remove(w.t, w.dir, name)
}

func (w work) chmod(name string, mode os.FileMode) {
	w.t.Helper()
	if err := os.Chmod(filepath.Join(w.dir, name), mode); err != nil {
		w.t.Fatal(err)
	}
}

func (w work) symlink(target, name string) {
	w.t.Helper()
	symlink(w.t, w.dir, target, name)
}

func (w work) git(args ...string) {
	w.t.Helper()
	git(w.t, w.dir, args...)
}

func TestChangesAreThoseThatGitSees(t *testing.T) {
	f := newFixture(t, servers[0])
	for name, edit := range map[string]func(w work){
		"nothing":                  func(work) {},
		"a changed file":           func(w work) { w.put("README.md", "changed\n") },
		"same size":                func(w work) { w.put("README.md", "the repositorz\n") },
		"a new file":               func(w work) { w.put("new/file", "new\n") },
		"a deleted file":           func(w work) { w.remove("README.md") },
		"a deleted dir":            func(w work) { w.remove("services/svc-01") },
		"executable":               func(w work) { w.chmod("README.md", 0o755) },
		"not executable":           func(w work) { w.chmod("bin/run.sh", 0o644) },
		"file to dir":              func(w work) { w.remove("README.md"); w.put("README.md/x", "x") },
		"dir to file":              func(w work) { w.remove("bin"); w.put("bin", "x") },
		"link to file":             func(w work) { w.remove("link"); w.put("link", "README.md") },
		"retargeted link":          func(w work) { w.remove("link"); w.symlink("bin/run.sh", "link") },
		"a dir that became a link": func(w work) { w.remove("services/svc-01"); w.symlink("svc-02", "services/svc-01") },
		"a new link":               func(w work) { w.symlink("../..", "services/out") },
		"staged":                   func(w work) { w.put("README.md", "staged\n"); w.git("add", "README.md") },
		"staged, undone": func(w work) {
			w.put("README.md", "staged\n")
			w.git("add", ".")
			w.put("README.md", "the repository\n")
		},
		"removed from git": func(w work) { w.git("rm", "-q", "--cached", "README.md") },
		"moved":            func(w work) { w.git("mv", "README.md", "READ.md") },
		"ignored": func(w work) {
			w.put(".gitignore", "*.log\n/build/\n!keep.log\nservices/*/tmp\n")
			for _, p := range []string{"a.log", "keep.log", "build/x", "services/build/x", "services/svc-01/tmp/y", "services/svc-01/base/x.log"} {
				w.put(p, "x")
			}
			w.put("services/svc-02/.gitignore", "*\n!.gitignore\n")
			w.put("services/svc-02/y", "x")
		},
		"ignored here only": func(w work) { w.put(".git/info/exclude", "junk*\n"); w.put("junk1", "x") },
		"odd names": func(w work) {
			for _, p := range []string{"with space", "quote\"d", "new\nline", "ümlaut", "caf\xe9", "-dash", "a,b"} {
				w.put("services/"+p, "x")
			}
		},
		"line ends": func(w work) {
			w.git("config", "core.autocrlf", "true")
			w.put("README.md", "the repository\r\n")
		},
		"line ends kept": func(w work) { w.put("README.md", "the repository\r\n") },
		"attributes": func(w work) {
			w.put(".gitattributes", "*.md text\n*.bin -text\n")
			w.put("README.md", "changed\r\nhere, too\r\n") // of another size: git may miss a change within the second otherwise
			w.put("x.bin", "a\r\n")
		},
		"a repo inside": func(w work) {
			w.git("init", "-q", "inner")
			git(w.t, w.dir+"/inner", "commit", "-q", "--allow-empty", "-m", "x")
			w.put("README.md", "x")
		},
		"file mode off": func(w work) {
			w.git("config", "core.filemode", "false")
			w.chmod("README.md", 0o755)
		},
		"index version 4": func(w work) {
			w.git("update-index", "--index-version", "4")
			w.put("README.md", "x")
		},
		"no cached tree": func(w work) {
			w.git("update-index", "--force-remove", "README.md")
			w.git("add", "README.md")
		},
		"touched":       func(w work) { w.put("README.md", "the repository\n") },
		"intent to add": func(w work) { w.put("new", "x\n"); w.git("add", "-N", "new") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := f.clone(t)
			edit(work{t, dir})
			w := worktree(t, f, dir)
			paths := []string{"."}
			want := gitChanges(t, dir, paths...)
			if name == "a repo inside" {
				// Git would add it as a submodule without an address; slipway leaves it out.
				want = slices.DeleteFunc(want, func(s string) bool { return s == "A inner" })
			}
			if diff := cmp.Diff(want, changesOf(t, w, paths...)); diff != "" {
				t.Errorf("changes (-git +slipway):\n%s", diff)
			}
			if diff := cmp.Diff(gitChanges(t, dir, "services"), changesOf(t, w, "services")); diff != "" {
				t.Errorf("changes below services (-git +slipway):\n%s", diff)
			}
		})
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, dir, target, name string) {
	t.Helper()
	if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// publishFrom does what commit-push does, without merging.
func publishFrom(t *testing.T, f *fixture, w *gitrepo.Worktree, paths ...string) error {
	t.Helper()
	changes, _, err := w.Changes(paths)
	if err != nil {
		t.Fatal(err)
	}
	r := f.open(t)
	if err := w.Attach(r); err != nil {
		t.Fatal(err)
	}
	c, _ := tipTree(t, r)
	built := build(t, r, c, changes...)
	if err := r.Swap(t.Context(), "main", built); err != nil {
		t.Fatal(err)
	}
	return w.Advance(t.Context(), "main", built.Hash, built, changes)
}

func TestACheckoutIsCleanAfterItAdvanced(t *testing.T) {
	for name, args := range map[string][]string{
		"full":     nil,
		"shallow":  {"--depth", "1"},
		"partial":  {"--filter=blob:none"},
		"treeless": {"--filter=tree:0"},
		"sparse":   {"--filter=blob:none", "--sparse"},
	} {
		for _, detached := range []bool{false, true} {
			for _, moved := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, detached %v, moved %v", name, detached, moved), func(t *testing.T) {
					f := newFixture(t, servers[0])
					for i := range 3 {
						f.commit(t, fmt.Sprint("earlier ", i), map[string]string{"README.md": fmt.Sprint(i)})
					}
					dir := f.clone(t, args...)
					if name == "sparse" {
						git(t, dir, "sparse-checkout", "set", "services/svc-01", "services/svc-02")
					}
					if detached {
						git(t, dir, "checkout", "-q", "--detach")
					}
					put(t, dir, "services/svc-01/overlays/prod/kustomization.yaml", "edited\n")
					put(t, dir, "services/svc-01/base/added.yaml", "added\n")
					remove(t, dir, "services/svc-01/base/deployment.yaml")
					w := worktree(t, f, dir)
					if moved {
						f.commit(t, "another", map[string]string{"services/svc-02/base/deployment.yaml": "theirs\n", "envs/eu/new": "x\n", "services/svc-09/base/deployment.yaml": "theirs\n"})
						f.commit(t, "and another", map[string]string{"services/svc-02/base/more.yaml": "theirs\n"})
					}
					if err := publishFrom(t, f, w, "services/svc-01"); err != nil {
						t.Fatal(err)
					}
					if got := git(t, dir, "status", "--porcelain"); got != "" {
						t.Errorf("git status:\n%s", got)
					}
					if got := strings.TrimSpace(git(t, dir, "rev-parse", "HEAD")); got != f.rev(t, "main") {
						t.Errorf("HEAD is %s, the branch %s", got, f.rev(t, "main"))
					}
					if got := strings.TrimSpace(git(t, dir, "rev-parse", "origin/main")); got != f.rev(t, "main") {
						t.Errorf("origin/main is %s, the branch %s", got, f.rev(t, "main"))
					}
					if out := git(t, dir, "fsck", "--no-dangling"); out != "" {
						t.Errorf("git fsck:\n%s", out)
					}
					if moved && !strings.Contains(git(t, dir, "show", "HEAD:services/svc-02/base/more.yaml"), "theirs") {
						t.Error("what others published is missing")
					}
					// The ordinary git goes on from there.
					git(t, dir, "fetch", "-q")
					git(t, dir, "gc", "-q")
					git(t, dir, "commit", "-q", "--allow-empty", "-m", "by hand")
				})
			}
		}
	}
}

func TestAdvanceNeverTouchesOtherWork(t *testing.T) {
	for name, edit := range map[string]func(w work){
		"a changed file":         func(w work) { w.put("services/svc-02/base/deployment.yaml", "mine\n") },
		"an untracked file":      func(w work) { w.put("envs/eu/new", "mine\n") },
		"a directory in place":   func(w work) { w.put("envs/eu/new/deeper", "mine\n") },
		"a removed tracked file": func(w work) { w.remove("services/svc-02/base/deployment.yaml") },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, servers[0])
			dir := f.clone(t)
			put(t, dir, "services/svc-01/overlays/prod/kustomization.yaml", name+"\n")
			edit(work{t, dir})
			before := git(t, dir, "status", "--porcelain", "-uall")
			head := git(t, dir, "rev-parse", "HEAD")
			w := worktree(t, f, dir)
			f.commit(t, "another", map[string]string{"services/svc-02/base/deployment.yaml": name + " theirs\n", "envs/eu/new": name})
			err := publishFrom(t, f, w, "services/svc-01")
			if err == nil || !strings.Contains(err.Error(), "changed here and in the published commits") {
				t.Errorf("advance: %v", err)
			}
			if diff := cmp.Diff(before, git(t, dir, "status", "--porcelain", "-uall")); diff != "" {
				t.Errorf("git status (-before +after):\n%s", diff)
			}
			if got := git(t, dir, "rev-parse", "HEAD"); got != head {
				t.Errorf("HEAD moved to %s", got)
			}
		})
	}
}

func TestOfTheTipOnlyWhatIsNewIsFetched(t *testing.T) {
	for name, args := range map[string][]string{"full": nil, "shallow": {"--depth", "1"}, "partial": {"--filter=blob:none"}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, servers[0])
			files := map[string]string{}
			for i := range 2000 {
				files[fmt.Sprintf("services/many-%04d/x", i)] = fmt.Sprint(i)
			}
			f.commit(t, "many", files)
			dir := f.clone(t, args...)
			put(t, dir, "services/many-0007/x", "edited\n")
			w := worktree(t, f, dir)
			f.commit(t, "another", map[string]string{"services/svc-02/base/deployment.yaml": "theirs\n"})
			f.Reset()
			if err := publishFrom(t, f, w); err != nil {
				t.Fatal(err)
			}
			for _, q := range f.Requests() {
				if q.BytesOut > 4000 {
					t.Errorf("%s %s sent %d bytes", q.Method, q.Path, q.BytesOut)
				}
			}
			if got := git(t, dir, "status", "--porcelain"); got != "" {
				t.Errorf("git status:\n%s", got)
			}
		})
	}
}

func TestABranchOfAnotherNameStays(t *testing.T) {
	f := newFixture(t, servers[0])
	dir := f.clone(t)
	git(t, dir, "checkout", "-q", "-b", "feature")
	put(t, dir, "README.md", "x\n")
	if err := publishFrom(t, f, worktree(t, f, dir)); err == nil || !strings.Contains(err.Error(), "on branch feature") {
		t.Errorf("advance: %v", err)
	}
}

func TestCommitsThatWereNeverPushedStay(t *testing.T) {
	f := newFixture(t, servers[0])
	dir := f.clone(t)
	git(t, dir, "commit", "-q", "--allow-empty", "-m", "mine")
	head := git(t, dir, "rev-parse", "HEAD")
	put(t, dir, "README.md", "x\n")
	if err := publishFrom(t, f, worktree(t, f, dir)); err == nil || !strings.Contains(err.Error(), "HEAD is not among") {
		t.Errorf("advance: %v", err)
	}
	if got := git(t, dir, "rev-parse", "HEAD"); got != head {
		t.Error("HEAD moved")
	}
}

func TestDirectoriesThatAreNoCheckout(t *testing.T) {
	if _, err := gitrepo.OpenWorktree(t.TempDir()); !errors.Is(err, gitrepo.ErrNoCheckout) {
		t.Errorf("an empty directory: %v", err)
	}
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "main")
	if _, err := gitrepo.OpenWorktree(dir); err == nil || !strings.Contains(err.Error(), "branch main has no commits") {
		t.Errorf("a repository without commits: %v", err)
	}
}

func TestALinkedWorktreeAdvances(t *testing.T) {
	f := newFixture(t, servers[0])
	dir := f.clone(t)
	linked := filepath.Join(t.TempDir(), "linked")
	git(t, dir, "worktree", "add", "-q", "--detach", linked)
	put(t, linked, "README.md", "from the linked one\n")
	if err := publishFrom(t, f, worktree(t, f, linked)); err != nil {
		t.Fatal(err)
	}
	if got := git(t, linked, "status", "--porcelain"); got != "" {
		t.Errorf("git status:\n%s", got)
	}
	if got := strings.TrimSpace(git(t, linked, "rev-parse", "HEAD")); got != f.rev(t, "main") {
		t.Errorf("HEAD is %s", got)
	}
}

// Thin packs are checked by what Git makes of them: random edits of a file and of the directories above it.
func TestDeltasArriveAsTheyWereMeant(t *testing.T) {
	t.Parallel()
	f := newFixture(t, servers[0])
	random := rand.New(rand.NewPCG(1, 2))
	r := f.open(t)
	text := strings.Repeat("a line of text\n", 20000)
	for i := range 40 {
		at, length := random.IntN(len(text)), random.IntN(300)
		end := min(len(text), at+length)
		text = text[:at] + strings.Repeat("x", random.IntN(70000)) + text[end:]
		if random.IntN(4) == 0 {
			text = text[random.IntN(len(text)/2):]
		}
		if err := bump(t, r, "big/file", text); err != nil {
			t.Fatalf("edit %d: %v", i, err)
		}
		got, err := f.Git("gitops", "cat-file", "blob", "main:big/file")
		if err != nil || got != text {
			t.Fatalf("edit %d arrived as something else (%v)", i, err)
		}
	}
	if out, err := f.Git("gitops", "fsck", "--strict"); err != nil {
		t.Errorf("fsck: %v: %s", err, out)
	}
}
