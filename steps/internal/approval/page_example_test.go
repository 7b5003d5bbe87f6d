package approval_test

import (
	"strings"
	"time"

	"slipway/steps/internal/approval"
)

// written is when the pages of the tests are.
var written = time.Date(2026, 3, 10, 9, 42, 19, 0, time.UTC)

// beijing is where their readers are.
var beijing = time.FixedZone("CST", 8*60*60)

const (
	exampleCommit = "7d2f0c6b1e9a4835c0f1d7be26a9480e5c3f1a92"
	exampleRevert = "b81e4fd09c2735a6ee10478bb6fd3c95a0217e48"
)

const exampleDiff = `~ Deployment shop/web  2 fields
--- a/Deployment shop/web
+++ b/Deployment shop/web
@@ -21,9 +21,9 @@
         - name: LOG_LEVEL
           value: info
         - name: CHECKOUT_URL
-          value: http://checkout.shop.svc.cluster.local:8080/api/v1/orders?timeout=2s&retries=3
-        image: registry.example.com/shop/web:4.2.0
+          value: http://checkout.shop.svc.cluster.local:8080/api/v2/orders?timeout=2s&retries=3
+        image: registry.example.com/shop/web:4.3.0
         name: web
         ports:
         - containerPort: 8080
~ CronJob shop/web-cleanup  spec.jobTemplate.spec.template.spec.containers[name=cleanup].image
--- a/CronJob shop/web-cleanup
+++ b/CronJob shop/web-cleanup
@@ -11,5 +11,5 @@
           containers:
-          - image: registry.example.com/shop/web:4.2.0
+          - image: registry.example.com/shop/web:4.3.0
             name: cleanup
           restartPolicy: OnFailure
+ ServiceAccount shop/web
`

// askedExample is a question of half an hour that was opened 12 minutes ago.
func askedExample() approval.Record {
	terms := approval.Terms{OnTimeout: approval.AcceptOnTimeout, OnReject: approval.RevertRejected}
	subject := approval.Subject{
		Repo: "https://git.example.com/platform/gitops.git", Branch: "main", Path: "services/shop/overlays/prod", Revision: exampleCommit,
		Release: "5f0c21d97ab34e68", Job: "shop/web", Order: 142, Build: "https://jenkins.example.com/job/shop/job/web/142/",
		Images: []approval.Image{{
			Path: "services/shop/overlays/prod", Name: "registry.example.com/shop/web",
			Old: "registry.example.com/shop/web:4.2.0", New: "registry.example.com/shop/web:4.3.0",
		}},
		Objects: []approval.Object{
			{Object: "Deployment shop/web", Change: "changed"},
			{Object: "CronJob shop/web-cleanup", Change: "changed"},
			{Object: "ServiceAccount shop/web", Change: "added"},
		},
		CommitURL: "https://git.example.com/platform/gitops/commit/" + exampleCommit,
		Applications: []approval.Application{
			{Name: "shop-prod", Health: "Healthy", URL: "https://argocd.example.com/applications/argocd/shop-prod"},
		},
		Diff: exampleDiff,
	}
	pipeline := approval.Actor{Via: "jenkins", Build: subject.Build}
	opened := written.Add(-12*time.Minute - 7*time.Second)
	return approval.New(approval.ID(subject.Path, subject.Revision), opened, 30*time.Minute, terms, subject, pipeline)
}

// answeredExample is what an answer made of a question after 9 minutes.
func answeredExample(r approval.Record, signal approval.Signal, by, reason string) approval.Record {
	at := r.Opened.Add(9*time.Minute + 41*time.Second)
	actor := approval.Actor{By: by, Via: "jenkins", Build: r.Subject.Build}
	r, _ = r.Decide(approval.Answer{Signal: signal, Actor: actor, At: at, Reason: reason}, at)
	return r
}

// revertedExample is what becomes of a rejected release, in Git and then in the cluster.
func revertedExample(r approval.Record) approval.Record {
	by := approval.Actor{Via: "jenkins", Build: r.Subject.Build}
	return revertingExample(r).End(r.Decision.At.Add(52*time.Second), by)
}

func revertingExample(r approval.Record) approval.Record {
	return r.Begin(r.Decision.At.Add(4*time.Second), approval.Actor{Via: "jenkins", Build: r.Subject.Build}, exampleRevert)
}

func silentExample(r approval.Record) approval.Record {
	return r.Settle(r.Deadline.Add(3*time.Second), approval.Actor{Via: "jenkins", Build: r.Subject.Build})
}

// renamedExample is the release of another service, some time before.
func renamedExample(r approval.Record, service, from, to string, order int64, before time.Duration) approval.Record {
	s := r.Subject
	s.Path = "services/" + service + "/overlays/prod"
	name := "registry.example.com/" + service
	s.Images = []approval.Image{{Path: s.Path, Name: name, Old: name + ":" + from, New: name + ":" + to}}
	s.Applications = []approval.Application{{
		Name: service + "-prod", Health: "Healthy",
		URL: "https://argocd.example.com/applications/argocd/" + service + "-prod",
	}}
	s.Job, s.Order, s.Build = service, order, strings.ReplaceAll(s.Build, "shop/job/web/142", service)
	s.Diff = strings.ReplaceAll(strings.ReplaceAll(s.Diff, "4.2.0", from), "4.3.0", to)
	pipeline := approval.Actor{Via: "jenkins", Build: s.Build}
	return approval.New(approval.ID(s.Path, s.Revision), r.Opened.Add(-before), 30*time.Minute, r.Terms, s, pipeline)
}

// exampleRecords are releases in every state.
func exampleRecords() []approval.Record {
	rejected := answeredExample(askedExample(), approval.Reject, "release-manager",
		"Orders fail at the payment page: 14 % of them answer 502 since the switch.")
	unhealthy := renamedExample(askedExample(), "search", "2.8.1", "2.9.0", 57, 3*time.Hour)
	unhealthy.Subject.Applications[0].Health = "Degraded"
	unhealthy = unhealthy.Condemn(unhealthy.Opened.Add(time.Second), unhealthy.Events[0].Actor,
		"search-prod is Degraded: Deployment shop/search has no ready pod")
	return []approval.Record{
		renamedExample(askedExample(), "cart", "1.14.2", "1.15.0", 311, -4*time.Minute),
		revertedExample(rejected),
		answeredExample(renamedExample(askedExample(), "mail", "0.9.3", "0.9.4", 88, 50*time.Minute), approval.Proceed, "release-manager", ""),
		silentExample(renamedExample(askedExample(), "billing", "6.0.2", "6.0.3", 1204, 100*time.Minute)),
		revertingExample(unhealthy),
	}
}
