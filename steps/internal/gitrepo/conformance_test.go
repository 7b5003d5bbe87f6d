package gitrepo_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/gitrepotest"
	"slipway/retry"
	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
)

// server is one way to reach a repository that every part of the suite runs against.
type server struct {
	name    string
	options gitrepotest.Options
	config  map[string]string
	ssh     bool
	// shallow says that the server makes slipway fall back to fetching the whole tree.
	shallow bool
}

var servers = []server{
	{name: "http, protocol 2"},
	{name: "http, protocol 0", options: gitrepotest.Options{ProtocolV0: true}},
	{name: "https with a CA of its own and a password", options: gitrepotest.Options{TLS: true, Username: "ci", Password: "correct horse"}},
	{name: "http with a token", options: gitrepotest.Options{Token: "glpat-0123456789"}},
	{name: "http, protocol 2, without partial fetch", config: map[string]string{"uploadpack.allowFilter": "false"}, shallow: true},
	{name: "http, protocol 0, without partial fetch", options: gitrepotest.Options{ProtocolV0: true}, config: map[string]string{"uploadpack.allowFilter": "false"}, shallow: true},
	{name: "ssh, protocol 2", options: gitrepotest.Options{SSH: true}, ssh: true},
	{name: "ssh, protocol 0", options: gitrepotest.Options{SSH: true, ProtocolV0: true}, ssh: true, shallow: true},
	{name: "ssh, protocol 0, any object allowed", options: gitrepotest.Options{SSH: true, ProtocolV0: true}, config: map[string]string{"uploadpack.allowAnySHA1InWant": "true"}, ssh: true},
}

func eachServer(t *testing.T, run func(*fixture)) {
	t.Helper()
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			run(newFixture(t, s))
		})
	}
}

// fixture is a server with one repository of several services.
type fixture struct {
	server
	*gitrepotest.Server
	t       *testing.T
	notices []string
}

