package argocdtest_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	applicationpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/application"
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/health"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/argocdtest"
)

const bogus = "0123456789abcdef0123456789abcdef01234567"

// describe is the state of an application in a line: operation, sync and health.
func describe(app *v1alpha1.Application) string {
	phase := "no operation"
	if state := app.Status.OperationState; state != nil {
		phase = string(state.Phase)
	}
	return phase + " " + string(app.Status.Sync.Status) + " " + string(app.Status.Health.Status)
}

func expect(t *testing.T, app *v1alpha1.Application, want string) {
	t.Helper()
	if got := describe(app); got != want {
		t.Errorf("the application is %q, want %q; %s", got, want, message(app))
	}
}

func message(app *v1alpha1.Application) string {
	if app.Status.OperationState == nil {
		return ""
	}
	return app.Status.OperationState.Message
}

func expectMessage(t *testing.T, app *v1alpha1.Application, want string) {
	t.Helper()
	if got := message(app); !strings.Contains(got, want) {
		t.Errorf("the operation says %q, want %q", got, want)
	}
}

func expectRefused(t *testing.T, err error, code codes.Code, text string) {
	t.Helper()
	if status.Code(err) != code || !strings.Contains(status.Convert(err).Message(), text) {
		t.Errorf("got %v, want %s with %q", err, code, text)
	}
}

