package steps

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"slipway/retry"
	"slipway/steps/internal/argocd"
	"slipway/steps/internal/failure"
	"slipway/steps/internal/release"
)

// ArgoCDSync brings applications to a revision and waits until they are healthy there.
type ArgoCDSync struct {
	Apps             []string
	Selector         string
	Project          string
	Revision         string
	Record           string
	Timeout          time.Duration
	Prune            bool
	Exact            bool
	DegradedGrace    time.Duration
	Settle           time.Duration
	TerminateAfter   time.Duration
	TerminateOnAbort bool
	NoWait           bool
	WaitForWindow    bool
	DryRun           bool

	argocd argocdOptions
	git    gitOptions
}

// argocdSyncDetails is part of the result, and of the error.
type argocdSyncDetails struct {
	Revision     string              `json:"revision"`
	Applications []applicationReport `json:"applications"`
	DryRun       bool                `json:"dryRun,omitempty"`
}

// applicationReport is how one application has ended.
type applicationReport struct {
	Application string              `json:"application"`
	Project     string              `json:"project,omitempty"`
	Outcome     Outcome             `json:"outcome,omitempty"`
	Revisions   []string            `json:"revisions,omitempty"`
	Sync        string              `json:"sync,omitempty"`
	Health      string              `json:"health,omitempty"`
	Page        string              `json:"page,omitempty"`
	Notice      string              `json:"notice,omitempty"`
	Plan        string              `json:"plan,omitempty"`
	Error       *applicationError   `json:"error,omitempty"`
	Explanation *argocd.Explanation `json:"explanation,omitempty"`
}

type applicationError struct {
	Category string `json:"category"`
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
}

func newArgoCDSync() *cli.Command {
	s := &ArgoCDSync{}
	flags := append(s.flags(),
		stringFlag(&s.Revision, "revision", "", "the commit that the applications must be at; that of the record by default"),
		stringFlag(&s.Record, "record", defaultRecord, "the record of commit-push or revert"),
		boolFlag(&s.DryRun, "dry-run", "say what would be done, and do nothing"),
	)
	flags = append(flags, s.argocd.flags()...)
	flags = append(flags, slices.DeleteFunc(s.git.flags("the repository of the revision; that of the record by default", ""), func(f cli.Flag) bool {
		return f.Names()[0] == "branch"
	})...)
	return step(s, &cli.Command{
		Name:  "argocd-sync",
		Usage: "bring applications of Argo CD to a commit, and wait until they are healthy there",
		Description: `Joins an operation that brings the commit into the cluster, or starts one, and waits until the application is Synced and Healthy
at that commit, or at a later one that contains it, and stays so. An application that syncs by itself is left to do so first. Nothing
is started twice: an operation that runs already, from an earlier run of this step or from anybody else, is waited for. What goes
wrong is explained down to events and logs of pods.

The environment and the configuration of the argocd command are read as that command reads them: ARGOCD_SERVER, ARGOCD_AUTH_TOKEN,
ARGOCD_OPTS. The account needs get and sync on the applications, and logs, get for the logs.

Unchanged if everything was so already. Never changes the application itself. Once the server was reached, what fails for the moment
is tried again until --timeout; so is an operation of the release that Argo CD could not do for the moment, four times at most.`,
		Flags: flags,
	}, withRetry)
}

// flags say which applications are meant, and what to wait for.
func (s *ArgoCDSync) flags() []cli.Flag {
	return []cli.Flag{
		stringSliceFlag(&s.Apps, "app", "an application, as NAME or NAMESPACE/NAME"),
		stringFlag(&s.Selector, "selector", "", "the labels of the applications, as in app=shop,tier!=db"),
		stringFlag(&s.Project, "project", "", "the project of the applications; what it holds only is looked at"),
		durationFlag(&s.Timeout, "timeout", 10*time.Minute, "give up waiting after this time"),
		boolFlag(&s.Prune, "prune", "delete what Git no longer has, as applications do whose own policy says so"),
		boolFlag(&s.Exact, "exact", "accept no later commit instead, even if it contains this one"),
		durationFlag(&s.DegradedGrace, "degraded-grace", 90*time.Second, "let an application be degraded for so long before it has failed"),
		durationFlag(&s.Settle, "settle", 5*time.Second, "let an application stay healthy for so long before it is"),
		durationFlag(&s.TerminateAfter, "terminate-after", 0, "end operations of others that are in the way for so long; never by default"),
		boolFlag(&s.TerminateOnAbort, "terminate-on-abort", "end the operation when the step is interrupted"),
		boolFlag(&s.NoWait, "no-wait", "be content with an operation that has started"),
		boolFlag(&s.WaitForWindow, "wait-for-window", "wait for a sync window to let the operation start"),
	}
}

// fullHash is what Argo CD takes for a commit without asking Git, where a shorter one would be ambiguous.
var fullHash = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// Run releases to all applications side by side over one connection.
func (s *ArgoCDSync) Run(ctx context.Context, env *Env) (Result, error) {
	request, repo, err := s.request()
	if err != nil {
		return Result{}, err
	}
	limited, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	client, err := s.argocd.connect(limited, env, s.Timeout)
	if err != nil {
		return Result{}, s.timedOut(limited, err, "Argo CD has not answered")
	}
	defer func() { _ = client.Close() }()
	details, err := s.sync(ctx, limited, env, client, request, repo)
	if details != nil && !s.DryRun {
		env.note(s.Record, details.Revision, func(r *release.Record) { r.Applications = details.recorded() })
	}
	if err != nil {
		if details != nil {
			err = &detailedError{error: err, details: details}
		}
		return Result{}, err
	}
	return Result{Step: "argocd-sync", Outcome: details.outcome(), Details: details}, nil
}

