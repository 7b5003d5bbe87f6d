package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"slipway/retry"
	"slipway/steps/internal/approval"
	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
)

const categoryApproval = "Approval"

// approvalOptions say where the records of approvals are kept, and who acts on them.
type approvalOptions struct {
	store   string
	by, via string
}

func (a *approvalOptions) flags() []cli.Flag {
	return []cli.Flag{
		stringFlag(&a.store, "store", string(approval.Auto),
			"where questions are kept: in refs of the repository, in its branch slipway/approvals, in a local directory as file:DIR, or auto: in refs unless those are refused", category(categoryApproval)),
		stringFlag(&a.by, "by", "", "the name of whoever acts; outside of Jenkins the user of this machine by default", category(categoryApproval)),
		stringFlag(&a.via, "via", "", "how the answer came, such as kubesphere; jenkins or command by default", category(categoryApproval)),
	}
}

// questions are the records of approvals in an open store, as one actor sees them.
type questions struct {
	env    *Env
	store  approval.Store
	remote *gitrepo.Remote // nil where the store is no repository
	actor  approval.Actor
	told   bool // that the clock is wrong
}

// open opens the store. A repository that is open already is used, and stays the caller's.
func (a *approvalOptions) open(env *Env, git *gitOptions, who *identity, build *build, remote *gitrepo.Remote) (*questions, func(), error) {
	q := &questions{env: env, actor: a.actor(env, build)}
	if dir, ok := strings.CutPrefix(a.store, "file:"); ok {
		if dir == "" {
			return nil, nil, failure.New(failure.Usage, "write it as --store file:approvals", "--store file: names no directory")
		}
		q.store = approval.NewFile(dir)
		return q, func() {}, nil
	}
	mode := approval.Mode(a.store)
	if !slices.Contains(approval.Modes, mode) {
		return nil, nil, failure.New(failure.Usage, "give auto, refs, branch or file:DIR", "--store %q is no place for approvals", a.store)
	}
	closing := func() {}
	if remote == nil {
		if git.repo == "" {
			return nil, nil, failure.New(failure.Usage, "name the repository with --repo, or keep approvals in a directory with --store file:DIR", "it is not known where the approvals are")
		}
		var err error
		if remote, err = git.open(env, ""); err != nil {
			return nil, nil, err
		}
		closing = func() { _ = remote.Close() }
	}
	q.remote = remote
	ledger := &gitrepo.Ledger{Remote: remote, Commit: func(message string) (gitrepo.CommitSpec, error) {
		return who.spec(env, env.Redact.String(message))
	}}
	q.store = approval.NewGit(ledger, approval.GitOptions{Mode: mode, Diverged: gitrepo.ErrDiverged})
	return q, closing, nil
}

// actor is who runs this process. What a build says of itself is as much as is known there: the agent's user is nobody.
func (a *approvalOptions) actor(env *Env, build *build) approval.Actor {
	actor := approval.Actor{By: env.Redact.String(a.by), Via: a.via, Build: env.Redact.String(build.url)}
	if build.job == "" {
		if actor.By == "" {
			actor.By, _ = env.LookupEnv("USER")
		}
		actor.Via = cmp.Or(actor.Via, "command")
	}
	actor.Via = cmp.Or(actor.Via, "jenkins")
	return actor
}

// now is the time by the clock of the server, where the server tells it and it is not this machine's: agents whose clocks
// differ must agree on when a window closes.
func (q *questions) now() time.Time {
	now := time.Now()
	if q.remote == nil {
		return now
	}
	server, local := q.remote.ServerTime()
	ahead := local.Sub(server)
	if server.IsZero() || ahead.Abs() < clockTolerance {
		return now
	}
	q.tell(ahead, "the server's, which is used instead")
	return now.Add(-ahead)
}

const (
	// clockTolerance is how far a clock may be wrong before another one is used. The server tells whole seconds only, and late.
	clockTolerance = 5 * time.Second
	// clockWarning is from when on it is said.
	clockWarning = time.Minute
)

func (q *questions) tell(ahead time.Duration, than string) {
	if q.told || ahead.Abs() < clockWarning {
		return
	}
	q.told = true
	direction := "ahead of"
	if ahead < 0 {
		direction = "behind"
	}
	q.env.Log.Warn(fmt.Sprintf("the clock of this machine is %s %s %s: set it right", ahead.Abs().Round(time.Second), direction, than))
}

// check says so if a record was written later than it is now: one of two clocks is wrong.
func (q *questions) check(r approval.Record) {
	if n := len(r.Events); n > 0 {
		if behind := r.Events[n-1].At.Sub(q.now()); behind > clockWarning {
			q.tell(-behind, "that of the one which wrote the record last")
		}
	}
}

