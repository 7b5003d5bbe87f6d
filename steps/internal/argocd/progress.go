package argocd

import "time"

// Request is what a release asks of an application.
type Request struct {
	// Revision is the full name of the commit that the application must be at.
	Revision string
	// Repo is the repository of the commit; it finds the source among several.
	Repo string
	// ID names the release. Operations carry it.
	ID string
	// Exact refuses descendants of Revision, too.
	Exact bool
	// Prune deletes what Git no longer has, as does the application's own policy.
	Prune bool
	// NoWait is content with an operation that was started.
	NoWait bool
	// WaitForWindow waits until a sync window lets the sync start.
	WaitForWindow bool
	// Settle is how long the application must stay healthy, Grace how long it may be degraded.
	Settle, Grace time.Duration
	// TerminateAfter ends other people's operations that are in the way for so long, if it is not zero.
	TerminateAfter time.Duration
}

// Relation is how another commit is related to the one that is released.
type Relation int

// The relations. A commit of no known relation is not accepted, and refused as late as possible.
const (
	Unrelated  Relation = iota + 1 // it does not contain the release
	Descendant                     // it does
	Unknown                        // nobody can tell
	same
)

// Progress is what is known of a release besides the application's state. The zero value is its beginning.
type Progress struct {
	// Relations are the answers to Ask, by commit.
	Relations map[string]Relation
	// Refreshes counts what Refresh has asked for since the last sync, and Refreshed is when it was last answered.
	Refreshes int
	Refreshed time.Time
	// Syncs counts the operations that the server has accepted, and NotBefore is when the next may be asked for.
	Syncs     int
	NotBefore time.Time
	// Refusal is why the server has refused the last sync: ErrAutomated or ErrWindow.
	Refusal error
	// Terminated is the operation whose end was asked for.
	Terminated string
	// Repeats counts the operations that have ended for reasons that pass, Repeated is the last one, and Cause is what it said.
	Repeats  int
	Repeated string
	Cause    string

	before     string // the operation that was complete when the release began
	began      bool
	waiting    time.Time // since when nothing runs although something should
	blocking   string    // the operation in the way
	blocked    time.Time // since when
	healthy    time.Time
	degraded   time.Time
	unfinished bool
	unresolved int // times that the server could not look the revision up
}

// Observe returns what is known after another look at the application.
func (p Progress) Observe(a *Application, now time.Time) Progress {
	running := a.running()
	if !p.began {
		p.began = true
		if running == nil {
			p.before = a.State.key()
		}
	}
	if a.State == nil {
		p.before = "" // the state of a new operation replaces the old one, so all that come are new
	}
	if running != nil {
		p.unfinished = true
		p.healthy, p.degraded, p.waiting = time.Time{}, time.Time{}, time.Time{}
		if key := running.key(); key != p.blocking || p.blocked.IsZero() {
			p.blocking, p.blocked = key, now
		}
		return p
	}
	if p.unfinished {
		p.unfinished = false
		p.Refreshes = 0
	}
	p.blocked = time.Time{}
	p.waiting = since(true, p.waiting, now)
	p.healthy = since(a.Health == healthy, p.healthy, now)
	p.degraded = since(a.Health == degraded, p.degraded, now)
	return p
}

func since(holds bool, began, now time.Time) time.Time {
	if !holds {
		return time.Time{}
	}
	if began.IsZero() {
		return now
	}
	return began
}
