package steps

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"slipway/retry"
	"slipway/steps/internal/approval"
	"slipway/steps/internal/failure"
)

// errAnswered ends the look for answers of others.
var errAnswered = errors.New("the question was answered at the terminal")

// await returns a pending record once it is settled: by anybody's answer, or by its deadline.
func (q *questions) await(ctx context.Context, r approval.Record, poll time.Duration) (approval.Record, error) {
	q.env.Log.Info("waiting for an answer", zap.String("id", r.ID), zap.String("until", bothTimes(r.Deadline)),
		zap.String("silence", string(r.Terms.OnTimeout)+"s"))
	looking, stopLooking := context.WithCancelCause(ctx)
	defer stopLooking(nil)
	asking, stopAsking := context.WithCancel(ctx)
	defer stopAsking()
	var asked sync.WaitGroup
	var answer *approval.Answer
	var left bool
	var failed error
	end := time.Now().Add(r.Remaining(q.now()))
	asked.Go(func() {
		if answer, left, failed = q.atTerminal(asking, end); answer != nil || left || failed != nil {
			stopLooking(errAnswered)
		}
	})
	now, err := q.look(looking, r, poll)
	stopAsking()
	asked.Wait()
	switch {
	case ctx.Err() != nil:
		return now, context.Cause(ctx)
	case answer != nil:
		answer.At = q.now()
		settled, changed, err := q.change(ctx, "answer", r.ID, func(r approval.Record, now time.Time) (approval.Record, error) { return r.Decide(*answer, now) })
		if err == nil && !changed {
			q.env.Log.Warn("the answer came too late: somebody else was faster", zap.String("state", string(settled.State)))
		}
		return settled, err
	case failed != nil:
		return now, failed
	case left:
		return now, failure.New(failure.Pending, "decide with slipway approve or slipway reject, or run it again to be asked again", "release %s: the question stays open", r.ID)
	case err != nil:
		return now, err
	}
	return q.settle(ctx, now)
}

// settle settles a record whose window has closed, and leaves any other as it is.
func (q *questions) settle(ctx context.Context, r approval.Record) (approval.Record, error) {
	if r.State != approval.Pending {
		return r, nil
	}
	r, _, err := q.change(ctx, "settle", r.ID, func(r approval.Record, now time.Time) (approval.Record, error) { return r.Settle(now, q.actor), nil })
	return r, err
}

// look returns a pending record when it has been answered, or its window has closed.
func (q *questions) look(ctx context.Context, r approval.Record, poll time.Duration) (approval.Record, error) {
	for r.State == approval.Pending && !r.Overdue(q.now()) {
		// Each wait is drawn from zero to its window, which is twice as long as it is to be on average.
		policy := retry.Policy{Timeout: r.Remaining(q.now()), Initial: 2 * poll, MaxInterval: 2 * poll}
		err := retry.Until(ctx, policy, q.heartbeat(r), func(ctx context.Context) (bool, error) {
			stored, err := q.store.Read(ctx, r.ID)
			if errors.Is(err, approval.ErrNone) {
				return false, failure.New(failure.Conflict, "run it again to ask anew", "approval %s: its record was deleted", r.ID)
			}
			if err == nil {
				r = stored.Record
			}
			return r.State != approval.Pending, err
		})
		if err == nil {
			return r, nil
		}
		if !errors.Is(err, retry.ErrExhausted) {
			return r, err
		}
		// No wait is begun that would end after the deadline: what is left of the time is waited for here.
		timer := time.NewTimer(r.Remaining(q.now()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return r, ctx.Err()
		case <-timer.C:
		}
	}
	return r, nil
}

// heartbeat says now and then that it still waits, and for how long.
func (q *questions) heartbeat(r approval.Record) retry.Observer {
	const every, everyFailure = 5 * time.Minute, time.Minute
	spoken := time.Now()
	var complained time.Time
	return func(a retry.Attempt) {
		left := r.Remaining(q.now()).Round(time.Second)
		switch silent := time.Since(spoken); {
		case a.Err != nil && time.Since(complained) >= everyFailure:
			complained = time.Now()
			q.env.Log.Warn("the record cannot be read now", zap.String("id", r.ID), zap.Duration("left", left), zap.String("reason", a.Err.Error()))
		case a.Err == nil && silent >= every:
			spoken = time.Now()
			q.env.Log.Info("still waiting for an answer", zap.String("id", r.ID), zap.Duration("left", left))
		}
	}
}

// atTerminal asks whoever sits at the terminal. Left says that they did not want to answer. It does not look at the store, which
// is being looked at meanwhile.
func (q *questions) atTerminal(ctx context.Context, end time.Time) (given *approval.Answer, left bool, err error) {
	if !q.env.canAsk() {
		return nil, false, nil
	}
	said, ok, err := q.env.ask(ctx, "keep this release?", end)
	if err != nil || !ok {
		return nil, err == nil && ctx.Err() == nil && time.Now().Before(end), err
	}
	given = &approval.Answer{Signal: approval.Reject, Actor: q.actor, Reason: q.env.Redact.String(said.reason)}
	given.Via = "terminal"
	if said.keep {
		given.Signal = approval.Proceed
	}
	return given, false, nil
}
