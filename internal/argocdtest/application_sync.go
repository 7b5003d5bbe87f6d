package argocdtest

import (
	"context"
	"errors"
	"fmt"

	applicationpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/application"
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v2/util/rbac"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Sync checks in the order of the real server: get, window, sync, deleting, revision, operation.
func (v *applicationService) Sync(ctx context.Context, r *applicationpkg.ApplicationSyncRequest) (*v1alpha1.Application, error) {
	a, app, err := v.s.permitted(ctx, rbac.ActionGet, r.GetProject(), r.GetAppNamespace(), r.GetName())
	if err != nil {
		return nil, err
	}
	if allowed, err := v.s.windows(app).CanSync(true); err != nil {
		return nil, status.Errorf(codes.PermissionDenied, "cannot sync: invalid sync window: %v", err)
	} else if !allowed {
		return nil, status.Error(codes.PermissionDenied, "cannot sync: blocked by sync window")
	}
	object := app.RBACName(v.s.options.Namespace)
	if err := v.s.enforce(ctx, rbac.ResourceApplications, rbac.ActionSync, object); err != nil {
		return nil, err
	}
	if v.overrides(app, r) {
		if err := v.s.enforce(ctx, rbac.ResourceApplications, rbac.ActionOverride, object); err != nil {
			return nil, err
		}
	}
	if app.DeletionTimestamp != nil {
		return nil, status.Error(codes.FailedPrecondition, "application is deleting")
	}
	op := v1alpha1.Operation{
		Sync: &v1alpha1.SyncOperation{
			Prune: r.GetPrune(), DryRun: r.GetDryRun(), SyncStrategy: r.Strategy, Sources: app.Spec.Sources,
		},
		InitiatedBy: v1alpha1.OperationInitiator{Username: username(ctx)},
		Info:        r.Infos,
	}
	for _, resource := range r.Resources {
		op.Sync.Resources = append(op.Sync.Resources, *resource)
	}
	setPolicy(&op, app, r)
	if err := v.resolve(&op, app, r); err != nil {
		return nil, err
	}
	if app, err = v.s.setOperation(a, op); err != nil {
		return nil, fmt.Errorf("error setting app operation: %w", err)
	}
	return app, nil
}

// overrides says whether the right to override is needed too, as a setting of v3 demands for other revisions than the
// application's own.
func (v *applicationService) overrides(app *v1alpha1.Application, r *applicationpkg.ApplicationSyncRequest) bool {
	if !v.s.options.OverrideForRevision || !v.s.v3() {
		return false
	}
	own := app.Spec.GetSource().TargetRevision
	return (r.GetRevision() != "" && r.GetRevision() != own) || len(r.Revisions) > 0
}

// setPolicy takes the retries and options of the application's own policy unless the request has some. Prune is never taken.
func setPolicy(op *v1alpha1.Operation, app *v1alpha1.Application, r *applicationpkg.ApplicationSyncRequest) {
	if policy := app.Spec.SyncPolicy; policy != nil {
		op.Sync.SyncOptions = policy.SyncOptions
		if policy.Retry != nil {
			op.Retry = *policy.Retry
		}
	}
	if r.RetryStrategy != nil {
		op.Retry = *r.RetryStrategy
	}
	if r.SyncOptions != nil {
		op.Sync.SyncOptions = r.SyncOptions.Items
	}
}

// resolve finds the commits of an operation. A full hash is believed; a branch may be, in v2, what it was some minutes ago. An
// automated application refuses every revision but its own, except that v2 fails to notice with several sources.
func (v *applicationService) resolve(op *v1alpha1.Operation, app *v1alpha1.Application, r *applicationpkg.ApplicationSyncRequest) error {
	automated := app.Spec.SyncPolicy != nil && app.Spec.SyncPolicy.Automated != nil && !r.GetDryRun()
	sources := sourcesOf(app)
	if !app.Spec.HasMultipleSources() {
		own := sources[0].TargetRevision
		if asked := r.GetRevision(); asked != "" {
			if automated && asked != orHead(own) {
				return status.Errorf(codes.FailedPrecondition, "Cannot sync to %s: auto-sync currently set to %s", asked, own)
			}
			sources[0].TargetRevision = asked
		}
		commit, err := v.s.resolveSource(sources[0])
		op.Sync.Revision = commit
		return err
	}
	for i, position := range r.SourcePositions {
		if position <= 0 || position > int64(len(sources)) {
			return errors.New("source position is out of range")
		}
		sources[position-1].TargetRevision = r.Revisions[i] // the real server does not check the length either
	}
	for i, source := range sources {
		if own := app.Spec.Sources[i].TargetRevision; automated && v.s.v3() && orHead(own) != orHead(source.TargetRevision) {
			return status.Errorf(codes.FailedPrecondition, "Cannot sync source %s to %s: auto-sync currently set to %s",
				source.RepoURL, source.TargetRevision, own)
		}
		commit, err := v.s.resolveSource(source)
		if err != nil {
			return err
		}
		op.Sync.Revisions = append(op.Sync.Revisions, commit)
	}
	return nil
}

func orHead(revision string) string {
	if revision == "" {
		return "HEAD"
	}
	return revision
}

func (s *Server) resolveSource(source v1alpha1.ApplicationSource) (string, error) {
	commit, err := s.repos.resolve(s.ctx, source.RepoURL, source.TargetRevision, s.v3())
	if err != nil {
		return "", status.Errorf(codes.FailedPrecondition, "error resolving repo revision: %v", err)
	}
	return commit, nil
}

// TerminateOperation only asks for the end of the operation.
func (v *applicationService) TerminateOperation(
	ctx context.Context, r *applicationpkg.OperationTerminateRequest,
) (*applicationpkg.OperationTerminateResponse, error) {
	a, _, err := v.s.permitted(ctx, rbac.ActionSync, r.GetProject(), r.GetAppNamespace(), r.GetName())
	if err != nil {
		return nil, err
	}
	idle := false
	v.s.update(a, func(app *v1alpha1.Application) {
		if idle = app.Operation == nil || app.Status.OperationState == nil; !idle {
			app.Status.OperationState.Phase = common.OperationTerminating
		}
	})
	if idle {
		return nil, status.Error(codes.InvalidArgument, "Unable to terminate operation. No operation is in progress")
	}
	a.kick()
	return &applicationpkg.OperationTerminateResponse{}, nil
}

// GetApplicationSyncWindows says which windows there are and whether a manual sync may start now.
func (v *applicationService) GetApplicationSyncWindows(
	ctx context.Context, q *applicationpkg.ApplicationSyncWindowsQuery,
) (*applicationpkg.ApplicationSyncWindowsResponse, error) {
	_, app, err := v.s.permitted(ctx, rbac.ActionGet, q.GetProject(), q.GetAppNamespace(), q.GetName())
	if err != nil {
		return nil, err
	}
	windows := v.s.windows(app)
	allowed, err := windows.CanSync(true)
	if err != nil {
		return nil, fmt.Errorf("invalid sync windows: %w", err)
	}
	active, err := windows.Active()
	if err != nil {
		return nil, fmt.Errorf("invalid sync windows: %w", err)
	}
	return &applicationpkg.ApplicationSyncWindowsResponse{
		ActiveWindows: convert(active), AssignedWindows: convert(windows), CanSync: &allowed,
	}, nil
}

func convert(windows *v1alpha1.SyncWindows) []*applicationpkg.ApplicationSyncWindow {
	if windows == nil {
		return nil
	}
	var converted []*applicationpkg.ApplicationSyncWindow
	for _, w := range *windows {
		converted = append(converted, &applicationpkg.ApplicationSyncWindow{
			Kind: &w.Kind, Schedule: &w.Schedule, Duration: &w.Duration, ManualSync: &w.ManualSync,
		})
	}
	return converted
}
