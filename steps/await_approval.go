package steps

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"slipway/steps/internal/approval"
	"slipway/steps/internal/failure"
	"slipway/steps/internal/release"
)

// AwaitApproval asks whether a release stays, and carries out the answer.
type AwaitApproval struct {
	ID       string
	Path     string
	Revision string
	Record   string
	DryRun   bool

	asking   asking
	approval approvalOptions
	rollback rollback
	openOnly bool // somebody else waits
}

// asking is how a question is put.
type asking struct {
	window      time.Duration
	onTimeout   string
	onReject    string
	approvers   []string
	notByAuthor bool
	authors     []string
	commitURL   string
	poll        time.Duration
}

func (a *asking) flags() []cli.Flag {
	return []cli.Flag{
		stringFlag(&a.onTimeout, "on-timeout", string(approval.AcceptOnTimeout), "what silence means: accept or reject", category(categoryApproval)),
		stringFlag(&a.onReject, "on-reject", string(approval.KeepRejected), "what becomes of a release that is rejected: keep it and say so, or revert it", category(categoryApproval)),
		stringSliceFlag(&a.approvers, "approvers", "whose answer counts; everybody's by default", category(categoryApproval)),
		boolFlag(&a.notByAuthor, "not-by-author", "refuse the answer of those who made the release", category(categoryApproval)),
		stringSliceFlag(&a.authors, "author", "who made the release, besides the author of its commit", env("CHANGE_AUTHOR", "BUILD_USER_ID"), category(categoryApproval)),
		stringFlag(&a.commitURL, "commit-url", "", "where a commit can be looked at, with {revision} in it; made from the repository by default", category(categoryApproval)),
		durationFlag(&a.poll, "poll", 10*time.Second, "look for an answer about this often", category(categoryApproval)),
	}
}

func (a *asking) check() error {
	switch {
	case a.onTimeout != string(approval.AcceptOnTimeout) && a.onTimeout != string(approval.RejectOnTimeout):
		return failure.New(failure.Usage, "give accept or reject", "--on-timeout %q is no answer", a.onTimeout)
	case a.onReject != string(approval.KeepRejected) && a.onReject != string(approval.RevertRejected):
		return failure.New(failure.Usage, "give keep or revert", "--on-reject %q is nothing that can be done", a.onReject)
	case a.window <= 0 || a.poll <= 0:
		return failure.New(failure.Usage, "", "the window and --poll must be above zero")
	}
	return nil
}

func (a *asking) terms() approval.Terms {
	return approval.Terms{
		OnTimeout: approval.OnTimeout(a.onTimeout), OnReject: approval.OnReject(a.onReject),
		Approvers: a.approvers, NotByAuthor: a.notByAuthor,
	}
}

func (a *AwaitApproval) subjectFlags() []cli.Flag {
	return []cli.Flag{
		stringFlag(&a.ID, "id", "", "the id of the question; PATH@REVISION by default, or APP@REVISION where no path is known"),
		stringFlag(&a.Path, "path", "", "the directory of the kustomization that was released; that of the record by default"),
		stringFlag(&a.Revision, "revision", "", "the commit that was released; that of the record by default"),
		stringFlag(&a.Record, "record", defaultRecord, "the record of the steps before"),
	}
}

func (a *AwaitApproval) windowFlag() cli.Flag {
	return durationFlag(&a.asking.window, "window", 30*time.Minute, "how long an answer is waited for")
}

func (a *AwaitApproval) flags() []cli.Flag {
	flags := append(a.subjectFlags(), a.windowFlag(), boolFlag(&a.DryRun, "dry-run", "show what would be asked, and ask nobody"))
	flags = append(flags, a.asking.flags()...)
	flags = append(flags, a.approval.flags()...)
	return append(flags, a.rollback.flags()...)
}

func newAwaitApproval() *cli.Command {
	a := &AwaitApproval{}
	return step(a, &cli.Command{
		Name:  "await-approval",
		Usage: "ask whether a release stays, wait for the answer, and carry it out",
		Description: `Opens a question about a released commit, or joins the one that is open already, and waits until somebody answers it or its window
closes. Answers come from slipway approve and slipway reject, from anywhere that may push to the repository, and on a terminal from
whoever sits there. Silence accepts, unless --on-timeout says otherwise. A question has one outcome, whoever asks for it and
however often: one that is settled asks nobody again.

With --on-reject revert a rejected release is taken back by a commit, as slipway revert does, and with --app or --selector the
applications are brought there. Whatever was killed on the way is finished by the next run, here or elsewhere.

Where Jenkins's own input step asks, await-approval open and await-approval resolve do what comes before and after it.

Exits with 0 if the release stays, 10 if it was rejected, 8 if nothing was decided.`,
		Flags: a.flags(),
	}, withRetry)
}

func newAwaitApprovalOpen() *cli.Command {
	a := &AwaitApproval{openOnly: true}
	return step(a, &cli.Command{
		Name:  "await-approval open",
		Usage: "open the question whether a release stays, and do not wait",
		Description: `Opens the question, or finds the one that is open: its deadline stays. The result has the summary for the message of Jenkins's input
step and the seconds that are left for its time limit. One whose window has closed is settled, and what was decided is carried out as
by await-approval.

Exits with 0 if the question is open or the release stays, 10 if it was rejected.`,
		Flags: a.flags(),
	}, withRetry)
}

