package argocd

import (
	"cmp"
	"time"

	"slipway/steps/internal/failure"
)

// health decides when the application is at the release.
func (d *decider) health(notice string) Decision {
	done := Decision{Action: Done, Changed: d.joined() || d.Syncs > 0, Notice: d.repeated(notice), Reason: synced + " and " + healthy}
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
