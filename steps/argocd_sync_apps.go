package steps

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"slipway/retry"
	"slipway/steps/internal/argocd"
	"slipway/steps/internal/failure"
)

// syncing is a release to several applications.
type syncing struct {
	step *ArgoCDSync
	env  *Env
	apps []*syncingApp
}

type syncingApp struct {
	ref      argocd.Ref
	follower *argocd.Follower
	log      *zap.Logger
	show     func(text string)
	report   applicationReport
	err      error

	mu     sync.Mutex
	spoken time.Time
	done   bool
}

func (a *syncing) add(ref argocd.Ref, follower *argocd.Follower) {
	app := &syncingApp{ref: ref, follower: follower, log: a.env.Log, spoken: time.Now()}
	app.show = func(text string) { a.env.show(ref.String(), text) }
	app.show("waiting")
	follower.Report = app.say
	a.apps = append(a.apps, app)
}

// explainReserve is kept of the time for finding out why the rest of it was not enough.
func explainReserve(timeout time.Duration) time.Duration { return min(5*time.Second, timeout/10) }

func (a *syncing) run(ctx, limited context.Context) []applicationReport {
	deadline, _ := limited.Deadline()
	waiting, cancel := context.WithDeadline(limited, deadline.Add(-explainReserve(a.step.Timeout)))
	defer cancel()
	beat, stop := context.WithCancel(ctx)
	var group, heart sync.WaitGroup
	heart.Go(func() { a.heartbeat(beat) })
	for _, app := range a.apps {
		group.Go(func() { a.one(ctx, limited, waiting, app) })
	}
	group.Wait()
	stop()
	heart.Wait()
	var reports []applicationReport
	for _, app := range a.apps {
		reports = append(reports, app.report)
	}
	return reports
}

// one releases to one application. Its time ends before that of the step, so that the explanation has some left.
func (a *syncing) one(ctx, limited, waiting context.Context, app *syncingApp) {
	defer app.finish()
	app.report.Application = app.ref.String()
	if a.step.DryRun {
		a.plan(waiting, app)
		return
	}
	var outcome argocd.Outcome
	// The time is waiting's to bound: the policy must not give up before.
	policy := retry.Policy{Timeout: 2 * a.step.Timeout, Initial: a.env.Retry.Initial, MaxInterval: a.env.Retry.MaxInterval}
	err := retry.Do(waiting, policy, a.env.observe("application "+app.ref.String()), func(ctx context.Context) error {
		var err error
		outcome, err = app.follower.Run(ctx)
		return err
	})
	switch {
	case err == nil:
		app.succeed(outcome)
		return
	case ctx.Err() != nil:
		app.err = fmt.Errorf("application %s: %w; it was waiting for %s", app.ref, context.Cause(ctx), app.follower.Waiting())
		if a.step.TerminateOnAbort {
			a.abort(ctx, app)
		}
	case waiting.Err() != nil:
		app.err = failure.New(failure.Pending, "", "application %s: waited %s for %s", app.ref, a.step.Timeout, app.follower.Waiting())
		if reason := lastReason(err); reason != nil {
			app.err = failure.New(failure.Pending, "", "%w; the last answer: %w", app.err, reason)
		}
	default:
		app.err = err
	}
	app.fail(limited)
}

// lastReason is why the last attempt failed, if it did and did not simply run out of time.
func lastReason(err error) error {
	if retry.IsTransient(err) {
		return err
	}
	return nil
}

// abort is a courtesy within the time that a step has after a signal.
func (a *syncing) abort(ctx context.Context, app *syncingApp) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), gracePeriod*2/3)
	defer cancel()
	if err := app.follower.Abort(ctx); err != nil {
		app.log.Warn(app.ref.String()+": the operation was not ended", zap.String("reason", err.Error()))
	}
}

func (a *syncing) plan(ctx context.Context, app *syncingApp) {
	decision, state, err := app.follower.Plan(ctx)
	app.err = err
	if state != nil {
		app.describe(state)
	}
	if err != nil {
		app.setError()
		return
	}
	app.report.Outcome, app.report.Plan = Changed, planText(decision)
	if decision.Action == argocd.Done && !decision.Changed {
		app.report.Outcome = Unchanged
	}
	if decision.Action == argocd.Start {
		if _, open, err := app.follower.Client.Windows(ctx, state.Ref); err == nil && !open {
			app.report.Notice = "a sync window forbids to sync now"
			app.log.Warn(app.ref.String() + ": " + app.report.Notice)
		}
	}
	app.log.Info(app.ref.String()+": "+app.report.Plan, zap.String("outcome", string(app.report.Outcome)))
}