func newFixture(t *testing.T, s server) *fixture {
	t.Helper()
	f := &fixture{t: t, server: s, Server: gitrepotest.New(t, s.options)}
	files := map[string]string{"README.md": "the repository\n", "bin/run.sh": "#!/bin/sh\n", "link": "README.md"}
	for i := range 20 {
		dir := fmt.Sprintf("services/svc-%02d", i)
		files[dir+"/base/kustomization.yaml"] = "resources:\n- deployment.yaml\n"
		files[dir+"/base/deployment.yaml"] = fmt.Sprintf("kind: Deployment # %d\n", i)
		files[dir+"/overlays/prod/kustomization.yaml"] = fmt.Sprintf("resources:\n- ../../base\nimages:\n- name: svc-%02d\n  newTag: v1\n", i)
		files[fmt.Sprintf("envs/eu/prod/svc-%02d/values.yaml", i)] = fmt.Sprintf("tag: v1 # %d\n", i)
	}
	err := f.CreateRepo("gitops", gitrepotest.RepoOptions{Files: files, Modes: map[string]string{"bin/run.sh": "100755", "link": "120000"}, Config: s.config})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) open(t *testing.T) *gitrepo.Remote {
	t.Helper()
	o := gitrepo.Options{UserAgent: "test", Notice: func(m string) { f.notices = append(f.notices, m) }}
	o.Auth = gitrepo.Auth{Username: f.options.Username, Password: f.options.Password, Token: f.options.Token}
	url := f.URL("gitops")
	if f.options.TLS {
		o.CAFile = f.CAFile()
	}
	if f.ssh {
		url = f.SSHURL("gitops")
		o.SSH = gitrepo.SSHOptions{KeyFile: f.ClientKeyFile(), KnownHosts: []string{f.KnownHostsFile()}}
	}
	r, err := gitrepo.Open(url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func (f *fixture) rev(t *testing.T, rev string) string {
	t.Helper()
	out, err := f.Git("gitops", "rev-parse", rev)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func (f *fixture) commit(t *testing.T, message string, files map[string]string) string {
	t.Helper()
	hash, err := f.Commit("gitops", gitrepotest.Commit{Message: message, Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// tipTree is where every attempt of a step begins.
func tipTree(t *testing.T, r *gitrepo.Remote) (gitrepo.Commit, *gitrepo.Tree) {
	t.Helper()
	tip, err := r.Tip(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Commit(t.Context(), tip)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := r.Tree(t.Context(), tip)
	if err != nil {
		t.Fatal(err)
	}
	return c, tree
}

func read(t *testing.T, tree *gitrepo.Tree, path string) string {
	t.Helper()
	files, err := tree.Files(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if files[path] == nil {
		t.Fatalf("%s is absent", path)
	}
	return string(files[path].Data)
}

func bump(t *testing.T, r *gitrepo.Remote, path, contents string) error {
	t.Helper()
	c, _ := tipTree(t, r)
	built := build(t, r, c, gitrepo.Change{Path: path, To: &gitrepo.File{Mode: gitrepo.ModeRegular, Data: []byte(contents)}})
	return r.Swap(t.Context(), "main", built)
}

func build(t *testing.T, r *gitrepo.Remote, parent gitrepo.Commit, changes ...gitrepo.Change) *gitrepo.Built {
	t.Helper()
	who := gitrepo.Signature{Name: "CI", Email: "ci@example.com", When: time.Unix(1700000000, 0)}
	built, err := r.Build(t.Context(), parent, changes, gitrepo.CommitSpec{Author: who, Committer: who, Message: "change\n"})
	if err != nil {
		t.Fatal(err)
	}
	return built
}

func TestFilesAreReadWithoutAClone(t *testing.T) {
	t.Parallel()
	eachServer(t, func(f *fixture) {
		t := f.t
		_, tree := tipTree(t, f.open(t))
		for path, want := range map[string]string{
			"README.md":                            "the repository\n",
			"services/svc-07/base/deployment.yaml": "kind: Deployment # 7\n",
			"envs/eu/prod/svc-11/values.yaml":      "tag: v1 # 11\n",
		} {
			if got := read(t, tree, path); got != want {
				t.Errorf("%s is %q, want %q", path, got, want)
			}
		}
		if _, err := tree.Entry(t.Context(), "services/svc-99/base"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a service that is not there: %v", err)
		}
		if _, err := tree.Entry(t.Context(), "README.md/below"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a path below a file: %v", err)
		}
		entries, err := tree.List(t.Context(), "services/svc-03")
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != 2 || entries[0].Name != "base" || entries[1].Name != "overlays" {
			t.Errorf("services/svc-03 lists %v", entries)
		}
		files, err := tree.Files(t.Context(), "bin/run.sh", "link", "services", "none")
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]*gitrepo.File{
			"bin/run.sh": {Mode: gitrepo.ModeExecutable, Data: []byte("#!/bin/sh\n")},
			"link":       {Mode: gitrepo.ModeSymlink, Data: []byte("README.md")},
		}
		if diff := cmp.Diff(want, files); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		if fellBack := len(f.notices) > 0; fellBack != f.shallow {
			t.Errorf("notices: %v", f.notices)
		}
	})
}

func TestACommitChangesWhatWasAskedAndNothingElse(t *testing.T) {
	t.Parallel()
	eachServer(t, func(f *fixture) {
		t := f.t
		before := f.rev(t, "main")
		r := f.open(t)
		c, _ := tipTree(t, r)
		text := func(s string) *gitrepo.File { return &gitrepo.File{Mode: gitrepo.ModeRegular, Data: []byte(s)} }
		built := build(t, r, c,
			gitrepo.Change{Path: "services/svc-05/overlays/prod/kustomization.yaml", To: text("changed\n")},
			gitrepo.Change{Path: "services/svc-06/overlays/prod/kustomization.yaml"},
			gitrepo.Change{Path: "new/deep/file.yaml", To: text("new\n")},
			gitrepo.Change{Path: "README.md"},
			gitrepo.Change{Path: "README.md/now/a/directory", To: text("x\n")},
			gitrepo.Change{Path: "bin", To: text("now a file\n")},
			gitrepo.Change{Path: "bin/run.sh"},
			gitrepo.Change{Path: "services/none/gone.yaml"},
			gitrepo.Change{Path: "envs/eu/prod/svc-01/values.yaml", To: &gitrepo.File{Mode: gitrepo.ModeExecutable, Data: []byte("tag: v1 # 1\n")}},
		)
		if err := r.Swap(t.Context(), "main", built); err != nil {
			t.Fatal(err)
		}
		if tip := f.rev(t, "main"); tip != built.Hash.String() {
			t.Errorf("the branch is at %s, the commit is %s", tip, built.Hash)
		}
		if parent := f.rev(t, "main^"); parent != before {
			t.Errorf("the parent is %s, not %s", parent, before)
		}
		got, err := f.Git("gitops", "diff-tree", "-r", "--no-commit-id", "main^", "main")
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for line := range strings.Lines(got) {
			fields := strings.Fields(line)
			lines = append(lines, strings.Join([]string{fields[0], fields[1], fields[4], fields[5]}, " "))
		}
		want := []string{
			":100644 000000 D README.md",
			":000000 100644 A README.md/now/a/directory",
			":000000 100644 A bin",
			":100755 000000 D bin/run.sh",
			":100644 100755 M envs/eu/prod/svc-01/values.yaml",
			":000000 100644 A new/deep/file.yaml",
			":100644 100644 M services/svc-05/overlays/prod/kustomization.yaml",
			":100644 000000 D services/svc-06/overlays/prod/kustomization.yaml",
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("the commit (-want +got):\n%s", diff)
		}
		if out, err := f.Git("gitops", "fsck", "--strict"); err != nil {
			t.Errorf("fsck: %v: %s", err, out)
		}
	})
}

func TestASwapLosesAgainstAnyOtherCommit(t *testing.T) {
	t.Parallel()
	eachServer(t, func(f *fixture) {
		t := f.t
		r := f.open(t)
		c, _ := tipTree(t, r)
		mine := build(t, r, c, gitrepo.Change{Path: "README.md", To: &gitrepo.File{Mode: gitrepo.ModeRegular, Data: []byte("mine\n")}})
		theirs := f.commit(t, "faster", map[string]string{"services/svc-00/base/deployment.yaml": "theirs\n"})
		err := r.Swap(t.Context(), "main", mine)
		if !errors.Is(err, gitrepo.ErrDiverged) || !retry.IsTransient(err) {
			t.Fatalf("swap: %v", err)
		}
		if tip := f.rev(t, "main"); tip != theirs {
			t.Fatalf("the branch is at %s, not at the other's %s", tip, theirs)
		}
		// The next attempt reads the new tip, and only what it changed.
		f.Reset()
		if err := bump(t, r, "README.md", "mine\n"); err != nil {
			t.Fatal(err)
		}
		if _, tree := tipTree(t, r); read(t, tree, "services/svc-00/base/deployment.yaml") != "theirs\n" || read(t, tree, "README.md") != "mine\n" {
			t.Error("a change was lost")
		}
	})
}

func TestHistoryIsWalkedWithoutFiles(t *testing.T) {
	t.Parallel()
	eachServer(t, func(f *fixture) {
		t := f.t
		for i := range 30 {
			f.commit(t, fmt.Sprintf("commit %d", i), map[string]string{"README.md": fmt.Sprint(i)})
		}
		r := f.open(t)
		walk := func(limit int) (messages []string, truncated bool) {
			t.Helper()
			tip, err := r.Tip(t.Context(), "main")
			if err != nil {
				t.Fatal(err)
			}
			commits, truncated, err := r.History(t.Context(), tip, limit)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range commits {
				messages = append(messages, strings.TrimSpace(c.Message))
			}
			return messages, truncated
		}
		if got, truncated := walk(5); !truncated || cmp.Diff([]string{"commit 29", "commit 28", "commit 27", "commit 26", "commit 25"}, got) != "" {
			t.Errorf("five commits: %v, truncated %v", got, truncated)
		}
		tipTree(t, r)
		f.commit(t, "commit 30", map[string]string{"README.md": "x"})
		f.Reset()
		tipTree(t, r)
		if got, truncated := walk(5); !truncated || cmp.Diff([]string{"commit 30", "commit 29", "commit 28", "commit 27", "commit 26"}, got) != "" {
			t.Errorf("after another commit: %v, truncated %v", got, truncated)
		}
		if n := len(f.Requests()); !f.ssh && !f.shallow && n > 4 {
			t.Errorf("%d requests for one more commit: what came with the tip was fetched again", n)
		}
		if got, truncated := walk(100); truncated || len(got) != 32 {
			t.Errorf("all: %d commits, truncated %v", len(got), truncated)
		}
		// Files can still be read behind the commits that came without them.
		if _, tree := tipTree(t, r); read(t, tree, "services/svc-02/base/deployment.yaml") != "kind: Deployment # 2\n" {
			t.Error("the files of the tip differ")
		}
	})
}

func TestDifferencesOfTwoCommits(t *testing.T) {
	t.Parallel()
	eachServer(t, func(f *fixture) {
		t := f.t
		f.commit(t, "one", map[string]string{"services/svc-01/base/deployment.yaml": "x", "new/file": "y"})
		r := f.open(t)
		c, tree := tipTree(t, r)
		if _, _, err := r.History(t.Context(), c.Hash, 5); err != nil {
			t.Fatal(err)
		}
		parent, err := r.Parent(t.Context(), c, 0)
		if err != nil {
			t.Fatal(err)
		}
		paths, err := tree.Diff(t.Context(), parent)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"new/file", "services/svc-01/base/deployment.yaml"}, paths); diff != "" {
			t.Errorf("paths (-want +got):\n%s", diff)
		}
	})
}

func TestBranchesThatAreNotThere(t *testing.T) {
	t.Parallel()
	eachServer(t, func(f *fixture) {
		t := f.t
		_, err := f.open(t).Tip(t.Context(), "mian")
		if failure.KindOf(err) != failure.Usage || !strings.Contains(err.Error(), "there is main") {
			t.Errorf("a missing branch: %v", err)
		}
	})
}

func TestFewRequestsServeARelease(t *testing.T) {
	t.Parallel()
	f := newFixture(t, servers[0])
	for i := range 10 {
		f.commit(t, fmt.Sprintf("commit %d", i), map[string]string{"README.md": fmt.Sprint(i)})
	}
	f.Reset()
	r := f.open(t)
	const path = "services/svc-07/overlays/prod/kustomization.yaml"
	_, tree := tipTree(t, r)
	read(t, tree, path)
	if err := bump(t, r, path, "changed\n"); err != nil {
		t.Fatal(err)
	}
	// Capabilities, the tip, its upper directories, the service; the tip again; the push's greeting and the push.
	if n := len(f.Requests()); n != 7 {
		t.Errorf("%d requests", n)
	}
	for _, q := range f.Requests() {
		if q.BytesOut > 4096 {
			t.Errorf("%s %s sent %d bytes", q.Method, q.Path, q.BytesOut)
		}
	}
}

func TestAnOlderCommitIsReadAfterANewerOne(t *testing.T) {
	const name = "services/svc-03/base/deployment.yaml"
	eachServer(t, func(f *fixture) {
		f.commit(f.t, "the older", map[string]string{name: "a: 1\n"})
		newer, _ := gitrepo.ParseHash(f.commit(f.t, "the newer", map[string]string{name: "a: 2\n"}))
		r := f.open(f.t)
		commits, _, err := r.History(f.t.Context(), newer, 2)
		if err != nil || len(commits) != 2 {
			f.t.Fatal(commits, err)
		}
		for i, want := range []string{"a: 2\n", "a: 1\n", "a: 2\n"} {
			tree, err := r.Tree(f.t.Context(), commits[i%2].Hash)
			if err != nil {
				f.t.Fatal(err)
			}
			files, err := tree.Files(f.t.Context(), name)
			if err != nil || string(files[name].Data) != want {
				f.t.Fatalf("%v, %v", files, err)
			}
		}
	})
}

func TestAnOlderCommitIsFetchedAfterANewerOne(t *testing.T) {
	const name = "services/svc-03/base/deployment.yaml"
	f := newFixture(t, servers[0])
	older, _ := gitrepo.ParseHash(f.commit(t, "the older", map[string]string{name: "a: 1\n"}))
	newer, _ := gitrepo.ParseHash(f.commit(t, "the newer", map[string]string{name: "a: 2\n"}))
	r := f.open(t)
	for _, h := range []gitrepo.Hash{newer, older} {
		if c, err := r.Commit(t.Context(), h); err != nil || c.Hash != h {
			t.Fatal(c, err)
		}
	}
}