// Run asks, waits, and carries out.
func (a *AwaitApproval) Run(ctx context.Context, env *Env) (Result, error) {
	q, closing, record, opened, err := a.put(ctx, env)
	if err != nil {
		return Result{}, err
	}
	defer closing()
	if a.DryRun {
		return a.foreseen(env, q, record), nil
	}
	if !a.openOnly && record.State == approval.Pending {
		opened = true
		if record, err = q.await(ctx, record, a.asking.poll); err != nil {
			return Result{}, &detailedError{error: err, details: q.details(record)}
		}
	}
	return a.conclude(ctx, env, q, record, opened)
}

// put opens the question, or finds it.
func (a *AwaitApproval) put(ctx context.Context, env *Env) (q *questions, closing func(), r approval.Record, opened bool, err error) {
	if err := cmp.Or(a.asking.check(), a.rollback.check()); err != nil {
		return nil, nil, r, false, err
	}
	subject, record, err := a.subject()
	if err != nil {
		return nil, nil, r, false, err
	}
	id, err := a.idOf(subject, record)
	if err != nil {
		return nil, nil, r, false, err
	}
	if q, closing, err = a.approval.open(env, &a.rollback.git, &a.rollback.identity, &a.rollback.build, nil); err != nil {
		return nil, nil, r, false, err
	}
	r, found, err := q.read(ctx, id)
	if err == nil && !found {
		if err = a.describe(ctx, env, q, &subject); err == nil {
			r = approval.New(id, q.now(), a.asking.window, a.asking.terms(), subject, q.actor)
			if !a.DryRun {
				r, opened, err = q.open(ctx, r)
			}
		}
	}
	if err == nil && r.Overdue(q.now()) && !a.DryRun {
		r, err = q.settle(ctx, r)
	}
	if err != nil {
		closing()
		return nil, nil, r, false, err
	}
	if opened {
		env.Log.Info("approval opened", zap.String("id", id), zap.String("until", bothTimes(r.Deadline)))
		_, _ = fmt.Fprintln(env.Stderr, summaryOf(r))
	}
	if !a.DryRun {
		env.note(a.Record, r.Subject.Revision, func(record *release.Record) { record.Approval = id })
	}
	return q, closing, r, opened, nil
}

// subject takes from the record of the steps before what the flags leave out.
func (a *AwaitApproval) subject() (approval.Subject, release.Record, error) {
	s := approval.Subject{Path: a.Path, Revision: a.Revision}
	record, err := release.ReadRecord(a.Record)
	if err != nil {
		return s, record, err
	}
	if s.Path != "" {
		if s.Path, err = cleanPath(s.Path); err != nil {
			return s, record, err
		}
	}
	if s.Revision != "" && !fullHash.MatchString(s.Revision) {
		return s, record, failure.New(failure.Usage, "give the commit as git rev-parse prints it", "--revision %q is not the full name of a commit", s.Revision)
	}
	git := &a.rollback.git
	if s.Revision == "" || s.Revision == record.Commit {
		s.Revision, s.Release, s.Job, s.Order = record.Commit, record.Release, record.Job, record.Order
		s.Images = imagesAsked(record.Images)
		git.repo = cmp.Or(git.repo, record.Repo)
		git.branch = cmp.Or(git.branch, record.Branch)
		if s.Path == "" && len(record.Images) > 0 {
			s.Path = record.Images[0].Path
		}
		for _, app := range record.Applications {
			s.Applications = append(s.Applications, approval.Application{Name: app.Name, Health: app.Health, URL: app.Page})
		}
	}
	git.branch = cmp.Or(git.branch, "main")
	return s, record, nil
}

// idOf names the question so that a pipeline which is started again finds it: by what was released, not by the build.
func (a *AwaitApproval) idOf(s approval.Subject, record release.Record) (string, error) {
	if a.ID != "" {
		return a.ID, nil
	}
	if record.Approval != "" && s.Revision == record.Commit && a.Path == "" {
		return record.Approval, nil
	}
	what := cmp.Or(s.Path, strings.Join(a.rollback.sync.Apps, ","))
	if what == "" || s.Revision == "" {
		return "", failure.New(failure.Usage, "give --id, or --path and --revision, or the record of commit-push with --record", "it is not known what is asked about")
	}
	return approval.ID(what, s.Revision), nil
}

func (a *AwaitApproval) foreseen(env *Env, q *questions, r approval.Record) Result {
	details := q.details(r)
	details.DryRun = true
	_, _ = fmt.Fprintln(env.Stderr, details.Message)
	outcome := Changed
	if len(r.Events) > 1 {
		outcome = Unchanged
	}
	return Result{Step: "await-approval", Outcome: outcome, Details: details}
}

// conclude carries a decision out, and returns what it means to the pipeline.
func (a *AwaitApproval) conclude(ctx context.Context, env *Env, q *questions, r approval.Record, changed bool) (Result, error) {
	r, synced, err := a.rollback.carryOut(ctx, env, q, r)
	if r.Revision != "" {
		env.note(a.Record, r.Subject.Revision, func(record *release.Record) { record.Revert = r.Revision })
	}
	details := q.details(r)
	details.Sync = synced
	if err == nil && (!a.openOnly || r.State != approval.Pending) {
		err = verdict(r)
	}
	if err != nil {
		return Result{}, &detailedError{error: err, details: details}
	}
	outcome := Unchanged
	if changed {
		outcome = Changed
	}
	return Result{Step: "await-approval", Outcome: outcome, Details: details}, nil
}
