package steps

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"slipway/steps/internal/approval"
	"slipway/steps/internal/argocd"
	"slipway/steps/internal/failure"
)

// rollback takes a rejected release back, in Git and then in the cluster, and writes down how far it has come.
type rollback struct {
	git      gitOptions
	build    build
	identity identity
	sync     ArgoCDSync     // where it names applications
	client   *argocd.Client // if there is a connection already
}

// rollbackHistory is how far back a release is looked for: others have pushed while the answer was waited for.
const rollbackHistory = 5000

const categoryRollback = "Rollback"

func (b *rollback) flags() []cli.Flag {
	s := &b.sync
	flags := []cli.Flag{
		stringSliceFlag(&s.Apps, "app", "an application that is brought to the commit of a revert, as NAME or NAMESPACE/NAME", category(categoryRollback)),
		stringFlag(&s.Selector, "selector", "", "the labels of such applications, as in app=shop,tier!=db", category(categoryRollback)),
		stringFlag(&s.Project, "project", "", "the project of the applications", category(categoryRollback)),
		durationFlag(&s.Timeout, "timeout", 10*time.Minute, "how long the applications may take", category(categoryRollback)),
		boolFlag(&s.Prune, "prune", "delete what Git no longer has", category(categoryRollback)),
		durationFlag(&s.DegradedGrace, "degraded-grace", 90*time.Second, "let an application be degraded for so long before it has failed", category(categoryRollback)),
		durationFlag(&s.Settle, "settle", 5*time.Second, "let an application stay healthy for so long before it is", category(categoryRollback)),
	}
	flags = append(flags, b.build.flags()...)
	flags = append(flags, b.identity.flags()...)
	flags = append(flags, b.git.flags("the repository; that of the record by default", "")...)
	return append(flags, s.argocd.flags()...)
}

func (b *rollback) syncs() bool { return len(b.sync.Apps) > 0 || b.sync.Selector != "" }

func (b *rollback) check() error {
	if !b.syncs() {
		return nil
	}
	return b.sync.check()
}

// carryOut does what a decision asks for, and returns the record as it is then. Where it cannot, the record says how far it
// has come, and the next run goes on from there.
func (b *rollback) carryOut(ctx context.Context, env *Env, q *questions, r approval.Record) (approval.Record, *argocdSyncDetails, error) {
	if !r.State.IsRejected() || r.State.IsFinal(r.Terms.OnReject) {
		return r, nil, nil
	}
	if r.State == approval.Rejected {
		var err error
		if r, err = b.revert(ctx, env, q, r); err != nil {
			return r, nil, fmt.Errorf("release %s %s, and is not taken back yet: %w", r.ID, fate(r), err)
		}
	}
	if r.State != approval.Reverting {
		return r, nil, nil
	}
	synced, err := b.bring(ctx, env, r)
	if err != nil {
		return r, synced, fmt.Errorf("release %s %s, and was taken back by commit %s, but: %w", r.ID, fate(r), short(r.Revision), err)
	}
	r, _, err = q.change(ctx, "close", r.ID, func(r approval.Record, now time.Time) (approval.Record, error) { return r.End(now, q.actor), nil })
	return r, synced, err
}

func fate(r approval.Record) string {
	if r.Decision.Why == approval.ByUnhealthy {
		return "was not healthy"
	}
	return "was rejected"
}

// revert publishes the inverse of the release.
func (b *rollback) revert(ctx context.Context, env *Env, q *questions, r approval.Record) (approval.Record, error) {
	env.show("revert", "of "+short(r.Subject.Revision))
	step := &Revert{
		Commit: r.Subject.Revision, History: rollbackHistory, git: b.git, build: b.build, identity: b.identity,
		path: r.Subject.Path, approval: env.Redact.String(fmt.Sprintf("%s; id=%s; by=%s", r.Decision.State, r.ID, r.Decision.Actor)),
	}
	step.git.repo, step.git.branch = cmp.Or(b.git.repo, r.Subject.Repo), cmp.Or(b.git.branch, r.Subject.Branch, "main")
	result, err := step.Run(ctx, env)
	if failure.KindOf(err) == failure.Superseded {
		r, _, err = q.change(ctx, "close", r.ID, func(r approval.Record, now time.Time) (approval.Record, error) {
			return r.Supersede(now, q.actor, "a newer release has replaced it"), nil
		})
		return r, err
	}
	if err != nil {
		return r, err
	}
	env.show("revert", "published")
	revision := result.Details.(*revertDetails).Revision
	r, _, err = q.change(ctx, "revert", r.ID, func(r approval.Record, now time.Time) (approval.Record, error) {
		r = r.Begin(now, q.actor, revision)
		if !b.syncs() {
			r = r.End(now, q.actor)
		}
		return r, nil
	})
	return r, err
}

// bring brings the applications to the commit that took the release back.
func (b *rollback) bring(ctx context.Context, env *Env, r approval.Record) (*argocdSyncDetails, error) {
	if !b.syncs() {
		return nil, nil
	}
	limited, cancel := context.WithTimeout(ctx, b.sync.Timeout)
	defer cancel()
	client := b.client
	if client == nil {
		var err error
		if client, err = b.sync.argocd.connect(limited, env, b.sync.Timeout); err != nil {
			return nil, b.sync.timedOut(limited, err, "Argo CD has not answered")
		}
		defer func() { _ = client.Close() }()
	}
	b.sync.git = b.git
	request := b.sync.wanted(r.Revision)
	request.Repo, request.ID = cmp.Or(b.git.repo, r.Subject.Repo), r.ID+"@"+short(r.Revision)
	return b.sync.sync(ctx, limited, env, client, request, request.Repo)
}
