package argocd_test

import (
	"strings"
	"testing"
	"time"

	"slipway/steps/internal/argocd"
	"slipway/steps/internal/failure"
)

const (
	ours    = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	newer   = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	foreign = "cccccccccccccccccccccccccccccccccccccccc"
	stale   = "dddddddddddddddddddddddddddddddddddddddd"
	hidden  = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at is a time after the beginning of a release.
func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

func request() argocd.Request {
	return argocd.Request{Revision: ours, Repo: "https://git.example.com/gitops", ID: "r1", Settle: 5 * time.Second, Grace: 90 * time.Second}
}

type edit func(*argocd.Application)

// application is one that was synced to a stale commit long ago, compared with Git just now, and follows main.
func application(edits ...edit) *argocd.Application {
	a := &argocd.Application{
		Ref:     argocd.Ref{Name: "web", Project: "default"},
		Sources: []argocd.Source{{Repo: "git@git.example.com:gitops.git", Path: "prod", Revision: "main"}},
		State:   operation(phase("Succeeded"), to(stale), finished(-3600)),
		Sync:    argocd.SyncStatus{Status: "Synced", Revisions: []string{stale}, Current: true},
		Health:  "Healthy", ReconciledAt: start,
		Resources: []argocd.Resource{{Key: key("Deployment"), Sync: "Synced", Health: "Healthy"}},
	}
	for _, e := range edits {
		e(a)
	}
	return a
}

func key(kind string) argocd.Key { return argocd.Key{Kind: kind, Namespace: "web", Name: "web"} }

func operation(edits ...func(*argocd.OperationState)) *argocd.OperationState {
	s := &argocd.OperationState{Phase: "Running", StartedAt: at(-3700), Operation: argocd.Operation{By: "admin"}}
	for _, e := range edits {
		e(s)
	}
	return s
}

func phase(text string) func(*argocd.OperationState) {
	return func(s *argocd.OperationState) { s.Phase = text }
}

func to(revisions ...string) func(*argocd.OperationState) {
	return func(s *argocd.OperationState) { s.Revisions = revisions }
}

func mine(s *argocd.OperationState) { s.ID = "r1" }

func saying(message string) func(*argocd.OperationState) {
	return func(s *argocd.OperationState) { s.Message = message }
}

func finished(seconds float64) func(*argocd.OperationState) {
	return func(s *argocd.OperationState) { s.StartedAt, s.FinishedAt = at(seconds-10), at(seconds) }
}

// errored is an operation of ours that the controller could not do.
func errored(message string, seconds float64) edit {
	return lastOperation(mine, phase("Error"), to(ours), saying(message), finished(seconds))
}

func invalid(a *argocd.Application) {
	a.Sync.Status, a.Health = "Unknown", "Unknown"
	a.Conditions = []argocd.Condition{{Type: "InvalidSpecError", Message: "Application referencing project team-a which does not exist"}}
}

// repeats says that operations of ours were in vain before, the one that ended at a time the last.
func repeats(times int, seconds float64) func(*argocd.Progress) {
	return func(p *argocd.Progress) {
		p.Repeats, p.Syncs, p.Cause = times, times, unavailable
		p.Repeated = argocd.KeyOf(operation(mine, to(ours), finished(seconds)))
	}
}

const (
	unavailable    = `ComparisonError: Failed to load target state: failed to generate manifest for source 1 of 1: rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial tcp 10.0.0.1:8081: connect: connection refused"`
	unknownProject = "InvalidSpecError: Application referencing project team-a which does not exist"
	notBuilt       = "ComparisonError: Failed to load target state: failed to generate manifest for source 1 of 1: rpc error: code = Unknown desc = `kustomize build /tmp/x` failed exit status 1: Error: invalid Kustomization"
)

func partial(s *argocd.OperationState) { s.Partial = true }

func lastOperation(edits ...func(*argocd.OperationState)) edit {
	return func(a *argocd.Application) { a.State = operation(edits...) }
}

func compared(status string, revisions ...string) edit {
	return func(a *argocd.Application) { a.Sync.Status, a.Sync.Revisions = status, revisions }
}

func health(status string) edit {
	return func(a *argocd.Application) {
		a.Health, a.Resources[0].Health = status, status
	}
}

func reconciled(seconds float64) edit {
	return func(a *argocd.Application) { a.ReconciledAt = at(seconds) }
}

func leftBehind(a *argocd.Application) {
	a.Resources = append(a.Resources, argocd.Resource{Key: key("ConfigMap"), Sync: "OutOfSync", Prune: true})
}

func drifted(a *argocd.Application) { a.Resources[0].Sync = "OutOfSync" }

func automated(a *argocd.Application) { a.Automated = true }

func several(a *argocd.Application) {
	a.Multiple = true
	a.Sources = append([]argocd.Source{{Repo: "https://charts.example.com", Chart: "web", Revision: "1.2.3"}}, a.Sources...)
	a.Sync.Revisions = append([]string{"1.2.3"}, a.Sync.Revisions...)
}

// look is one state of the application and what is decided on it.
type look struct {
	at     float64
	app    *argocd.Application
	change func(*argocd.Progress)
	want   argocd.Action
	says   string
	kind   failure.Kind
}

func relations() map[string]argocd.Relation {
	return map[string]argocd.Relation{
		newer: argocd.Descendant, foreign: argocd.Unrelated, stale: argocd.Unrelated, hidden: argocd.Unknown,
	}
}

func synced(p *argocd.Progress) { p.Syncs++ }

func refreshed(times int, seconds float64) func(*argocd.Progress) {
	return func(p *argocd.Progress) { p.Refreshes, p.Refreshed = times, at(seconds) }
}

func TestDecisionsFollowTheStateOfTheApplication(t *testing.T) {
	released := lastOperation(phase("Succeeded"), to(ours), finished(-60))
	justReleased := lastOperation(phase("Succeeded"), to(ours), mine, finished(2))
	tests := map[string]struct {
		request func(*argocd.Request)
		looks   []look
	}{
		"an application that is at the release already needs nothing": {looks: []look{
			{app: application(compared("Synced", ours), released), want: argocd.Done},
		}},
		"one whose manifests the commit does not change was never synced to it": {looks: []look{
			{app: application(compared("Synced", ours)), want: argocd.Done},
		}},
		"one that has only just finished must settle, whoever began it": {looks: []look{
			{app: application(compared("Synced", ours), lastOperation(phase("Succeeded"), to(ours), finished(-1))), want: argocd.Wait, says: "to stay Healthy"},
			{at: 5, app: application(compared("Synced", ours), lastOperation(phase("Succeeded"), to(ours), finished(-1))), want: argocd.Done},
		}},
		"a manual application is synced to the very commit": {looks: []look{
			{app: application(compared("OutOfSync", ours)), want: argocd.Start, says: "sync to aaaaaaaaaaaa"},
			{at: 1, app: application(compared("OutOfSync", ours), lastOperation(mine, to(ours), saying("waiting"))), change: synced, want: argocd.Wait, says: "operation Running: waiting"},
			{at: 2, app: application(compared("Synced", ours), justReleased, reconciled(1)), want: argocd.Refresh, says: "the comparison"},
			{at: 3, app: application(compared("Synced", ours), justReleased, reconciled(3), health("Progressing")), want: argocd.Wait, says: "Progressing: Deployment web/web"},
			{at: 4, app: application(compared("Synced", ours), justReleased, reconciled(3)), want: argocd.Wait, says: "to stay"},
			{at: 9, app: application(compared("Synced", ours), justReleased, reconciled(3)), want: argocd.Done},
		}},
		"health that comes and goes starts to settle again": {looks: []look{
			{app: application(compared("Synced", ours), lastOperation(to(ours), mine)), change: synced, want: argocd.Wait},
			{at: 3, app: application(compared("Synced", ours), justReleased, reconciled(3)), want: argocd.Wait},
			{at: 6, app: application(compared("Synced", ours), justReleased, reconciled(3), health("Progressing")), want: argocd.Wait},
			{at: 7, app: application(compared("Synced", ours), justReleased, reconciled(3)), want: argocd.Wait, says: "to stay"},
			{at: 11, app: application(compared("Synced", ours), justReleased, reconciled(3)), want: argocd.Wait, says: "to stay"},
			{at: 12, app: application(compared("Synced", ours), justReleased, reconciled(3)), want: argocd.Done},
		}},
		"an application may be degraded for a while": {looks: []look{
			{app: application(compared("Synced", ours), released, health("Degraded")), want: argocd.Wait, says: "to recover"},
			{at: 89, app: application(compared("Synced", ours), released, health("Degraded")), want: argocd.Wait},
			{at: 90, app: application(compared("Synced", ours), released, health("Degraded")), want: argocd.Fail, kind: failure.Unhealthy, says: "Degraded, for 1m30s: Deployment web/web"},
		}},
		"that it was degraded before the release does not count": {looks: []look{
			{app: application(compared("OutOfSync", ours), health("Degraded")), want: argocd.Start},
			{at: 300, app: application(compared("OutOfSync", ours), health("Degraded"), lastOperation(to(ours), mine)), change: synced, want: argocd.Wait},
			{at: 301, app: application(compared("Synced", ours), health("Degraded"), lastOperation(phase("Succeeded"), to(ours), mine, finished(300)), reconciled(301)), want: argocd.Wait, says: "to recover"},
		}},
		"a suspended one waits to be resumed": {looks: []look{
			{app: application(compared("Synced", ours), released, health("Suspended")), want: argocd.Wait, says: "to resume it: Deployment web/web"},
		}},
		"an operation of an earlier run is joined": {looks: []look{
			{app: application(compared("OutOfSync", ours), lastOperation(to(ours), mine)), want: argocd.Wait, says: "operation Running"},
			{at: 9, app: application(compared("Synced", ours), justReleased, reconciled(3), health("Progressing")), want: argocd.Wait, says: "health"},
		}},
		"an operation of somebody else at the release is joined": {looks: []look{
			{app: application(compared("OutOfSync", ours), lastOperation(to(ours))), want: argocd.Wait, says: "operation Running"},
			{at: 9, app: application(compared("OutOfSync", ours), lastOperation(phase("Failed"), to(ours), saying("boom"), finished(5)), reconciled(6)), want: argocd.Fail, kind: failure.Unhealthy, says: "has ended as Failed: boom"},
		}},
		"an operation of ours that the controller could not do for the moment is started again": {looks: []look{
			{app: application(compared("OutOfSync", ours), lastOperation(to(ours), mine)), change: synced, want: argocd.Wait},
			{at: 9, app: application(compared("OutOfSync", ours), errored(unavailable, 8), reconciled(7)), want: argocd.Refresh},
			{at: 9, app: application(compared("OutOfSync", ours), errored(unavailable, 8), reconciled(9)), want: argocd.Again, says: "connection refused\"; it is to be started again"},
			{at: 14, app: application(compared("OutOfSync", ours), errored(unavailable, 8), reconciled(9)), change: repeats(1, 8), want: argocd.Start},
			{at: 15, app: application(compared("OutOfSync", ours), lastOperation(to(ours), mine)), want: argocd.Wait},
			{at: 20, app: application(compared("OutOfSync", ours), errored(unavailable, 19), reconciled(20)), want: argocd.Again},
		}},
		"and four times at most": {looks: []look{
			{app: application(compared("OutOfSync", ours), lastOperation(to(ours), mine)), want: argocd.Wait},
			{at: 9, app: application(compared("OutOfSync", ours), errored(unavailable, 8), reconciled(9)), change: repeats(2, -9), want: argocd.Again},
			{at: 9, app: application(compared("OutOfSync", ours), errored(unavailable, 8), reconciled(9)), change: repeats(3, -9), want: argocd.Fail, kind: failure.Unhealthy, says: "4 operations have ended as Error, the last one: ComparisonError"},
		}},
		"starts of ours do not count as answers to somebody else": {looks: []look{
			{app: application(compared("OutOfSync", ours), lastOperation(to(ours), mine)), want: argocd.Wait},
			{at: 9, app: application(compared("OutOfSync", ours), lastOperation(phase("Succeeded"), to(foreign), finished(5)), reconciled(6)), change: repeats(2, -9), want: argocd.Start},
		}},
		"an operation of ours that is in vain for good is a failure": {looks: []look{
			{app: application(compared("OutOfSync", ours), lastOperation(to(ours), mine)), change: synced, want: argocd.Wait},
			{at: 9, app: application(compared("OutOfSync", ours), errored(notBuilt, 8), reconciled(9)), want: argocd.Fail, kind: failure.Unhealthy, says: "has ended as Error: ComparisonError"},
		}},
		"one that has failed is, too, whatever it says": {looks: []look{
			{app: application(compared("OutOfSync", ours), lastOperation(to(ours), mine)), change: synced, want: argocd.Wait},
			{at: 9, app: application(compared("OutOfSync", ours), lastOperation(mine, phase("Failed"), to(ours), saying(unavailable), finished(8)), reconciled(9)), want: argocd.Fail, kind: failure.Unhealthy, says: "has ended as Failed"},
		}},
		"one of somebody else is, too": {looks: []look{
			{app: application(compared("OutOfSync", ours), lastOperation(to(ours))), want: argocd.Wait},
			{at: 9, app: application(compared("OutOfSync", ours), lastOperation(phase("Error"), to(ours), saying(unavailable), finished(8)), reconciled(9)), want: argocd.Fail, kind: failure.Unhealthy, says: "has ended as Error"},
		}},
		"a controller that does not know the project yet is asked until it does": {looks: []look{
			{app: application(compared("OutOfSync", ours), lastOperation(to(ours), mine)), change: synced, want: argocd.Wait},
			{at: 9, app: application(errored(unknownProject, 8), reconciled(-9), invalid), want: argocd.Refresh, says: "know the project"},
			{at: 9, app: application(errored(unknownProject, 8), reconciled(-9), invalid), change: refreshed(1, 9), want: argocd.Wait},
			{at: 19, app: application(errored(unknownProject, 8), reconciled(-9), invalid), want: argocd.Refresh},
			{at: 20, app: application(compared("OutOfSync", ours), errored(unknownProject, 8), reconciled(20)), change: refreshed(2, 20), want: argocd.Again},
		}},
		"one that insists on it is believed": {looks: []look{
			{app: application(compared("OutOfSync", ours), lastOperation(to(ours), mine)), change: synced, want: argocd.Wait},
			{at: 9, app: application(errored(unknownProject, 8), reconciled(-9), invalid), want: argocd.Refresh},
			{at: 29, app: application(errored(unknownProject, 8), reconciled(-9), invalid), change: refreshed(2, -9), want: argocd.Refresh},
			{at: 30, app: application(errored(unknownProject, 8), reconciled(-9), invalid), change: refreshed(3, 30), want: argocd.Fail, kind: failure.Unhealthy, says: "and it stays so: InvalidSpecError: Application referencing project team-a"},
		}},
		"an operation of somebody else elsewhere is waited for": {looks: []look{
			{app: application(compared("OutOfSync", ours), lastOperation(to(foreign))), want: argocd.Wait, says: "operation of admin to cccccccccccc is in the way, Running"},
			{at: 9, app: application(compared("OutOfSync", ours), lastOperation(phase("Succeeded"), to(foreign), finished(5)), reconciled(6)), want: argocd.Start},
		}},
		"one at the release that syncs some resources only is waited for too": {looks: []look{
			{app: application(compared("OutOfSync", ours), lastOperation(to(ours), partial)), want: argocd.Wait, says: "is in the way"},
			{at: 9, app: application(compared("OutOfSync", ours), drifted, lastOperation(phase("Succeeded"), to(ours), partial, finished(5)), reconciled(6)), want: argocd.Start},
		}},
		"one that is in the way for too long is terminated, once, if that is allowed": {
			request: func(r *argocd.Request) { r.TerminateAfter = time.Minute },
			looks: []look{
				{app: application(lastOperation(to(foreign))), want: argocd.Wait},
				{at: 60, app: application(lastOperation(to(foreign))), want: argocd.Terminate},
				{at: 61, app: application(lastOperation(to(foreign), phase("Terminating"))), want: argocd.Wait, says: "Terminating"},
			},
		},
		"an operation that has failed before the release began is repeated": {looks: []look{
			{app: application(compared("OutOfSync", ours), lastOperation(phase("Failed"), to(ours), mine, finished(-60))), want: argocd.Start},
		}},
		"that objects are as in Git does not make up for a hook that failed": {looks: []look{
			{app: application(compared("Synced", ours), lastOperation(phase("Failed"), to(ours), finished(-60))), want: argocd.Start},
		}},
		"what the cluster has changed since is synced again": {looks: []look{
			{app: application(compared("OutOfSync", ours), released, drifted), want: argocd.Start},
		}},
		"an application that syncs by itself gets the time to": {looks: []look{
			{app: application(compared("OutOfSync", ours), automated), want: argocd.Wait, says: "the controller to sync"},
			{at: 2, app: application(compared("OutOfSync", ours), automated, lastOperation(to(ours))), want: argocd.Wait, says: "operation Running"},
		}},
		"one that does not although it should is synced to the commit": {looks: []look{
			{app: application(compared("OutOfSync", ours), automated), want: argocd.Wait},
			{at: 10, app: application(compared("OutOfSync", ours), automated), want: argocd.Start, says: "sync to aaaaaaaaaaaa"},
			{at: 11, app: application(compared("OutOfSync", ours), automated), change: func(p *argocd.Progress) { p.Refusal = argocd.ErrAutomated }, want: argocd.Start},
		}},
		"one that shows another commit than Git has is compared again, three times": {looks: []look{
			{app: application(automated), change: refreshed(0, 0), want: argocd.Wait, says: "Git to show the release"},
			{at: 1, app: application(automated), want: argocd.Refresh},
			{at: 5, app: application(automated), change: refreshed(1, 1), want: argocd.Wait},
			{at: 11, app: application(automated), want: argocd.Refresh},
			{at: 21, app: application(automated), change: refreshed(3, 21), want: argocd.Fail, kind: failure.Conflict, says: "it follows main, which is at dddddddddddd, which does not contain the release"},
		}},
		"a later commit that contains the release will do": {looks: []look{
			{app: application(compared("Synced", newer), lastOperation(phase("Succeeded"), to(newer), finished(-60))), want: argocd.Done},
		}},
		"unless exactly the release is asked for": {
			request: func(r *argocd.Request) { r.Exact = true },
			looks: []look{
				{app: application(compared("Synced", newer), lastOperation(phase("Succeeded"), to(newer), finished(-60))), want: argocd.Fail, kind: failure.Superseded, says: "bbbbbbbbbbbb, which contains the release"},
			},
		},
		"exactly the release is synced where a later commit changes nothing": {
			request: func(r *argocd.Request) { r.Exact = true },
			looks: []look{
				{app: application(compared("Synced", newer)), want: argocd.Start},
				{at: 1, app: application(compared("Synced", newer), lastOperation(to(ours), mine)), change: synced, want: argocd.Wait},
				{at: 9, app: application(compared("Synced", newer), justReleased, reconciled(3)), want: argocd.Wait, says: "to stay"},
				{at: 14, app: application(compared("Synced", newer), justReleased, reconciled(3)), want: argocd.Done},
			},
		},
		"whether a commit contains the release is asked": {looks: []look{
			{app: application(compared("Synced", "ffff")), want: argocd.Ask},
			{app: application(lastOperation(to("ffff"))), want: argocd.Ask},
			{app: application(compared("OutOfSync", ours), lastOperation(phase("Succeeded"), to("ffff"), finished(-9))), want: argocd.Ask},
		}},
		"a branch that has moved on leaves the release where it is": {looks: []look{
			{app: application(compared("OutOfSync", newer), lastOperation(to(ours), mine)), change: synced, want: argocd.Wait},
			{at: 3, app: application(compared("OutOfSync", newer), justReleased, reconciled(3), drifted), want: argocd.Wait, says: "to stay"},
			{at: 8, app: application(compared("OutOfSync", newer), justReleased, reconciled(3), drifted), want: argocd.Done},
		}},
		"a commit that the application's branch does not contain is refused": {looks: []look{
			{app: application(compared("OutOfSync", foreign)), change: refreshed(3, 0), want: argocd.Fail, kind: failure.Conflict, says: "follows main, which is at cccccccccccc"},
		}},
		"one of which nobody can tell is refused when it was synced and stays OutOfSync": {looks: []look{
			{app: application(compared("OutOfSync", hidden)), want: argocd.Start},
			{at: 1, app: application(compared("OutOfSync", hidden), lastOperation(to(ours), mine)), change: synced, want: argocd.Wait},
			{at: 60, app: application(compared("OutOfSync", hidden), justReleased, reconciled(3), drifted), want: argocd.Refresh},
			{at: 90, app: application(compared("OutOfSync", hidden), justReleased, reconciled(3), drifted), change: refreshed(3, 80), want: argocd.Fail, kind: failure.Conflict, says: "OutOfSync for ever"},
		}},
		"what Git no longer has is named when nobody may delete it": {looks: []look{
			{app: application(compared("OutOfSync", ours), lastOperation(to(ours), mine)), change: synced, want: argocd.Wait},
			{at: 3, app: application(compared("OutOfSync", ours), justReleased, reconciled(3), leftBehind), want: argocd.Refresh},
			{at: 4, app: application(compared("OutOfSync", ours), justReleased, reconciled(3), leftBehind), change: refreshed(1, 4), want: argocd.Wait},
			{at: 14, app: application(compared("OutOfSync", ours), justReleased, reconciled(3), leftBehind), want: argocd.Refresh},
			{at: 15, app: application(compared("OutOfSync", ours), justReleased, reconciled(14), leftBehind), change: refreshed(2, 15), want: argocd.Fail, kind: failure.Conflict, says: "Git no longer has ConfigMap web/web"},
		}},
		"nothing is synced for objects that would stay": {looks: []look{
			{app: application(compared("OutOfSync", ours), released, leftBehind), change: refreshed(1, 0), want: argocd.Fail, kind: failure.Conflict, says: "ConfigMap web/web"},
		}},
		"objects that may be pruned are": {
			request: func(r *argocd.Request) { r.Prune = true },
			looks:   []look{{app: application(compared("OutOfSync", ours), released, leftBehind), want: argocd.Start}},
		},
		"an application that differs after the sync is compared twice more and then refused": {looks: []look{
			{app: application(compared("OutOfSync", ours), lastOperation(to(ours), mine)), change: synced, want: argocd.Wait},
			{at: 3, app: application(compared("OutOfSync", ours), justReleased, reconciled(3), drifted), want: argocd.Refresh},
			{at: 4, app: application(compared("OutOfSync", ours), justReleased, reconciled(3), drifted), change: refreshed(1, 4), want: argocd.Wait},
			{at: 14, app: application(compared("OutOfSync", ours), justReleased, reconciled(3), drifted), want: argocd.Refresh},
			{at: 15, app: application(compared("OutOfSync", ours), justReleased, reconciled(14), drifted), change: refreshed(2, 15), want: argocd.Fail, kind: failure.Unhealthy, says: "OutOfSync although aaaaaaaaaaaa was synced: Deployment web/web"},
		}},
		"a controller that has not yet heard of what it has applied is given time": {looks: []look{
			{app: application(compared("OutOfSync", ours), lastOperation(to(ours), mine)), change: synced, want: argocd.Wait},
			{at: 3, app: application(compared("OutOfSync", ours), justReleased, reconciled(3), drifted), want: argocd.Refresh},
			{at: 4, app: application(compared("OutOfSync", ours), justReleased, reconciled(4), drifted), change: refreshed(1, 4), want: argocd.Wait},
			{at: 5, app: application(compared("Synced", ours), justReleased, reconciled(5)), want: argocd.Wait, says: "stay Healthy"},
			{at: 10, app: application(compared("Synced", ours), justReleased, reconciled(5)), want: argocd.Done},
		}},
		"somebody who syncs something else is answered once": {looks: []look{
			{app: application(compared("OutOfSync", ours), lastOperation(phase("Succeeded"), to(foreign), finished(-9))), change: synced, want: argocd.Start},
			{at: 9, app: application(compared("OutOfSync", ours), lastOperation(phase("Succeeded"), to(foreign), finished(5)), reconciled(6)), change: synced, want: argocd.Fail, kind: failure.Superseded, says: "cccccccccccc was synced by admin after the release"},
		}},
		"a sync window forbids": {looks: []look{
			{app: application(compared("OutOfSync", ours)), change: func(p *argocd.Progress) { p.Refusal = argocd.ErrWindow }, want: argocd.Fail, kind: failure.Conflict, says: "sync window"},
		}},
		"a sync window can be waited for": {
			request: func(r *argocd.Request) { r.WaitForWindow = true },
			looks: []look{
				{app: application(compared("OutOfSync", ours)), change: func(p *argocd.Progress) { p.Refusal, p.NotBefore = argocd.ErrWindow, at(30) }, want: argocd.Wait, says: "a sync window forbids it"},
				{at: 30, app: application(compared("OutOfSync", ours)), want: argocd.Start},
			},
		},
		"a window that closes while the operation waits is noticed": {looks: []look{
			{app: application(lastOperation(to(ours), mine, saying("Sync operation blocked by sync window"))), want: argocd.Fail, kind: failure.Conflict, says: "blocked by a sync window"},
		}},
		"one of several sources is pinned": {looks: []look{
			{app: application(compared("OutOfSync", ours), several), want: argocd.Start},
			{at: 9, app: application(compared("Synced", ours), several, lastOperation(phase("Succeeded"), to("1.2.3", ours), finished(2)), reconciled(3)), want: argocd.Done},
		}},
		"several sources need to know which": {
			request: func(r *argocd.Request) { r.Repo = "" },
			looks:   []look{{app: application(several), want: argocd.Fail, kind: failure.Usage, says: "2 sources"}},
		},
		"an application of another repository is refused": {
			request: func(r *argocd.Request) { r.Repo = "https://git.example.com/other" },
			looks:   []look{{app: application(), want: argocd.Fail, kind: failure.Usage, says: "does not read https://git.example.com/other, but git@git.example.com:gitops.git"}},
		},
		"one that the source hydrator feeds is refused": {looks: []look{
			{app: application(func(a *argocd.Application) { a.Hydrated = true }), want: argocd.Fail, kind: failure.Conflict, says: "hydrator"},
		}},
		"one that is being deleted is refused": {looks: []look{
			{app: application(func(a *argocd.Application) { a.Deleting = true }), want: argocd.Fail, kind: failure.Conflict, says: "being deleted"},
		}},
		"a status of other sources than now is not believed": {looks: []look{
			{app: application(compared("Synced", ours), released, func(a *argocd.Application) { a.Sync.Current = false }), want: argocd.Refresh},
		}},
		"one that cannot be compared says why": {looks: []look{
			{app: application(automated, compared("Unknown"), func(a *argocd.Application) {
				a.Conditions = []argocd.Condition{{Type: "ComparisonError", Message: "kustomize build failed"}}
			}), change: refreshed(3, 0), want: argocd.Fail, kind: failure.Unhealthy, says: "ComparisonError: kustomize build failed"},
		}},
		"who does not wait is content with an operation": {
			request: func(r *argocd.Request) { r.NoWait = true },
			looks: []look{
				{app: application(compared("OutOfSync", ours)), want: argocd.Start},
				{at: 1, app: application(compared("OutOfSync", ours), lastOperation(to(ours), mine)), want: argocd.Done},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := request()
			if test.request != nil {
				test.request(&r)
			}
			p := argocd.Progress{Relations: relations()}
			for i, l := range test.looks {
				p = p.Observe(l.app, at(l.at))
				if l.change != nil {
					l.change(&p)
				}
				check(t, i, l, argocd.Decide(r, p, l.app, at(l.at)))
			}
		})
	}
}

func check(t *testing.T, i int, l look, d argocd.Decision) {
	t.Helper()
	text := d.Reason
	if d.Err != nil {
		text = d.Err.Error()
	}
	if d.Action != l.want || !strings.Contains(text, l.says) {
		t.Fatalf("look %d: decided %d because of %q, not %d because of %q", i, d.Action, text, l.want, l.says)
	}
	if d.Action == argocd.Fail && failure.KindOf(d.Err) != l.kind {
		t.Errorf("look %d: failed as %s, not as %s", i, failure.KindOf(d.Err), l.kind)
	}
}

func TestASyncAsksForWhatTheApplicationUnderstands(t *testing.T) {
	tests := map[string]struct {
		app    *argocd.Application
		change func(*argocd.Progress)
		want   argocd.SyncRequest
	}{
		"one source": {
			app:  application(compared("OutOfSync", ours)),
			want: argocd.SyncRequest{ID: "r1", Revision: ours},
		},
		"several sources": {
			app:  application(compared("OutOfSync", ours), several),
			want: argocd.SyncRequest{ID: "r1", Revision: ours, Positions: []int{1}, Multiple: true},
		},
		"one that prunes by itself": {
			app:  application(compared("OutOfSync", ours), func(a *argocd.Application) { a.AutoPrune = true }),
			want: argocd.SyncRequest{ID: "r1", Revision: ours, Prune: true},
		},
		"one that takes no revision": {
			app:    application(compared("OutOfSync", newer)),
			change: func(p *argocd.Progress) { p.Refusal = argocd.ErrAutomated },
			want:   argocd.SyncRequest{ID: "r1"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := argocd.Progress{Relations: relations()}.Observe(test.app, start)
			if test.change != nil {
				test.change(&p)
			}
			got := argocd.Decide(request(), p, test.app, start).Sync
			if got.ID != test.want.ID || got.Revision != test.want.Revision || got.Prune != test.want.Prune || got.Multiple != test.want.Multiple {
				t.Errorf("asks for %+v, not %+v", got, test.want)
			}
			if test.want.Positions != nil && got.Positions[0] != test.want.Positions[0] {
				t.Errorf("asks for the sources %v", got.Positions)
			}
		})
	}
}
