package argocd_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/steps/internal/argocd"
)

const service = `apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
`

// workload is a Deployment that has all the time of a busy machine to get on. With the tag fail it never does.
func workload(tag string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  progressDeadlineSeconds: 600
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "example.com/web:` + tag + `"}]}
`
}

// conversations are the parts of the suite by their topics.
var conversations = map[string]func(c *conversation){
	"commits": func(c *conversation) {
		first := c.begin(declared{})
		c.show("declared", c.refresh())
		c.sync(argocd.SyncRequest{Revision: first})
		c.show("synced", c.settled(first))
		second := c.push(map[string]string{"deployment.yaml": workload("v2")})
		c.show("pushed", c.refresh())
		c.sync(argocd.SyncRequest{Revision: second})
		c.show("synced", c.settled(second))
		c.show("refreshed", c.refresh())
	},
	"not-the-head": func(c *conversation) {
		first := c.begin(declared{})
		second := c.push(map[string]string{"deployment.yaml": workload("v2")})
		c.refresh()
		c.sync(argocd.SyncRequest{Revision: first})
		c.show("synced", c.settled(first))
		c.sync(argocd.SyncRequest{})
		c.show("synced without a revision", c.settled(second))
	},
	"unknown-commit": func(c *conversation) {
		first := c.begin(declared{})
		c.refresh()
		c.sync(argocd.SyncRequest{Revision: first})
		c.settled(first)
		c.commits = append(c.commits, strings.Repeat("0123456789", 4))
		c.sync(argocd.SyncRequest{Revision: c.commits[1]})
		c.show("synced", c.until("failed", func(a *argocd.Application) bool {
			return completed(a) && slices.Contains(a.State.Revisions, c.commits[1])
		}))
	},
	"automated": func(c *conversation) {
		first := c.begin(declared{automated: true})
		c.refresh()
		c.show("declared", c.settled(first))
		second := c.push(map[string]string{"deployment.yaml": workload("v2")})
		c.refresh()
		c.show("pushed", c.settled(second))
		c.sync(argocd.SyncRequest{Revision: first})
		c.sync(argocd.SyncRequest{Revision: second})
	},
	"prune": func(c *conversation) {
		c.push(map[string]string{"kustomization.yaml": generator + "blue]\n", "deployment.yaml": workload("v1")})
		c.declare(declared{})
		c.refresh()
		c.sync(argocd.SyncRequest{Revision: c.commits[0]})
		c.settled(c.commits[0])
		second := c.push(map[string]string{"kustomization.yaml": generator + "green]\n"})
		c.refresh()
		c.sync(argocd.SyncRequest{Revision: second})
		c.show("synced", c.settled(second))
		c.sync(argocd.SyncRequest{Revision: second, Prune: true})
		c.show("pruned", c.until("pruned", func(a *argocd.Application) bool {
			return completed(a) && a.State.Prune && a.Sync.Status == "Synced" && a.Health == "Healthy"
		}))
	},
	"not-rendered": func(c *conversation) {
		first := c.begin(declared{})
		c.refresh()
		c.sync(argocd.SyncRequest{Revision: first})
		c.settled(first)
		second := c.push(map[string]string{"service.yaml": "kind: [\n"})
		c.show("pushed", c.refresh())
		c.sync(argocd.SyncRequest{Revision: second})
		c.until("failed", func(a *argocd.Application) bool { return completed(a) && a.State.Phase != "Succeeded" })
		c.show("synced", c.refresh())
	},
	"no-branch": func(c *conversation) {
		c.begin(declared{revision: "missing"})
		c.show("declared", c.refresh())
		c.sync(argocd.SyncRequest{Revision: c.commits[0]})
		// Which objects a comparison that fails still sees is a matter of luck.
		state := c.until("ended", completed).State
		c.say("operation %s at %v: %s", state.Phase, state.Revisions, state.Message)
	},
	"no-path": func(c *conversation) {
		c.begin(declared{path: "missing"})
		c.show("declared", c.refresh())
	},
	"refused": func(c *conversation) {
		first := c.begin(declared{})
		c.refresh()
		c.sync(argocd.SyncRequest{Revision: first})
		c.settled(first)
		impossible := strings.Replace(workload("refused"), "replicas: 1", "replicas: -1", 1)
		second := c.push(map[string]string{"deployment.yaml": impossible})
		c.refresh()
		c.sync(argocd.SyncRequest{Revision: second})
		c.until("failed", func(a *argocd.Application) bool { return completed(a) && a.State.Phase == "Failed" })
		c.show("synced", c.refresh())
	},
	"pull": func(c *conversation) {
		first := c.begin(declared{})
		c.refresh()
		c.sync(argocd.SyncRequest{Revision: first})
		c.settled(first)
		hopeless := strings.Replace(workload("fail"), "progressDeadlineSeconds: 600", "progressDeadlineSeconds: 3", 1)
		second := c.push(map[string]string{"deployment.yaml": hopeless})
		f := argocd.NewFollower(c.client, c.ref, argocd.Request{Revision: second, Repo: c.git.URL(c.repo()), ID: "release-1", Grace: time.Second})
		_, err := f.Run(c.Context())
		c.did("release", err)
		c.show("released", f.App())
		for _, line := range f.Explain(c.Context()).Lines() {
			if !strings.HasPrefix(line, "  event:") { // there is no kubelet that would have any
				c.say("%s", line)
			}
		}
	},
	"one-at-a-time": func(c *conversation) {
		waves := strings.Replace(service, "{name: web}", `{name: web, annotations: {argocd.argoproj.io/sync-wave: "1"}}`, 1)
		first := c.push(map[string]string{
			"kustomization.yaml": "resources: [deployment.yaml, service.yaml]\n", "deployment.yaml": workload("fail"), "service.yaml": waves,
		})
		c.declare(declared{})
		c.refresh()
		c.did("terminate", c.client.Terminate(c.Context(), c.ref))
		c.sync(argocd.SyncRequest{Revision: first})
		c.sync(argocd.SyncRequest{Revision: first})
		c.until("waiting", func(a *argocd.Application) bool {
			return a.State != nil && a.State.Phase == "Running" && a.State.Message == "waiting for healthy state of apps/Deployment/web"
		})
		c.did("terminate", c.client.Terminate(c.Context(), c.ref))
		c.until("ended", completed)
		c.show("terminated", c.refresh())
	},
	"hook": func(c *conversation) {
		first := c.push(map[string]string{
			"kustomization.yaml": "resources: [deployment.yaml, job.yaml]\n", "deployment.yaml": workload("v1"), "job.yaml": job,
		})
		c.declare(declared{})
		c.show("declared", c.refresh())
		c.sync(argocd.SyncRequest{Revision: first})
		c.show("synced", c.settled(first))
	},
	"rights": func(c *conversation) {
		first := c.begin(declared{})
		c.refresh()
		for _, account := range []string{"gitops", "reader", "stranger"} {
			client := c.connect(account)
			_, err := client.Get(c.Context(), c.ref)
			c.did(account+" gets", err)
			_, err = client.Get(c.Context(), argocd.Ref{Name: c.name})
			c.did(account+" gets without a project", err)
			_, err = client.Get(c.Context(), argocd.Ref{Name: "missing"})
			c.did(account+" gets what does not exist", err)
			_, err = client.Get(c.Context(), argocd.Ref{Name: "missing", Project: "team-a"})
			c.did(account+" gets what does not exist in the project", err)
			_, err = client.Get(c.Context(), argocd.Ref{Name: c.name, Project: "default"})
			c.did(account+" gets from another project", err)
			if account != "gitops" {
				_, err = client.Sync(c.Context(), c.ref, argocd.SyncRequest{Revision: first})
				c.did(account+" syncs", err)
				c.did(account+" terminates", client.Terminate(c.Context(), c.ref))
			}
			refs, err := client.List(c.Context(), "", "default")
			c.did(fmt.Sprintf("%s lists %d of default", account, len(refs)), err)
			for _, right := range [][2]string{{"applications", "get"}, {"applications", "sync"}, {"applications", "delete"}, {"logs", "get"}} {
				may, err := client.May(c.Context(), c.ref, right[0], right[1])
				c.did(fmt.Sprintf("%s may %s %s: %t", account, right[1], right[0], may), err)
			}
			c.say("%s is %q", account, client.User())
		}
	},
	"token": func(c *conversation) {
		o := c.realm.settings("gitops")
		for _, token := range []string{"not-a-token", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", o.EnvToken + "x"} {
			o.EnvToken = token
			_, err := c.tryConnect(o)
			c.did("connect", err)
		}
		version, err := c.client.Version(c.Context())
		c.did("version "+strings.TrimSuffix(version, "+unknown"), err)
	},
	"watch": func(c *conversation) {
		first := c.begin(declared{})
		c.refresh()
		ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
		defer cancel()
		var seen []string
		asked := false
		err := c.client.Watch(ctx, c.ref, func(a *argocd.Application) {
			if !asked {
				asked = true
				c.say("at first: %s", summary(a))
				c.sync(argocd.SyncRequest{Revision: first})
			}
			if now := phaseOf(a); len(seen) == 0 || seen[len(seen)-1] != now {
				seen = append(seen, now)
			}
			if healthyAndCompared(a) && a.Sync.Status == "Synced" {
				cancel()
			}
		})
		c.say("then: %s", strings.Join(seen, ", "))
		c.did("watch", err)
	},
}

const job = `apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {argocd.argoproj.io/hook: PreSync}}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: migrate, image: example.com/migrate:v1}]
`

func summary(a *argocd.Application) string {
	return fmt.Sprintf("requested %t, operation %s, sync %s, health %s", a.Requested != nil, phaseOf(a), a.Sync.Status, a.Health)
}

func phaseOf(a *argocd.Application) string {
	if a.State == nil {
		return "none"
	}
	return a.State.Phase
}
