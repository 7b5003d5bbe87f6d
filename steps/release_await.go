package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"slipway/steps/internal/approval"
	"slipway/steps/internal/argocd"
	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
	"slipway/steps/internal/release"
)

func (r *Release) checkAwait() error {
	if r.OnUnhealthy != string(approval.KeepRejected) && r.OnUnhealthy != string(approval.RevertRejected) {
		return failure.New(failure.Usage, "give keep or revert", "--on-unhealthy %q is nothing that can be done", r.OnUnhealthy)
	}
	if r.Await == 0 {
		return nil
	}
	r.asking.window = r.Await
	return r.asking.check()
}

// decides says whether a record of the release is kept, and what it says carried out.
func (r *Release) decides() bool {
	return !r.Change.DryRun && (r.Await > 0 || r.OnUnhealthy == string(approval.RevertRejected))
}

// decision is what a release with a question goes through once it is published.
type decision struct {
	*Release
	env     *Env
	q       *questions
	remote  *gitrepo.Remote
	client  *argocd.Client
	details *releaseDetails
	id      string
	record  approval.Record
}

// decide goes on from what was published: until it is healthy, until somebody has said whether it stays, and until that is
// carried out. What was withdrawn from the branch since is asked about, too: an earlier run may have been stopped while it
// carried out a rejection.
func (r *Release) decide(
	ctx context.Context, env *Env, remote *gitrepo.Remote, client *argocd.Client, details *releaseDetails, outcome Outcome, published error,
) (Outcome, error) {
	withdrawn := (*withdrawnError)(nil)
	if published != nil && !errors.As(published, &withdrawn) {
		return "", published
	}
	if details.unasked {
		env.Log.Warn("it is not known which commit released this, so that nobody is asked about it", zap.Int64("history", r.History))
		return outcome, r.sync(ctx, env, remote, client, details)
	}
	if withdrawn != nil {
		details.Revision = withdrawn.revision
	}
	q, closing, err := r.approval.open(env, &r.git, &r.identity, &r.build, remote)
	if err != nil {
		return "", err
	}
	defer closing()
	d := &decision{Release: r, env: env, q: q, remote: remote, client: client, details: details, id: approval.ID(details.Path, details.Revision)}
	found := false
	if d.record, found, err = q.read(ctx, d.id); err != nil {
		return "", err
	}
	if withdrawn != nil && !(found && d.record.State.IsRejected()) {
		return "", published
	}
	if err := d.run(ctx, found); err != nil {
		return "", err
	}
	if !found || d.record.State == approval.Pending {
		outcome = Changed
	}
	return outcome, nil
}

func (r *Release) sync(ctx context.Context, env *Env, remote *gitrepo.Remote, client *argocd.Client, details *releaseDetails) (err error) {
	if client != nil {
		details.Sync, err = r.bring(ctx, env, client, remote.URL(), details)
	}
	return err
}

func (d *decision) run(ctx context.Context, found bool) (err error) {
	defer func() {
		if d.record.ID != "" {
			synced := (*argocdSyncDetails)(nil)
			if d.details.Approval != nil {
				synced = d.details.Approval.Sync
			}
			d.details.Approval = d.q.details(d.record)
			d.details.Approval.Sync = synced
		}
	}()
	if !d.record.State.IsRejected() {
		if err := d.healthy(ctx, found); err != nil {
			return err
		}
	}
	if d.record.State == approval.Pending {
		if d.record, err = d.ask(ctx); err != nil {
			return err
		}
	}
	if d.record.ID == "" {
		return nil
	}
	back := &rollback{git: d.git, build: d.build, identity: d.identity, sync: d.Sync}
	var synced *argocdSyncDetails
	d.record, synced, err = back.carryOut(ctx, d.env, d.q, d.record)
	d.details.Approval = &approvalDetails{Sync: synced}
	if d.record.Revision != "" {
		d.env.note(d.Change.Record, d.details.Revision, func(r *release.Record) { r.Revert = d.record.Revision })
	}
	return cmp.Or(err, verdict(d.record))
}

// healthy waits for the applications, and opens the question, unless it is open. What is not healthy is condemned where that
// is asked for and nobody has accepted it before.
func (d *decision) healthy(ctx context.Context, found bool) error {
	err := d.sync(ctx, d.env, d.remote, d.client, d.details)
	condemned := failure.KindOf(err) == failure.Unhealthy && d.OnUnhealthy == string(approval.RevertRejected) && d.record.State != approval.Accepted
	if !condemned && (err != nil || d.Await == 0) {
		return err
	}
	if !found {
		d.record = approval.New(d.id, d.q.now(), d.Await, d.asking.terms(), d.subject(ctx), d.q.actor)
	}
	change := func(r approval.Record, now time.Time) (approval.Record, error) {
		if r.ID == "" {
			r = d.record
		}
		if condemned {
			r = r.Condemn(now, approval.Actor{By: programName, Via: "health", Build: d.q.actor.Build}, d.env.Redact.String(firstLine(err.Error())))
		}
		return r, nil
	}
	opened := false
	var failed error
	if d.record, opened, failed = d.q.change(ctx, "open", d.id, change); failed != nil {
		return errors.Join(err, failed)
	}
	if opened && !condemned {
		_, _ = fmt.Fprintln(d.env.Stderr, summaryOf(d.record))
	}
	d.env.note(d.Change.Record, d.details.Revision, func(r *release.Record) {
		r.Approval = d.id
		if d.details.Sync != nil {
			r.Applications = d.details.Sync.recorded()
		}
	})
	return nil
}

// ask waits for the answer.
func (d *decision) ask(ctx context.Context) (approval.Record, error) {
	if d.record.Overdue(d.q.now()) {
		return d.q.settle(ctx, d.record)
	}
	d.env.show("approval", "waiting for an answer until "+bothTimes(d.record.Deadline))
	return d.q.await(ctx, d.record, d.asking.poll)
}

// subject is what is asked about. A run that found everything published already reads what it was from the commit.
func (d *decision) subject(ctx context.Context) approval.Subject {
	s := approval.Subject{
		Repo: d.remote.URL(), Branch: d.git.branch, Path: d.details.Path, Revision: d.details.Revision, Release: d.details.Release,
		Job: d.env.Redact.String(d.build.job), Order: d.build.order, Build: d.q.actor.Build, Authors: d.asking.authors,
		Images: imagesAsked(d.details.Images), CommitURL: commitURL(d.asking.commitURL, d.remote.URL(), d.details.Revision),
	}
	if d.identity.authorName != programName {
		s.Authors = append(slices.Clone(s.Authors), d.identity.authorName, d.identity.authorEmail)
	}
	if d.details.Sync != nil {
		for _, app := range d.details.Sync.Applications {
			s.Applications = append(s.Applications, approval.Application{Name: app.Application, Health: app.Health, URL: app.Page})
		}
	}
	if len(d.details.changes) > 0 {
		addChanges(&s, s.Path, d.details.changes)
		s.Diff = d.env.Redact.String(s.Diff)
		return s
	}
	s.Images, s.Authors = nil, d.asking.authors // the commit tells
	if err := readSubject(ctx, d.env, d.remote, &s); err != nil {
		d.env.Log.Info("what the release changes cannot be told", zap.Error(err))
	}
	return s
}
