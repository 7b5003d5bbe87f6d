package gitrepo_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
)

// history is a repository with three commits on main, a branch merged into it, and tags of both kinds.
func history(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "main")
	commit := func(name string) {
		put(t, dir, "file", name+"\n")
		git(t, dir, "add", "file")
		git(t, dir, "commit", "-q", "-m", name)
	}
	commit("one")
	git(t, dir, "tag", "light")
	git(t, dir, "switch", "-q", "-c", "feature/x")
	git(t, dir, "commit", "-q", "--allow-empty", "-m", "side")
	git(t, dir, "switch", "-q", "main")
	commit("two")
	git(t, dir, "merge", "-q", "--no-ff", "-m", "merge", "feature/x")
	git(t, dir, "tag", "-a", "-m", "annotated", "v1.0")
	commit("three")
	return dir
}

func openAt(t *testing.T, dir string) *gitrepo.Worktree {
	t.Helper()
	w, err := gitrepo.OpenWorktree(dir)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestARevisionIsTheCommitThatGitMeans(t *testing.T) {
	t.Parallel()
	origin := history(t)
	dir := filepath.Join(t.TempDir(), "clone")
	git(t, ".", "clone", "-q", origin, dir)
	git(t, dir, "fetch", "-q", "origin", "feature/x")
	git(t, dir, "gc", "-q")
	head := strings.TrimSpace(git(t, dir, "rev-parse", "HEAD"))
	w := openAt(t, dir)
	for _, rev := range []string{
		"HEAD", "@", "HEAD~1", "HEAD~", "@^", "HEAD~2", "HEAD~1^2", "HEAD^^", "HEAD~3", "HEAD^0", "main", "main~1", "v1.0", "v1.0^2", "light", "refs/tags/v1.0",
		"origin/main", "origin/feature/x", "remotes/origin/main", "origin", "FETCH_HEAD", head, head[:7], strings.ToUpper(head[:10]), head[:9] + "~1",
	} {
		want := strings.TrimSpace(git(t, dir, "rev-parse", rev+"^{commit}"))
		tree, err := w.Revision(t.Context(), rev)
		if err != nil {
			t.Errorf("%s: %v", rev, err)
			continue
		}
		if got := tree.Commit().String(); got != want {
			t.Errorf("%s is %s, not %s", rev, got, want)
		}
		if got, want := read(t, tree, "file"), git(t, dir, "show", rev+":file"); got != want {
			t.Errorf("%s has %q, not %q", rev, got, want)
		}
	}
}

func TestABranchThatOnlyTheRemoteHasNeedsNoPrefix(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "clone")
	git(t, ".", "clone", "-q", history(t), dir)
	tree, err := openAt(t, dir).Revision(t.Context(), "feature/x")
	if want := strings.TrimSpace(git(t, dir, "rev-parse", "origin/feature/x")); err != nil || tree.Commit().String() != want {
		t.Errorf("error %v", err)
	}
}

func TestARevisionThatIsNotThereSaysWhatToDo(t *testing.T) {
	t.Parallel()
	dir := history(t)
	blob := strings.TrimSpace(git(t, dir, "rev-parse", "HEAD:file"))
	git(t, dir, "tag", "content", blob)
	tests := []struct {
		name, rev, hint string
		fetch           bool
	}{
		{"a name that nobody has", "nothing", "git fetch origin", true},
		{"a branch of the remote", "origin/release", "git fetch origin +refs/heads/release:refs/remotes/origin/release", true},
		{"an id", strings.Repeat("a", 40), "git fetch origin aaaa", true},
		{"an abbreviated id", "abcdef0", "git fetch", true},
		{"a file", blob, "name a commit", false},
		{"a tag of a file", "content", "name a commit", false},
		{"before the first commit", "HEAD~9", "younger", false},
		{"a parent that a merge does not have", "HEAD~1^3", "younger", false},
		{"a file of a commit", "HEAD:file", "HEAD~1", false},
		{"what git keeps of a branch", "main@{1}", "", true},
		{"a way out of the repository", "refs/../../../etc/passwd", "", true},
		{"a file of the Git directory", "config", "", true},
		{"nothing", "", "HEAD~1", false},
		{"too far", "HEAD~99999999999999999999", "HEAD~1", false},
	}
	w := openAt(t, dir)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := w.Revision(t.Context(), tt.rev)
			if failure.KindOf(err) != failure.Usage || !strings.Contains(failure.HintOf(err), tt.hint) || errors.Is(err, gitrepo.ErrNotAtHand) != tt.fetch {
				t.Errorf("error %v, hint %q", err, failure.HintOf(err))
			}
		})
	}
}

func TestAShallowCloneSaysHowMuchIsMissing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "clone")
	git(t, ".", "clone", "-q", "--depth=2", "file://"+history(t), dir)
	w := openAt(t, dir)
	if _, err := w.Revision(t.Context(), "HEAD~1"); err != nil {
		t.Error(err)
	}
	_, err := w.Revision(t.Context(), "HEAD~3")
	if failure.KindOf(err) != failure.Usage || !errors.Is(err, gitrepo.ErrNotAtHand) || !strings.Contains(failure.HintOf(err), "--deepen=2") {
		t.Errorf("error %v, hint %q", err, failure.HintOf(err))
	}
}

func TestAPartialCloneLacksFilesOfOtherCommits(t *testing.T) {
	t.Parallel()
	origin := history(t)
	git(t, origin, "config", "uploadpack.allowFilter", "true")
	dir := filepath.Join(t.TempDir(), "clone")
	git(t, ".", "clone", "-q", "--filter=blob:none", "file://"+origin, dir)
	w := openAt(t, dir)
	tree, err := w.Revision(t.Context(), "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, tree, "file"); got != "three\n" {
		t.Errorf("HEAD has %q", got)
	}
	if tree, err = w.Revision(t.Context(), "HEAD~1"); err != nil {
		t.Fatal(err)
	}
	_, err = tree.Files(t.Context(), "file")
	if failure.KindOf(err) != failure.Usage || !errors.Is(err, gitrepo.ErrNotAtHand) || failure.HintOf(err) == "" {
		t.Errorf("error %v, hint %q", err, failure.HintOf(err))
	}
}

func TestAnOverlayHasItsBaseOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t, server{})
	dir := filepath.Join(t.TempDir(), "work")
	if _, err := overlay(t, f, dir); err != nil {
		t.Fatal(err)
	}
	base := f.rev(t, "main")
	f.commit(t, "Later", map[string]string{prodFile: "later"})
	o, err := gitrepo.OpenOverlay(dir)
	if err != nil {
		t.Fatal(err)
	}
	before := len(f.Requests())
	for _, rev := range []string{"HEAD", "@", "main", "origin/main", base, base[:7]} {
		tree, err := o.Revision(t.Context(), rev)
		if err != nil {
			t.Errorf("%s: %v", rev, err)
			continue
		}
		if got := read(t, tree, prodFile); tree.Commit().String() != base || !strings.Contains(got, "newTag: v1") {
			t.Errorf("%s is %s with %q", rev, tree.Commit(), got)
		}
	}
	for _, rev := range []string{"HEAD~1", "v1.0", "", strings.Repeat("a", 40)} {
		if _, err := o.Revision(t.Context(), rev); failure.KindOf(err) != failure.Usage || !errors.Is(err, gitrepo.ErrNotAtHand) {
			t.Errorf("%s: error %v", rev, err)
		}
	}
	if after := len(f.Requests()); after != before {
		t.Errorf("%d requests were made", after-before)
	}
}
