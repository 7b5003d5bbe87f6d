package steps

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"slipway/steps/internal/approval"
	"slipway/steps/internal/failure"
)

// resolve hands over what another channel has heard.
type resolve struct {
	AwaitApproval
	Signal string
	At     int64
	Reason string
}

func newAwaitApprovalResolve() *cli.Command {
	s := &resolve{}
	flags := append(s.subjectFlags(),
		stringFlag(&s.Signal, "signal", "", "what was heard: proceed, reject, timeout, cancel, or interrupted where a reject and a timeout cannot be told apart", required),
		int64Flag(&s.At, "at", 0, "when, in milliseconds since 1970; now by default"),
		stringFlag(&s.Reason, "reason", "", "why, in the words of whoever answered"),
	)
	flags = append(flags, s.approval.flags()...)
	flags = append(flags, s.rollback.flags()...)
	return step(s, &cli.Command{
		Name:  "await-approval resolve",
		Usage: "hand over how Jenkins's input step has ended, and carry it out",
		Description: `Settles the question by what was heard of it, unless it is settled already: then that counts, and is reported. An answer counts also
after the deadline, as long as nothing else was recorded; a timeout, or an interruption from about the deadline on, is silence; an
interruption before it is a rejection; a cancelled build decides nothing. A rejected release is taken back if the question was
opened with --on-reject revert.

Run it again when it has failed: an answer that is not handed over is lost, and silence may turn it into its opposite.

Exits with 0 if the release stays, 10 if it was rejected, 8 if nothing is decided.`,
		Flags: flags,
	}, withRetry)
}

// nearDeadline is how long before the deadline a timeout is waited out: it was kept by another clock.
const nearDeadline = time.Minute

// Run settles the record, and carries out what was decided.
func (s *resolve) Run(ctx context.Context, env *Env) (Result, error) {
	signal, err := parseSignal(s.Signal)
	if err != nil {
		return Result{}, err
	}
	if err := s.rollback.check(); err != nil {
		return Result{}, err
	}
	id, err := s.target()
	if err != nil {
		return Result{}, err
	}
	q, closing, err := s.approval.open(env, &s.rollback.git, &s.rollback.identity, &s.rollback.build, nil)
	if err != nil {
		return Result{}, err
	}
	defer closing()
	answer := approval.Answer{Signal: signal, Actor: q.actor, Reason: env.Redact.String(s.Reason)}
	if s.At > 0 {
		answer.At = time.UnixMilli(s.At)
	}
	r, changed, err := q.change(ctx, "settle", id, func(r approval.Record, now time.Time) (approval.Record, error) {
		s.doubt(env, r, now)
		return r.Decide(answer, now)
	})
	if err == nil && signal == approval.Timeout && r.State == approval.Pending && r.Remaining(q.now()) <= nearDeadline {
		changed = true
		if r, err = q.look(ctx, r, nearDeadline/4); err == nil {
			r, err = q.settle(ctx, r)
		}
	}
	if err != nil {
		return Result{}, err
	}
	if !changed {
		env.Log.Info("nothing was recorded: approval "+string(r.State), zap.String("id", id), zap.String("signal", s.Signal))
	}
	return s.conclude(ctx, env, q, r, changed)
}

// target is the id: the one given, or what the flags and the record make of it.
func (s *resolve) target() (string, error) {
	subject, record, err := s.subject()
	if err != nil {
		return "", err
	}
	return s.idOf(subject, record)
}

// doubt says so where the clock of whoever took the time of the answer must be wrong.
func (s *resolve) doubt(env *Env, r approval.Record, now time.Time) {
	at := time.UnixMilli(s.At)
	if s.At > 0 && (at.Before(r.Opened.Add(-clockWarning)) || at.After(now.Add(clockWarning))) {
		env.Log.Warn("the answer is said to be from a time when it cannot have been given: one of the clocks is wrong",
			zap.Time("at", at.UTC()), zap.Time("opened", r.Opened), zap.Time("now", now.UTC()))
	}
}

func parseSignal(text string) (approval.Signal, error) {
	for _, s := range approval.Signals {
		if string(s) == text {
			return s, nil
		}
	}
	return "", failure.New(failure.Usage, "give proceed, reject, timeout, cancel or interrupted", "--signal %q is none", text)
}
