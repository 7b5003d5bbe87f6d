package argocdtest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/health"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PauseController makes the controller look at nothing until ResumeController, as one that is overloaded or down: refreshes
// are not answered and operations do not start or go on.
func (s *Server) PauseController() { s.setPaused(true) }

// ResumeController ends PauseController.
func (s *Server) ResumeController() { s.setPaused(false) }

func (s *Server) setPaused(paused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = paused
	for _, a := range s.apps {
		a.kick()
	}
}

// Refresh makes the controller compare an application with Git, as the webhook of a Git server does.
func (s *Server) Refresh(qualified string) error {
	a, err := s.find(qualified)
	if err != nil {
		return err
	}
	s.ask(a, compareForced)
	return nil
}

func (s *Server) ask(a *application, level comparison) {
	s.mu.Lock()
	a.request = max(a.request, level)
	s.mu.Unlock()
	a.kick()
}

// control looks at an application whenever something has happened to it or is due.
func (s *Server) control(a *application) {
	for s.ctx.Err() == nil && s.exists(a) {
		due := s.look(a)
		timer := time.NewTimer(time.Until(due))
		select {
		case <-s.ctx.Done():
		case <-a.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (s *Server) exists(a *application) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.apps[a.key] == a
}

// look does what there is to do now and returns when to look again.
func (s *Server) look(a *application) time.Time {
	s.mu.Lock()
	paused := s.paused
	s.mu.Unlock()
	due := time.Now().Add(s.options.Resync)
	if paused {
		return due
	}
	again := s.operate(a)
	s.reconcile(a, s.neededComparison(a))
	return earliest(due, again, s.nextTransition(a))
}

func earliest(times ...time.Time) time.Time {
	times = slices.DeleteFunc(times, time.Time.IsZero)
	return slices.MinFunc(times, time.Time.Compare)
}

func (s *Server) nextTransition(a *application) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var next time.Time
	for _, live := range a.live {
		_, until := live.stage()
		for _, at := range []time.Time{until, live.gone} {
			if !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	return next
}

// neededComparison is how thorough the next comparison must be. The cluster's events ask for a recent one at least.
func (s *Server) neededComparison(a *application) comparison {
	s.mu.Lock()
	defer s.mu.Unlock()
	level := max(a.request, compareRecent)
	a.request = compareNothing
	app := a.current
	_, refresh := app.IsRefreshRequested()
	switch {
	case refresh, !comparedToSpec(app):
		return compareForced
	case app.Status.ReconciledAt == nil, !s.now().Before(app.Status.ReconciledAt.Add(s.options.Resync)):
		return max(level, compareLatest)
	}
	return level
}

func comparedToSpec(app *v1alpha1.Application) bool {
	to := app.Status.Sync.ComparedTo
	if app.Spec.HasMultipleSources() {
		return reflect.DeepEqual(to.Sources, app.Spec.Sources) && to.Destination == app.Spec.Destination
	}
	return reflect.DeepEqual(to.Source, app.Spec.GetSource()) && to.Destination == app.Spec.Destination
}

// reconcile compares an application with Git and the cluster and writes what it has found into its status. reconciledAt moves
// only when the revisions of the specification were compared: a change of health alone leaves it.
func (s *Server) reconcile(a *application, level comparison) {
	app := s.snapshot(a)
	if trouble := s.unknownToController(app.Spec.GetProject()); trouble != nil {
		s.refuse(a, trouble)
		return
	}
	if level >= compareLatest && !pause(s.ctx, s.options.RefreshFor) {
		return
	}
	sources := sourcesOf(app)
	var revisions []string
	if level == compareRecent {
		revisions = revisionsOf(app.Status.Sync.Revision, app.Status.Sync.Revisions)
	}
	if len(revisions) == 0 {
		for _, source := range sources {
			revisions = append(revisions, source.TargetRevision)
		}
	}
	found := s.load(app, sources, revisions, level == compareForced)
	if s.ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	maps.DeleteFunc(a.live, func(_ resourceKey, live *liveObject) bool {
		return !live.gone.IsZero() && !time.Now().Before(live.gone)
	})
	s.judge(a, app, sources, found)
	summary := s.summary(a)
	s.mu.Unlock()
	var problems []v1alpha1.ApplicationCondition
	if found.failure != "" {
		problems = append(problems, s.condition(v1alpha1.ApplicationConditionComparisonError, found.failure))
	}
	if trouble := s.autoSync(a, found); trouble != "" {
		problems = append(problems, s.condition(v1alpha1.ApplicationConditionSyncError, trouble))
	}
	s.update(a, func(now *v1alpha1.Application) {
		setConditions(&now.Status, problems)
		if level >= compareLatest {
			// An annotation that was set while this comparison ran asks for another one.
			if app.Annotations[v1alpha1.AnnotationKeyRefresh] != "" {
				delete(now.Annotations, v1alpha1.AnnotationKeyRefresh)
				delete(now.Annotations, v1alpha1.AnnotationKeyHydrate)
			}
			now.Status.ReconciledAt = &metav1.Time{Time: s.now()}
		}
		now.Status.Sync, now.Status.Resources = found.status, found.resources
		if now.Status.Health.Status != found.health {
			now.Status.Health = v1alpha1.HealthStatus{Status: found.health, LastTransitionTime: &metav1.Time{Time: s.now()}}
		}
		now.Status.Summary, now.Status.ControllerNamespace = summary, s.options.Namespace
		now.Status.SourceType, now.Status.SourceTypes = "", nil
		if now.Spec.HasMultipleSources() {
			now.Status.SourceTypes = found.kinds
		} else if len(found.kinds) > 0 {
			now.Status.SourceType = found.kinds[0]
		}
	})
}

// refuse answers a request for a comparison without one, and leaves reconciledAt as it is.
func (s *Server) refuse(a *application, trouble []v1alpha1.ApplicationCondition) {
	s.update(a, func(now *v1alpha1.Application) {
		setConditions(&now.Status, trouble)
		delete(now.Annotations, v1alpha1.AnnotationKeyRefresh)
		delete(now.Annotations, v1alpha1.AnnotationKeyHydrate)
		now.Status.Sync.Status, now.Status.Health.Status = v1alpha1.SyncStatusCodeUnknown, health.HealthStatusUnknown
	})
}

func revisionsOf(revision string, revisions []string) []string {
	if len(revisions) == 0 && revision != "" {
		return []string{revision}
	}
	return revisions
}

// setConditions replaces the conditions, and keeps the time of those that were there already.
func setConditions(status *v1alpha1.ApplicationStatus, problems []v1alpha1.ApplicationCondition) {
	for i, problem := range problems {
		for _, known := range status.Conditions {
			if known.Type == problem.Type && known.Message == problem.Message {
				problems[i] = known
			}
		}
	}
	status.Conditions = problems
}

// autoSync starts an operation of the controller's own and says why it cannot, if that is to be a condition.
func (s *Server) autoSync(a *application, found *compared) string {
	app := s.snapshot(a)
	policy := app.Spec.SyncPolicy
	if policy == nil || policy.Automated == nil || app.Operation != nil || found.status.Status != v1alpha1.SyncStatusCodeOutOfSync {
		return ""
	}
	if allowed, _ := s.windows(app).CanSync(false); !allowed {
		return ""
	}
	if !policy.Automated.Prune && onlyPruning(found.resources) {
		return ""
	}
	desired := strings.Join(found.revisions, ", ")
	if state := app.Status.OperationState; attempted(app, found.revisions) {
		if !state.Phase.Successful() {
			return fmt.Sprintf("Failed sync attempt to %s: %s", desired, state.Message)
		}
		if !policy.Automated.SelfHeal {
			return ""
		}
	}
	op := v1alpha1.Operation{
		Sync:        &v1alpha1.SyncOperation{Prune: policy.Automated.Prune, SyncOptions: policy.SyncOptions},
		InitiatedBy: v1alpha1.OperationInitiator{Automated: true},
		Retry:       v1alpha1.RetryStrategy{Limit: 5},
	}
	if policy.Retry != nil {
		op.Retry = *policy.Retry
	}
	if app.Spec.HasMultipleSources() {
		op.Sync.Revisions = found.revisions
	} else {
		op.Sync.Revision = found.revisions[0]
	}
	_, _ = s.setOperation(a, op) // one that is in progress is noticed again
	return ""
}

func onlyPruning(resources []v1alpha1.ResourceStatus) bool {
	return !slices.ContainsFunc(resources, func(r v1alpha1.ResourceStatus) bool {
		return r.Status == v1alpha1.SyncStatusCodeOutOfSync && !r.RequiresPruning
	})
}

// attempted says whether the last operation was to the same commits of the same sources.
func attempted(app *v1alpha1.Application, revisions []string) bool {
	state := app.Status.OperationState
	if state == nil || state.SyncResult == nil || !state.Phase.Completed() {
		return false
	}
	result := state.SyncResult
	if !slices.Equal(revisionsOf(result.Revision, result.Revisions), revisions) {
		return false
	}
	if app.Spec.HasMultipleSources() {
		return reflect.DeepEqual(app.Spec.Sources, result.Sources)
	}
	return reflect.DeepEqual(app.Spec.GetSource(), result.Source)
}
