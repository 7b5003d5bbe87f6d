package argocd

import (
	"fmt"
)

// Change is news of one resource, or of the operation, whose Resource is empty.
type Change struct{ Resource, Sync, Health, Hook, Message string }

// tell reports what has changed since the last look; the first look is where changes begin.
func (f *Follower) tell(app *Application) {
	now := map[Key]Change{}
	for _, r := range app.Resources {
		now[r.Key] = Change{Resource: r.String(), Sync: r.Sync, Health: r.Health, Message: r.Message}
	}
	if op := app.running(); op != nil {
		for _, r := range op.Results {
			c := now[r.Key]
			c.Resource = r.String()
			if r.Hook != "" {
				c.Hook = r.Hook + " " + r.HookPhase
			}
			if c.Message == "" {
				c.Message = r.Message
			}
			now[r.Key] = c
		}
	}
	said := f.operationText(app)
	if f.known != nil && f.Report != nil {
		f.report(said, now)
	}
	f.known, f.said = now, said
}

func (f *Follower) report(said string, now map[Key]Change) {
	if said != f.said {
		f.Report(Change{Message: said})
	}
	for _, key := range sortedKeys(now) {
		if c := now[key]; c != f.known[key] {
			f.Report(c)
		}
	}
}

// operationText leaves the message out while it runs: that names one resource after the other, which have lines of their own.
func (f *Follower) operationText(app *Application) string {
	switch op := app.running(); {
	case op != nil:
		return fmt.Sprintf("operation of %s to %s: %s", op.who(), short(revisionAt(op.Revisions, app.positions(f.Request.Repo))), op.Phase)
	case app.State != nil:
		return fmt.Sprintf("operation %s%s", app.State.Phase, saying(app.State.Message))
	}
	return ""
}
