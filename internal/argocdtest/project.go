package argocdtest

import (
	"fmt"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// windows returns the sync windows of the project that concern the application.
func (s *Server) windows(app *v1alpha1.Application) *v1alpha1.SyncWindows {
	s.mu.Lock()
	defer s.mu.Unlock()
	if project := s.projects[app.Spec.Project]; project != nil {
		return project.Spec.SyncWindows.Matches(app)
	}
	return nil
}

// SetWindows replaces the sync windows of a project; the controller notices.
func (s *Server) SetWindows(project string, windows ...*v1alpha1.SyncWindow) {
	s.EditProject(project, func(p *v1alpha1.AppProject) { p.Spec.SyncWindows = windows })
}

// EditProject changes a project, or one that it creates; the controller notices.
func (s *Server) EditProject(name string, edit func(*v1alpha1.AppProject)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := newProject(s.options.Namespace, name)
	if known := s.projects[name]; known != nil {
		next = known.DeepCopy()
	}
	edit(next)
	s.projects[name] = next
	for _, a := range s.apps {
		a.kick()
	}
}

// ForgetProject lets the controller, and not the API, take a project for missing until RecallProject, as one does that was started
// and has not read the projects: operations end as Error, and applications are not compared.
func (s *Server) ForgetProject(name string) { s.setForgotten(name, true) }

// RecallProject ends ForgetProject.
func (s *Server) RecallProject(name string) { s.setForgotten(name, false) }

func (s *Server) setForgotten(name string, forgotten bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten[name] = forgotten
	for _, a := range s.apps {
		a.kick()
	}
}

// unknownToController returns the condition of applications whose project the controller does not know, or nothing.
func (s *Server) unknownToController(project string) []v1alpha1.ApplicationCondition {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.forgotten[project] {
		return nil
	}
	return []v1alpha1.ApplicationCondition{s.condition(v1alpha1.ApplicationConditionInvalidSpecError,
		fmt.Sprintf("Application referencing project %s which does not exist", project))}
}

// Closed is a window that forbids every sync at all times, and with manual those that nobody asked for only.
func Closed(manual bool) *v1alpha1.SyncWindow {
	return &v1alpha1.SyncWindow{Kind: "deny", Schedule: "* * * * *", Duration: "1h", Applications: []string{"*"}, ManualSync: manual}
}

func newProject(namespace, name string) *v1alpha1.AppProject {
	return &v1alpha1.AppProject{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: v1alpha1.AppProjectSpec{
			SourceRepos:  []string{"*"},
			Destinations: []v1alpha1.ApplicationDestination{{Server: "*", Namespace: "*"}},
		},
	}
}

func (s *Server) project(name string) (*v1alpha1.AppProject, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.projects[name]; p != nil {
		return p, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Group: "argoproj.io", Resource: "appprojects"}, name)
}
