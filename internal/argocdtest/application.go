package argocdtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	applicationpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/application"
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v2/util/rbac"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
)

type applicationService struct {
	applicationpkg.UnimplementedApplicationServiceServer
	s *Server
}

// permitted finds an application and checks a right in the order, and with the answers, by which the real server hides what
// exists from those who may not know: without a project a missing application is PermissionDenied, with one it is NotFound.
func (s *Server) permitted(ctx context.Context, action, project, namespace, name string) (*application, *v1alpha1.Application, error) {
	key := s.keyOf(namespace, name)
	if project != "" {
		object := project + "/" + key.display(s.options.Namespace)
		if s.enforce(ctx, rbac.ResourceApplications, action, object) != nil {
			return nil, nil, errDenied
		}
	}
	s.mu.Lock()
	a := s.apps[key]
	s.mu.Unlock()
	hidden := errDenied
	if project != "" {
		hidden = notFound(name)
	}
	if a == nil {
		return nil, nil, hidden
	}
	app := s.snapshot(a)
	if s.enforce(ctx, rbac.ResourceApplications, action, app.RBACName(s.options.Namespace)) != nil {
		return nil, nil, hidden
	}
	if project != "" && app.Spec.GetProject() != project {
		return nil, nil, notFound(name)
	}
	if _, err := s.project(app.Spec.GetProject()); err != nil {
		return nil, nil, unknownProject(app.Spec.GetProject())
	}
	return a, app, nil
}

func projectsOf(q *applicationpkg.ApplicationQuery) []string {
	if q.Project != nil {
		return q.Project
	}
	return q.Projects
}

// Get returns an application; with refresh it waits for an event in which the annotation is gone, for as long as that takes.
func (v *applicationService) Get(ctx context.Context, q *applicationpkg.ApplicationQuery) (*v1alpha1.Application, error) {
	projects := projectsOf(q)
	if len(projects) > 1 {
		return nil, status.Error(codes.InvalidArgument, "multiple projects specified - the get endpoint accepts either zero or one project")
	}
	a, app, err := v.s.permitted(ctx, rbac.ActionGet, strings.Join(projects, ""), q.GetAppNamespace(), q.GetName())
	if err != nil || q.Refresh == nil {
		return app, err
	}
	sub, unsubscribe := v.s.subscribe()
	defer unsubscribe()
	kind := v1alpha1.RefreshTypeNormal
	if q.GetRefresh() == string(v1alpha1.RefreshTypeHard) {
		kind = v1alpha1.RefreshTypeHard
	}
	asked := v.s.update(a, func(app *v1alpha1.Application) {
		if app.Annotations == nil {
			app.Annotations = map[string]string{}
		}
		app.Annotations[v1alpha1.AnnotationKeyRefresh] = string(kind)
		app.Annotations[v1alpha1.AnnotationKeyHydrate] = string(v1alpha1.HydrateTypeNormal)
	})
	a.kick()
	for {
		select {
		case <-ctx.Done():
			return nil, errors.New("application refresh deadline exceeded")
		case event := <-sub.events:
			if event.Application.UID != app.UID || versionOf(&event.Application) <= versionOf(asked) {
				continue
			}
			if _, waiting := event.Application.Annotations[v1alpha1.AnnotationKeyRefresh]; !waiting {
				return &event.Application, nil
			}
		}
	}
}

func versionOf(app *v1alpha1.Application) int {
	version, _ := strconv.Atoi(app.ResourceVersion)
	return version
}

// List returns the applications that the caller may get.
func (v *applicationService) List(ctx context.Context, q *applicationpkg.ApplicationQuery) (*v1alpha1.ApplicationList, error) {
	selector, err := labels.Parse(q.GetSelector())
	if err != nil {
		return nil, fmt.Errorf("error parsing the selector: %w", err)
	}
	list := &v1alpha1.ApplicationList{}
	for _, app := range v.s.list() {
		if (q.GetAppNamespace() != "" && app.Namespace != q.GetAppNamespace()) || (q.Name != nil && app.Name != q.GetName()) ||
			(q.GetRepo() != "" && app.Spec.GetSource().RepoURL != q.GetRepo()) || !v.visible(ctx, app, projectsOf(q), selector) {
			continue
		}
		list.Items = append(list.Items, *app)
		list.ResourceVersion = strconv.Itoa(max(versionOf(app), versionOf(&v1alpha1.Application{ObjectMeta: metav1.ObjectMeta{
			ResourceVersion: list.ResourceVersion,
		}})))
	}
	return list, nil
}

func (v *applicationService) visible(ctx context.Context, app *v1alpha1.Application, projects []string, selector labels.Selector) bool {
	return (len(projects) == 0 || slices.Contains(projects, app.Spec.GetProject())) && selector.Matches(labels.Set(app.Labels)) &&
		v.s.enforce(ctx, rbac.ResourceApplications, rbac.ActionGet, app.RBACName(v.s.options.Namespace)) == nil
}

