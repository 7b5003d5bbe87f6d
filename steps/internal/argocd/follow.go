package argocd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"slipway/steps/internal/failure"
)

// Contains says whether a commit is among those that a tip is made of, and known whether that could be found out.
type Contains func(ctx context.Context, tip, revision string) (contains, known bool, err error)

// Follower brings one application to a revision. It carries out what Decide decides.
type Follower struct {
	Client  *Client
	Request Request
	// Contains answers what only Git knows; without it no other revision than the one asked for is accepted.
	Contains Contains
	// Report is told of every change, from one goroutine. It may be nil.
	Report func(Change)
	// Mask hides secrets in what pods have logged.
	Mask func(string) string

	ref      Ref
	progress Progress
	known    map[Key]Change
	said     string
	hooks    []Hook
	doubted  time.Time // since when the server refuses

	mu     sync.Mutex
	app    *Application
	reason string
}

// Outcome is how a release has ended.
type Outcome struct {
	// Changed says that an operation was needed.
	Changed bool
	Notice  string
	App     *Application
}

const (
	// pollEvery is the safety net below the watch, whose events may be lost and which some proxies do not pass on.
	pollEvery = 10 * time.Second
	// reopenMax bounds the wait before a watch is opened again that ends at once, again and again.
	reopenMax = 15 * time.Second
	// recheckAfter is when a token that was refused is shown once more.
	recheckAfter = 5 * time.Second
	// doubtFor is how long the server is not believed that an application which it has shown is none, or none of this account's.
	doubtFor   = 30 * time.Second
	doubtEvery = 2 * time.Second
)

// NewFollower returns a follower of an application.
func NewFollower(c *Client, ref Ref, r Request) *Follower {
	return &Follower{Client: c, Request: r, ref: ref, progress: Progress{Relations: map[string]Relation{}}}
}

// Run returns when the application is as asked or will not be, with a transient error when the server cannot be reached or the
// operation has ended for a reason that passes, or when ctx ends. After an error it may be run again and goes on where it was: a
// sync whose answer was lost is looked for, and not asked for again, and an operation that was in vain is started once more.
func (f *Follower) Run(ctx context.Context) (Outcome, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	app, err := f.first(ctx)
	for err != nil {
		if err = f.recheck(ctx, err); err == nil {
			app, err = f.first(ctx)
			continue
		}
		return Outcome{}, err
	}
	w := newWatcher(ctx, f.Client, f.ref)
	for {
		f.see(ctx, app)
		d := Decide(f.Request, f.progress, f.app, time.Now())
		if f.doubted.IsZero() {
			f.note(d)
		}
		switch d.Action {
		case Done:
			return Outcome{Changed: d.Changed, Notice: d.Notice, App: f.app}, nil
		case Again:
			f.progress.Repeats++
			f.progress.Repeated, f.progress.Cause = d.Revision, f.app.State.Message
			return Outcome{}, &failedError{ref: f.ref, err: d.Err}
		case Fail:
			return Outcome{}, &failedError{ref: f.ref, err: d.Err}
		case Wait:
			app, err = w.next(d.Until)
		default:
			app, err = f.act(ctx, d)
		}
		if err != nil {
			if err = f.recheck(ctx, err); err != nil {
				return Outcome{}, err
			}
			w.poll = time.Now()
		}
	}
}

// failedError names the application in front of why it failed.
type failedError struct {
	ref Ref
	err error
}

func (e *failedError) Error() string { return fmt.Sprintf("application %s: %v", e.ref, e.err) }

func (e *failedError) Unwrap() error { return e.err }

// Plan says what Run would do first. It writes nothing and does not even ask for a comparison with Git.
func (f *Follower) Plan(ctx context.Context) (Decision, *Application, error) {
	app, err := f.Client.Get(ctx, f.ref)
	for err == nil {
		f.see(ctx, app)
		d := Decide(f.Request, f.progress, f.app, time.Now())
		switch d.Action {
		case Ask:
			if err = f.ask(ctx, d.Revision); f.progress.Relations[d.Revision] == Unrelated {
				f.progress.Relations[d.Revision] = Unknown // until Git has been compared again
			}
		case Fail:
			return d, app, &failedError{ref: f.ref, err: d.Err}
		default:
			return d, app, nil
		}
	}
	return Decision{}, nil, err
}

// first reads the application and, the first time, has it compared with Git. It is looked at before that, too: the controller
// may have synced it by the time the comparison returns, and that is part of the release.
func (f *Follower) first(ctx context.Context) (*Application, error) {
	known := f.app != nil
	app, err := f.Client.Get(ctx, f.ref)
	if err != nil || known {
		return app, err
	}
	f.see(ctx, app)
	return f.refresh(ctx)
}

func (f *Follower) refresh(ctx context.Context) (*Application, error) {
	app, err := f.Client.Refresh(ctx, f.ref)
	if err == nil {
		f.progress.Refreshed = time.Now()
	}
	return app, err
}

// see takes a state in, unless it is older than what is known: a watch may lag behind an answer. nil says that time has passed.
func (f *Follower) see(ctx context.Context, app *Application) {
	if app != nil && (f.app == nil || !app.olderThan(f.app)) {
		f.ref.Project = app.Project
		f.tell(app)
		f.collectHooks(ctx, app)
		f.mu.Lock()
		f.app = app
		f.mu.Unlock()
	}
	if app != nil {
		f.doubted = time.Time{}
	}
	f.progress = f.progress.Observe(f.app, time.Now())
}

func (f *Follower) note(d Decision) {
	if d.Err != nil && d.Reason == "" {
		d.Reason = d.Err.Error()
	}
	f.wait(d.Reason)
}

