package argocdtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// App is an application as whoever runs Argo CD declares it.
type App struct {
	Name string
	// Namespace is where the Application lives, the server's own if empty.
	Namespace string
	// Project is default if empty. An unknown one is created and allows everything.
	Project string
	Labels  map[string]string
	// Repo is anything that git can fetch from, Path a directory in it and Revision a branch, tag or commit, HEAD if empty.
	Repo, Path, Revision string
	// Sources, where set, are used instead of Repo, Path and Revision.
	Sources []v1alpha1.ApplicationSource
	// DestNamespace is where resources go that name no namespace, the application's name if empty.
	DestNamespace string
	// Automated syncs whenever Git has changed, SelfHeal also when the cluster has, and Prune deletes what Git no longer has.
	Automated, SelfHeal, Prune bool
	// Retry, where set, is the retry strategy of operations that name none.
	Retry *v1alpha1.RetryStrategy
	// Deployed makes AddApp return with the revision synced and healthy already, as by an operation in the past.
	Deployed bool
	// Rollout, where set, decides as Server.Rollout says.
	Rollout func(Workload) Outcome
	// Edit, where set, changes what has no field here.
	Edit func(*v1alpha1.Application)
}

type appKey struct{ namespace, name string }

func (s *Server) keyOf(namespace, name string) appKey {
	return appKey{cmp.Or(namespace, s.options.Namespace), name}
}

// parseKey reads NAME or NAMESPACE/NAME.
func (s *Server) parseKey(qualified string) appKey {
	if namespace, name, found := strings.Cut(qualified, "/"); found {
		return appKey{namespace, name}
	}
	return s.keyOf("", qualified)
}

func (k appKey) display(home string) string {
	if k.namespace == home {
		return k.name
	}
	return k.namespace + "/" + k.name
}

// application is an Application and what the controller knows of it. The object is replaced, never changed.
type application struct {
	key     appKey
	current *v1alpha1.Application
	wake    chan struct{} // has room for one: the controller must look
	request comparison    // what was requested of the controller
	rollout func(Workload) Outcome
	live    map[resourceKey]*liveObject
	begun   time.Time // when the operation did
	errors  []string  // how the next operations end
}

// AddApp declares an application and returns when the controller has compared it with Git for the first time, whatever came
// of that.
func (s *Server) AddApp(a App) error {
	if a.Name == "" {
		return errors.New("argo cd test server: an application without a name")
	}
	object := a.object(s.options.Namespace)
	added := &application{
		key: appKey{object.Namespace, a.Name}, wake: make(chan struct{}, 1), live: map[resourceKey]*liveObject{},
	}
	s.mu.Lock()
	if s.apps[added.key] != nil {
		s.mu.Unlock()
		return fmt.Errorf("argo cd test server: application %s exists", added.key.display(s.options.Namespace))
	}
	if name := object.Spec.Project; s.projects[name] == nil {
		s.projects[name] = newProject(s.options.Namespace, name)
	}
	s.apps[added.key] = added
	s.store(added, object, watch.Added)
	s.mu.Unlock()
	if a.Deployed {
		if err := s.deploy(added); err != nil {
			return fmt.Errorf("argo cd test server: application %s: %w", a.Name, err)
		}
	}
	s.mu.Lock()
	added.rollout = a.Rollout
	s.mu.Unlock()
	s.reconcile(added, compareForced)
	s.working.Go(func() { s.control(added) })
	return nil
}

func (a App) object(home string) *v1alpha1.Application {
	object := &v1alpha1.Application{
		ObjectMeta: metav1.ObjectMeta{
			Name: a.Name, Namespace: cmp.Or(a.Namespace, home), Labels: a.Labels, UID: types.UID("app-" + a.Namespace + a.Name),
		},
		Spec: v1alpha1.ApplicationSpec{
			Project: cmp.Or(a.Project, "default"),
			Destination: v1alpha1.ApplicationDestination{
				Server: "https://kubernetes.default.svc", Namespace: cmp.Or(a.DestNamespace, a.Name),
			},
			Sources: a.Sources,
		},
	}
	if len(a.Sources) == 0 {
		object.Spec.Source = &v1alpha1.ApplicationSource{RepoURL: a.Repo, Path: a.Path, TargetRevision: a.Revision}
	}
	if a.Automated || a.Retry != nil {
		object.Spec.SyncPolicy = &v1alpha1.SyncPolicy{Retry: a.Retry}
	}
	if a.Automated {
		object.Spec.SyncPolicy.Automated = &v1alpha1.SyncPolicyAutomated{Prune: a.Prune, SelfHeal: a.SelfHeal}
	}
	if a.Edit != nil {
		a.Edit(object)
	}
	return object
}

