package argocd

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"slipway/steps/internal/failure"
)

// Action is what to do next.
type Action int

// The actions. After all but Again, Done and Fail the application is looked at again.
const (
	Wait      Action = iota // for an event, at most until Until
	Ask                     // how Revision is related to the release
	Refresh                 // compare with Git
	Start                   // a sync as Sync says
	Terminate               // the operation that is in the way
	Again                   // in a later run: the operation Revision has ended for a reason that passes, as Err says
	Done                    // the application is as asked
	Fail                    // it will not be, as Err says
)

// Decision is what to do next and why.
type Decision struct {
	Action Action
	// Reason is what is waited for, or how it has ended.
	Reason   string
	Until    time.Time
	Revision string
	Sync     SyncRequest
	Err      error
	// Changed says of Done that an operation of this run has brought it about.
	Changed bool
	// Notice is what a user should know although it is no failure.
	Notice string
}

const (
	// automatedGrace is how long the controller gets to sync by itself what it has been told of.
	automatedGrace = 10 * time.Second
	// refreshEvery and refreshes bound how often Git is compared again, in the hope that it shows the commit.
	refreshEvery = 10 * time.Second
	refreshes    = 3
	// syncs bounds how often other people's operations are answered by another sync.
	syncs = 2
	// windowEvery is how often a sync is tried that a window has forbidden.
	windowEvery = 30 * time.Second
	// resolveTries and resolveEvery bound how long the server's trouble with Git is taken for a passing one.
	resolveTries = 3
	resolveEvery = 5 * time.Second
	// starts bounds how often an operation is started that ends for reasons that pass. againAfter is the wait before the second
	// start, which doubles with each.
	starts     = 4
	againAfter = 5 * time.Second
	// misses is how often a specification is compared that the controller takes for wrong after such an operation.
	misses = 2
)

// Decide says what to do next. It does nothing itself and knows nothing but its arguments.
func Decide(r Request, p Progress, a *Application, now time.Time) Decision {
	d := decider{Request: r, Progress: p, a: a, now: now, at: a.positions(r.Repo)}
	switch {
	case a.Deleting:
		return fail(failure.Conflict, "", "the application is being deleted")
	case a.Hydrated:
		return fail(failure.Conflict, "let an application without a source hydrator follow the branch",
			"its manifests are made by the source hydrator, so that no commit of it is the released one")
	case len(d.at) == 0:
		return d.noSource()
	}
	if running := a.running(); running != nil {
		return d.during(running)
	}
	return d.between()
}

type decider struct {
	Request
	Progress
	a   *Application
	at  []int
	now time.Time
}

func fail(kind failure.Kind, hint, format string, args ...any) Decision {
	return Decision{Action: Fail, Err: failure.New(kind, hint, format, args...)}
}

func (d *decider) noSource() Decision {
	var repos []string
	for _, source := range d.a.Sources {
		repos = append(repos, source.Repo)
	}
	if d.Repo == "" {
		return fail(failure.Usage, "name the repository of the release with --repo", "it has %d sources: %s", len(repos), strings.Join(repos, ", "))
	}
	return fail(failure.Usage, "check --app and --repo", "it does not read %s, but %s", d.Repo, strings.Join(repos, ", "))
}

// relation answers 0 if somebody has to be asked.
func (d *decider) relation(revision string) Relation {
	switch revision {
	case "":
		return Unknown
	case d.Revision:
		return same
	}
	return d.Relations[revision]
}

func (d *decider) accepts(rel Relation) bool { return rel == same || rel == Descendant && !d.Exact }

func (d *decider) wait(until time.Time, format string, args ...any) Decision {
	return Decision{Action: Wait, Until: until, Reason: fmt.Sprintf(format, args...)}
}