// Watch sends what there is as ADDED, for a named application whatever version the caller has, and then what changes. It says
// nothing of an application that the caller may not get, and it ends with OK when the server shuts down.
func (v *applicationService) Watch(q *applicationpkg.ApplicationQuery, stream applicationpkg.ApplicationService_WatchServer) error {
	selector, err := labels.Parse(q.GetSelector())
	if err != nil {
		return fmt.Errorf("error parsing labels with selectors: %w", err)
	}
	since, _ := strconv.Atoi(q.GetResourceVersion())
	key := v.s.keyOf(q.GetAppNamespace(), q.GetName())
	send := func(app *v1alpha1.Application, event watch.EventType) error {
		named := q.GetName() == "" || key == appKey{app.Namespace, app.Name}
		if versionOf(app) < since || !named || !v.visible(stream.Context(), app, projectsOf(q), selector) {
			return nil
		}
		return stream.Send(&v1alpha1.ApplicationWatchEvent{Type: event, Application: *app})
	}
	sub, unsubscribe := v.s.subscribe()
	defer unsubscribe()
	if q.GetResourceVersion() == "" || q.GetName() != "" {
		for _, app := range v.s.list() {
			if err := send(app, watch.Added); err != nil {
				return err
			}
		}
	}
	for {
		select {
		case <-stream.Context().Done():
			return nil
		case event := <-sub.events:
			if err := send(&event.Application, event.Type); err != nil {
				return err
			}
		}
	}
}

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
	if err := v.s.setOperation(a, op); err != nil {
		return nil, fmt.Errorf("error setting app operation: %w", err)
	}
	return v.s.snapshot(a), nil
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

// ResourceTree returns the live objects and their children, down to pods.
func (v *applicationService) ResourceTree(ctx context.Context, q *applicationpkg.ResourcesQuery) (*v1alpha1.ApplicationTree, error) {
	a, _, err := v.s.permitted(ctx, rbac.ActionGet, q.GetProject(), q.GetAppNamespace(), q.GetApplicationName())
	if err != nil {
		return nil, err
	}
	return v.s.applicationTree(a), nil
}

// ListResourceEvents returns the events of a node of the tree, of which name, namespace and UID must all be right. Without
// them they would be those of the Application, of which there are none.
func (v *applicationService) ListResourceEvents(
	ctx context.Context, q *applicationpkg.ApplicationResourceEventsQuery,
) (*corev1.EventList, error) {
	a, _, err := v.s.permitted(ctx, rbac.ActionGet, q.GetProject(), q.GetAppNamespace(), q.GetName())
	if err != nil {
		return nil, err
	}
	list := &corev1.EventList{}
	if q.GetResourceName() == "" && q.GetResourceUID() == "" {
		return list, nil
	}
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	for _, n := range v.s.tree(a) {
		if n.UID == q.GetResourceUID() && n.Name == q.GetResourceName() && n.Namespace == q.GetResourceNamespace() {
			list.Items = eventsOf(n)
			return list, nil
		}
	}
	return nil, status.Errorf(codes.InvalidArgument, "%s not found as part of application %s", q.GetResourceName(), q.GetName())
}

// PodLogs sends the lines of one pod and then an entry that is the last. The logs before a restart that did not happen are an
// error that comes as a line, as the real server has it.
func (v *applicationService) PodLogs(q *applicationpkg.ApplicationPodLogsQuery, stream applicationpkg.ApplicationService_PodLogsServer) error {
	ctx := stream.Context()
	a, app, err := v.s.permitted(ctx, rbac.ActionGet, q.GetProject(), q.GetAppNamespace(), q.GetName())
	if err != nil {
		return err
	}
	if v.s.enforcesLogs() {
		if err := v.s.enforce(ctx, rbac.ResourceLogs, rbac.ActionGet, app.RBACName(v.s.options.Namespace)); err != nil {
			return err
		}
	}
	v.s.mu.Lock()
	nodes := v.s.tree(a)
	v.s.mu.Unlock()
	name, at := q.GetPodName(), time.Now()
	if name == "" {
		name = q.GetResourceName()
	}
	i := slices.IndexFunc(nodes, func(n node) bool { return n.pod != nil && n.Name == name })
	if i < 0 {
		return nil
	}
	for _, line := range logLines(nodes[i], q) {
		if err := stream.Send(logEntry(name, line, at, false)); err != nil {
			return err
		}
	}
	if q.GetFollow() {
		<-ctx.Done()
		return nil
	}
	return stream.Send(logEntry("", "", at, true))
}

func logLines(n node, q *applicationpkg.ApplicationPodLogsQuery) []string {
	text := n.pod.Logs
	if q.GetPrevious() {
		if text = n.pod.PreviousLogs; text == "" {
			text = fmt.Sprintf("previous terminated container %q in pod %q not found", q.GetContainer(), n.Name)
		}
	}
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return line == "" })
	if tail := int(q.GetTailLines()); tail > 0 && len(lines) > tail {
		lines = lines[len(lines)-tail:]
	}
	return lines
}

func logEntry(pod, line string, at time.Time, last bool) *applicationpkg.LogEntry {
	when, stamp := at.Format(time.RFC3339Nano), metav1.NewTime(at)
	return &applicationpkg.LogEntry{PodName: &pod, Content: &line, TimeStampStr: &when, TimeStamp: &stamp, Last: &last}
}
