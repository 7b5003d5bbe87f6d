package retry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"slipway/retry"
)

var (
	errBusy    = errors.New("server is busy")
	errRefused = errors.New("branch is protected")
)

// policy has windows of 1s, 1.6s, 2.56s, 4s, 4s, ...
var policy = retry.Policy{Timeout: time.Minute, Initial: time.Second, MaxInterval: 4 * time.Second}

func busy(context.Context) error { return retry.Transient(errBusy) }

func TestDoTriesTransientErrorsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []retry.Attempt
		calls := 0
		err := retry.Do(t.Context(), policy, func(a retry.Attempt) { seen = append(seen, a) }, func(context.Context) error {
			if calls++; calls < 4 {
				return fmt.Errorf("push: %w", retry.Transient(errBusy))
			}
			return nil
		})
		if err != nil || calls != 4 {
			t.Fatalf("%d calls, %v", calls, err)
		}
		for i, a := range seen {
			if a.Number != i+1 || !errors.Is(a.Err, errBusy) {
				t.Errorf("attempt %d: %+v", i+1, a)
			}
		}
		if len(seen) != 3 {
			t.Errorf("the observer was told of %d attempts", len(seen))
		}
	})
}

func TestDoReturnsAnUnmarkedErrorAsItIs(t *testing.T) {
	calls := 0
	err := retry.Do(t.Context(), policy, nil, func(context.Context) error { calls++; return errRefused })
	if err != errRefused || calls != 1 { //nolint:errorlint // the very same error must come back, not one that wraps it
		t.Errorf("%d calls, %v", calls, err)
	}
}

func TestWaitsAreDrawnFromGrowingWindows(t *testing.T) {
	windows := []time.Duration{time.Second, 1600 * time.Millisecond, 2560 * time.Millisecond, 4 * time.Second, 4 * time.Second}
	longest := make([]time.Duration, len(windows))
	shortest := slices.Repeat([]time.Duration{time.Hour}, len(windows))
	synctest.Test(t, func(t *testing.T) {
		for range 300 {
			start, last := time.Now(), time.Duration(0)
			_ = retry.Do(t.Context(), policy, func(a retry.Attempt) {
				if now := time.Since(start); a.Number > 1 && now != last {
					t.Fatalf("attempt %d came at %s, announced was %s", a.Number, now, last)
				}
				last = time.Since(start) + a.Next
				if i := a.Number - 1; i < len(windows) {
					longest[i], shortest[i] = max(longest[i], a.Next), min(shortest[i], a.Next)
				}
			}, busy)
		}
	})
	for i, window := range windows {
		// Of 300 draws one falls into the outer tenth at either side, but for one run in 10^13.
		if longest[i] > window+1 || longest[i] < window*9/10 || shortest[i] > window/10 {
			t.Errorf("wait %d: from %s to %s, the window is %s", i+1, shortest[i], longest[i], window)
		}
	}
}

func TestDoEndsWhenTheTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, last := time.Now(), time.Duration(0)
		err := retry.Do(t.Context(), policy, func(a retry.Attempt) { last = a.Next }, busy)
		if !errors.Is(err, retry.ErrExhausted) || !errors.Is(err, errBusy) {
			t.Errorf("got %v", err)
		}
		// No wait is begun that could not end in time, and none is longer than 4s.
		if took := time.Since(start); took > time.Minute || took < 56*time.Second-last {
			t.Errorf("it took %s", took)
		}
	})
}

func TestTheTimeIncludesTheAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		start := time.Now()
		err := retry.Do(t.Context(), policy, nil, func(context.Context) error {
			calls++
			<-time.After(50 * time.Second)
			return retry.Transient(errBusy)
		})
		if !errors.Is(err, retry.ErrExhausted) || calls != 2 {
			t.Errorf("%d calls in %s, %v", calls, time.Since(start), err)
		}
		if want := "gave up after "; err.Error()[:len(want)] != want {
			t.Errorf("got %v", err)
		}
	})
}

func TestAnAttemptThatHangsIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := retry.Do(t.Context(), policy, nil, func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("fetch: %w", ctx.Err())
		})
		if !errors.Is(err, retry.ErrExhausted) || time.Since(start) != time.Minute {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		if want := "gave up after 1m0s and 1 attempt: fetch: context deadline exceeded"; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	})
}

func TestAFinalErrorAtTheDeadlineStaysFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := retry.Do(t.Context(), policy, nil, func(ctx context.Context) error {
			<-ctx.Done()
			return errRefused
		})
		if errors.Is(err, retry.ErrExhausted) || !errors.Is(err, errRefused) {
			t.Errorf("got %v", err)
		}
	})
}

