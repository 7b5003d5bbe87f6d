//go:build image

package agentimage_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipway/internal/argocdtest"
	"slipway/internal/gitrepotest"
)

const (
	repository  = "gitops"
	overlay     = "services/shop/overlays/prod"
	web         = "registry.example.com/shop/shop-web"
	application = "shop-prod"
)

// users are those that agents run as.
var users = map[string]string{
	"root":                               "0:0",
	"a random user, as OpenShift has it": "1000620000:0",
}

// agent is a container of the image, as a pod template would start it: with a workspace that its user may write to, a home that it
// may not, and the network of the host, where the servers of the test are.
type agent struct {
	t         *testing.T
	user      string
	container string
	mounts    []string
	git       *gitrepotest.Server
	argocd    *argocdtest.Server
	ran       map[string]bool
}

func newAgent(t *testing.T, user string) *agent {
	t.Helper()
	a := &agent{t: t, user: user, ran: map[string]bool{}}
	a.git = gitrepotest.New(t, gitrepotest.Options{})
	if err := a.git.CreateRepo(repository, gitrepotest.RepoOptions{Dir: filepath.Join("..", "examples", "gitops-repo")}); err != nil {
		t.Fatal(err)
	}
	a.argocd = argocdtest.New(t, argocdtest.Options{})
	app := argocdtest.App{Name: application, Repo: a.git.URL(repository), Path: overlay, Revision: "main", Deployed: true}
	if err := a.argocd.AddApp(app); err != nil {
		t.Fatal(err)
	}
	a.mount("/home/jenkins", "ro")
	id, _, _ := strings.Cut(user, ":")
	uid, err := strconv.Atoi(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(a.mount("/workspace", "rw"), uid, 0); err != nil {
		t.Fatal(err)
	}
	out, err := shop.buildah().run("from", "--pull-never", image)
	if err != nil {
		t.Fatal(err)
	}
	a.container = strings.TrimSpace(out)
	t.Cleanup(func() {
		if _, err := shop.buildah().run("rm", a.container); err != nil {
			t.Error(err)
		}
	})
	return a
}

func (a *agent) mount(at, mode string) (directory string) {
	a.t.Helper()
	directory = a.t.TempDir()
	a.mounts = append(a.mounts, "--volume", directory+":"+at+":"+mode)
	return directory
}

// command runs in the container, in the workspace.
func (a *agent) command(env []string, args ...string) *exec.Cmd {
	run := []string{"run", "--isolation", "chroot", "--user", a.user, "--workingdir", "/workspace"}
	run = append(run, a.mounts...)
	for _, variable := range append(env,
		"ARGOCD_SERVER="+a.argocd.Addr(), "ARGOCD_AUTH_TOKEN="+a.argocd.Token("admin", time.Time{}), "SLIPWAY_ARGOCD_PLAINTEXT=true") {
		run = append(run, "--env", variable)
	}
	return shop.buildah().cmd(append(append(run, a.container, "--"), args...)...)
}

// result is what a step writes to stdout.
type result struct {
	Outcome string
	Details struct {
		ID, State, Revision, Version string
	}
	Error struct{ Category string }
}

// slipway runs a step and says how it ended.
func (a *agent) slipway(args ...string) (result, int) {
	a.t.Helper()
	a.ran[args[0]] = true
	cmd := a.command(nil, append([]string{"slipway"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	code := exitCode(a.t, cmd.Run())
	var r result
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		a.t.Fatalf("slipway %s exits with %d: %v\n%s%s", strings.Join(args, " "), code, err, stdout.Bytes(), stderr.Bytes())
	}
	a.t.Logf("slipway %s: %d %s%s\n%s", args[0], code, r.Outcome, r.Error.Category, stderr.Bytes())
	return r, code
}

// expect runs a step that is to end well, with that outcome.
func (a *agent) expect(outcome string, args ...string) result {
	a.t.Helper()
	r, code := a.slipway(args...)
	if code != 0 || r.Outcome != outcome {
		a.t.Fatalf("slipway %s: %d %s, not 0 %s", strings.Join(args, " "), code, r.Outcome, outcome)
	}
	return r
}

// onBranch checks which tag of the web image is on the branch, and after how many commits.
func (a *agent) onBranch(tag string, commits int) {
	a.t.Helper()
	file, err := a.git.Git(repository, "show", "main:"+overlay+"/kustomization.yaml")
	if err != nil {
		a.t.Fatal(err)
	}
	if !strings.Contains(file, fmt.Sprintf("name: %s\n    newTag: %s #", web, tag)) {
		a.t.Errorf("%s is not on the branch:\n%s", tag, file)
	}
	count, err := a.git.Git(repository, "rev-list", "--count", "main")
	if err != nil {
		a.t.Fatal(err)
	}
	if got := strings.TrimSpace(count); got != strconv.Itoa(commits) {
		a.t.Errorf("%s commits are on the branch, not %d", got, commits)
	}
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return failed.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}
