// Package argocd owns Argo CD: it reaches the API server through the SDK's generated clients, says in our words how an
// application is, classifies every error, and knows how to bring an application to a revision. It is the only package that
// imports argo-cd. What is tried again is the steps' business; what is waited for is decided by Decide.
package argocd

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	applicationpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/application"
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"k8s.io/apimachinery/pkg/watch"

	"slipway/retry"
)

const (
	// callLimit bounds a call: a server that is silent costs this much of the deadline and is asked again.
	callLimit = 30 * time.Second
	// refreshLimit bounds a refresh, which lasts until the controller gets to it. Load balancers end it after the same time.
	refreshLimit = 60 * time.Second
	// patience tells a refresh that was cut off, by whomever, from one that did not reach the server.
	patience = 5 * time.Second
)

// SyncRequest is a sync to be started.
type SyncRequest struct {
	// ID goes with the operation, so that it can be recognised when the answer is lost.
	ID string
	// Revision is to be synced, or what the application follows if it is empty.
	Revision string
	// Positions are the indexes of the sources whose revision it is; they count if the application has a list of sources.
	Positions []int
	Multiple  bool
	Prune     bool
}

// Window is a time in which syncs are allowed or denied.
type Window struct {
	Kind     string `json:"kind"`
	Schedule string `json:"schedule"`
	Duration string `json:"duration"`
}

// Get reads an application. The project, if it is known, keeps a missing application apart from a forbidden one.
func (c *Client) Get(ctx context.Context, r Ref) (*Application, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return c.get(ctx, r, c.query(r))
}

// Refresh makes the controller compare the application with Git and returns it afterwards. A controller that takes longer
// than a minute is not waited for: then Refreshing is set in what is returned.
func (c *Client) Refresh(ctx context.Context, r Ref) (*Application, error) {
	limited, cancel := context.WithTimeout(ctx, refreshLimit)
	defer cancel()
	q, kind := c.query(r), string(v1alpha1.RefreshTypeNormal)
	q.Refresh = &kind
	began := time.Now()
	a, err := c.get(limited, r, q)
	if err != nil && retry.IsTransient(err) && ctx.Err() == nil && time.Since(began) > patience {
		// It was noted, but the controller is busy; to ask again would only end in the same way.
		return c.Get(ctx, r)
	}
	return a, err
}

func (c *Client) get(ctx context.Context, r Ref, q *applicationpkg.ApplicationQuery) (*Application, error) {
	app, err := c.apps.Get(ctx, q)
	if err != nil {
		return nil, r.failed(ctx, err)
	}
	return newApplication(app), nil
}

func (r Ref) failed(ctx context.Context, err error) error {
	return classify(ctx, "application "+r.String(), err)
}

func (c *Client) query(r Ref) *applicationpkg.ApplicationQuery {
	q := &applicationpkg.ApplicationQuery{Name: &r.Name}
	if r.Namespace != "" {
		q.AppNamespace = &r.Namespace
	}
	if r.Project != "" {
		q.Projects, q.Project = []string{r.Project}, []string{r.Project}
	}
	return q
}

// List names the applications with these labels.
func (c *Client) List(ctx context.Context, selector, project string) ([]Ref, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	q := &applicationpkg.ApplicationQuery{Selector: &selector}
	if project != "" {
		q.Projects, q.Project = []string{project}, []string{project}
	}
	list, err := c.apps.List(ctx, q)
	if err != nil {
		return nil, classify(ctx, "applications with the labels "+selector, err)
	}
	refs := make([]Ref, 0, len(list.Items))
	for _, app := range list.Items {
		refs = append(refs, Ref{Namespace: app.Namespace, Name: app.Name, Project: app.Spec.GetProject()})
	}
	return refs, nil
}

// Sync asks for an operation and returns the application with it. When the answer is lost the operation may have been
// started: the caller must look for its id before it asks again.
func (c *Client) Sync(ctx context.Context, r Ref, s SyncRequest) (*Application, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	q := &applicationpkg.ApplicationSyncRequest{
		Name: &r.Name, AppNamespace: optional(r.Namespace), Project: optional(r.Project), Prune: &s.Prune,
		Infos: []*v1alpha1.Info{{Name: infoID, Value: s.ID}},
	}
	if s.Revision != "" && !s.Multiple {
		q.Revision = &s.Revision
	}
	if s.Revision != "" && s.Multiple {
		// Both lists must be of one length: the server indexes one by the other and would panic.
		for _, position := range s.Positions {
			q.SourcePositions = append(q.SourcePositions, int64(position)+1)
			q.Revisions = append(q.Revisions, s.Revision)
		}
	}
	app, err := c.apps.Sync(ctx, q)
	if err != nil {
		return nil, r.failed(ctx, err)
	}
	return newApplication(app), nil
}

// Terminate asks for the end of the operation; it is not over when this returns. Without one there is nothing to do.
func (c *Client) Terminate(ctx context.Context, r Ref) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, err := c.apps.TerminateOperation(ctx, &applicationpkg.OperationTerminateRequest{
		Name: &r.Name, AppNamespace: optional(r.Namespace), Project: optional(r.Project),
	})
	if err = r.failed(ctx, err); errors.Is(err, ErrIdle) {
		return nil
	}
	return err
}

// Windows returns the sync windows that concern an application and are open, and whether a sync may start now.
func (c *Client) Windows(ctx context.Context, r Ref) (windows []Window, canSync bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	reply, err := c.apps.GetApplicationSyncWindows(ctx, &applicationpkg.ApplicationSyncWindowsQuery{
		Name: &r.Name, AppNamespace: optional(r.Namespace), Project: optional(r.Project),
	})
	if err != nil {
		return nil, false, r.failed(ctx, err)
	}
	for _, w := range reply.AssignedWindows {
		windows = append(windows, Window{w.GetKind(), w.GetSchedule(), w.GetDuration()})
	}
	return windows, reply.GetCanSync(), nil
}

// Watch calls see with the application as it is now and after every change, until the stream ends, which it does for all
// kinds of reasons; nil means that the server ended it, and errDeleted that the application is no more. Events may be lost on the
// way.
func (c *Client) Watch(ctx context.Context, r Ref, see func(*Application)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.apps.Watch(ctx, c.query(r))
	for err == nil {
		var event *v1alpha1.ApplicationWatchEvent
		switch event, err = stream.Recv(); {
		case err != nil:
		case event.Type == watch.Deleted:
			return errDeleted
		default:
			see(newApplication(&event.Application))
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return classify(ctx, "watch of application "+r.String(), err)
}

var errDeleted = errors.New("the application was deleted")

// Page is the address of an application in the user interface.
func (c *Client) Page(r Ref) string {
	parts := []string{c.settings.URL(), "applications"}
	if r.Namespace != "" {
		parts = append(parts, r.Namespace)
	}
	return strings.Join(append(parts, r.Name), "/")
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
