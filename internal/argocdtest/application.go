package argocdtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	applicationpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/application"
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v2/util/rbac"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
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
	list, latest := &v1alpha1.ApplicationList{}, 0
	for _, app := range v.s.list() {
		if (q.GetAppNamespace() != "" && app.Namespace != q.GetAppNamespace()) || (q.Name != nil && app.Name != q.GetName()) ||
			(q.GetRepo() != "" && app.Spec.GetSource().RepoURL != q.GetRepo()) || !v.visible(ctx, app, projectsOf(q), selector) {
			continue
		}
		list.Items = append(list.Items, *app)
		latest = max(latest, versionOf(app))
	}
	list.ResourceVersion = strconv.Itoa(latest)
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

func notFound(name string) error {
	gone := apierrors.NewNotFound(schema.GroupResource{Group: "argoproj.io", Resource: "applications"}, name)
	return status.Error(codes.NotFound, gone.Error())
}

var errDenied = status.Error(codes.PermissionDenied, "permission denied")

func unknownProject(name string) error {
	return status.Error(codes.InvalidArgument, fmt.Sprintf("app is not allowed in project %q, or the project does not exist", name))
}