// recorded is what the record says of applications.
func (d *argocdSyncDetails) recorded() []release.Application {
	var apps []release.Application
	for _, a := range d.Applications {
		apps = append(apps, release.Application{Name: a.Application, Health: a.Health, Page: a.Page})
	}
	return apps
}

// sync releases over an open connection, for as long as limited lasts. The details are nil where nothing was looked at.
func (s *ArgoCDSync) sync(
	ctx, limited context.Context, env *Env, client *argocd.Client, request argocd.Request, repo string,
) (*argocdSyncDetails, error) {
	refs, err := s.refs(limited, env, client)
	if err != nil {
		return nil, s.timedOut(limited, err, "the applications were not listed")
	}
	all := &syncing{step: s, env: env}
	git := &ancestry{git: &s.git, env: env, repo: repo}
	defer git.close()
	for _, ref := range refs {
		follower := argocd.NewFollower(client, ref, request)
		follower.Mask = env.Redact.String
		if repo != "" {
			follower.Contains = git.contains
		}
		all.add(ref, follower)
	}
	return &argocdSyncDetails{Revision: request.Revision, DryRun: s.DryRun, Applications: all.run(ctx, limited)}, all.failed()
}

func (d *argocdSyncDetails) outcome() Outcome {
	if slices.ContainsFunc(d.Applications, func(a applicationReport) bool { return a.Outcome == Changed }) {
		return Changed
	}
	return Unchanged
}

// request takes what the flags leave out from the record.
func (s *ArgoCDSync) request() (argocd.Request, string, error) {
	if err := s.check(); err != nil {
		return argocd.Request{}, "", err
	}
	record := release.Record{}
	if s.Revision == "" || s.git.repo == "" {
		var err error
		if record, err = release.ReadRecord(s.Record); err != nil {
			return argocd.Request{}, "", err
		}
	}
	r := s.wanted(s.Revision)
	recorded := cmp.Or(record.Revert, record.Commit)
	if r.Revision == "" {
		r.Revision = recorded
	}
	if r.Revision == "" {
		return r, "", failure.New(failure.Usage, "name the commit with --revision, or the record of commit-push with --record", "record %s names no commit", s.Record)
	}
	if !fullHash.MatchString(r.Revision) {
		return r, "", failure.New(failure.Usage, "give the commit as git rev-parse prints it", "--revision %q is not the full name of a commit", r.Revision)
	}
	r.ID = r.Revision
	repo := s.git.repo
	if r.Revision == recorded {
		repo = cmp.Or(repo, record.Repo)
		if record.Release != "" {
			r.ID = record.Release + "@" + short(r.Revision)
		}
	}
	r.Repo = repo
	return r, repo, nil
}

func (s *ArgoCDSync) check() error {
	if (len(s.Apps) == 0) == (s.Selector == "") {
		return failure.New(failure.Usage, "name applications with --app, or their labels with --selector", "give either --app or --selector")
	}
	if s.Timeout <= 0 || s.Settle < 0 || s.DegradedGrace < 0 || s.TerminateAfter < 0 {
		return failure.New(failure.Usage, "", "--timeout must be above zero, and no other duration below")
	}
	return nil
}

func (s *ArgoCDSync) wanted(revision string) argocd.Request {
	return argocd.Request{
		Revision: revision, Exact: s.Exact, Prune: s.Prune, NoWait: s.NoWait, WaitForWindow: s.WaitForWindow,
		Settle: s.Settle, Grace: s.DegradedGrace, TerminateAfter: s.TerminateAfter,
	}
}

// timedOut tells the end of --timeout from the end of retries.
func (s *ArgoCDSync) timedOut(ctx context.Context, err error, what string) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	return failure.New(failure.Pending, "", "%s within %s: %w", what, s.Timeout, err)
}

func (s *ArgoCDSync) refs(ctx context.Context, env *Env, client *argocd.Client) ([]argocd.Ref, error) {
	if s.Selector != "" {
		return s.list(ctx, env, client)
	}
	var refs []argocd.Ref
	for _, name := range s.Apps {
		ref, ok := argocd.ParseRef(name)
		if !ok {
			return nil, failure.New(failure.Usage, "write it NAME or NAMESPACE/NAME", "--app %q names no application", name)
		}
		ref.Project = s.Project
		if !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

func (s *ArgoCDSync) list(ctx context.Context, env *Env, client *argocd.Client) (refs []argocd.Ref, err error) {
	err = retry.Do(ctx, env.Retry, env.observe("list the applications"), func(ctx context.Context) error {
		refs, err = client.List(ctx, s.Selector, s.Project)
		return err
	})
	if err == nil && len(refs) == 0 {
		err = failure.New(failure.Usage, "check --selector, --project, and what the account may get", "no application has the labels %s", s.Selector)
	}
	return refs, err
}
