package steps_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"slipway/retry"
	"slipway/steps"
	"slipway/steps/internal/approval"
	"slipway/steps/internal/failure"
)

const window = 30 * time.Minute

func openQuestion(t *testing.T, q steps.Questions, terms approval.Terms) approval.Record {
	t.Helper()
	r, opened, err := q.Open(t.Context(), approval.New("shop@1", time.Now(), window, terms, approval.Subject{}, approval.Actor{}))
	if err != nil || !opened {
		t.Fatal(opened, err)
	}
	return r
}

func TestSilenceSettlesAQuestionAtItsDeadline(t *testing.T) {
	for _, c := range []struct {
		onTimeout approval.OnTimeout
		want      approval.State
	}{{approval.AcceptOnTimeout, approval.Accepted}, {approval.RejectOnTimeout, approval.Rejected}} {
		synctest.Test(t, func(t *testing.T) {
			core, logs := observer.New(zap.InfoLevel)
			q := steps.NewQuestions(approval.NewFile(t.TempDir()), zap.New(core), "agent")
			start := time.Now()
			r, err := q.Await(t.Context(), openQuestion(t, q, approval.Terms{OnTimeout: c.onTimeout}), 10*time.Second)
			if err != nil || r.State != c.want || r.Decision.Why != approval.BySilence {
				t.Fatalf("%+v, %v", r, err)
			}
			if took := time.Since(start); took != window {
				t.Errorf("it took %s", took)
			}
			if n := logs.Len(); n > 10 {
				t.Errorf("%d lines were logged in half an hour", n)
			}
		})
	}
}

func TestAnAnswerIsNoticedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := approval.NewFile(t.TempDir())
		q, other := steps.NewQuestions(store, zap.NewNop(), "agent"), steps.NewQuestions(store, zap.NewNop(), "lead")
		r := openQuestion(t, q, approval.Terms{})
		start := time.Now()
		go func() {
			<-time.After(7 * time.Minute)
			if _, changed, err := other.Answer(t.Context(), r.ID, approval.Answer{Signal: approval.Reject}); err != nil || !changed {
				t.Error(changed, err)
			}
		}()
		r, err := q.Await(t.Context(), r, 10*time.Second)
		if took := time.Since(start); err != nil || r.State != approval.Rejected || took > 7*time.Minute+20*time.Second {
			t.Errorf("%s after %s, %v", r.State, took, err)
		}
	})
}

// TestAClickAtTheVeryDeadlineHasOneOutcome has somebody answer at the moment in which the one who waits settles.
func TestAClickAtTheVeryDeadlineHasOneOutcome(t *testing.T) {
	outcomes := map[approval.State]int{}
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			store := approval.NewFile(t.TempDir())
			var group sync.WaitGroup
			states := make([]approval.State, 3)
			first := steps.NewQuestions(store, zap.NewNop(), "agent")
			asked := openQuestion(t, first, approval.Terms{})
			for i, q := range []steps.Questions{first, steps.NewQuestions(store, zap.NewNop(), "another agent")} {
				group.Go(func() {
					r, err := q.Await(t.Context(), asked, 10*time.Second)
					if err != nil {
						t.Error(err)
					}
					states[i] = r.State
				})
			}
			group.Go(func() {
				<-time.After(window)
				r, _, err := steps.NewQuestions(store, zap.NewNop(), "lead").Answer(t.Context(), asked.ID, approval.Answer{Signal: approval.Reject})
				if err != nil {
					t.Error(err)
				}
				states[2] = r.State
			})
			group.Wait()
			if states[0] != states[1] || states[1] != states[2] || states[0] == approval.Pending {
				t.Errorf("three outcomes: %v", states)
			}
			outcomes[states[0]]++
		})
	}
	t.Log(outcomes)
}

// flaky is a store that cannot be reached for a while.
type flaky struct {
	approval.Store
	from, to time.Time
	err      error
}

func (f *flaky) Read(ctx context.Context, id string) (approval.Stored, error) {
	if now := time.Now(); now.After(f.from) && now.Before(f.to) {
		return approval.Stored{}, f.err
	}
	return f.Store.Read(ctx, id)
}

func TestAnOutageInTheMiddleDoesNotEndTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &flaky{
			Store: approval.NewFile(t.TempDir()), from: time.Now().Add(5 * time.Minute), to: time.Now().Add(25 * time.Minute),
			err: retry.Transient(errors.New("no route to host")),
		}
		core, logs := observer.New(zap.WarnLevel)
		q := steps.NewQuestions(store, zap.New(core), "agent")
		r, err := q.Await(t.Context(), openQuestion(t, q, approval.Terms{}), 10*time.Second)
		if err != nil || r.State != approval.Accepted {
			t.Fatalf("%s, %v", r.State, err)
		}
		if n := logs.Len(); n < 1 || n > 25 {
			t.Errorf("%d warnings about 20 minutes", n)
		}
	})
}

func TestAnOutageAtTheDeadlineLeavesTheQuestionOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &flaky{
			Store: approval.NewFile(t.TempDir()), from: time.Now().Add(window - time.Minute), to: time.Now().Add(2 * window),
			err: retry.Transient(errors.New("no route to host")),
		}
		q := steps.NewQuestions(store, zap.NewNop(), "agent")
		_, err := q.Await(t.Context(), openQuestion(t, q, approval.Terms{}), 10*time.Second)
		if !errors.Is(err, retry.ErrExhausted) {
			t.Errorf("%v", err)
		}
		if stored, err := store.Store.Read(t.Context(), "shop@1"); err != nil || stored.State != approval.Pending {
			t.Errorf("%s, %v", stored.State, err)
		}
	})
}

func TestWhatMayNotBeReadEndsTheWaitAndLeavesTheQuestionOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &flaky{
			Store: approval.NewFile(t.TempDir()), from: time.Now().Add(time.Minute), to: time.Now().Add(window),
			err: failure.New(failure.Denied, "renew the token", "the token has expired"),
		}
		q := steps.NewQuestions(store, zap.NewNop(), "agent")
		r, err := q.Await(t.Context(), openQuestion(t, q, approval.Terms{}), 10*time.Second)
		if failure.KindOf(err) != failure.Denied || r.State != approval.Pending {
			t.Errorf("%s, %v", r.State, err)
		}
	})
}

func TestAnInterruptedWaitDecidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := steps.NewQuestions(approval.NewFile(t.TempDir()), zap.NewNop(), "agent")
		r := openQuestion(t, q, approval.Terms{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if now, err := q.Await(ctx, r, 10*time.Second); !errors.Is(err, context.DeadlineExceeded) || now.State != approval.Pending {
			t.Errorf("%s, %v", now.State, err)
		}
	})
}

func TestACommitIsLinkedWhereForgesShowIt(t *testing.T) {
	for _, c := range []struct{ pattern, repo, want string }{
		{"", "https://git.example.com/platform/gitops.git", "https://git.example.com/platform/gitops/commit/abc"},
		{"", "http://git.example.com:8080/gitops/", "http://git.example.com:8080/gitops/commit/abc"},
		{"", "git@git.example.com:platform/gitops.git", "https://git.example.com/platform/gitops/commit/abc"},
		{"", "ssh://git@git.example.com:2222/platform/gitops", "https://git.example.com/platform/gitops/commit/abc"},
		{"", "/srv/gitops.git", ""},
		{"https://forge.example.com/c/{revision}?view=1", "/srv/gitops.git", "https://forge.example.com/c/abc?view=1"},
	} {
		if got := steps.CommitURL(c.pattern, c.repo, "abc"); got != c.want {
			t.Errorf("%s: %q", c.repo, got)
		}
	}
}
