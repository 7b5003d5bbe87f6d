package steps

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"slipway/steps/internal/approval"
	"slipway/steps/internal/failure"
)

// answering is approve or reject: a person's answer, from anywhere that may write to where the records are.
type answering struct {
	name   string
	state  approval.State // what it makes of the record
	signal approval.Signal

	ID     string
	Reason string
	DryRun bool

	approval approvalOptions
	git      gitOptions
	identity identity
	build    build
}

func newApprove() *cli.Command {
	a := &answering{name: "approve", state: approval.Accepted, signal: approval.Proceed}
	return a.command("answer an open question: the release stays",
		stringFlag(&a.Reason, "reason", "", "why, for the record"))
}

func newReject() *cli.Command {
	a := &answering{name: "reject", state: approval.Rejected, signal: approval.Reject}
	return a.command("answer an open question: the release does not stay",
		stringFlag(&a.Reason, "reason", "", "why, for the record", required))
}

func (a *answering) command(usage string, reason cli.Flag) *cli.Command {
	flags := []cli.Flag{
		stringFlag(&a.ID, "id", "", "the id of the question, as slipway status lists it; it may also be given without --id", required),
		reason,
		boolFlag(&a.DryRun, "dry-run", "say whether the answer would count, and do not give it"),
	}
	flags = append(flags, a.approval.flags()...)
	flags = append(flags, a.build.flags()...)
	flags = append(flags, a.identity.flags()...)
	flags = append(flags, a.git.flags("the repository", "main")...)
	return step(a, &cli.Command{
		Name:      a.name,
		Usage:     usage,
		ArgsUsage: idArgument,
		Description: `Writes the answer into the record of the question. The run that waits for it finds it there, and carries it out; if none waits, the
next one that asks does. Unchanged if it was answered so before. A question that is not open, has been answered otherwise, or whose
window has closed stays as it is.

Who answers is what --by says: it is written down, and not proven. What is proven is that they could push to the repository.`,
		Flags: flags,
	}, withRetry)
}

// Run gives the answer.
func (a *answering) Run(ctx context.Context, env *Env) (Result, error) {
	q, closing, err := a.approval.open(env, &a.git, &a.identity, &a.build, nil)
	if err != nil {
		return Result{}, err
	}
	defer closing()
	answer := approval.Answer{Signal: a.signal, Actor: q.actor, Reason: env.Redact.String(a.Reason)}
	decide := func(r approval.Record, now time.Time) (approval.Record, error) {
		if r.Overdue(now) {
			silence := r.Settle(now, q.actor).State
			return r, failure.New(failure.Conflict, "look at slipway status; a release that stays can be taken back with slipway revert",
				"approval %s: its window closed at %s, and silence means %s", r.ID, bothTimes(r.Deadline), silence)
		}
		return r.Decide(answer, now)
	}
	var r approval.Record
	var changed bool
	if a.DryRun {
		if r, err = q.must(ctx, a.ID); err == nil {
			before := r.State
			r, err = decide(r, q.now())
			changed = r.State != before
		}
	} else {
		r, changed, err = q.change(ctx, a.name, a.ID, decide)
	}
	if err != nil {
		return Result{}, err
	}
	if (r.State == approval.Accepted) != (a.state == approval.Accepted) {
		return Result{}, failure.New(failure.Conflict, "look at slipway status; a release that stays can be taken back with slipway revert",
			"approval %s is settled: %s; %s", r.ID, decisionText(r), undone(r))
	}
	details := q.details(r)
	details.DryRun = a.DryRun
	outcome := Unchanged
	if changed {
		outcome = Changed
	}
	return Result{Step: a.name, Outcome: outcome, Details: details}, nil
}
