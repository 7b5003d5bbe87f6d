package argocd_test

import (
	"strings"
	"testing"
	"time"

	"slipway/internal/argocdtest"
	"slipway/steps/internal/argocd"
	"slipway/steps/internal/failure"
)

const hook = `apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  annotations: {argocd.argoproj.io/hook: PreSync, argocd.argoproj.io/hook-delete-policy: HookFailed}
spec:
  template: {spec: {restartPolicy: Never, containers: [{name: migrate, image: "example.com/web:2"}]}}
`

// explain lets a release fail and returns why.
func (w *world) explain(revision string, mask func(string) string) *argocd.Explanation {
	w.t.Helper()
	r := w.request(revision)
	r.Grace = 0
	f := w.follower(r)
	f.Mask = mask
	if _, err := w.run(f); failure.KindOf(err) != failure.Unhealthy {
		w.t.Fatalf("the release ended with %v", err)
	}
	return f.Explain(w.t.Context())
}

func (w *world) rollout(o argocdtest.Outcome) {
	w.t.Helper()
	if err := w.Rollout("web", func(argocdtest.Workload) argocdtest.Outcome { return o }); err != nil {
		w.t.Fatal(err)
	}
}

func hasLine(e *argocd.Explanation, parts ...string) bool {
	for _, line := range e.Lines() {
		found := true
		for _, part := range parts {
			found = found && strings.Contains(line, part)
		}
		if found {
			return true
		}
	}
	return false
}

func wantLines(t *testing.T, e *argocd.Explanation, wanted ...[]string) {
	t.Helper()
	for _, parts := range wanted {
		if !hasLine(e, parts...) {
			t.Errorf("no line with %q in:\n%s", parts, strings.Join(e.Lines(), "\n"))
		}
	}
	if n := len(e.Lines()); n > 15 {
		t.Errorf("%d lines", n)
	}
}

func TestAFailedReleaseIsExplainedDownToThePod(t *testing.T) {
	t.Run("whose container ends again and again", func(t *testing.T) {
		inWorld(t, argocdtest.Options{}, argocdtest.App{}, func(w *world) {
			w.rollout(argocdtest.CrashLoop("connecting\npanic: password topsecret refused\n", time.Minute))
			e := w.explain(w.push("2", nil), func(s string) string { return strings.ReplaceAll(s, "topsecret", "***") })
			wantLines(w.t, e,
				[]string{"operation of admin: Succeeded"},
				[]string{"apps/Deployment web/web", "Degraded", `"web" exceeded its progress deadline`},
				[]string{"Pod web/web-", "CrashLoopBackOff", "4 restarts"},
				[]string{"event: BackOff: Back-off restarting failed container (12 times)"},
				[]string{"log: panic: password *** refused"},
				[]string{"http://argocd.example.com/applications/argocd/web"})
			if len(e.Causes) != 1 || e.Causes[0].Images[0] != "example.com/web:2" {
				w.t.Errorf("causes are %+v", e.Causes)
			}
		})
	})
	t.Run("whose image cannot be pulled", func(t *testing.T) {
		inWorld(t, argocdtest.Options{}, argocdtest.App{}, func(w *world) {
			w.rollout(argocdtest.ImagePullBackOff("example.com/web:2", time.Minute))
			e := w.explain(w.push("2", nil), nil)
			wantLines(w.t, e, []string{"Pod web/web-", "ImagePullBackOff"}, []string{"event: Failed: "})
			if n := len(w.Calls("application.PodLogs")); n != 0 {
				w.t.Errorf("a container that never ran was asked for its log %d times", n)
			}
		})
	})
	t.Run("whose objects are refused", func(t *testing.T) {
		inWorld(t, argocdtest.Options{}, argocdtest.App{}, func(w *world) {
			w.rollout(argocdtest.Refused("admission webhook denied the request"))
			e := w.explain(w.push("2", nil), nil)
			wantLines(w.t, e, []string{"operation of admin: Failed: one or more objects failed to apply"},
				[]string{"apps/Deployment web/web: SyncFailed", "admission webhook denied the request"})
		})
	})
	t.Run("whose hook fails and is deleted at once", func(t *testing.T) {
		inWorld(t, argocdtest.Options{}, argocdtest.App{}, func(w *world) {
			err := w.Rollout("web", func(o argocdtest.Workload) argocdtest.Outcome {
				if o.Hook {
					return argocdtest.CrashLoop("relation users does not exist\n", 20*time.Second)
				}
				return argocdtest.Healthy(0)
			})
			if err != nil {
				w.t.Fatal(err)
			}
			e := w.explain(w.push("2", map[string]string{
				"prod/kustomization.yaml": "resources: [deployment.yaml, hook.yaml]\n", "prod/hook.yaml": hook,
			}), nil)
			wantLines(w.t, e, []string{"hook batch/Job web/migrate: Failed"}, []string{"log: relation users does not exist"})
		})
	})
	t.Run("whose revision does not exist", func(t *testing.T) {
		inWorld(t, argocdtest.Options{}, argocdtest.App{}, func(w *world) {
			r := w.request(strings.Repeat("ab", 20))
			f := w.follower(r)
			f.Contains = nil
			_, err := w.run(f)
			w.fails(err, failure.Unhealthy, "ComparisonError")
		})
	})
}

func TestWithoutTheRightToLogsTheRestIsExplained(t *testing.T) {
	const policy = "p, role:ci, applications, get, default/*, allow\np, role:ci, applications, sync, default/*, allow\ng, ci, role:ci\n"
	inWorld(t, argocdtest.Options{EnforceLogs: true, Policy: policy}, argocdtest.App{}, func(w *world) {
		w.token = w.Token("ci", time.Time{})
		w.rollout(argocdtest.CrashLoop("panic\n", 0))
		e := w.explain(w.push("2", nil), nil)
		wantLines(w.t, e, []string{"CrashLoopBackOff"}, []string{"logs of pods need the right logs, get"})
	})
}

func TestLogsAreCutAfterTheyWereMasked(t *testing.T) {
	inWorld(t, argocdtest.Options{}, argocdtest.App{}, func(w *world) {
		secret := strings.Repeat("s", 100)
		w.rollout(argocdtest.CrashLoop(secret+strings.Repeat("x", 4<<10-50)+"\n", 0))
		e := w.explain(w.push("2", nil), func(s string) string { return strings.ReplaceAll(s, secret, "***") })
		if log := e.Causes[0].Log; len(log) > 4<<10 || strings.Contains(log, "s") {
			w.t.Errorf("%d bytes that begin with %q", len(log), log[:20])
		}
	})
}