func TestTheServersOwnWaitIsRespected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, calls := time.Now(), 0
		err := retry.Do(t.Context(), policy, nil, func(context.Context) error {
			if calls++; calls == 1 {
				return retry.Transient(fmt.Errorf("fetch: %w", retry.TransientAfter(errBusy, 30*time.Second)))
			}
			return nil
		})
		if err != nil || time.Since(start) != 30*time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
	})
}

func TestAWaitLongerThanTheTimeLeftEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := retry.Do(t.Context(), policy, nil, func(context.Context) error { return retry.TransientAfter(errBusy, time.Hour) })
		if !errors.Is(err, retry.ErrExhausted) || time.Since(start) != 0 {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
	})
}

func TestCancellingEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		time.AfterFunc(5*time.Second, cancel)
		err := retry.Do(ctx, policy, nil, func(context.Context) error { return retry.TransientAfter(errBusy, 20*time.Second) })
		if !errors.Is(err, context.Canceled) || !errors.Is(err, errBusy) || errors.Is(err, retry.ErrExhausted) {
			t.Errorf("got %v", err)
		}
		if time.Since(start) != 5*time.Second {
			t.Errorf("it took %s", time.Since(start))
		}
	})
}

func TestCancellingDuringAnAttemptKeepsItsError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := retry.Do(ctx, policy, nil, func(context.Context) error { cancel(); return errRefused })
	if !errors.Is(err, context.Canceled) || !errors.Is(err, errRefused) {
		t.Errorf("got %v", err)
	}
}

func TestAnAttemptThatSucceedsWhileCancelledHasSucceeded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	if err := retry.Do(ctx, policy, nil, func(context.Context) error { cancel(); return nil }); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestACancelledContextRunsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := retry.Do(ctx, policy, nil, func(context.Context) error { t.Error("op was run"); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTheZeroPolicyIsTheDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := retry.Do(t.Context(), retry.Policy{}, func(a retry.Attempt) {
			if a.Next > retry.Default.MaxInterval+1 || a.Number == 1 && a.Next > retry.Default.Initial+1 {
				t.Errorf("attempt %d waits %s", a.Number, a.Next)
			}
		}, busy)
		if took := time.Since(start); !errors.Is(err, retry.ErrExhausted) || took > 5*time.Minute || took < 4*time.Minute {
			t.Errorf("after %s: %v", took, err)
		}
	})
}

func TestUntilLooksUntilItIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		err := retry.Until(t.Context(), policy, func(a retry.Attempt) {
			if (a.Err != nil) != (a.Number == 2) {
				t.Errorf("attempt %+v", a)
			}
		}, func(context.Context) (bool, error) {
			if looks++; looks == 2 {
				return false, retry.Transient(errBusy)
			}
			return looks == 4, nil
		})
		if err != nil || looks != 4 {
			t.Errorf("%d looks, %v", looks, err)
		}
	})
}

func TestUntilEnds(t *testing.T) {
	for name, test := range map[string]struct {
		look func() (bool, error)
		is   error
	}{
		"at a final error":                    {func() (bool, error) { return false, errRefused }, errRefused},
		"at a final error that says done":     {func() (bool, error) { return true, errRefused }, errRefused},
		"when it never comes true":            {func() (bool, error) { return false, nil }, retry.ErrExhausted},
		"when it only meets transient errors": {func() (bool, error) { return false, retry.Transient(errBusy) }, retry.ErrExhausted},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				err := retry.Until(t.Context(), policy, nil, func(context.Context) (bool, error) { return test.look() })
				if !errors.Is(err, test.is) || time.Since(start) > time.Minute {
					t.Errorf("after %s: %v", time.Since(start), err)
				}
			})
		})
	}
}

func TestUntilStartsWithShortWaitsAgainAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		err := retry.Until(t.Context(), policy, func(a retry.Attempt) {
			if a.Number == 9 && a.Next > policy.Initial+1 {
				t.Errorf("the first wait after the outage is %s", a.Next)
			}
		}, func(context.Context) (bool, error) {
			if looks++; looks < 9 {
				return false, retry.Transient(errBusy)
			}
			return looks == 10, nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestMarks(t *testing.T) {
	if retry.Transient(nil) != nil || retry.TransientAfter(nil, time.Second) != nil || retry.IsTransient(nil) {
		t.Error("nil is no error")
	}
	marked := retry.Transient(errBusy)
	if !retry.IsTransient(fmt.Errorf("push: %w", marked)) || retry.IsTransient(errBusy) {
		t.Error("only the marked error is transient")
	}
	if !errors.Is(marked, errBusy) || marked.Error() != errBusy.Error() {
		t.Errorf("the mark changed the error: %v", marked)
	}
}