// read returns a record; found is false if there is none of that id.
func (q *questions) read(ctx context.Context, id string) (r approval.Record, found bool, err error) {
	err = retry.Do(ctx, q.env.Retry, q.env.observe("read approval "+id), func(ctx context.Context) error {
		stored, err := q.store.Read(ctx, id)
		r, found = stored.Record, err == nil
		if errors.Is(err, approval.ErrNone) {
			return nil
		}
		return err
	})
	if found {
		q.check(r)
	}
	return r, found, err
}

// must is read where the record has to be there.
func (q *questions) must(ctx context.Context, id string) (approval.Record, error) {
	r, found, err := q.read(ctx, id)
	if err == nil && !found {
		err = noApproval(id)
	}
	return r, err
}

func noApproval(id string) error {
	return failure.New(failure.Usage, "slipway status lists them; check the id, --repo and --store", "there is no approval %q", id)
}

// open returns the record of a question, which is opened if it is not there yet.
func (q *questions) open(ctx context.Context, fresh approval.Record) (approval.Record, bool, error) {
	return q.change(ctx, "open", fresh.ID, func(r approval.Record, _ time.Time) (approval.Record, error) {
		if r.ID == "" {
			return fresh, nil
		}
		return r, nil
	})
}

// change applies a change to a record, anew on what others make of it meanwhile. Changed says whether it had an effect.
func (q *questions) change(ctx context.Context, unit, id string, change func(r approval.Record, now time.Time) (approval.Record, error)) (r approval.Record, changed bool, err error) {
	err = retry.Do(ctx, q.env.Retry, q.env.observe(unit+" approval "+id), func(ctx context.Context) error {
		stored, did, err := approval.Apply(ctx, q.store, id, func(r approval.Record) (approval.Record, error) {
			q.check(r)
			return change(r, q.now())
		})
		r, changed = stored.Record, changed || did
		if errors.Is(err, approval.ErrNone) {
			return noApproval(id)
		}
		return err
	})
	if err == nil && changed {
		fields := []zap.Field{zap.String("id", id)}
		if by := r.Events[len(r.Events)-1].By; by != "" {
			fields = append(fields, zap.String("by", by))
		}
		q.env.Log.Info("approval "+string(r.State), fields...)
	}
	return r, changed, err
}

// approvalDetails is part of the result, and of the error.
type approvalDetails struct {
	ID       string         `json:"id"`
	State    approval.State `json:"state"`
	Opened   time.Time      `json:"opened"`
	Deadline time.Time      `json:"deadline"`
	// RemainingSeconds is how long the window stays open.
	RemainingSeconds int64 `json:"remainingSeconds"`
	// Message is the summary of what is asked, for people.
	Message string       `json:"message"`
	Why     approval.Why `json:"why,omitempty"`
	By      string       `json:"by,omitempty"`
	Via     string       `json:"via,omitempty"`
	Reason  string       `json:"reason,omitempty"`
	// Revision is the commit that is asked about, Revert the one that took it back.
	Revision string             `json:"revision,omitempty"`
	Revert   string             `json:"revert,omitempty"`
	Sync     *argocdSyncDetails `json:"sync,omitempty"`
	DryRun   bool               `json:"dryRun,omitempty"`
}

func (q *questions) details(r approval.Record) *approvalDetails {
	d := &approvalDetails{
		ID: r.ID, State: r.State, Opened: r.Opened, Deadline: r.Deadline, Message: summaryOf(r), Revision: r.Subject.Revision, Revert: r.Revision,
	}
	if r.State == approval.Pending {
		left := r.Remaining(q.now())
		d.RemainingSeconds = int64((left + time.Second - 1) / time.Second) // rounded up: a time limit made of it must not end too early
	}
	if r.Decision != nil {
		d.Why, d.By, d.Via, d.Reason = r.Decision.Why, r.Decision.By, r.Decision.Via, r.Decision.Reason
	}
	return d
}

// verdict is the error that a record means to a pipeline, nil for one that was accepted.
func verdict(r approval.Record) error {
	what := "release " + r.ID
	switch {
	case r.State == approval.Accepted:
		return nil
	case r.State == approval.Pending:
		return failure.New(failure.Pending, "run it again to go on waiting, or decide with slipway approve or slipway reject", "%s: nothing is decided yet", what)
	case r.Decision.Why == approval.ByUnhealthy:
		return failure.New(failure.Unhealthy, "look at why it was not healthy, and release another version", "%s: %s; %s", what, cmp.Or(r.Decision.Reason, "it was not healthy"), undone(r))
	}
	hint := "release another version"
	if r.State == approval.Rejected {
		hint = fmt.Sprintf("take it back with slipway revert --commit %s", r.Subject.Revision)
	}
	return failure.New(failure.Rejected, hint, "%s: %s; %s", what, decisionText(r), undone(r))
}

func undone(r approval.Record) string {
	switch r.State {
	case approval.Reverting:
		return "taken back by commit " + short(r.Revision) + ", which is not in the cluster yet"
	case approval.Reverted:
		return "taken back by commit " + short(r.Revision)
	case approval.Superseded:
		return "a newer release has replaced it already"
	default:
		return "it is still there"
	}
}