func TestApplicationsMoveAsArgoCDMovesThem(t *testing.T) {
	type story struct {
		name    string
		options argocdtest.Options
		files   map[string]string
		tell    func(b *bubble)
	}
	for _, s := range []story{
		{name: "a new application is out of sync and missing", tell: func(b *bubble) {
			b.add(argocdtest.App{})
			expect(b.t, b.App("web"), "no operation OutOfSync Missing")
		}},
		{name: "a push is noticed after the interval and not before", tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			b.push("2", nil)
			expect(b.t, b.after(2*time.Minute), "Succeeded Synced Healthy")
			expect(b.t, b.after(2*time.Minute), "Succeeded OutOfSync Healthy")
		}},
		{name: "a change of health leaves the time of reconciliation", options: argocdtest.Options{ProgressingFor: time.Minute}, tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			b.sync(b.push("2", nil))
			before := b.after(30 * time.Second)
			after := b.after(time.Minute)
			expect(b.t, before, "Succeeded Synced Progressing")
			expect(b.t, after, "Succeeded Synced Healthy")
			if !before.Status.ReconciledAt.Equal(after.Status.ReconciledAt) {
				b.t.Errorf("reconciled at %s and then at %s", before.Status.ReconciledAt, after.Status.ReconciledAt)
			}
		}},
		{name: "an automated application syncs by itself", tell: func(b *bubble) {
			b.add(argocdtest.App{Automated: true})
			app := b.after(time.Second)
			expect(b.t, app, "Succeeded Synced Healthy")
			if !app.Status.OperationState.Operation.InitiatedBy.Automated {
				b.t.Error("somebody else has started the operation")
			}
			commit := b.push("2", nil)
			if err := b.Refresh("web"); err != nil {
				b.t.Fatal(err)
			}
			if got := b.after(time.Second).Status.OperationState.SyncResult.Revision; got != commit {
				b.t.Errorf("it has synced %s, want %s", got, commit)
			}
		}},
		{name: "an application may be declared with what becomes of its workloads", tell: func(b *bubble) {
			b.add(argocdtest.App{Automated: true, Rollout: func(w argocdtest.Workload) argocdtest.Outcome {
				if w.Kind == "Deployment" && slices.Equal(w.Images, []string{"example.com/web:1"}) && w.App == "web" {
					return argocdtest.Progressing()
				}
				return argocdtest.Outcome{}
			}})
			expect(b.t, b.after(time.Hour), "Succeeded Synced Progressing")
			b.push("2", nil)
			expect(b.t, b.after(time.Hour), "Succeeded Synced Healthy")
		}},
		{name: "an automated application refuses another revision than its own", tell: func(b *bubble) {
			b.add(argocdtest.App{Automated: true, Deployed: true})
			commit := b.push("2", nil)
			_, err := b.trySync(commit)
			expectRefused(b.t, err, codes.FailedPrecondition, "Cannot sync to "+commit+": auto-sync currently set to main")
		}},
		{name: "without a refresh v2 pins the old head of a branch", tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			commit := b.push("2", nil)
			b.sync("")
			if b.after(time.Second).Status.OperationState.SyncResult.Revision == commit {
				b.t.Error("the new head was found")
			}
		}},
		{name: "v3 looks the branch up", options: argocdtest.Options{Version: "v3.5.1"}, tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			commit := b.push("2", nil)
			b.sync("")
			if got := b.after(time.Second).Status.OperationState.SyncResult.Revision; got != commit {
				b.t.Errorf("it has synced %s, want %s", got, commit)
			}
		}},
		{name: "a pinned commit that is not the head leaves the application out of sync", tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			pinned, head := b.push("2", nil), b.push("3", nil)
			b.sync(pinned)
			app := b.after(time.Second)
			expect(b.t, app, "Succeeded OutOfSync Healthy")
			if app.Status.OperationState.SyncResult.Revision != pinned || app.Status.Sync.Revision != head {
				b.t.Errorf("synced %s and compared with %s", app.Status.OperationState.SyncResult.Revision, app.Status.Sync.Revision)
			}
		}},
		{name: "a hashed config map that is left behind keeps it out of sync", files: map[string]string{
			"overlays/prod/kustomization.yaml": "resources: [deployment.yaml]\nconfigMapGenerator: [{name: settings, literals: [a=1]}]\n",
		}, tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			b.sync(b.push("2", map[string]string{
				"overlays/prod/kustomization.yaml": "resources: [deployment.yaml]\nconfigMapGenerator: [{name: settings, literals: [a=2]}]\n",
			}))
			app := b.after(time.Second)
			expect(b.t, app, "Succeeded OutOfSync Healthy")
			skipped := func(r *v1alpha1.ResourceResult) bool { return r.Status == common.ResultCodePruneSkipped }
			if !slices.ContainsFunc(app.Status.OperationState.SyncResult.Resources, skipped) {
				b.t.Errorf("no resource was left out: %+v", app.Status.OperationState.SyncResult.Resources)
			}
			if !slices.ContainsFunc(app.Status.Resources, func(r v1alpha1.ResourceStatus) bool { return r.RequiresPruning }) {
				b.t.Errorf("no resource requires pruning: %+v", app.Status.Resources)
			}
			b.sync("", func(r *applicationpkg.ApplicationSyncRequest) { r.Prune = new(true) })
			expect(b.t, b.after(time.Second), "Succeeded Synced Healthy")
		}},
		{name: "an unknown commit is accepted and fails the operation", tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			b.sync(bogus)
			app := b.after(time.Second)
			expect(b.t, app, "Error Synced Healthy")
			expectMessage(b.t, app, "ComparisonError: Failed to load target state")
		}},
		{name: "an unknown branch is refused", tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			_, err := b.trySync("nothing")
			expectRefused(b.t, err, codes.FailedPrecondition, "error resolving repo revision")
		}},
		{name: "a path that does not exist is a condition", tell: func(b *bubble) {
			b.add(argocdtest.App{Repo: b.url, Path: "overlays/test"})
			app := b.App("web")
			expect(b.t, app, "no operation Unknown Healthy")
			if c := app.Status.Conditions; len(c) != 1 || c[0].Type != v1alpha1.ApplicationConditionComparisonError ||
				!strings.Contains(c[0].Message, "overlays/test: app path does not exist") {
				b.t.Errorf("conditions are %+v", c)
			}
		}},
		{name: "a second operation is refused while one runs", options: argocdtest.Options{OperationFor: time.Minute}, tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			commit := b.push("2", nil)
			b.sync(commit)
			_, err := b.trySync(commit)
			expectRefused(b.t, err, codes.FailedPrecondition, "another operation is already in progress")
			expect(b.t, b.after(time.Second), "Running Synced Healthy")
			expect(b.t, b.after(time.Minute), "Succeeded Synced Healthy")
		}},
		{name: "a first wave that never becomes healthy makes the operation stuck, and terminating ends it", files: map[string]string{
			"overlays/prod/deployment.yaml":    wave(deploymentOf("1"), "-1"),
			"overlays/prod/service.yaml":       "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n",
			"overlays/prod/kustomization.yaml": "resources: [deployment.yaml, service.yaml]\n",
		}, tell: func(b *bubble) {
			b.add(argocdtest.App{})
			b.rollout(argocdtest.Progressing())
			b.sync("")
			app := b.after(time.Hour)
			expect(b.t, app, "Running OutOfSync Missing")
			expectMessage(b.t, app, "waiting for healthy state of apps/Deployment/web")
			name := "web"
			if _, err := b.apps.TerminateOperation(b.ctx, &applicationpkg.OperationTerminateRequest{Name: &name}); err != nil {
				b.t.Fatal(err)
			}
			app = b.after(time.Second)
			expect(b.t, app, "Failed OutOfSync Missing")
			expectMessage(b.t, app, "Operation terminated")
			_, err := b.apps.TerminateOperation(b.ctx, &applicationpkg.OperationTerminateRequest{Name: &name})
			expectRefused(b.t, err, codes.InvalidArgument, "No operation is in progress")
		}},
		{name: "a hook that fails ends the operation and is there for a moment", files: hooked, tell: func(b *bubble) {
			b.add(argocdtest.App{})
			failed := argocdtest.Stage{
				Health: health.HealthStatusDegraded, Message: "Job has reached the specified backoff limit",
				Pod: &argocdtest.Pod{Logs: "relation does not exist\n"},
			}
			b.rollout(argocdtest.Outcome{Stages: []argocdtest.Stage{{Health: health.HealthStatusProgressing, For: time.Minute}, failed}})
			b.sync("")
			app := b.after(10 * time.Second)
			expect(b.t, app, "Running OutOfSync Missing")
			expectMessage(b.t, app, "waiting for completion of hook batch/Job/migrate")
			app = b.after(50 * time.Second)
			expect(b.t, app, "Failed OutOfSync Missing")
			expectMessage(b.t, app, "one or more synchronization tasks completed unsuccessfully")
			hook := app.Status.OperationState.SyncResult.Resources[0]
			if hook.HookPhase != common.OperationFailed || hook.Message != "Job has reached the specified backoff limit" {
				b.t.Errorf("the hook ended as %+v", hook)
			}
			if got := b.logs("Job", "migrate", false); got != "relation does not exist" {
				b.t.Errorf("the hook logged %q", got)
			}
			b.after(time.Second)
			if got := b.logs("Job", "migrate", false); got != "no pod" {
				b.t.Errorf("once it is deleted the hook logged %q", got)
			}
		}},
		{name: "a hook that succeeds lets the rest follow", files: hooked, options: argocdtest.Options{ProgressingFor: time.Minute}, tell: func(b *bubble) {
			b.add(argocdtest.App{})
			b.sync("")
			expect(b.t, b.after(30*time.Second), "Running OutOfSync Missing")
			expect(b.t, b.after(time.Minute), "Succeeded Synced Progressing")
			expect(b.t, b.after(time.Minute), "Succeeded Synced Healthy")
		}},
		{name: "what the API server refuses fails the operation with the reason", tell: func(b *bubble) {
			b.add(argocdtest.App{})
			b.rollout(argocdtest.Refused(`admission webhook "policy" denied the request`))
			b.sync("")
			app := b.after(time.Second)
			expect(b.t, app, "Failed OutOfSync Missing")
			expectMessage(b.t, app, `one or more objects failed to apply, reason: error when creating "/dev/shm/0": admission webhook "policy" denied the request`)
		}},
		{name: "a failed operation is retried as often as the policy says", tell: func(b *bubble) {
			b.add(argocdtest.App{Retry: &v1alpha1.RetryStrategy{Limit: 1, Backoff: &v1alpha1.Backoff{Duration: "30s"}}})
			b.rollout(argocdtest.Refused("no"))
			b.sync("")
			app := b.after(10 * time.Second)
			expect(b.t, app, "Running OutOfSync Missing")
			if app.Operation == nil || app.Status.OperationState.FinishedAt == nil || app.Status.OperationState.RetryCount != 1 {
				b.t.Errorf("while it waits it is %+v", app.Status.OperationState)
			}
			app = b.after(time.Minute)
			expect(b.t, app, "Failed OutOfSync Missing")
			expectMessage(b.t, app, "(retried 1 times)")
		}},
		{name: "a closed window forbids a manual sync", tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			b.SetWindows("default", argocdtest.Closed(false))
			_, err := b.trySync(b.push("2", nil))
			expectRefused(b.t, err, codes.PermissionDenied, "cannot sync: blocked by sync window")
			name := "web"
			windows, err := b.apps.GetApplicationSyncWindows(b.ctx, &applicationpkg.ApplicationSyncWindowsQuery{Name: &name})
			if err != nil || windows.GetCanSync() || len(windows.ActiveWindows) != 1 {
				b.t.Errorf("windows are %+v, %v", windows, err)
			}
		}},
		{name: "a window that closes holds an operation up until it opens", options: argocdtest.Options{OperationFor: time.Minute}, tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			b.sync(b.push("2", nil))
			b.SetWindows("default", argocdtest.Closed(false))
			app := b.after(time.Hour)
			expect(b.t, app, "Running OutOfSync Healthy")
			expectMessage(b.t, app, "Sync operation blocked by sync window")
			b.SetWindows("default")
			expect(b.t, b.after(time.Second), "Succeeded Synced Healthy")
		}},
		{name: "an automated application waits for its window", tell: func(b *bubble) {
			b.SetWindows("default", argocdtest.Closed(true))
			b.add(argocdtest.App{Automated: true})
			expect(b.t, b.after(time.Hour), "no operation OutOfSync Missing")
			b.SetWindows("default")
			expect(b.t, b.after(time.Second), "Succeeded Synced Healthy")
		}},
		{name: "what was changed in the cluster is healed where that is asked for", tell: func(b *bubble) {
			b.add(argocdtest.App{Automated: true, SelfHeal: true, Deployed: true})
			b.scale()
			app := b.after(time.Second)
			expect(b.t, app, "Succeeded Synced Healthy")
			if !app.Status.OperationState.Operation.InitiatedBy.Automated {
				b.t.Error("nothing was healed")
			}
		}},
		{name: "what was changed in the cluster is out of sync otherwise", tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			b.scale()
			expect(b.t, b.after(time.Second), "Succeeded OutOfSync Healthy")
		}},
		{name: "an automated application does not try a failed commit again, and says so", tell: func(b *bubble) {
			b.add(argocdtest.App{Automated: true, Deployed: true, Retry: &v1alpha1.RetryStrategy{}})
			b.rollout(argocdtest.Refused("no"))
			commit := b.push("2", nil)
			app := b.after(time.Hour)
			expect(b.t, app, "Failed OutOfSync Healthy")
			if c := app.Status.Conditions; len(c) != 1 || !strings.Contains(c[0].Message, "Failed sync attempt to "+commit) {
				b.t.Errorf("conditions are %+v", c)
			}
		}},
		{name: "a degraded workload shows in the health of the application", tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			b.rollout(argocdtest.ImagePullBackOff("example.com/web:2", 10*time.Minute))
			b.sync(b.push("2", nil))
			expect(b.t, b.after(5*time.Minute), "Succeeded Synced Progressing")
			app := b.after(6 * time.Minute)
			expect(b.t, app, "Succeeded Synced Degraded")
			if got := app.Status.Resources[0].Health.Message; got != `Deployment "web" exceeded its progress deadline` {
				b.t.Errorf("the resource says %q", got)
			}
		}},
		{name: "health flaps", tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			b.rollout(argocdtest.Flapping(2, time.Minute))
			b.sync(b.push("2", nil))
			var seen []string
			b.after(30 * time.Second)
			for range 6 {
				seen = append(seen, string(b.App("web").Status.Health.Status))
				b.after(time.Minute)
			}
			want := []string{"Healthy", "Degraded", "Healthy", "Degraded", "Healthy", "Healthy"}
			if !slices.Equal(seen, want) {
				b.t.Errorf("health was %v, want %v", seen, want)
			}
		}},
		{name: "a workload degrades although nobody has touched it", tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			if err := b.Become("web", "Deployment", "web", argocdtest.CrashLoop("", 0)); err != nil {
				b.t.Fatal(err)
			}
			expect(b.t, b.after(time.Second), "Succeeded Synced Degraded")
		}},
		{name: "somebody else syncs", options: argocdtest.Options{OperationFor: time.Minute}, tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			commit := b.push("2", nil)
			if err := b.SyncAs("web", "jane", commit); err != nil {
				b.t.Fatal(err)
			}
			app, err := b.Await(b.ctx, "web", func(app *v1alpha1.Application) bool {
				return app.Status.OperationState != nil && app.Status.OperationState.Phase.Completed()
			})
			if err != nil || app.Status.OperationState.Operation.InitiatedBy.Username != "jane" ||
				app.Status.OperationState.SyncResult.Revision != commit {
				b.t.Errorf("the operation is %+v, %v", app.Status.OperationState, err)
			}
		}},
		{name: "a hook for failures runs before the operation has failed", files: map[string]string{
			"overlays/prod/kustomization.yaml": hooked["overlays/prod/kustomization.yaml"],
			"overlays/prod/job.yaml":           strings.Replace(hooked["overlays/prod/job.yaml"], "PreSync", "SyncFail", 1),
		}, tell: func(b *bubble) {
			b.add(argocdtest.App{Rollout: func(w argocdtest.Workload) argocdtest.Outcome {
				if w.Hook {
					return argocdtest.Healthy(time.Minute)
				}
				return argocdtest.Refused("no")
			}})
			b.sync("")
			app := b.after(30 * time.Second)
			expect(b.t, app, "Running OutOfSync Missing")
			expectMessage(b.t, app, "waiting for completion of hook batch/Job/migrate")
			expect(b.t, b.after(time.Minute), "Failed OutOfSync Missing")
		}},
		{name: "a paused rollout is suspended", tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			b.rollout(argocdtest.Suspended())
			b.sync(b.push("2", nil))
			expect(b.t, b.after(time.Hour), "Succeeded Synced Suspended")
		}},
		{name: "a controller that is down answers no refresh and starts no operation", tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			b.PauseController()
			b.sync(b.push("2", nil))
			app := b.after(time.Hour)
			expect(b.t, app, "no operation Synced Healthy")
			if app.Operation == nil {
				b.t.Error("the operation is gone")
			}
			b.ResumeController()
			expect(b.t, b.after(time.Second), "Succeeded Synced Healthy")
		}},
		{name: "a dry run changes nothing", tell: func(b *bubble) {
			b.add(argocdtest.App{})
			b.sync("", func(r *applicationpkg.ApplicationSyncRequest) { r.DryRun = new(true) })
			expect(b.t, b.after(time.Second), "Succeeded OutOfSync Missing")
		}},
		{name: "an application that is being deleted is not synced", tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			now := metav1.Now()
			if err := b.EditApp("web", func(app *v1alpha1.Application) { app.DeletionTimestamp = &now }); err != nil {
				b.t.Fatal(err)
			}
			_, err := b.trySync(b.push("2", nil))
			expectRefused(b.t, err, codes.FailedPrecondition, "application is deleting")
		}},
		{name: "a new revision in the specification is compared at once", tell: func(b *bubble) {
			b.add(argocdtest.App{Deployed: true})
			commit := b.push("2", nil)
			if err := b.EditApp("web", func(app *v1alpha1.Application) { app.Spec.Source.TargetRevision = commit }); err != nil {
				b.t.Fatal(err)
			}
			expect(b.t, b.after(time.Second), "Succeeded OutOfSync Healthy")
		}},
	} {
		t.Run(s.name, func(t *testing.T) { inBubble(t, s.options, s.files, s.tell) })
	}
}