// App returns an application, NAME or NAMESPACE/NAME, as it is now, or nil. It must not be changed.
func (s *Server) App(qualified string) *v1alpha1.Application {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.apps[s.parseKey(qualified)]; a != nil {
		return a.current
	}
	return nil
}

// EditApp changes an application as an administrator does, its specification or its metadata; the controller notices.
func (s *Server) EditApp(qualified string, edit func(*v1alpha1.Application)) error {
	a, err := s.find(qualified)
	if err != nil {
		return err
	}
	s.update(a, edit)
	a.kick()
	return nil
}

// RemoveApp deletes an application; what it has brought into the cluster is forgotten.
func (s *Server) RemoveApp(qualified string) error {
	a, err := s.find(qualified)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.apps, a.key)
	s.store(a, a.current.DeepCopy(), watch.Deleted)
	a.kick()
	return nil
}

// Await returns an application as soon as it is as wanted.
func (s *Server) Await(ctx context.Context, qualified string, wanted func(*v1alpha1.Application) bool) (*v1alpha1.Application, error) {
	a, err := s.find(qualified)
	if err != nil {
		return nil, err
	}
	sub, unsubscribe := s.subscribe()
	defer unsubscribe()
	for app := s.snapshot(a); ; app = s.snapshot(a) {
		if wanted(app) {
			return app, nil
		}
		select {
		case <-ctx.Done():
			return app, fmt.Errorf("argo cd test server: application %s: %w", qualified, ctx.Err())
		case <-sub.events:
		}
	}
}

func (s *Server) find(qualified string) (*application, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.apps[s.parseKey(qualified)]; a != nil {
		return a, nil
	}
	return nil, fmt.Errorf("argo cd test server: no application %s", qualified)
}

// update changes an application; one that is changed to what it was keeps its resource version and makes no event.
func (s *Server) update(a *application, edit func(*v1alpha1.Application)) *v1alpha1.Application {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := a.current.DeepCopy()
	edit(next)
	if !reflect.DeepEqual(a.current, next) {
		s.store(a, next, watch.Modified)
	}
	return a.current
}

// store needs the lock.
func (s *Server) store(a *application, next *v1alpha1.Application, event watch.EventType) {
	s.version++
	next.ResourceVersion = strconv.Itoa(s.version)
	a.current = next
	for sub := range s.subscribers {
		select {
		case sub.events <- &v1alpha1.ApplicationWatchEvent{Type: event, Application: *next}:
		default: // as the real broadcaster does with a slow reader
		}
	}
}

func (s *Server) snapshot(a *application) *v1alpha1.Application {
	s.mu.Lock()
	defer s.mu.Unlock()
	return a.current
}

// kick makes the controller look at the application.
func (a *application) kick() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// watchBuffer is how many events are kept for a slow reader of a watch before events are dropped.
const watchBuffer = 1000

type subscriber struct {
	events chan *v1alpha1.ApplicationWatchEvent
}

func (s *Server) subscribe() (sub *subscriber, unsubscribe func()) {
	sub = &subscriber{make(chan *v1alpha1.ApplicationWatchEvent, watchBuffer)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers[sub] = struct{}{}
	return sub, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.subscribers, sub)
	}
}

// list returns the applications in the order of their names.
func (s *Server) list() []*v1alpha1.Application {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*v1alpha1.Application, 0, len(s.apps))
	for _, a := range s.apps {
		all = append(all, a.current)
	}
	slices.SortFunc(all, func(x, y *v1alpha1.Application) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Namespace, y.Namespace))
	})
	return all
}
