package argocd

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/steps/internal/failure"
)

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
	case d.Refreshes == 0, d.joined() && d.Refreshes < 2:
		// A controller with much to do learns of what it has applied itself after it has compared, and calls it missing. The second
		// comparison comes some seconds after the first one.
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
