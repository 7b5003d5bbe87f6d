package argocd

import (
	"cmp"
	"regexp"
	"slices"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// commit is the full name of a commit.
var commit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

func newApplication(app *v1alpha1.Application) *Application {
	a := &Application{
		Ref:        Ref{Namespace: app.Namespace, Name: app.Name, Project: app.Spec.GetProject()},
		Version:    app.ResourceVersion,
		Multiple:   app.Spec.HasMultipleSources(),
		Hydrated:   app.Spec.SourceHydrator != nil,
		Deleting:   app.DeletionTimestamp != nil,
		Health:     string(app.Status.Health.Status),
		Sync:       newSyncStatus(app),
		Requested:  newOperation(app.Operation),
		State:      newOperationState(app.Status.OperationState),
		Refreshing: app.Annotations[v1alpha1.AnnotationKeyRefresh] != "",
	}
	if policy := app.Spec.SyncPolicy; policy != nil && policy.Automated != nil {
		a.Automated, a.AutoPrune = true, policy.Automated.Prune
	}
	if at := app.Status.ReconciledAt; at != nil {
		a.ReconciledAt = at.Time
	}
	for _, s := range app.Spec.GetSources() {
		a.Sources = append(a.Sources, Source{Repo: s.RepoURL, Path: s.Path, Revision: cmp.Or(s.TargetRevision, "HEAD"), Chart: s.Chart})
	}
	for _, r := range app.Status.Resources {
		resource := Resource{
			Key: Key{r.Group, r.Kind, r.Namespace, r.Name}, Sync: string(r.Status), Prune: r.RequiresPruning, Hook: r.Hook,
		}
		if r.Health != nil {
			resource.Health, resource.Message = string(r.Health.Status), r.Health.Message
		}
		a.Resources = append(a.Resources, resource)
	}
	for _, c := range app.Status.Conditions {
		a.Conditions = append(a.Conditions, Condition{Type: c.Type, Message: c.Message})
	}
	return a
}

func newSyncStatus(app *v1alpha1.Application) SyncStatus {
	s := app.Status.Sync
	status := SyncStatus{Status: string(s.Status), Revisions: revisionsOf(s.Revision, s.Revisions)}
	if s.Status == v1alpha1.SyncStatusCodeUnknown {
		status.Revisions = foundOut(status.Revisions, app.Spec.GetSources())
	}
	compared := []v1alpha1.ApplicationSource{s.ComparedTo.Source}
	if app.Spec.HasMultipleSources() {
		compared = s.ComparedTo.Sources
	}
	same := func(x, y v1alpha1.ApplicationSource) bool { return x.Equals(&y) }
	status.Current = slices.EqualFunc(compared, app.Spec.GetSources(), same)
	return status
}

func revisionsOf(revision string, revisions []string) []string {
	if len(revisions) == 0 && revision != "" {
		return []string{revision}
	}
	return revisions
}

// foundOut returns no revisions where they only repeat what the sources follow, as v3 does when it could not load a source.
func foundOut(revisions []string, sources []v1alpha1.ApplicationSource) []string {
	for i, source := range sources {
		if i < len(revisions) && revisions[i] == source.TargetRevision && source.Chart == "" && !commit.MatchString(revisions[i]) {
			return nil
		}
	}
	return revisions
}

func newOperation(op *v1alpha1.Operation) *Operation {
	if op == nil {
		return nil
	}
	o := &Operation{}
	if !op.InitiatedBy.Automated {
		o.By = op.InitiatedBy.Username
	}
	for _, info := range op.Info {
		if info.Name == infoID {
			o.ID = info.Value
		}
	}
	if sync := op.Sync; sync != nil {
		o.Revisions = revisionsOf(sync.Revision, sync.Revisions)
		o.Partial, o.Prune = sync.DryRun || len(sync.Resources) > 0, sync.Prune
	}
	return o
}

func newOperationState(state *v1alpha1.OperationState) *OperationState {
	if state == nil {
		return nil
	}
	s := &OperationState{
		Operation: *newOperation(&state.Operation), Phase: string(state.Phase), Message: state.Message, StartedAt: state.StartedAt.Time,
		FinishedAt: timeOf(state.FinishedAt),
	}
	if state.SyncResult == nil {
		return s
	}
	if got := revisionsOf(state.SyncResult.Revision, state.SyncResult.Revisions); len(got) > 0 && got[0] != "" {
		s.Revisions = got
	}
	for _, r := range state.SyncResult.Resources {
		s.Results = append(s.Results, Result{
			Key: Key{r.Group, r.Kind, r.Namespace, r.Name}, Status: string(r.Status), Hook: string(r.HookType), HookPhase: string(r.HookPhase),
			Message: r.Message,
		})
	}
	return s
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}