// hooked is an application whose sync begins with a job.
var hooked = map[string]string{
	"overlays/prod/kustomization.yaml": "resources: [deployment.yaml, job.yaml]\n",
	"overlays/prod/job.yaml": `apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  annotations:
    argocd.argoproj.io/hook: PreSync
    argocd.argoproj.io/hook-delete-policy: HookSucceeded,HookFailed
spec:
  template: {spec: {containers: [{name: migrate, image: example.com/web:1}], restartPolicy: Never}}
`,
}

func wave(manifest, number string) string {
	return strings.Replace(manifest, "  name: web\n", "  name: web\n  annotations: {argocd.argoproj.io/sync-wave: \""+number+"\"}\n", 1)
}

func (b *bubble) rollout(o argocdtest.Outcome) {
	b.t.Helper()
	if err := b.Rollout("web", func(argocdtest.Workload) argocdtest.Outcome { return o }); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bubble) scale() {
	b.t.Helper()
	err := b.Edit("web", "Deployment", "web", func(object map[string]any) {
		object["spec"].(map[string]any)["replicas"] = int64(5)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// pod finds the pod below a workload.
func (b *bubble) pod(kind, name string) *v1alpha1.ResourceNode {
	b.t.Helper()
	app := "web"
	tree, err := b.apps.ResourceTree(b.ctx, &applicationpkg.ResourcesQuery{ApplicationName: &app})
	if err != nil {
		b.t.Fatal(err)
	}
	parents := map[string]bool{kind + "/" + name: true}
	for _, node := range tree.Nodes {
		for _, parent := range node.ParentRefs {
			if !parents[parent.Kind+"/"+parent.Name] {
				continue
			}
			if node.Kind == "Pod" {
				return &node
			}
			parents[node.Kind+"/"+node.Name] = true
		}
	}
	return nil
}

// logs returns what the pod of a workload has logged.
func (b *bubble) logs(kind, name string, previous bool) string {
	b.t.Helper()
	pod := b.pod(kind, name)
	if pod == nil {
		return "no pod"
	}
	app := "web"
	stream, err := b.apps.PodLogs(b.ctx, &applicationpkg.ApplicationPodLogsQuery{
		Name: &app, PodName: &pod.Name, Namespace: &pod.Namespace, Previous: &previous,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	var lines []string
	for {
		entry, err := stream.Recv()
		if err != nil {
			b.t.Fatal(err)
		}
		if entry.GetLast() {
			return strings.Join(lines, "\n")
		}
		lines = append(lines, entry.GetContent())
	}
}

func TestAPodThatDoesNotStartExplainsItself(t *testing.T) {
	inBubble(t, argocdtest.Options{}, nil, func(b *bubble) {
		b.add(argocdtest.App{Deployed: true})
		b.rollout(argocdtest.CrashLoop("panic: no database\n", time.Hour))
		b.sync(b.push("2", nil))
		expect(b.t, b.after(time.Minute), "Succeeded Synced Progressing")
		pod := b.pod("Deployment", "web")
		if pod == nil || pod.Health.Status != health.HealthStatusDegraded || pod.Info[0].Value != "CrashLoopBackOff" ||
			!slices.Equal(pod.Images, []string{"example.com/web:2"}) {
			b.t.Fatalf("the pod is %+v", pod)
		}
		if got := b.logs("Deployment", "web", true); got != "panic: no database" {
			b.t.Errorf("the container before logged %q", got)
		}
		if got := b.logs("Deployment", "web", false); got != "starting" {
			b.t.Errorf("the container logged %q", got)
		}
		app := "web"
		events, err := b.apps.ListResourceEvents(b.ctx, &applicationpkg.ApplicationResourceEventsQuery{
			Name: &app, ResourceName: &pod.Name, ResourceNamespace: &pod.Namespace, ResourceUID: &pod.UID,
		})
		if err != nil || events.Items[len(events.Items)-1].Reason != "BackOff" {
			b.t.Errorf("events are %+v, %v", events, err)
		}
		_, err = b.apps.ListResourceEvents(b.ctx, &applicationpkg.ApplicationResourceEventsQuery{
			Name: &app, ResourceName: &pod.Name, ResourceNamespace: &pod.Namespace,
		})
		expectRefused(b.t, err, codes.InvalidArgument, "not found as part of application web")
	})
}

func TestApplicationsOfSeveralSources(t *testing.T) {
	files := map[string]string{
		"base/kustomization.yaml": "resources: [service.yaml]\n",
		"base/service.yaml":       "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n",
	}
	for version, refused := range map[string]bool{"v2.14.21": false, "v3.5.1": true} {
		t.Run(version, func(t *testing.T) {
			inBubble(t, argocdtest.Options{Version: version}, files, func(b *bubble) {
				b.add(argocdtest.App{Deployed: true, Automated: true, Sources: []v1alpha1.ApplicationSource{
					{RepoURL: b.url, Path: "overlays/prod", TargetRevision: "main"}, {RepoURL: b.url, Path: "base", TargetRevision: "main"},
				}})
				first := b.App("web").Status.Sync.Revisions[1]
				commit := b.push("2", nil)
				_, err := b.trySync("", func(r *applicationpkg.ApplicationSyncRequest) {
					r.Revisions, r.SourcePositions = []string{commit}, []int64{1}
				})
				if refused {
					expectRefused(b.t, err, codes.FailedPrecondition, "Cannot sync source "+b.url)
					return
				}
				if err != nil {
					b.t.Fatal(err)
				}
				app := b.after(time.Second)
				if got := app.Status.OperationState.SyncResult.Revisions; !slices.Equal(got, []string{commit, first}) {
					b.t.Errorf("synced %v, want %s and %s", got, commit, first)
				}
				_, err = b.trySync("", func(r *applicationpkg.ApplicationSyncRequest) { r.SourcePositions = []int64{1} })
				expectRefused(b.t, err, codes.Internal, "index out of range")
			})
		})
	}
}

func TestARefreshIsAnsweredOnceTheAnnotationIsGone(t *testing.T) {
	inBubble(t, argocdtest.Options{RefreshFor: 5 * time.Second}, nil, func(b *bubble) {
		b.add(argocdtest.App{Deployed: true})
		commit := b.push("2", nil)
		name, kind, began := "web", "normal", time.Now()
		app, err := b.apps.Get(b.ctx, &applicationpkg.ApplicationQuery{Name: &name, Refresh: &kind})
		if err != nil {
			b.t.Fatal(err)
		}
		if took := time.Since(began); took < 5*time.Second || app.Status.Sync.Revision != commit || len(app.Annotations) > 0 {
			b.t.Errorf("after %s it is at %s with %v", took, app.Status.Sync.Revision, app.Annotations)
		}
	})
}

func TestGitMayBeToldWhereARepositoryIs(t *testing.T) {
	git, _ := gitops(t, nil)
	s := argocdtest.New(t, argocdtest.Options{GitEnv: []string{
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url." + strings.TrimSuffix(git.URL("gitops"), "gitops.git") + ".insteadOf",
		"GIT_CONFIG_VALUE_0=https://git.example.com/team/",
	}})
	app := argocdtest.App{Name: "web", Repo: "https://git.example.com/team/gitops.git", Path: "overlays/prod", Deployed: true}
	if err := s.AddApp(app); err != nil {
		t.Fatal(err)
	}
	expect(t, s.App("web"), "Succeeded Synced Healthy")
}

func TestAnApplicationThatIsRemovedIsNotFound(t *testing.T) {
	inBubble(t, argocdtest.Options{}, nil, func(b *bubble) {
		b.add(argocdtest.App{Deployed: true})
		stream, err := b.apps.Watch(b.ctx, &applicationpkg.ApplicationQuery{Name: new("web")})
		if err != nil {
			b.t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			b.t.Fatal(err)
		}
		if err := b.RemoveApp("web"); err != nil {
			b.t.Fatal(err)
		}
		if event, err := stream.Recv(); err != nil || event.Type != "DELETED" {
			b.t.Errorf("then comes %+v, %v", event, err)
		}
		_, err = b.apps.Get(b.ctx, &applicationpkg.ApplicationQuery{Name: new("web"), Projects: []string{"default"}})
		expectRefused(b.t, err, codes.NotFound, "not found")
	})
}

func TestOperationsThatTheControllerCannotDoEndAsError(t *testing.T) {
	inBubble(t, argocdtest.Options{}, nil, func(b *bubble) {
		b.add(argocdtest.App{Deployed: true})
		commit := b.push("2", nil)
		if err := b.ErrOperations("web", "connection refused"); err != nil {
			b.t.Fatal(err)
		}
		b.sync(commit)
		app := b.after(time.Second)
		expect(b.t, app, "Error OutOfSync Healthy")
		expectMessage(b.t, app, "connection refused")

		compared := app.Status.ReconciledAt
		b.ForgetProject("default")
		b.sync(commit)
		app = b.after(time.Minute)
		expect(b.t, app, "Error Unknown Unknown")
		expectMessage(b.t, app, "InvalidSpecError: Application referencing project default which does not exist")
		refreshed, err := b.apps.Get(b.ctx, &applicationpkg.ApplicationQuery{Name: new("web"), Refresh: new("normal")})
		if err != nil || len(refreshed.Status.Conditions) != 1 || !refreshed.Status.ReconciledAt.Equal(compared) {
			b.t.Errorf("a refresh is answered with %+v, %v", refreshed, err)
		}

		b.RecallProject("default")
		b.sync(commit)
		expect(b.t, b.after(time.Second), "Succeeded Synced Healthy")
	})
}

func version(t *testing.T, app *v1alpha1.Application) int {
	t.Helper()
	number, err := strconv.Atoi(app.ResourceVersion)
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func TestWatchSendsWhatIsThereAndWhatChanges(t *testing.T) {
	inBubble(t, argocdtest.Options{}, nil, func(b *bubble) {
		b.add(argocdtest.App{Deployed: true})
		b.add(argocdtest.App{Name: "other", Deployed: true})
		name := "web"
		stream, err := b.apps.Watch(b.ctx, &applicationpkg.ApplicationQuery{Name: &name})
		if err != nil {
			b.t.Fatal(err)
		}
		first, err := stream.Recv()
		if err != nil || first.Type != "ADDED" || first.Application.Name != "web" {
			b.t.Fatalf("first comes %+v, %v", first, err)
		}
		b.sync(b.push("2", nil))
		last, phases := first.Application, []string{}
		for last.Status.OperationState == nil || last.Operation != nil || last.Status.Sync.Revision == first.Application.Status.Sync.Revision {
			event, err := stream.Recv()
			if err != nil || version(b.t, &event.Application) <= version(b.t, &last) {
				b.t.Fatalf("after version %s comes %+v, %v", last.ResourceVersion, event, err)
			}
			last = event.Application
			phases = append(phases, strings.Fields(describe(&last))[0])
		}
		if want := []string{"no", "Running", "Succeeded", "Succeeded"}; !slices.Equal(phases, want) {
			b.t.Errorf("the operation went through %v, want %v", phases, want)
		}
		synctest.Wait()
	})
}
