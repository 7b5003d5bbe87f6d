package argocd

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// infoID is the name under which an operation carries the id of the release that it was started for.
const infoID = "slipway"

// Ref names an application. Without Namespace it is in Argo CD's own, without Project nobody knows yet which it is.
type Ref struct{ Namespace, Name, Project string }

// ParseRef reads NAME or NAMESPACE/NAME.
func ParseRef(text string) (Ref, bool) {
	r := Ref{Name: text}
	if namespace, name, found := strings.Cut(text, "/"); found {
		r = Ref{Namespace: namespace, Name: name}
		if namespace == "" {
			return r, false
		}
	}
	return r, r.Name != "" && !strings.Contains(r.Name, "/")
}

func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Name
	}
	return r.Namespace + "/" + r.Name
}

// Application is the state of an application at one moment.
type Application struct {
	Ref
	// Version grows with each change.
	Version string
	Sources []Source
	// Multiple says that the application has a list of sources, even if it is of one.
	Multiple bool
	// Automated says that its policy lets the controller sync; a server of v3 may have switched that off where this client
	// cannot see it. AutoPrune is what the policy says of objects that Git no longer has.
	Automated, AutoPrune bool
	Hydrated, Deleting   bool
	// Refreshing says that a comparison with Git was asked for and has not been done.
	Refreshing bool
	// Requested is the operation that was asked for, until it is complete.
	Requested *Operation
	// State is the operation that runs, or the last one that did.
	State *OperationState
	Sync  SyncStatus
	// Health is Healthy, Progressing, Degraded, Suspended, Missing or Unknown.
	Health       string
	ReconciledAt time.Time
	Resources    []Resource
	Conditions   []Condition
}

// Source is where an application's objects come from.
type Source struct{ Repo, Path, Revision, Chart string }

// Operation is a sync as it was asked for.
type Operation struct {
	ID        string // the release it was started for, if slipway did
	By        string // the account, or "" for the controller
	Revisions []string
	Partial   bool // of some resources only, or as a dry run
	Prune     bool
}

// OperationState is how an operation is doing. Its revisions are those that it has got.
type OperationState struct {
	Operation
	Phase, Message        string
	StartedAt, FinishedAt time.Time
	Results               []Result
}

// Result is what an operation did to a resource or a hook.
type Result struct {
	Key
	Status, Hook, HookPhase, Message string
}

// SyncStatus is the outcome of the last comparison with Git.
type SyncStatus struct {
	Status    string // Synced, OutOfSync or Unknown
	Revisions []string
	// Current says that the comparison was with the sources as they are now specified.
	Current bool
}

// Key names a resource.
type Key struct{ Group, Kind, Namespace, Name string }

func (k Key) String() string {
	kind := k.Kind
	if k.Group != "" {
		kind = k.Group + "/" + kind
	}
	if k.Namespace == "" {
		return kind + " " + k.Name
	}
	return kind + " " + k.Namespace + "/" + k.Name
}

// Resource is an object of an application.
type Resource struct {
	Key
	Sync, Health, Message string
	Prune                 bool // Git no longer has it
	Hook                  bool
}

// Condition is what Argo CD has to complain of.
type Condition struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// The words of Argo CD that decisions depend on.
const (
	synced    = "Synced"
	outOfSync = "OutOfSync"

	healthy   = "Healthy"
	degraded  = "Degraded"
	suspended = "Suspended"

	phaseSucceeded   = "Succeeded"
	phaseFailed      = "Failed"
	phaseError       = "Error"
	phaseTerminating = "Terminating"
)

// completed looks at the phase alone: between retries an operation has a time of finishing and is still Running.
func (s *OperationState) completed() bool {
	return s.Phase == phaseSucceeded || s.Phase == phaseFailed || s.Phase == phaseError
}

// key tells operations from each other.
func (s *OperationState) key() string {
	if s == nil {
		return ""
	}
	return fmt.Sprint(s.StartedAt.Unix(), s.ID, s.By, s.Revisions)
}

// running returns the operation that is asked for or under way, or nil.
func (a *Application) running() *OperationState {
	switch {
	case a.State != nil && !a.State.completed():
		return a.State
	case a.Requested != nil:
		return &OperationState{Operation: *a.Requested, Phase: "Running"} // as good as
	}
	return nil
}

// positions returns the indexes of the sources that read a repository, or all of one source where no repository is named.
func (a *Application) positions(repo string) []int {
	if repo == "" {
		if len(a.Sources) == 1 {
			return []int{0}
		}
		return nil
	}
	var found []int
	for i, source := range a.Sources {
		if source.Chart == "" && sameRepo(source.Repo, repo) {
			found = append(found, i)
		}
	}
	return found
}

// revisionAt returns the revision that the sources in question share, or "" if there is none.
func revisionAt(revisions []string, positions []int) string {
	revision := ""
	for _, position := range positions {
		if position >= len(revisions) || revision != "" && revisions[position] != revision {
			return ""
		}
		revision = revisions[position]
	}
	return revision
}

// sameRepo compares addresses of repositories. The server may know the same one by another name of its host, or by SSH.
func sameRepo(a, b string) bool { return repoPath(a) == repoPath(b) }

func repoPath(repo string) string {
	path := repo
	if u, err := url.Parse(repo); err == nil && u.Host != "" {
		path = u.Path
	} else if _, rest, found := strings.Cut(repo, ":"); found {
		path = rest // user@host:path
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(path, "/"), ".git"))
}

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

// olderThan compares the versions of two states, as far as they can be compared.
func (a *Application) olderThan(b *Application) bool {
	x, errX := strconv.ParseUint(a.Version, 10, 64)
	y, errY := strconv.ParseUint(b.Version, 10, 64)
	return errX == nil && errY == nil && x < y
}
