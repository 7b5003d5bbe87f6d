package argocd

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
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

	invalidSpec = "InvalidSpecError"
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

// olderThan compares the versions of two states, as far as they can be compared.
func (a *Application) olderThan(b *Application) bool {
	x, errX := strconv.ParseUint(a.Version, 10, 64)
	y, errY := strconv.ParseUint(b.Version, 10, 64)
	return errX == nil && errY == nil && x < y
}
