package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"slipway/e2e/cluster"
	"slipway/internal/gitrepotest"
)

// image is the image that stories release.
const image = "registry.example.com/shop/web"

// story is one application of team A, with a repository, a namespace and a workspace of its own.
type story struct {
	testing.TB
	name  string // of the application, the repository and, after the team's name, the namespace
	url   string
	dir   string
	token string
}

type setting struct {
	automated       bool
	minReadySeconds int  // how long a pod must be ready before its Deployment is
	waves           bool // an operation lasts until the Deployment is ready, and then applies the rest
}

// tell begins a story with an application that runs v1.
func tell(t *testing.T, name string, with setting) *story {
	t.Helper()
	s := &story{TB: t, name: name, url: git.URL(name), dir: t.TempDir(), token: token(t, "gitops")}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the logs of the servers are in %s", argocd.Logs)
		}
	})
	last := service
	if with.waves {
		last = strings.Replace(service, "{name: web}", `{name: web, annotations: {argocd.argoproj.io/sync-wave: "1"}}`, 1)
	}
	files := map[string]string{
		"deploy/kustomization.yaml": "resources: [service.yaml, deployment.yaml]\nimages:\n- name: " + image + "\n  newTag: v1\n",
		"deploy/service.yaml":       last,
		"deploy/deployment.yaml":    deploymentOf(with.minReadySeconds),
	}
	if err := git.CreateRepo(name, gitrepotest.RepoOptions{Files: files}); err != nil {
		t.Fatal(err)
	}
	policy := "{}"
	if with.automated {
		policy = "{automated: {}}"
	}
	if err := argocd.Apply(fmt.Sprintf(application, name, s.url, policy)); err != nil {
		t.Fatal(err)
	}
	s.succeeds("argocd-sync", "--app", name, "--repo", s.url, "--revision", s.tip(), "--settle", "0s", "--record", "first.json")
	s.runs("v1")
	return s
}

