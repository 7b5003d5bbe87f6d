package argocd

import (
	"cmp"
	"errors"
	"fmt"

	"slipway/steps/internal/failure"
)

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
