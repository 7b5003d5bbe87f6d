package examples_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/gitrepotest"
)

func TestThePrePushHook(t *testing.T) {
	t.Parallel()
	git := gitrepotest.New(t, gitrepotest.Options{Username: "dev", Password: "pa$$ word"})
	if err := git.CreateRepo("gitops", gitrepotest.RepoOptions{Dir: "gitops-repo"}); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	env := append(gitrepotest.Environ(home), "GIT_AUTHOR_NAME=Dev", "GIT_AUTHOR_EMAIL=dev@example.com",
		"GIT_COMMITTER_NAME=Dev", "GIT_COMMITTER_EMAIL=dev@example.com")
	clone := filepath.Join(t.TempDir(), "clone")
	must := func(program string, args ...string) string {
		t.Helper()
		dir := clone
		if args[0] == "clone" {
			dir = ""
		}
		got := run(t, dir, env, program, args...)
		if got.code != 0 {
			t.Fatalf("%s %s: exit %d\n%s", program, strings.Join(args, " "), got.code, got.stderr)
		}
		return got.stderr
	}
	helper := "credential.helper=!f() { test \"$1\" = get && echo username=dev && echo 'password=pa$$ word'; }; f"
	must("git", "clone", "-q", "-c", helper, git.URL("gitops"), clone)
	hook, err := filepath.Abs("local/pre-push")
	if err != nil {
		t.Fatal(err)
	}
	must("ln", "-s", hook, ".git/hooks/pre-push")

	edit := func(old, replacement string) {
		t.Helper()
		file := filepath.Join(clone, "services/shop/overlays/prod/kustomization.yaml")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(strings.Replace(string(data), old, replacement, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		must("git", "commit", "-q", "-a", "-m", "edit")
	}

	edit("count: 3", "count: 4")
	if got := must("git", "push", "-q"); !strings.Contains(got, "replicas: 4") || !strings.Contains(got, "the server takes pushes") {
		t.Errorf("a push that is good:\n%s", got)
	}
	env = append(env, "TRY_PATH=services/shop/overlays/prod", "TRY_IMAGE="+image)
	edit("count: 4", "count: 5")
	if got := must("git", "push", "-q"); !strings.Contains(got, "shop-web:5.0.3 -> "+image) {
		t.Errorf("a push with an image to try:\n%s", got)
	}
	edit("count: 5", "count: five")
	if got := run(t, clone, env, "git", "push", "-q"); got.code == 0 || !strings.Contains(got.stderr, "invalid Kustomization") {
		t.Errorf("a push that a cluster would refuse: exit %d\n%s", got.code, got.stderr)
	}
}
