// Package retry is the one place where slipway tries again: adapters mark errors as transient, steps call Do or Until,
// nobody else loops. It is the only package that imports cenkalti/backoff and imports nothing of slipway.
package retry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Policy bounds how long something is tried again. A zero field means the value of Default.
type Policy struct {
	// Timeout bounds the elapsed time, the attempts' own included.
	Timeout time.Duration
	// Initial is the window of the first wait; each wait is drawn uniformly from zero to its window.
	Initial time.Duration
	// MaxInterval is where the window stops growing.
	MaxInterval time.Duration
}

// Default suits many writers on one Git branch: the windows are 200ms, 320ms, 512ms, ... 4s, about 150 attempts in all.
var Default = Policy{Timeout: 5 * time.Minute, Initial: 200 * time.Millisecond, MaxInterval: 4 * time.Second}

// growth is the factor between two windows: slow enough that a lost race is tried again soon, quick enough that fifty
// writers starting at once spread out.
const growth = 1.6

// ErrExhausted is matched by the error of Do and Until when the time was up. The last error of an attempt stays in the
// chain.
var ErrExhausted = errors.New("retries exhausted")

// Attempt tells an Observer what failed and when the next attempt starts.
type Attempt struct {
	// Number counts from 1.
	Number int
	// Err is why it failed, or nil where Until found the condition not yet met.
	Err error
	// Next is the wait before the next attempt.
	Next time.Duration
}

// Observer is told before each wait; it is not told of the last attempt, whose error is returned.
type Observer func(Attempt)

// Do runs op until it succeeds, fails with an error that is not marked as transient, or the policy's time is up.
//
// op must be idempotent as a whole: an attempt that failed may have had its effect. Errors without a mark are returned
// as they are. The context of an attempt ends when the policy's time is up, so that a server that hangs cannot hold a
// step for ever; a wait that would be longer than the time left is not begun. Both end with ErrExhausted. If ctx is
// cancelled, the error matches ctx's error and the last attempt's; if it was cancelled before, op is not run.
func Do(ctx context.Context, p Policy, observe Observer, op func(context.Context) error) error {
	p = p.withDefaults()
	return loop(ctx, p, newWindow(p), observe, func(ctx context.Context) (bool, error) {
		err := op(ctx)
		return err == nil, err
	})
}

// Until asks look until it reports done, fails with an error that is not marked as transient, or the policy's time is
// up. It differs from Do in that "not yet" is no error, and in its pace: the windows start over when a look succeeds
// after failures, so that one outage does not slow down the rest of the wait. The time bound is never extended.
func Until(ctx context.Context, p Policy, observe Observer, look func(context.Context) (done bool, err error)) error {
	p = p.withDefaults()
	window := newWindow(p)
	failing := false
	return loop(ctx, p, window, observe, func(ctx context.Context) (bool, error) {
		done, err := look(ctx)
		if err == nil && failing {
			window.Reset()
		}
		failing = err != nil
		return done && err == nil, err
	})
}

func (p Policy) withDefaults() Policy {
	if p.Timeout <= 0 {
		p.Timeout = Default.Timeout
	}
	if p.Initial <= 0 {
		p.Initial = Default.Initial
	}
	if p.MaxInterval <= 0 {
		p.MaxInterval = Default.MaxInterval
	}
	p.Initial = min(p.Initial, p.MaxInterval)
	return p
}

// newWindow returns waits drawn uniformly from 0 to the window: a randomization of 100 % around half the window. The
// time bound is loop's: backoff knows nothing of a server's own Retry-After, and takes zero for "for ever".
func newWindow(p Policy) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(p.Initial/2),
		backoff.WithMaxInterval(p.MaxInterval/2),
		backoff.WithMultiplier(growth),
		backoff.WithRandomizationFactor(1),
		backoff.WithMaxElapsedTime(0),
	)
}

func loop(
	ctx context.Context, p Policy, window *backoff.ExponentialBackOff, observe Observer,
	attempt func(context.Context) (done bool, err error),
) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	start := time.Now()
	deadline := start.Add(p.Timeout)
	attemptCtx, stop := context.WithDeadline(ctx, deadline)
	defer stop()

	for number := 1; ; number++ {
		done, err := attempt(attemptCtx)
		if done {
			return nil
		}
		if ctx.Err() != nil {
			return interrupted(ctx, err)
		}
		timeUp := !time.Now().Before(deadline)
		cutOff := timeUp && errors.Is(err, context.DeadlineExceeded)
		if err != nil && !IsTransient(err) && !cutOff {
			return err
		}
		next := max(window.NextBackOff(), after(err))
		if timeUp || next > time.Until(deadline) {
			return &exhaustedError{last: err, attempts: number, elapsed: time.Since(start)}
		}
		if observe != nil {
			observe(Attempt{Number: number, Err: err, Next: next})
		}
		if !wait(ctx, next) {
			return interrupted(ctx, err)
		}
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// interrupted keeps why the last attempt failed, which backoff's own loop drops.
func interrupted(ctx context.Context, last error) error {
	if last == nil || errors.Is(last, ctx.Err()) {
		return errors.Join(ctx.Err(), last)
	}
	return fmt.Errorf("%w; the last attempt: %w", ctx.Err(), last)
}

type exhaustedError struct {
	last     error
	attempts int
	elapsed  time.Duration
}

func (e *exhaustedError) Error() string {
	text := fmt.Sprintf("gave up after %s and %d attempt", e.elapsed.Round(100*time.Millisecond), e.attempts)
	if e.attempts != 1 {
		text += "s"
	}
	if e.last != nil {
		text += ": " + e.last.Error()
	}
	return text
}

func (e *exhaustedError) Is(target error) bool { return target == ErrExhausted }

func (e *exhaustedError) Unwrap() error { return e.last }
