package argocd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/steps/internal/failure"
)

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

// Action is what to do next.
type Action int

// The actions. After all but Done and Fail the application is looked at again.
const (
	Wait      Action = iota // for an event, at most until Until
	Ask                     // how Revision is related to the release
	Refresh                 // compare with Git
	Start                   // a sync as Sync says
	Terminate               // the operation that is in the way
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
)

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
	if !d.joined() {
		live = d.earlier(live)
	} else if last.Phase != phaseSucceeded {
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
	case d.Syncs >= syncs && last != nil:
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

// earlier judges an operation that was complete before: what has become OutOfSync since, by a change of the cluster, is synced
// again, except where that would prune nothing either.
func (d *decider) earlier(live Relation) Relation {
	target := revisionAt(d.a.Sync.Revisions, d.at)
	drifted := d.a.Sync.Status == outOfSync && target == revisionAt(d.a.State.revisions(), d.at)
	if drifted && (!d.onlyPruning() || d.prune()) {
		return Unknown
	}
	return live
}

func (s *OperationState) revisions() []string {
	if s == nil {
		return nil
	}
	return s.Revisions
}

// unsynced decides what it means that the application is not Synced although the release was.
func (d *decider) unsynced(target string, compared Relation, applied string) Decision {
	switch {
	case d.a.Sync.Status != outOfSync:
		if d.Refreshes >= refreshes {
			return fail(failure.Unhealthy, "", "its sync status is %s after the release was synced%s", d.a.Sync.Status, d.conditions())
		}
		return d.refresh("a comparison with Git")
	case target != applied && compared == Descendant:
		return d.health(fmt.Sprintf("%s has moved on to %s, which changes the application and is not synced", d.followed(), short(target)))
	case target != applied:
		if d.Refreshes < refreshes {
			return d.refresh("Git to show the release")
		}
		return fail(failure.Conflict, "release to the branch that the application follows, or let it follow this one",
			"%s was synced, but the application follows %s, which is at %s%s: it would be OutOfSync for ever",
			short(applied), d.followed(), short(target), d.relationText(compared))
	case d.Refreshes == 0:
		return d.refresh("another comparison, as it is OutOfSync after the sync")
	case d.onlyPruning():
		return fail(failure.Conflict, "delete them with --prune, or keep them out of the comparison by the annotation argocd.argoproj.io/compare-options: IgnoreExtraneous",
			"it stays OutOfSync because Git no longer has %s", d.list(func(r Resource) bool { return r.Prune }))
	}
	return fail(failure.Unhealthy, "compare the objects with Git; what the cluster changes by itself belongs into ignoreDifferences",
		"it is OutOfSync although %s was synced: %s", short(applied), d.list(differs))
}

func differs(r Resource) bool { return r.Sync == outOfSync }

func (d *decider) onlyPruning() bool {
	found := slices.IndexFunc(d.a.Resources, func(r Resource) bool { return differs(r) && r.Prune })
	other := slices.IndexFunc(d.a.Resources, func(r Resource) bool { return differs(r) && !r.Prune })
	return found >= 0 && other < 0
}

func (d *decider) list(keep func(Resource) bool) string {
	var names []string
	for _, r := range d.a.Resources {
		if keep(r) {
			names = append(names, r.String())
		}
	}
	if len(names) > 5 {
		names = append(names[:5], fmt.Sprintf("%d more", len(names)-5))
	}
	return strings.Join(names, ", ")
}

func (d *decider) followed() string { return d.a.Sources[d.at[0]].Revision }

func (d *decider) relationText(rel Relation) string {
	if rel == Unknown {
		return ", of which nobody can tell whether it contains the release (name the repository with --repo)"
	}
	return ", which does not contain the release"
}

func (d *decider) conditions() string {
	var all []string
	for _, c := range d.a.Conditions {
		all = append(all, c.Type+": "+c.Message)
	}
	return saying(strings.Join(all, "; "))
}

// refresh asks for a comparison, at once for the first time and then from time to time.
func (d *decider) refresh(what string) Decision {
	again := d.Refreshed.Add(refreshEvery)
	if d.Refreshes == 0 && d.now.Sub(d.Refreshed) >= time.Second || !d.now.Before(again) {
		return Decision{Action: Refresh, Reason: what}
	}
	if d.Refreshes == 0 {
		again = d.Refreshed.Add(time.Second)
	}
	return d.wait(again, "%s", what)
}

func (d *decider) prune() bool { return d.Prune || d.a.AutoPrune }

// start decides how the release gets into the cluster.
func (d *decider) start(target string, compared Relation) Decision {
	switch {
	case compared == Unrelated, compared == Unknown && (d.a.Automated || errors.Is(d.Refusal, ErrAutomated)):
		if d.a.Refreshing {
			return d.wait(d.now.Add(refreshEvery), "the comparison with Git")
		}
		if d.Refreshes < refreshes {
			return d.refresh(fmt.Sprintf("Git to show the release: %s is at %s", d.followed(), short(target)))
		}
		if compared == Unknown && len(d.a.Conditions) > 0 {
			return fail(failure.Unhealthy, "", "it cannot be compared with Git%s", d.conditions())
		}
		return fail(failure.Conflict, "release to the branch that the application follows, or let it follow this one",
			"it follows %s, which is at %s%s", d.followed(), short(target), d.relationText(compared))
	case d.a.Automated && d.Syncs == 0 && d.Refusal == nil && d.now.Before(d.waiting.Add(automatedGrace)):
		return d.wait(d.waiting.Add(automatedGrace), "the controller to sync %s by itself", short(target))
	case d.now.Before(d.NotBefore):
		return d.wait(d.NotBefore, "the next attempt to start the operation%s", d.refused())
	case errors.Is(d.Refusal, ErrWindow) && !d.WaitForWindow:
		return fail(failure.Conflict, hintWindow, "a sync window forbids to sync now")
	}
	s := SyncRequest{ID: d.ID, Revision: d.Revision, Positions: d.at, Multiple: d.a.Multiple, Prune: d.prune()}
	if errors.Is(d.Refusal, ErrAutomated) {
		if !d.accepts(compared) {
			return fail(failure.Superseded, "", "%s is at %s already, and the application takes no other revision", d.followed(), short(target))
		}
		s.Revision, s.Positions = "", nil
	}
	return Decision{Action: Start, Sync: s, Reason: "sync to " + short(cmp.Or(s.Revision, target))}
}

func (d *decider) refused() string {
	if d.Refusal == nil {
		return ""
	}
	return saying(d.Refusal.Error())
}

// health decides when the application is at the release.
func (d *decider) health(notice string) Decision {
	done := Decision{Action: Done, Changed: d.joined() || d.Syncs > 0, Notice: notice, Reason: synced + " and " + healthy}
	if d.NoWait {
		done.Reason = synced
		return done
	}
	switch d.a.Health {
	case healthy:
		held := d.healthy.Add(d.Settle)
		if !d.now.Before(held) || d.settledBefore() {
			return done
		}
		return d.wait(held, "it to stay %s", healthy)
	case degraded:
		end := d.degraded.Add(d.Grace)
		if !d.now.Before(end) {
			return fail(failure.Unhealthy, "", "it is %s, for %s: %s", degraded, d.Grace, cmp.Or(d.list(ill), "no resource says why"))
		}
		return d.wait(end, "it to recover: %s", d.list(ill))
	case suspended:
		return d.wait(time.Time{}, "somebody or something to resume it: %s", d.list(func(r Resource) bool { return r.Health == suspended }))
	}
	return d.wait(time.Time{}, "health: it is %s: %s", cmp.Or(d.a.Health, "Unknown"), d.list(ill))
}

func ill(r Resource) bool { return r.Health != "" && r.Health != healthy && !r.Hook }

// settledBefore says, by the server's clock alone, that the operation was over for long enough when Git was compared.
func (d *decider) settledBefore() bool {
	if d.joined() || d.Syncs > 0 {
		return false
	}
	return d.a.State == nil || !d.a.ReconciledAt.Before(d.a.State.FinishedAt.Add(d.Settle))
}
