package argocd

import (
	"fmt"
	"strings"

	"slipway/retry"
	"slipway/steps/internal/failure"
)

// inVain says that the last operation is one of this release, and that the controller could not do it for a reason that passes.
func (d *decider) inVain() bool {
	last := d.a.State
	return d.joined() && last.ID == d.ID && last.Phase == phaseError && passes(last.Message)
}

// invalid says that the controller takes the specification for wrong, as it does without the project. Then it compares nothing.
func (a *Application) invalid() bool {
	for _, c := range a.Conditions {
		if c.Type == invalidSpec {
			return true
		}
	}
	return false
}

// unknown decides about a specification that is taken for wrong. One that was only starting is not of that opinion any more when
// it answers.
func (d *decider) unknown() Decision {
	if d.Refreshes >= misses && d.Refreshed.After(d.waiting) {
		return fail(failure.Unhealthy, "create the project, or let the application name another one",
			"the operation has ended as %s, and it stays so%s", d.a.State.Phase, d.conditions())
	}
	return d.refresh("the controller to know the project")
}

// again decides about an operation that was in vain, when the application has been compared with Git since.
func (d *decider) again(target string, compared Relation) Decision {
	last := d.a.State
	switch {
	case d.Repeated == last.key():
		return d.start(target, compared)
	case d.Repeats >= starts-1:
		return fail(failure.Unhealthy, "", "%d operations have ended as %s, the last one%s", d.Repeats+1, last.Phase, saying(last.Message))
	}
	err := fmt.Errorf("the operation has ended as %s%s; it is to be started again", last.Phase, saying(last.Message))
	return Decision{
		Action: Again, Revision: last.key(), Reason: "the next start of the operation",
		Err: retry.TransientAfter(err, againAfter<<d.Repeats),
	}
}

// repeated says for the result that more than one operation was needed.
func (d *decider) repeated(notice string) string {
	if d.Repeats == 0 {
		return notice
	}
	text := fmt.Sprintf("the operation was started %d times: the one before has ended as %s%s", d.Repeats+1, phaseError, saying(d.Cause))
	return strings.Join(nonEmpty(text, notice), "; ")
}
