package argocdtest

import (
	"fmt"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v2/util/argo"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var errInProgress = status.Error(codes.FailedPrecondition, "another operation is already in progress")

// SyncAs starts a sync of an application as somebody else does, of a commit or, if that is empty, of its revision.
func (s *Server) SyncAs(qualified, account, commit string) error {
	a, err := s.find(qualified)
	if err != nil {
		return err
	}
	_, err = s.setOperation(a, v1alpha1.Operation{
		Sync: &v1alpha1.SyncOperation{Revision: commit}, InitiatedBy: v1alpha1.OperationInitiator{Username: account},
	})
	return err
}

// ErrOperations lets the next operations of an application end as Error when they are begun, one with each message, as when
// the repo-server is away.
func (s *Server) ErrOperations(qualified string, messages ...string) error {
	a, err := s.find(qualified)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a.errors = append(a.errors, messages...)
	return nil
}

// errorOf returns why the controller cannot do an operation now, or "".
func (s *Server) errorOf(a *application, project string) string {
	if trouble := s.unknownToController(project); trouble != nil {
		return argo.FormatAppConditions(trouble)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(a.errors) == 0 {
		return ""
	}
	message := a.errors[0]
	a.errors = a.errors[1:]
	return message
}

// setOperation asks the controller for an operation. operationState is nil from then on until the controller has begun. What is
// returned is the application as it was written, before the controller has seen it.
func (s *Server) setOperation(a *application, op v1alpha1.Operation) (*v1alpha1.Application, error) {
	refused := false
	app := s.update(a, func(app *v1alpha1.Application) {
		if refused = app.Operation != nil; refused {
			return
		}
		app.Operation, app.Status.OperationState = &op, nil
	})
	if refused {
		return nil, errInProgress
	}
	a.kick()
	return app, nil
}

// operate carries an operation on as far as it goes now, and says when to look again if nothing else will wake it.
func (s *Server) operate(a *application) time.Time {
	app := s.snapshot(a)
	if app.Operation == nil {
		return time.Time{}
	}
	state := app.Status.OperationState.DeepCopy()
	terminating := state != nil && state.Phase == common.OperationTerminating
	switch {
	case state == nil || state.Phase.Completed():
		a.begun = time.Now()
		state = &v1alpha1.OperationState{
			Phase: common.OperationRunning, Operation: *app.Operation, StartedAt: metav1.NewTime(s.now()),
		}
		s.setOperationState(a, state)
	case state.FinishedAt != nil && !terminating:
		at, err := state.Operation.Retry.NextRetryAt(state.FinishedAt.Time, state.RetryCount)
		if err == nil && s.now().Before(at) {
			return time.Now().Add(at.Sub(s.now()))
		}
		state.FinishedAt, state.SyncResult = nil, nil
		s.setOperationState(a, state)
	}
	if begin := a.begun.Add(s.options.OperationFor); time.Now().Before(begin) && !terminating {
		return begin
	}
	var again time.Time
	if message := s.errorOf(a, app.Spec.GetProject()); message != "" && !terminating {
		state.Phase, state.Message = common.OperationError, message
	} else {
		again = s.syncState(a, app, state)
	}
	if s.ctx.Err() != nil {
		return again
	}
	s.retryOrFail(a, state, terminating)
	s.setOperationState(a, state)
	if state.Phase.Completed() {
		s.ask(a, compareForced)
	}
	return again
}

// retryOrFail leaves a failed operation Running, with finishedAt set, while it has retries left.
func (s *Server) retryOrFail(a *application, state *v1alpha1.OperationState, terminating bool) {
	if !state.Phase.Completed() || state.Phase.Successful() {
		return
	}
	if limit := state.Operation.Retry.Limit; !terminating && (state.RetryCount < limit || limit < 0) {
		now := metav1.NewTime(s.now())
		at, err := state.Operation.Retry.NextRetryAt(now.Time, state.RetryCount)
		if err != nil {
			state.Message = fmt.Sprintf("%s (failed to retry: %v)", state.Message, err)
			return
		}
		state.FinishedAt, state.Phase = &now, common.OperationRunning
		state.RetryCount++
		a.kick() // to find out when
		state.Message = fmt.Sprintf("%s. Retrying attempt #%d at %s.", state.Message, state.RetryCount, at.Format(time.Kitchen))
		return
	}
	if state.RetryCount > 0 {
		state.Message = fmt.Sprintf("%s (retried %d times).", state.Message, state.RetryCount)
	}
}

// setOperationState writes the state, and removes the operation when it is complete. A termination that was requested
// meanwhile is not overwritten.
func (s *Server) setOperationState(a *application, state *v1alpha1.OperationState) {
	if state.Phase.Completed() {
		state.FinishedAt = &metav1.Time{Time: s.now()}
	}
	s.update(a, func(app *v1alpha1.Application) {
		if now := app.Status.OperationState; now != nil && now.Phase == common.OperationTerminating && state.Phase == common.OperationRunning {
			state.Phase, state.Message = common.OperationTerminating, "operation is terminating"
			a.kick()
		}
		app.Status.OperationState = state.DeepCopy()
		if !state.Phase.Completed() {
			return
		}
		app.Operation = nil
		if state.Phase.Successful() && state.SyncResult != nil && !state.Operation.Sync.DryRun && len(state.Operation.Sync.Resources) == 0 {
			app.Status.History = append(app.Status.History, history(app, state))
		}
	})
}

func history(app *v1alpha1.Application, state *v1alpha1.OperationState) v1alpha1.RevisionHistory {
	result, next := state.SyncResult, int64(0)
	if n := len(app.Status.History); n > 0 {
		next = app.Status.History[n-1].ID + 1
	}
	return v1alpha1.RevisionHistory{
		Revision: result.Revision, Revisions: result.Revisions, Source: result.Source, Sources: result.Sources, ID: next,
		DeployedAt: *state.FinishedAt, DeployStartedAt: &state.StartedAt, InitiatedBy: state.Operation.InitiatedBy,
	}
}

// deploy brings an application to its revision as an operation of the past has done.
func (s *Server) deploy(a *application) error {
	app := s.snapshot(a)
	found := s.load(app, sourcesOf(app), nil, true)
	if found.failure != "" {
		return fmt.Errorf("%s", found.failure)
	}
	op := v1alpha1.Operation{
		Sync:        &v1alpha1.SyncOperation{},
		InitiatedBy: v1alpha1.OperationInitiator{Username: "admin"},
	}
	long := metav1.NewTime(s.now().Add(-time.Hour))
	state := &v1alpha1.OperationState{
		Operation: op, Phase: common.OperationSucceeded, Message: "successfully synced (all tasks run)",
		StartedAt: long, SyncResult: newSyncResult(app, found.revisions),
	}
	s.mu.Lock()
	for _, target := range found.targets {
		if target.isHook() {
			continue
		}
		message, err := s.apply(a, target, found.revisions[0])
		if err != nil {
			s.mu.Unlock()
			return err
		}
		a.live[target.key].stages = Healthy(0).Stages
		task := &task{resource: target, key: target.key, phase: common.SyncPhaseSync}
		task.set(common.ResultCodeSynced, common.OperationRunning, message)
		state.SyncResult.Resources = append(state.SyncResult.Resources, task.result)
	}
	s.mu.Unlock()
	s.setOperationState(a, state)
	s.update(a, func(app *v1alpha1.Application) { app.Status.OperationState.FinishedAt = &long })
	return nil
}

func newSyncResult(app *v1alpha1.Application, revisions []string) *v1alpha1.SyncOperationResult {
	if app.Spec.HasMultipleSources() {
		return &v1alpha1.SyncOperationResult{Sources: app.Spec.Sources, Revisions: revisions}
	}
	return &v1alpha1.SyncOperationResult{Source: app.Spec.GetSource(), Revision: revisions[0]}
}
