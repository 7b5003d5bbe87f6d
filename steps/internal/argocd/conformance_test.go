package argocd_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"

	"slipway/internal/gitrepotest"
	"slipway/retry"
	"slipway/steps/internal/argocd"
	"slipway/steps/internal/failure"
)

// The suite records what an Argo CD shows to the client, and compares it with what the real one has shown: testdata/conformance
// has a record for each major version. The server in process has to show the same, so that no test of the product rests on
// what it alone does. With SLIPWAY_E2E_SERVER, which e2e sets, the suite asks a real server instead; SLIPWAY_E2E_UPDATE=true
// then writes the records.

// realm is an Argo CD with the project team-a and three accounts: gitops may get and sync there, reader get, stranger nothing.
type realm interface {
	major() string
	settings(account string) argocd.Options
	declare(a declared) error
	// address is what the records call the server.
	address() string
}

// declared is an application of team-a.
type declared struct {
	name, repo, path, revision string
	automated                  bool
}

// conversation is one part of the suite: it has an application of its own, and writes a record.
type conversation struct {
	*testing.T
	realm  realm
	git    *gitrepotest.Server
	topic  string
	name   string // of the application
	ref    argocd.Ref
	client *argocd.Client
	record strings.Builder
	// commits are the names of commits in the record, in the order in which they were made.
	commits []string
}

func TestConformance(t *testing.T) {
	t.Parallel()
	git := gitrepotest.New(t, gitrepotest.Options{})
	for _, realm := range realms(t, git) {
		t.Run(realm.major(), func(t *testing.T) {
			t.Parallel()
			for topic, hold := range conversations {
				t.Run(topic, func(t *testing.T) {
					t.Parallel()
					c := &conversation{T: t, realm: realm, git: git, topic: topic, name: "conformance-" + topic}
					c.ref = argocd.Ref{Name: c.name, Project: "team-a"}
					c.client = c.connect("gitops")
					hold(c)
					c.compare()
				})
			}
		})
	}
}

func (c *conversation) compare() {
	c.Helper()
	path := filepath.Join("testdata", "conformance", c.realm.major(), c.topic+".txt")
	got := c.normal(c.record.String())
	if _, real := c.realm.(realCluster); real && os.Getenv("SLIPWAY_E2E_UPDATE") == "true" {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(got), 0o644)); err != nil {
			c.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		c.Fatal(err)
	}
	if d := diff.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); d != "" {
		c.Errorf("(-the real server as recorded +this one)\n%s", d)
	}
}

func (c *conversation) connect(account string) *argocd.Client {
	c.Helper()
	client, err := c.tryConnect(c.realm.settings(account))
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { _ = client.Close() })
	return client
}

func (c *conversation) tryConnect(o argocd.Options) (*argocd.Client, error) {
	settings, err := argocd.Resolve(o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	return argocd.Connect(ctx, settings)
}

func (c *conversation) say(format string, args ...any) { fmt.Fprintf(&c.record, format+"\n", args...) }

// did records how a request has ended.
func (c *conversation) did(what string, err error) {
	if err == nil {
		c.say("%s: done", what)
		return
	}
	c.say("%s: %v (%s, transient %t)", what, err, failure.KindOf(err), retry.IsTransient(err))
}

// push commits files below deploy and returns the commit. In the record it is the number of the commit.
func (c *conversation) push(files map[string]string) string {
	c.Helper()
	all := map[string]string{}
	for name, content := range files {
		all["deploy/"+name] = content
	}
	if len(c.commits) == 0 {
		if err := c.git.CreateRepo(c.repo(), gitrepotest.RepoOptions{Empty: true}); err != nil {
			c.Fatal(err)
		}
	}
	commit, err := c.git.Commit(c.repo(), gitrepotest.Commit{Message: "Release", Files: all, When: time.Unix(int64(1_700_000_000+len(c.commits)), 0)})
	if err != nil {
		c.Fatal(err)
	}
	c.commits = append(c.commits, commit)
	return commit
}

func (c *conversation) repo() string { return c.realm.major() + "-" + c.topic }

// begin makes an application of a Deployment and a Service.
func (c *conversation) begin(a declared) string {
	c.Helper()
	commit := c.push(map[string]string{
		"kustomization.yaml": "resources: [deployment.yaml, service.yaml]\n", "deployment.yaml": workload("v1"), "service.yaml": service,
	})
	c.declare(a)
	return commit
}

func (c *conversation) declare(a declared) {
	c.Helper()
	a.name, a.repo = c.name, c.git.URL(c.repo())
	a.path, a.revision = cmp.Or(a.path, "deploy"), cmp.Or(a.revision, "main")
	if err := c.realm.declare(a); err != nil {
		c.Fatal(err)
	}
}

// refresh has the application compared with Git.
func (c *conversation) refresh() *argocd.Application {
	c.Helper()
	app, err := c.client.Refresh(c.Context(), c.ref)
	if err != nil {
		c.Fatal(err)
	}
	return app
}

// sync asks for a sync.
func (c *conversation) sync(s argocd.SyncRequest) {
	s.ID = "release-1"
	_, err := c.client.Sync(c.Context(), c.ref, s)
	c.did("sync", err)
}

// until reads the application until it is as wanted.
func (c *conversation) until(what string, wanted func(a *argocd.Application) bool) *argocd.Application {
	c.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-ticker.C {
		app, err := c.client.Get(c.Context(), c.ref)
		if err == nil && wanted(app) {
			return app
		}
		if time.Now().After(deadline) {
			c.Fatalf("not %s within a minute: %+v, %v", what, app, err)
		}
	}
}

func completed(a *argocd.Application) bool {
	return a.Requested == nil && a.State != nil && !a.State.FinishedAt.IsZero() && !a.Refreshing
}

// settled waits for the end of an operation on a commit, has the result compared with Git, and waits for health.
func (c *conversation) settled(commit string) *argocd.Application {
	c.Helper()
	c.until("synced", func(a *argocd.Application) bool { return completed(a) && slices.Contains(a.State.Revisions, commit) })
	c.refresh()
	return c.until("healthy", healthyAndCompared)
}

func healthyAndCompared(a *argocd.Application) bool {
	return completed(a) && a.Health == "Healthy" && a.Sync.Status != "Unknown"
}

// show records all of an application that does not depend on the moment.
func (c *conversation) show(when string, a *argocd.Application) {
	c.say("-- %s", when)
	c.say("project %s, automated %t, auto-prune %t, requested %t", a.Project, a.Automated, a.AutoPrune, a.Requested != nil)
	c.say("sync %s at %v, current %t", a.Sync.Status, a.Sync.Revisions, a.Sync.Current)
	c.say("health %s", a.Health)
	if s := a.State; s != nil {
		c.say("operation %s of %q for %q at %v, prune %t, partial %t: %s", s.Phase, s.By, s.ID, s.Revisions, s.Prune, s.Partial, s.Message)
		for _, r := range s.Results {
			c.say("  %s: %s %s %s %s", r.Key, r.Status, r.Hook, r.HookPhase, r.Message)
		}
	}
	for _, r := range sortedResources(a) {
		c.say("resource %s: %s %s, prune %t, hook %t: %s", r.Key, r.Sync, r.Health, r.Prune, r.Hook, r.Message)
	}
	for _, condition := range a.Conditions {
		c.say("condition %s: %s", condition.Type, condition.Message)
	}
}

func sortedResources(a *argocd.Application) []argocd.Resource {
	return slices.SortedFunc(slices.Values(a.Resources), func(a, b argocd.Resource) int { return strings.Compare(a.String(), b.String()) })
}