const (
	application = `apiVersion: v1
kind: Namespace
metadata: {name: team-a-%[1]s}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: %[1]s, namespace: argocd}
spec:
  project: team-a
  source: {repoURL: %[2]q, targetRevision: main, path: deploy}
  destination: {namespace: team-a-%[1]s, server: "https://kubernetes.default.svc"}
  syncPolicy: %[3]s
`
	service = `apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
`
	deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  minReadySeconds: %[1]d
  progressDeadlineSeconds: 100
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: registry.example.com/shop/web}]}
`
)

func deploymentOf(minReadySeconds int) string { return fmt.Sprintf(deployment, minReadySeconds) }

// tokens are made once for each account.
var tokens sync.Map

func token(t *testing.T, account string) string {
	t.Helper()
	if known, found := tokens.Load(account); found {
		return known.(string)
	}
	made, err := argocd.Token(account)
	if err != nil {
		t.Fatal(err)
	}
	tokens.Store(account, made)
	return made
}

// result is what slipway has printed, and its exit code.
type result struct {
	code           int
	stdout, stderr string
	Outcome        string
	Details        details
	Error          struct {
		Category, Message, Hint string
		Details                 details
	}
}

type details struct {
	Revision     string
	Applications []applicationReport
	Sync         struct{ Applications []applicationReport }
}

type applicationReport struct {
	Application, Outcome, Sync, Health, Notice string
	Revisions                                  []string
	Explanation                                struct {
		Causes []struct{ Resource, Reason, Message string }
	}
}

// running is a slipway that runs.
type running struct {
	story  *story
	args   []string
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr lines
	ended  chan struct{}
}

// begin starts slipway in the workspace.
func (s *story) begin(args ...string) *running {
	s.Helper()
	r := &running{story: s, args: args, ended: make(chan struct{})}
	r.cmd = exec.Command(os.Getenv(cluster.SlipwayVariable), args...)
	r.cmd.Dir = s.dir
	r.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "SLIPWAY_ARGOCD_CA_FILE=" + argocd.CAFile(),
		"ARGOCD_SERVER=" + argocd.Address(), "ARGOCD_AUTH_TOKEN=" + s.token, "SLIPWAY_PROJECT=team-a",
	}
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	if err := r.cmd.Start(); err != nil {
		s.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait()
		close(r.ended)
	}()
	s.Cleanup(func() {
		_ = r.cmd.Process.Signal(syscall.SIGKILL)
		<-r.ended
	})
	return r
}

// operates waits until slipway has seen its operation run.
func (r *running) operates() {
	r.story.Helper()
	r.story.eventually("an operation runs", func() error {
		if said := r.stderr.String(); !strings.Contains(said, ": Running") {
			return errors.New(said)
		}
		return nil
	})
}

// isOperated waits until the controller has begun with the operation, too: slipway calls one Running as soon as it is asked for.
func (r *running) isOperated() {
	r.story.Helper()
	r.operates()
	r.story.eventually("the controller has begun", func() error {
		if phase := r.story.state().Status.OperationState.Phase; phase != "Running" {
			return fmt.Errorf("the operation is %q", phase)
		}
		return nil
	})
}

func (r *running) wait() result {
	r.story.Helper()
	<-r.ended
	got := result{code: r.cmd.ProcessState.ExitCode(), stdout: r.stdout.String(), stderr: r.stderr.String()}
	r.story.Logf("slipway %s: exit %d\n%s%s", strings.Join(r.args, " "), got.code, got.stderr, got.stdout)
	if err := json.Unmarshal(r.stdout.Bytes(), &got); err != nil {
		r.story.Fatalf("stdout is not JSON: %s", err)
	}
	return got
}

func (s *story) exits(code int, args ...string) result {
	s.Helper()
	got := s.begin(args...).wait()
	if got.code != code {
		s.Fatalf("exit %d, not %d", got.code, code)
	}
	return got
}

func (s *story) succeeds(args ...string) result {
	s.Helper()
	return s.exits(0, args...)
}

// release is the command that releases a tag.
func (s *story) release(tag string, more ...string) []string {
	return append([]string{"release", "--repo", s.url, "--path", "deploy", "--image", image + ":" + tag, "--app", s.name, "--settle", "1s"}, more...)
}

// sync is the command that brings the record's commit into the cluster.
func (s *story) sync(more ...string) []string {
	return append([]string{"argocd-sync", "--app", s.name, "--settle", "1s"}, more...)
}

// publish pushes a tag as slipway does it, without looking at Argo CD, and returns the commit.
func (s *story) publish(tag string, more ...string) string {
	s.Helper()
	return s.succeeds(append([]string{"release", "--repo", s.url, "--path", "deploy", "--image", image + ":" + tag}, more...)...).Details.Revision
}

func (s *story) tip() string {
	s.Helper()
	tip, err := git.Git(s.name, "rev-parse", "main")
	if err != nil {
		s.Fatal(err)
	}
	return strings.TrimSpace(tip)
}

// state is what Kubernetes has of an application.
type state struct {
	Status struct {
		Sync           struct{ Status, Revision string }
		Health         struct{ Status string }
		OperationState struct {
			Phase, Message string
		}
		History []struct{ Revision string }
	}
}

func (s *story) state() state {
	s.Helper()
	var app state
	if err := argocd.Get("Application", "argocd", s.name, &app); err != nil {
		s.Fatal(err)
	}
	return app
}

// syncs checks how many operations have succeeded, that of v1 included.
func (s *story) syncs(want int) {
	s.Helper()
	if got := len(s.state().Status.History); got != want {
		s.Errorf("%d syncs, not %d", got, want)
	}
}

// runs checks that the tag runs, and nothing else.
func (s *story) runs(tag string) {
	s.Helper()
	var deployment struct {
		Metadata struct{ Generation int }
		Spec     struct {
			Replicas int
			Template struct {
				Spec struct {
					Containers []struct{ Image string }
				}
			}
		}
		Status struct{ ObservedGeneration, Replicas, UpdatedReplicas, AvailableReplicas int }
	}
	if err := argocd.Get("Deployment", "team-a-"+s.name, "web", &deployment); err != nil {
		s.Fatal(err)
	}
	if got := deployment.Spec.Template.Spec.Containers[0].Image; got != image+":"+tag {
		s.Errorf("the Deployment has %s, not %s", got, tag)
	}
	status, want := deployment.Status, deployment.Spec.Replicas
	if status.ObservedGeneration != deployment.Metadata.Generation || status.UpdatedReplicas != want || status.AvailableReplicas != want {
		s.Errorf("%s is not rolled out: %+v", tag, status)
	}
}

// eventually waits for what the cluster does in its own time.
func (s *story) eventually(what string, ask func() error) {
	s.Helper()
	deadline := time.After(time.Minute)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			s.Fatalf("%s: not within a minute: %s", what, err)
		}
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu      sync.Mutex
	content bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content.String()
}
