package argocd_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/test/bufconn"

	"slipway/internal/argocdtest"
	"slipway/internal/gitrepotest"
	"slipway/retry"
	"slipway/steps/internal/argocd"
	"slipway/steps/internal/failure"
)

func deployment(tag string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "example.com/web:` + tag + `"}]}
`
}

// world is an Argo CD within a synctest bubble, where waiting takes no time, and a Git server outside of it.
type world struct {
	*argocdtest.Server
	t       *testing.T
	git     *gitrepotest.Server
	url     string
	token   string
	dial    argocd.Dialer
	changes []argocd.Change
}

// inWorld runs a test with an application web that is synced to the first commit and healthy.
func inWorld(t *testing.T, o argocdtest.Options, app argocdtest.App, test func(w *world)) {
	t.Helper()
	git := gitrepotest.New(t, gitrepotest.Options{})
	files := map[string]string{"prod/kustomization.yaml": "resources: [deployment.yaml]\n", "prod/deployment.yaml": deployment("1")}
	if err := git.CreateRepo("gitops", gitrepotest.RepoOptions{Files: files}); err != nil {
		t.Fatal(err)
	}
	url := git.URL("gitops")
	synctest.Test(t, func(t *testing.T) {
		listener := bufconn.Listen(1 << 20)
		o.Listener = listener
		s := argocdtest.New(t, o)
		w := &world{Server: s, t: t, git: git, url: url, token: s.Token("admin", time.Time{})}
		w.dial = func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }
		if app.Name == "" {
			app.Name, app.Deployed = "web", true
		}
		if app.Sources == nil {
			app.Repo, app.Path = url, "prod"
		}
		if app.Revision == "" {
			app.Revision = "main"
		}
		if err := s.AddApp(app); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour) // what was deployed is old
		test(w)
	})
}

// push commits a new tag, and more files; an empty content deletes one.
func (w *world) push(tag string, more map[string]string) string {
	w.t.Helper()
	files := map[string]string{"prod/deployment.yaml": deployment(tag)}
	for name, content := range more {
		files[name] = content
	}
	commit, err := w.git.Commit("gitops", gitrepotest.Commit{Message: "Release " + tag, Files: files})
	if err != nil {
		w.t.Fatal(err)
	}
	return commit
}

func (w *world) connect() *argocd.Client {
	w.t.Helper()
	settings, err := argocd.Resolve(argocd.Options{Server: "argocd.example.com:80", EnvToken: w.token, PlainText: true})
	if err != nil {
		w.t.Fatal(err)
	}
	settings.Dial = w.dial
	client, err := argocd.Connect(w.t.Context(), settings)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = client.Close() })
	return client
}

func (w *world) request(revision string) argocd.Request {
	return argocd.Request{Revision: revision, Repo: w.url, ID: "r@" + revision[:12], Settle: 5 * time.Second, Grace: 90 * time.Second}
}

// contains asks the Git server.
func (w *world) contains(_ context.Context, tip, revision string) (contains, known bool, err error) {
	_, err = w.git.Git("gitops", "merge-base", "--is-ancestor", revision, tip)
	return err == nil, true, nil
}

func (w *world) follower(r argocd.Request) *argocd.Follower {
	f := argocd.NewFollower(w.connect(), argocd.Ref{Name: "web"}, r)
	f.Contains = w.contains
	f.Report = func(c argocd.Change) { w.changes = append(w.changes, c) }
	return f
}

// run releases within ten minutes as a step does it: after a transient error once more.
func (w *world) run(f *argocd.Follower) (outcome argocd.Outcome, err error) {
	return w.runIn(w.t.Context(), f)
}

func (w *world) runIn(ctx context.Context, f *argocd.Follower) (outcome argocd.Outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	err = retry.Do(ctx, retry.Policy{Timeout: time.Hour, Initial: time.Second, MaxInterval: 4 * time.Second}, nil, func(ctx context.Context) error {
		outcome, err = f.Run(ctx)
		return err
	})
	return outcome, err
}

func (w *world) mustRun(f *argocd.Follower) argocd.Outcome {
	w.t.Helper()
	outcome, err := w.run(f)
	if err != nil {
		w.t.Fatal(err)
	}
	return outcome
}

// syncs checks how many syncs were asked for.
func (w *world) syncs(want int) {
	w.t.Helper()
	if got := w.Calls("application.Sync"); len(got) != want {
		w.t.Errorf("%d syncs were asked for, not %d: %+v", len(got), want, got)
	}
}

// deployments counts the operations that have deployed the revision.
func (w *world) deployments(revision string) int {
	count := 0
	for _, entry := range w.App("web").Status.History {
		if entry.Revision == revision {
			count++
		}
	}
	return count
}

func (w *world) fails(err error, kind failure.Kind, says string) {
	w.t.Helper()
	if err == nil || failure.KindOf(err) != kind || !strings.Contains(err.Error(), says) {
		w.t.Errorf("ended with %v (%s), not as %s with %q", err, failure.KindOf(err), kind, says)
	}
}

func TestAReleaseIsSyncedAndBecomesHealthy(t *testing.T) {
	inWorld(t, argocdtest.Options{ProgressingFor: 3 * time.Minute, OperationFor: 20 * time.Second}, argocdtest.App{}, func(w *world) {
		revision := w.push("2", nil)
		began := time.Now()
		outcome := w.mustRun(w.follower(w.request(revision)))
		if !outcome.Changed || outcome.App.Health != "Healthy" || outcome.App.Sync.Revisions[0] != revision {
			w.t.Errorf("ended with %+v at %+v", outcome, outcome.App)
		}
		// 20 s for the operation, 3 minutes until healthy, 5 s to settle, and no more than a second of ours.
		if took := time.Since(began); took > 3*time.Minute+27*time.Second {
			w.t.Errorf("took %s", took)
		}
		calls := w.Calls("application.Sync")
		if len(calls) != 1 || calls[0].Project != "default" || calls[0].Revisions[0] != revision {
			w.t.Errorf("asked for %+v", calls)
		}
		if again := w.mustRun(w.follower(w.request(revision))); again.Changed {
			w.t.Error("the second run has changed something")
		}
		w.syncs(1)
	})
}

func TestChangesAreReportedOnce(t *testing.T) {
	inWorld(t, argocdtest.Options{ProgressingFor: time.Minute}, argocdtest.App{}, func(w *world) {
		w.mustRun(w.follower(w.request(w.push("2", nil))))
		seen := map[argocd.Change]int{}
		for _, c := range w.changes {
			if seen[c]++; seen[c] > 1 {
				w.t.Errorf("reported twice: %+v", c)
			}
		}
		if len(w.changes) < 3 || len(w.changes) > 10 {
			w.t.Errorf("reported %d changes: %+v", len(w.changes), w.changes)
		}
	})
}

func TestAnAutomatedApplicationSyncsItself(t *testing.T) {
	inWorld(t, argocdtest.Options{ProgressingFor: time.Minute}, argocdtest.App{Name: "web", Deployed: true, Automated: true, SelfHeal: true}, func(w *world) {
		if outcome := w.mustRun(w.follower(w.request(w.push("2", nil)))); !outcome.Changed {
			w.t.Error("nothing has changed")
		}
		w.syncs(0)
	})
}

func TestAnAutomatedApplicationThatGaveUpIsSyncedWithoutARevision(t *testing.T) {
	for _, version := range []string{"v2.14.21", "v3.1.0"} {
		t.Run(version, func(t *testing.T) {
			inWorld(t, argocdtest.Options{Version: version}, argocdtest.App{Name: "web", Deployed: true, Automated: true}, func(w *world) {
				refused := true
				err := w.Rollout("web", func(argocdtest.Workload) argocdtest.Outcome {
					if refused {
						return argocdtest.Refused("quota exceeded")
					}
					return argocdtest.Healthy(0)
				})
				if err != nil {
					w.t.Fatal(err)
				}
				revision := w.push("2", nil)
				_, err = w.run(w.follower(w.request(revision)))
				w.fails(err, failure.Unhealthy, "quota exceeded")
				w.syncs(0)
				refused = false
				if outcome := w.mustRun(w.follower(w.request(revision))); !outcome.Changed {
					w.t.Error("nothing has changed")
				}
				// The first names the revision and is refused.
				w.syncs(2)
			})
		})
	}
}

func TestAnAutomatedApplicationMayFollowALaterCommit(t *testing.T) {
	inWorld(t, argocdtest.Options{}, argocdtest.App{Name: "web", Deployed: true, Automated: true}, func(w *world) {
		revision := w.push("2", nil)
		later := w.push("3", nil)
		outcome := w.mustRun(w.follower(w.request(revision)))
		if outcome.App.Sync.Revisions[0] != later {
			w.t.Errorf("ended at %s", outcome.App.Sync.Revisions[0])
		}
		r := w.request(revision)
		r.Exact = true
		_, err := w.run(w.follower(r))
		w.fails(err, failure.Superseded, "was synced instead")
	})
}

func TestACommitThatIsNotOnTheApplicationsBranchIsRefused(t *testing.T) {
	inWorld(t, argocdtest.Options{}, argocdtest.App{}, func(w *world) {
		other, err := w.git.Commit("gitops", gitrepotest.Commit{Branch: "other", Message: "Elsewhere", Files: map[string]string{"prod/deployment.yaml": deployment("2")}})
		if err != nil {
			w.t.Fatal(err)
		}
		began := time.Now()
		_, err = w.run(w.follower(w.request(other)))
		w.fails(err, failure.Conflict, "which does not contain the release")
		if took := time.Since(began); took > time.Minute {
			w.t.Errorf("took %s", took)
		}
		w.syncs(0)

		// Where nobody can tell what contains what, the sync is tried, and its end is as clear.
		f := w.follower(w.request(other))
		f.Contains = nil
		_, err = w.run(f)
		w.fails(err, failure.Conflict, "OutOfSync for ever")
		w.syncs(1)
	})
}

const generator = `resources: [deployment.yaml]
configMapGenerator:
- name: settings
  literals: [color=`

func TestAHashedConfigMapThatIsLeftBehindIsNamed(t *testing.T) {
	inWorld(t, argocdtest.Options{}, argocdtest.App{}, func(w *world) {
		w.mustRun(w.follower(w.request(w.push("2", map[string]string{"prod/kustomization.yaml": generator + "blue]\n"}))))
		revision := w.push("3", map[string]string{"prod/kustomization.yaml": generator + "green]\n"})
		began := time.Now()
		_, err := w.run(w.follower(w.request(revision)))
		w.fails(err, failure.Conflict, "Git no longer has ConfigMap web/settings-")
		_, err = w.run(w.follower(w.request(revision)))
		w.fails(err, failure.Conflict, "Git no longer has ConfigMap web/settings-")
		if took := time.Since(began); took > time.Minute {
			w.t.Errorf("took %s", took)
		}
		w.syncs(2)
		r := w.request(revision)
		r.Prune = true
		w.mustRun(w.follower(r))
		w.syncs(3)
	})
}

func TestSeveralSourcesArePinnedWhereTheReleaseIs(t *testing.T) {
	for _, version := range []string{"v2.14.21", "v3.1.0"} {
		t.Run(version, func(t *testing.T) {
			inWorld(t, argocdtest.Options{Version: version}, argocdtest.App{}, func(w *world) {
				if err := w.git.CreateRepo("shared", gitrepotest.RepoOptions{Files: map[string]string{"base/kustomization.yaml": "resources: []\n"}}); err != nil {
					w.t.Fatal(err)
				}
				err := w.AddApp(argocdtest.App{Name: "two", Deployed: true, Sources: []v1alpha1.ApplicationSource{
					{RepoURL: w.git.URL("shared"), Path: "base", TargetRevision: "main"},
					{RepoURL: w.url, Path: "prod", TargetRevision: "main"},
				}})
				if err != nil {
					w.t.Fatal(err)
				}
				revision := w.push("2", nil)
				f := argocd.NewFollower(w.connect(), argocd.Ref{Name: "two"}, w.request(revision))
				f.Contains = w.contains
				outcome := w.mustRun(f)
				if got := outcome.App.State.Revisions; len(got) != 2 || got[1] != revision {
					w.t.Errorf("synced %v", got)
				}
				if again := w.mustRun(f); !again.Changed {
					w.t.Error("a follower has forgotten what it has done")
				}
				w.syncs(1)
			})
		})
	}
}

func TestAnApplicationInAnotherNamespace(t *testing.T) {
	inWorld(t, argocdtest.Options{}, argocdtest.App{Name: "web", Namespace: "team-a", Project: "team-a", Deployed: true}, func(w *world) {
		f := argocd.NewFollower(w.connect(), argocd.Ref{Namespace: "team-a", Name: "web"}, w.request(w.push("2", nil)))
		f.Contains = w.contains
		w.mustRun(f)
		if calls := w.Calls("application.Sync"); len(calls) != 1 || calls[0].App != "team-a/web" || calls[0].Project != "team-a" {
			w.t.Errorf("asked for %+v", calls)
		}
	})
}

// TestKilledAtAnyCallAndRunAgain stops a release before or after each call it makes takes effect, and runs it again.
func TestKilledAtAnyCallAndRunAgain(t *testing.T) {
	for _, automated := range []bool{false, true} {
		for _, before := range []bool{true, false} {
			app := argocdtest.App{Name: "web", Deployed: true, Automated: automated}
			inWorld(t, argocdtest.Options{ProgressingFor: 15 * time.Second, OperationFor: 15 * time.Second}, app, func(w *world) {
				n := 0
				for w.killAt(n, before, "") {
					n++
				}
				if n < 5 {
					w.t.Errorf("a release is %d calls only", n)
				}
			})
		}
	}
}

// TestKilledAtAnyCallWhileAnOperationIsInVain does so with an operation that is started twice.
func TestKilledAtAnyCallWhileAnOperationIsInVain(t *testing.T) {
	for _, before := range []bool{true, false} {
		app := argocdtest.App{Name: "web", Deployed: true}
		inWorld(t, argocdtest.Options{ProgressingFor: 15 * time.Second, OperationFor: 15 * time.Second}, app, func(w *world) {
			n := 0
			for w.killAt(n, before, unavailable) {
				n++
			}
			if n < 10 {
				w.t.Errorf("a release is %d calls only", n)
			}
		})
	}
}

// killAt runs a release that is killed at a call, and another one to the end. The first operation ends with the trouble, if there
// is one. It returns false if there were fewer calls.
func (w *world) killAt(n int, before bool, trouble string) bool {
	w.t.Helper()
	if trouble != "" {
		w.errs(trouble)
	}
	revision := w.push(fmt.Sprint("to-be-killed-", n), nil)
	history := len(w.App("web").Status.History)
	ctx, kill := context.WithCancel(w.t.Context())
	defer kill()
	f := w.follower(w.request(revision))
	first := len(w.Calls())
	w.Fault(func(c argocdtest.Call) argocdtest.Fault {
		switch {
		case c.Index != first+n:
			return argocdtest.Fault{}
		case before:
			return argocdtest.Fault{Before: kill, Drop: true}
		}
		return argocdtest.Fault{After: kill, DropAfter: true}
	})
	_, _ = w.runIn(ctx, f)
	killed := len(w.Calls())-first > n
	w.Heal()
	outcome := w.mustRun(w.follower(w.request(revision)))
	if outcome.App.Health != "Healthy" || outcome.App.Sync.Revisions[0] != revision {
		w.t.Errorf("killed at call %d: ended at %+v", n, outcome.App)
	}
	if got := len(w.App("web").Status.History) - history; got != 1 {
		w.t.Errorf("killed at call %d: %d operations", n, got)
	}
	return killed
}

func TestAnOperationOfSomebodyElse(t *testing.T) {
	started := func(w *world, revision string) {
		w.t.Helper()
		client := w.connect()
		if _, err := client.Sync(w.t.Context(), argocd.Ref{Name: "web", Project: "default"}, argocd.SyncRequest{ID: "other", Revision: revision}); err != nil {
			w.t.Fatal(err)
		}
	}
	slow := argocdtest.Options{OperationFor: 2 * time.Minute}
	t.Run("is joined at the same revision", func(t *testing.T) {
		inWorld(t, slow, argocdtest.App{}, func(w *world) {
			revision := w.push("2", nil)
			started(w, revision)
			w.mustRun(w.follower(w.request(revision)))
			w.syncs(1)
		})
	})
	t.Run("is waited for at another", func(t *testing.T) {
		inWorld(t, slow, argocdtest.App{}, func(w *world) {
			old := w.App("web").Status.Sync.Revision
			revision := w.push("2", nil)
			started(w, old)
			if outcome := w.mustRun(w.follower(w.request(revision))); outcome.App.Sync.Revisions[0] != revision {
				w.t.Errorf("ended at %v", outcome.App.Sync.Revisions)
			}
			w.syncs(2)
		})
	})
	t.Run("is terminated if that is allowed", func(t *testing.T) {
		stuck := argocdtest.Options{OperationFor: time.Hour}
		inWorld(t, stuck, argocdtest.App{}, func(w *world) {
			started(w, w.App("web").Status.Sync.Revision)
			r := w.request(w.push("2", nil))
			r.TerminateAfter, r.NoWait = time.Minute, true
			w.mustRun(w.follower(r))
			w.syncs(2)
			if n := len(w.Calls("application.TerminateOperation")); n != 1 {
				w.t.Errorf("terminated %d times", n)
			}
		})
	})
}

func TestHealthThatFlapsIsWaitedFor(t *testing.T) {
	inWorld(t, argocdtest.Options{}, argocdtest.App{}, func(w *world) {
		w.rollout(argocdtest.Flapping(3, 4*time.Second))
		began := time.Now()
		w.mustRun(w.follower(w.request(w.push("2", nil))))
		if took := time.Since(began); took < 29*time.Second || took > 35*time.Second {
			w.t.Errorf("took %s", took)
		}
	})
}

func TestWhereARevisionNeedsARightOfItsOwnTheBranchIsSynced(t *testing.T) {
	const policy = "p, role:ci, applications, get, default/*, allow\np, role:ci, applications, sync, default/*, allow\ng, ci, role:ci\n"
	inWorld(t, argocdtest.Options{Version: "v3.1.0", OverrideForRevision: true, Policy: policy}, argocdtest.App{}, func(w *world) {
		w.token = w.Token("ci", time.Time{})
		w.mustRun(w.follower(w.request(w.push("2", nil))))
		if calls := w.Calls("application.Sync"); len(calls) != 2 || len(calls[1].Revisions) != 0 {
			w.t.Errorf("asked for %+v", calls)
		}
	})
}

func TestAnApplicationThatIsDeletedMeanwhileIsMissed(t *testing.T) {
	inWorld(t, argocdtest.Options{ProgressingFor: time.Hour}, argocdtest.App{}, func(w *world) {
		time.AfterFunc(time.Minute, func() {
			if err := w.RemoveApp("web"); err != nil {
				w.t.Error(err)
			}
		})
		began := time.Now()
		_, err := w.run(w.follower(w.request(w.push("2", nil))))
		w.fails(err, failure.Usage, "not found")
		if took := time.Since(began); took > 65*time.Second {
			w.t.Errorf("took %s", took)
		}
	})
}

func TestTheServerMayBeReplacedMeanwhile(t *testing.T) {
	for name, o := range map[string]argocd.Options{"gRPC": {}, "gRPC-web": {GRPCWeb: true}} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, argocdtest.Options{ProgressingFor: 2 * time.Second})
			client := mustConnect(t, s, o)
			revision := s.App("web").Status.Sync.Revision
			if err := s.Edit("web", "Deployment", "web", func(object map[string]any) { object["spec"] = nil }); err != nil {
				t.Fatal(err)
			}
			f := argocd.NewFollower(client, web, argocd.Request{Revision: revision, ID: "r"})
			time.AfterFunc(500*time.Millisecond, func() {
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
				if err := s.Resume(); err != nil {
					t.Error(err)
				}
			})
			err := retry.Do(t.Context(), retry.Policy{Timeout: 20 * time.Second}, nil, func(ctx context.Context) error {
				_, err := f.Run(ctx)
				return err
			})
			if err != nil || len(s.Calls("application.Sync")) != 1 {
				t.Errorf("ended with %v after %+v", err, s.Calls("application.Sync"))
			}
		})
	}
}

func TestSyncWindows(t *testing.T) {
	inWorld(t, argocdtest.Options{}, argocdtest.App{}, func(w *world) {
		w.SetWindows("default", argocdtest.Closed(false))
		r := w.request(w.push("2", nil))
		_, err := w.run(w.follower(r))
		w.fails(err, failure.Conflict, `deny "* * * * *" for 1h`)
		r.WaitForWindow = true
		time.AfterFunc(5*time.Minute, func() { w.SetWindows("default") })
		began := time.Now()
		w.mustRun(w.follower(r))
		if took := time.Since(began); took < 5*time.Minute || took > 6*time.Minute {
			w.t.Errorf("took %s", took)
		}
	})
}

func TestTheDeadlineHoldsWhateverTheServerDoes(t *testing.T) {
	tests := map[string]struct {
		fault   func(w *world)
		waiting string
	}{
		"every call hangs": {func(w *world) { w.Fail("", argocdtest.Always, argocdtest.Hang()) }, "the server's first answer"},
		"the watch is silent and the controller is down": {func(w *world) {
			w.PauseController()
			w.Fail("application.Watch", argocdtest.Always, argocdtest.Mute(0))
		}, ""},
		"every stream ends at once": {func(w *world) {
			w.PauseController()
			w.Fail("application.Watch", argocdtest.Always, argocdtest.EndAfter(1))
		}, ""},
		"the server is unavailable for ever": {func(w *world) { w.Fail("", argocdtest.Always, argocdtest.Status(codes.Unavailable, "no")) }, "the server's first answer"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, argocdtest.Options{}, argocdtest.App{}, func(w *world) {
				f := w.follower(w.request(w.push("2", nil)))
				test.fault(w)
				began := time.Now()
				_, err := w.run(f)
				if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 10*time.Minute {
					w.t.Errorf("after %s: %v", took, err)
				}
				if got := f.Waiting(); got == "" || !strings.Contains(got, test.waiting) {
					w.t.Errorf("was waiting for %q", got)
				}
				if n := len(w.Calls()); n > 500 {
					w.t.Errorf("asked %d times", n)
				}
			})
		})
	}
}

func TestATokenThatIsRefusedIsShownOnceMore(t *testing.T) {
	refused := argocdtest.Status(codes.Unauthenticated, "invalid session: token is revoked, please re-login")
	t.Run("and accepted by a server that was only starting", func(t *testing.T) {
		inWorld(t, argocdtest.Options{ProgressingFor: time.Minute}, argocdtest.App{}, func(w *world) {
			f := w.follower(w.request(w.push("2", nil)))
			w.Fail("application.Get", 1, refused)
			w.mustRun(f)
		})
	})
	t.Run("and then refused for good", func(t *testing.T) {
		inWorld(t, argocdtest.Options{}, argocdtest.App{}, func(w *world) {
			f := w.follower(w.request(w.push("2", nil)))
			w.Revoke(w.token)
			began := time.Now()
			_, err := w.run(f)
			w.fails(err, failure.Denied, "token is revoked")
			if took := time.Since(began); took > time.Minute {
				w.t.Errorf("took %s", took)
			}
		})
	})
	t.Run("while it waits", func(t *testing.T) {
		inWorld(t, argocdtest.Options{ProgressingFor: time.Hour}, argocdtest.App{}, func(w *world) {
			f := w.follower(w.request(w.push("2", nil)))
			time.AfterFunc(time.Minute, func() { w.Revoke(w.token) })
			began := time.Now()
			_, err := w.run(f)
			w.fails(err, failure.Denied, "token is revoked")
			if took := time.Since(began); took > 2*time.Minute {
				w.t.Errorf("took %s", took)
			}
		})
	})
}

func TestARefusalOfAServerThatIsOnlyStartingIsNotBelieved(t *testing.T) {
	denied := argocdtest.Status(codes.PermissionDenied, "permission denied")
	absent := argocdtest.Status(codes.NotFound, `applications.argoproj.io "web" not found`)
	for name, fault := range map[string]argocdtest.Fault{"denied": denied, "not found": absent} {
		t.Run(name+" while it waits", func(t *testing.T) {
			inWorld(t, argocdtest.Options{ProgressingFor: 3 * time.Minute}, argocdtest.App{}, func(w *world) {
				f := w.follower(w.request(w.push("2", nil)))
				for _, at := range []time.Duration{time.Minute, 2 * time.Minute} {
					time.AfterFunc(at, func() { w.Fail("application.Get", 10, fault) })
				}
				w.mustRun(f)
				w.syncs(1)
			})
		})
		t.Run(name+" and it was away", func(t *testing.T) {
			inWorld(t, argocdtest.Options{ProgressingFor: 3 * time.Minute}, argocdtest.App{}, func(w *world) {
				f := w.follower(w.request(w.push("2", nil)))
				time.AfterFunc(time.Minute, func() {
					w.Fail("application.Get", 3, argocdtest.Status(codes.Unavailable, "connection refused"))
					w.Fail("application.Get", 3, fault)
				})
				w.mustRun(f)
				w.syncs(1)
			})
		})
		t.Run(name+" when the sync is asked for", func(t *testing.T) {
			inWorld(t, argocdtest.Options{}, argocdtest.App{}, func(w *world) {
				w.Fail("application.Sync", 1, argocdtest.Fault{Before: func() { w.Fail("application.Get", 2, fault) }, Refusal: fault.Refusal})
				w.mustRun(w.follower(w.request(w.push("2", nil))))
				w.syncs(2)
			})
		})
	}
}

func TestARightThatIsTakenAwayMeanwhileIsMissed(t *testing.T) {
	const all = "p, ci, applications, *, default/*, allow"
	t.Run("to read", func(t *testing.T) {
		inWorld(t, argocdtest.Options{ProgressingFor: time.Hour, Policy: all}, argocdtest.App{}, func(w *world) {
			w.token = w.Token("ci", time.Time{})
			f := w.follower(w.request(w.push("2", nil)))
			time.AfterFunc(time.Minute, func() { w.policy("") })
			time.AfterFunc(80*time.Second, func() {
				if got := f.Waiting(); !strings.Contains(got, "permission denied") {
					w.t.Errorf("was waiting for %q", got)
				}
			})
			began := time.Now()
			_, err := w.run(f)
			w.fails(err, failure.Denied, "permission denied")
			if took := time.Since(began); took < 85*time.Second || took > 105*time.Second {
				w.t.Errorf("took %s", took)
			}
		})
	})
	t.Run("to sync", func(t *testing.T) {
		inWorld(t, argocdtest.Options{Policy: "p, ci, applications, get, default/*, allow"}, argocdtest.App{}, func(w *world) {
			w.token = w.Token("ci", time.Time{})
			f := w.follower(w.request(w.push("2", nil)))
			began := time.Now()
			_, err := w.run(f)
			w.fails(err, failure.Denied, "permission denied: applications, sync, default/web")
			if took := time.Since(began); took > time.Second {
				w.t.Errorf("took %s", took)
			}
			w.syncs(1)
		})
	})
}

func (w *world) policy(csv string) {
	if err := w.SetPolicy(csv); err != nil {
		w.t.Error(err)
	}
}

func TestASyncWhoseAnswerIsLostIsNotRepeated(t *testing.T) {
	inWorld(t, argocdtest.Options{OperationFor: time.Minute}, argocdtest.App{}, func(w *world) {
		w.Fail("application.Sync", 1, argocdtest.LoseReply())
		if outcome := w.mustRun(w.follower(w.request(w.push("2", nil)))); !outcome.Changed {
			w.t.Error("nothing has changed")
		}
		w.syncs(1)
	})
}

func TestAnOperationThatWasInVainIsStartedAgain(t *testing.T) {
	inWorld(t, argocdtest.Options{OperationFor: 10 * time.Second}, argocdtest.App{}, func(w *world) {
		w.errs(unavailable, unavailable)
		began := time.Now()
		outcome := w.mustRun(w.follower(w.request(w.push("2", nil))))
		// Three operations, 5 s and 10 s between them, 5 s to settle.
		if took := time.Since(began); took < 50*time.Second || took > 55*time.Second {
			w.t.Errorf("took %s", took)
		}
		if !outcome.Changed || !strings.Contains(outcome.Notice, "was started 3 times: the one before has ended as Error: ComparisonError") {
			w.t.Errorf("ended with %+v", outcome)
		}
		w.syncs(3)
	})
	t.Run("four times at most", func(t *testing.T) {
		inWorld(t, argocdtest.Options{}, argocdtest.App{}, func(w *world) {
			w.errs(unavailable, unavailable, unavailable, unavailable+" (the last)", "too many")
			_, err := w.run(w.follower(w.request(w.push("2", nil))))
			w.fails(err, failure.Unhealthy, "(the last)")
			w.syncs(4)
		})
	})
	t.Run("not where it would be in vain again", func(t *testing.T) {
		inWorld(t, argocdtest.Options{}, argocdtest.App{}, func(w *world) {
			w.errs(notBuilt)
			_, err := w.run(w.follower(w.request(w.push("2", nil))))
			w.fails(err, failure.Unhealthy, "the operation has ended as Error: ComparisonError")
			w.syncs(1)
		})
	})
	t.Run("however the answers are lost", func(t *testing.T) {
		inWorld(t, argocdtest.Options{OperationFor: time.Second}, argocdtest.App{}, func(w *world) {
			w.errs(unavailable, unavailable, unavailable, unavailable, unavailable)
			w.Fail("application.Sync", argocdtest.Always, argocdtest.LoseReply())
			_, err := w.run(w.follower(w.request(w.push("2", nil))))
			w.fails(err, failure.Unhealthy, "4 operations have ended as Error")
			w.syncs(4)
		})
	})
}

// errs lets the next operations end as Error.
func (w *world) errs(messages ...string) {
	w.t.Helper()
	if err := w.ErrOperations("web", messages...); err != nil {
		w.t.Fatal(err)
	}
}

func TestAControllerThatWasStartedAnewMayNotKnowTheProjectYet(t *testing.T) {
	inWorld(t, argocdtest.Options{OperationFor: time.Minute}, argocdtest.App{}, func(w *world) {
		time.AfterFunc(30*time.Second, func() { w.ForgetProject("default") })
		time.AfterFunc(64*time.Second, func() { w.RecallProject("default") })
		revision := w.push("2", nil)
		outcome := w.mustRun(w.follower(w.request(revision)))
		if outcome.App.Sync.Revisions[0] != revision || !strings.Contains(outcome.Notice, "project default which does not exist") {
			w.t.Errorf("ended with %+v", outcome)
		}
		w.syncs(2)
	})
	t.Run("or it is missing", func(t *testing.T) {
		inWorld(t, argocdtest.Options{OperationFor: time.Minute}, argocdtest.App{}, func(w *world) {
			time.AfterFunc(30*time.Second, func() { w.ForgetProject("default") })
			began := time.Now()
			_, err := w.run(w.follower(w.request(w.push("2", nil))))
			w.fails(err, failure.Unhealthy, "it stays so: InvalidSpecError: Application referencing project default which does not exist")
			if took := time.Since(began); took > 80*time.Second {
				w.t.Errorf("took %s", took)
			}
			w.syncs(1)
		})
	})
}

func TestAWatchThatLosesEventsIsNoLoss(t *testing.T) {
	for name, fault := range map[string]argocdtest.Fault{
		"silent": argocdtest.Mute(0), "cut": argocdtest.CutAfter(1), "ended": argocdtest.EndAfter(2), "dropped": argocdtest.Drop(),
	} {
		follow := func(w *world) {
			began := time.Now()
			revision := w.push("2", nil)
			w.mustRun(w.follower(w.request(revision)))
			if took := time.Since(began); took > 3*time.Minute {
				w.t.Errorf("took %s", took)
			}
			if deployed := w.deployments(revision); deployed != 1 {
				w.t.Errorf("the revision was deployed %d times, not once", deployed)
			}
		}
		options := argocdtest.Options{ProgressingFor: time.Minute, OperationFor: time.Minute}
		t.Run(name, func(t *testing.T) {
			inWorld(t, options, argocdtest.App{}, func(w *world) {
				w.Fail("application.Watch", argocdtest.Always, fault)
				follow(w)
				// With its connection a watch takes along the sync that is on its way. Where that was not begun it is asked for again.
				if !fault.Drop && fault.CutAfter == 0 {
					w.syncs(1)
				}
			})
		})
		t.Run(name+" once the operation is set", func(t *testing.T) {
			inWorld(t, options, argocdtest.App{}, func(w *world) {
				var set atomic.Bool
				w.Fault(func(c argocdtest.Call) argocdtest.Fault {
					switch {
					case c.Method == "application.Sync":
						return argocdtest.Around(nil, func() { set.Store(true) })
					case c.Method != "application.Watch":
						return argocdtest.Fault{}
					case set.Load():
						return fault
					}
					return argocdtest.EndAfter(1)
				})
				follow(w)
				w.syncs(1)
			})
		})
	}
}