// during decides while an operation runs: it is ours, or as good as ours, or in the way.
func (d *decider) during(op *OperationState) Decision {
	revision := revisionAt(op.Revisions, d.at)
	rel := d.relation(revision)
	ours := op.ID == d.ID
	if rel == 0 && !ours {
		return Decision{Action: Ask, Revision: revision}
	}
	if strings.Contains(op.Message, "blocked by sync window") && !d.WaitForWindow {
		return fail(failure.Conflict, hintWindow, "the operation is blocked by a sync window")
	}
	if ours || d.accepts(rel) && !op.Partial {
		if d.NoWait {
			return Decision{Action: Done, Changed: true, Reason: "operation " + op.Phase}
		}
		return d.wait(time.Time{}, "operation %s%s", op.Phase, saying(op.Message))
	}
	age := d.now.Sub(d.blocked)
	if d.TerminateAfter > 0 && age >= d.TerminateAfter && op.Phase != phaseTerminating && d.Terminated != op.key() {
		return Decision{Action: Terminate, Revision: op.key(), Reason: "operation of " + op.who() + " is in the way"}
	}
	until := time.Time{}
	if d.TerminateAfter > 0 {
		until = d.blocked.Add(d.TerminateAfter)
	}
	return d.wait(until, "operation of %s to %s is in the way, %s%s", op.who(), short(revision), op.Phase, saying(op.Message))
}

func (o *Operation) who() string { return cmp.Or(o.By, "the controller") }

func saying(message string) string {
	if message == "" {
		return ""
	}
	return ": " + message
}

func short(revision string) string {
	if revision == "" {
		return "an unknown revision"
	}
	return revision[:min(len(revision), 12)]
}

// between decides while no operation runs.
func (d *decider) between() Decision {
	last := d.a.State
	if d.inVain() && d.a.invalid() {
		return d.unknown()
	}
	if last != nil && last.FinishedAt.After(d.a.ReconciledAt) {
		// What the status says is older than what the operation has done.
		return d.refresh("the comparison that follows the operation")
	}
	target := revisionAt(d.a.Sync.Revisions, d.at)
	compared := d.relation(target)
	live, applied := d.live()
	if compared == 0 {
		return Decision{Action: Ask, Revision: target}
	}
	if live == 0 {
		return Decision{Action: Ask, Revision: applied}
	}
	switch {
	case d.inVain():
		return d.again(target, compared)
	case !d.joined():
		live = d.earlier(live)
	case last.Phase != phaseSucceeded:
		return fail(failure.Unhealthy, "", "the operation has ended as %s%s", last.Phase, saying(last.Message))
	}
	switch {
	case live == Descendant && d.Exact:
		return fail(failure.Superseded, "", "%s, which contains the release, was synced instead", short(applied))
	case !d.a.Sync.Current:
		return d.refresh("the comparison with the sources as they are specified now")
	case d.a.Sync.Status == synced && (d.accepts(compared) || compared == Descendant && live == same) && !d.failedBefore():
		return d.health("")
	case d.accepts(live):
		return d.unsynced(target, compared, applied)
	case d.Syncs-d.Repeats >= syncs && last != nil:
		return fail(failure.Superseded, "", "%s was synced by %s after the release", short(applied), last.who())
	}
	return d.start(target, compared)
}

// live returns what the last operation has brought into the cluster; one that failed or was partial has brought nothing sure.
func (d *decider) live() (Relation, string) {
	last := d.a.State
	if last == nil || last.Partial || last.Phase != phaseSucceeded {
		return Unknown, ""
	}
	revision := revisionAt(last.Revisions, d.at)
	return d.relation(revision), revision
}

// joined says that the last operation is part of this release: it was not complete when that began, and it is ours or at our
// revision.
func (d *decider) joined() bool {
	last := d.a.State
	if last == nil || last.key() == d.before {
		return false
	}
	return last.ID == d.ID || !last.Partial && d.accepts(d.relation(revisionAt(last.Revisions, d.at)))
}

// failedBefore says that the operation to our revision had failed when the release began. That the objects are as in Git does
// not make up for hooks that failed.
func (d *decider) failedBefore() bool {
	last := d.a.State
	return last != nil && !d.joined() && last.Phase != phaseSucceeded && d.relation(revisionAt(last.Revisions, d.at)) == same
}