func (f *Follower) wait(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reason = reason
}

// Waiting says what is being waited for, for a heartbeat and for the end of the deadline. It may be called while Run runs.
func (f *Follower) Waiting() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reason == "" {
		return "the server's first answer"
	}
	return f.reason
}

// App is the last state that was seen, or nil. It may be called while Run runs.
func (f *Follower) App() *Application {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.app
}

// Abort ends the operation if it is one of this release, whichever run has started it.
func (f *Follower) Abort(ctx context.Context) error {
	app, err := f.Client.Get(ctx, f.ref)
	if err != nil {
		return err
	}
	if running := app.running(); running == nil || running.ID != f.Request.ID {
		return nil
	}
	return f.Client.Terminate(ctx, f.ref)
}

// recheck waits before a refusal that may be a mistake is asked about again, and returns all other errors. argocd-server answers as
// soon as it listens: before it has read the keys of tokens (Unauthenticated), the accounts' rights (PermissionDenied) and the
// applications (NotFound). A refused token is shown once more; an application that was seen is asked for until doubtFor has passed.
func (f *Follower) recheck(ctx context.Context, err error) error {
	var wait, patience time.Duration
	switch {
	case isRefusedToken(err):
		wait, patience = recheckAfter, recheckAfter
	case f.app != nil && isHidden(err):
		wait, patience = doubtEvery, doubtFor
	default:
		f.doubted = time.Time{} // a server that refuses after this may have been started since
		return err
	}
	if f.doubted.IsZero() {
		f.doubted = time.Now()
	}
	if time.Since(f.doubted)+wait > patience {
		return err
	}
	f.wait("an answer of the server that may be starting: " + err.Error())
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return errors.Join(ctx.Err(), err)
	case <-timer.C:
		return nil
	}
}

// errCertain marks a refusal of a server that is known to have read what it decides by.
var errCertain = errors.New("the server is not starting")

// isHidden says whether an answer is what a server says to whom it may not, or cannot yet, show the application.
func isHidden(err error) bool {
	var api *APIError
	if !errors.As(err, &api) || errors.Is(err, errCertain) || errors.Is(err, ErrWindow) {
		return false
	}
	return api.Code == codes.PermissionDenied || api.Code == codes.NotFound
}

// insist finds out whether the refusal of an action is that of a server which is only starting: then it refuses to show the
// application, too.
func (f *Follower) insist(ctx context.Context, err error) error {
	if !isHidden(err) {
		return err
	}
	if _, failed := f.Client.Get(ctx, f.ref); failed != nil {
		return failed
	}
	return join(err, errCertain)
}

// act does what was decided and returns the application afterwards, where that is known.
func (f *Follower) act(ctx context.Context, d Decision) (*Application, error) {
	switch d.Action {
	case Ask:
		return nil, f.ask(ctx, d.Revision)
	case Refresh:
		f.progress.Refreshes++
		return f.refresh(ctx)
	case Terminate:
		if err := f.Client.Terminate(ctx, f.ref); err != nil {
			return nil, f.insist(ctx, err)
		}
		f.progress.Terminated = d.Revision
		return f.Client.Get(ctx, f.ref)
	default:
		return f.start(ctx, d.Sync)
	}
}

func (f *Follower) ask(ctx context.Context, revision string) error {
	answer := Unknown
	if f.Contains != nil {
		contains, known, err := f.Contains(ctx, revision, f.Request.Revision)
		switch {
		case err != nil:
			return fmt.Errorf("commit %s: %w", short(revision), err)
		case contains:
			answer = Descendant
		case known:
			answer = Unrelated
		}
	}
	f.progress.Relations[revision] = answer
	return nil
}

// start asks for the operation. Whatever goes wrong is followed by another look: only what the application says tells whether
// an answer that was lost was a yes.
func (f *Follower) start(ctx context.Context, s SyncRequest) (*Application, error) {
	f.progress.NotBefore = time.Now().Add(time.Second)
	app, err := f.Client.Sync(ctx, f.ref, s)
	switch {
	case err == nil:
		f.progress.Syncs++
		f.progress.Refreshes = 0
		f.progress.unresolved = 0
		if errors.Is(f.progress.Refusal, ErrWindow) {
			f.progress.Refusal = nil
		}
		return app, nil
	case errors.Is(err, ErrInProgress):
	case (errors.Is(err, ErrAutomated) || errors.Is(err, ErrOverride)) && s.Revision != "":
		f.progress.Refusal, f.progress.NotBefore = ErrAutomated, time.Time{}
	case errors.Is(err, ErrWindow):
		if !f.Request.WaitForWindow {
			return nil, f.describeWindow(ctx, err)
		}
		f.progress.Refusal, f.progress.NotBefore = ErrWindow, time.Now().Add(windowEvery)
	case errors.Is(err, ErrUnresolved) && f.progress.unresolved < resolveTries:
		f.progress.unresolved++
		f.progress.NotBefore = time.Now().Add(resolveEvery)
	case errors.Is(err, ErrUnresolved):
		return nil, &failure.Error{Kind: failure.Failure, Hint: "check that Argo CD can reach the repository", Err: errors.New(err.Error())}
	default:
		return nil, f.insist(ctx, err)
	}
	return f.Client.Get(ctx, f.ref)
}

// describeWindow says which windows there are, if the server tells.
func (f *Follower) describeWindow(ctx context.Context, err error) error {
	windows, _, failed := f.Client.Windows(ctx, f.ref)
	if failed != nil || len(windows) == 0 {
		return err
	}
	w := windows[0]
	return fmt.Errorf("%w: %s %q for %s", err, w.Kind, w.Schedule, w.Duration)
}