func planText(d argocd.Decision) string {
	switch d.Action {
	case argocd.Start:
		text := "would start a " + d.Reason
		if d.Sync.Prune {
			text += " that prunes"
		}
		return text
	case argocd.Terminate:
		return "would terminate: " + d.Reason
	case argocd.Refresh:
		return "would ask for " + d.Reason
	case argocd.Done:
		return "nothing to do: " + d.Reason
	default:
		return "would wait for " + d.Reason
	}
}

// heartbeat says what is waited for where nothing was said for a while.
func (a *syncing) heartbeat(ctx context.Context) {
	const every = 30 * time.Second
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			for _, app := range a.apps {
				if app.silentSince(now.Add(-every)) {
					app.log.Info(app.ref.String() + ": waiting for " + app.follower.Waiting())
				}
			}
		}
	}
}

func (a *syncingApp) silentSince(t time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.done && !a.spoken.After(t)
}

func (a *syncingApp) finish() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = true
}

// say writes one line for a change.
func (a *syncingApp) say(c argocd.Change) {
	a.mu.Lock()
	a.spoken = time.Now()
	a.mu.Unlock()
	a.show(strings.Join(strings.Fields(strings.Join([]string{c.Resource, c.Sync, c.Health, c.Hook, c.Message}, " ")), " "))
	if c.Resource == "" {
		a.log.Info(a.ref.String() + ": " + c.Message)
		return
	}
	var fields []zap.Field
	for _, f := range [][2]string{{"sync", c.Sync}, {"health", c.Health}, {"hook", c.Hook}, {"message", c.Message}} {
		if f[1] != "" {
			fields = append(fields, zap.String(f[0], f[1]))
		}
	}
	a.log.Info(a.ref.String()+": "+c.Resource, fields...)
}

func (a *syncingApp) describe(state *argocd.Application) {
	a.report.Project, a.report.Revisions = state.Project, state.Sync.Revisions
	a.report.Sync, a.report.Health, a.report.Page = state.Sync.Status, state.Health, a.follower.Client.Page(state.Ref)
}

func (a *syncingApp) succeed(o argocd.Outcome) {
	a.describe(o.App)
	a.show(a.report.Sync + " and " + a.report.Health)
	a.report.Outcome, a.report.Notice = Unchanged, o.Notice
	if o.Changed {
		a.report.Outcome = Changed
	}
	if o.Notice != "" {
		a.log.Warn(a.ref.String() + ": " + o.Notice)
	}
	a.log.Info(a.ref.String()+": "+a.report.Sync+" and "+a.report.Health, zap.String("outcome", string(a.report.Outcome)),
		zap.String("revision", strings.Join(a.report.Revisions, ",")))
}

// fail explains, in the JSON and to whoever reads the log.
func (a *syncingApp) fail(ctx context.Context) {
	a.setError()
	if state := a.follower.App(); state != nil {
		a.describe(state)
	}
	ctx, cancel := context.WithTimeout(ctx, explainReserve(time.Hour))
	defer cancel()
	a.report.Explanation = a.follower.Explain(ctx)
}

func (a *syncingApp) setError() {
	a.report.Error = &applicationError{Category: string(kindOf(a.err)), Message: a.err.Error(), Hint: failure.HintOf(a.err)}
}

// gravity orders what several applications may have ended with: what a person must look at comes first.
var gravity = []failure.Kind{
	failure.Unhealthy, failure.Denied, failure.Usage, failure.Invalid, failure.Conflict, failure.Failure, failure.Rejected, failure.Transient, failure.Pending,
	failure.Superseded,
}

// failed prints the explanations, and returns the one error or one that stands for several.
func (a *syncing) failed() error {
	var failed []*syncingApp
	for _, app := range a.apps {
		if app.err != nil {
			failed = append(failed, app)
		}
	}
	for _, app := range failed {
		if e := app.report.Explanation; e != nil {
			for _, line := range e.Lines() {
				_, _ = fmt.Fprintf(a.env.Stderr, "%s: %s\n", app.ref, oneText(line))
			}
		}
	}
	switch len(failed) {
	case 0:
		return nil
	case 1:
		return failed[0].err
	}
	slices.SortStableFunc(failed, func(x, y *syncingApp) int {
		return cmp.Compare(slices.Index(gravity, kindOf(x.err)), slices.Index(gravity, kindOf(y.err)))
	})
	worst := failed[0].err
	var texts []string
	for _, app := range failed {
		texts = append(texts, app.err.Error())
	}
	return failure.New(kindOf(worst), failure.HintOf(worst), "%d of %d applications: %s", len(failed), len(a.apps), strings.Join(texts, "; "))
}
