package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"slipway/retry"
	"slipway/steps/internal/approval"
	"slipway/steps/internal/argocd"
	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
	"slipway/steps/internal/manifest"
	"slipway/steps/internal/release"
)

// Release is set-image, validate, commit-push and argocd-sync in one process, and without a checkout. It leaves the same
// record and the same trailers as those, so that the two ways can be mixed.
type Release struct {
	Change  SetImage // of the tip of the branch; its Dir is not used
	Message string
	ID      string
	History int64
	// AllowReverted publishes an image although a revert took it away.
	AllowReverted bool
	Sync          ArgoCDSync // where it names applications
	// Await is how long somebody may take to say whether the release stays; nobody is asked if it is 0.
	Await time.Duration
	// OnUnhealthy is keep or revert: what becomes of a release that is not healthy.
	OnUnhealthy string

	asking   asking
	approval approvalOptions
	rules    rules
	git      gitOptions
	build    build
	identity identity
}

// releaseDetails is part of the result, and of the error. Rendered is what becomes of the objects.
type releaseDetails struct {
	Revision string               `json:"revision,omitempty"`
	Branch   string               `json:"branch"`
	Release  string               `json:"release,omitempty"`
	Path     string               `json:"path"`
	Images   []release.PathImages `json:"images,omitempty"`
	Values   []ValueChange        `json:"values,omitempty"`
	Files    []string             `json:"files,omitempty"`
	Rendered []ObjectChange       `json:"rendered"`
	Findings []Finding            `json:"findings,omitempty"`
	Attempts int                  `json:"attempts,omitempty"`
	Looked   *lookedBack          `json:"lookedBack,omitempty"`
	Sync     *argocdSyncDetails   `json:"sync,omitempty"`
	Approval *approvalDetails     `json:"approval,omitempty"`
	DryRun   bool                 `json:"dryRun,omitempty"`

	unasked bool                    // the commit is not the one that set the values
	changes []manifest.ObjectChange // of the rendered objects, if this run has made them
}

func newRelease() *cli.Command {
	r := &Release{}
	c := &r.Change
	flags := []cli.Flag{
		stringFlag(&c.Path, "path", "", "the directory of the kustomization, from the root of the repository", required),
		stringSliceFlag(&c.Images, "image", "the image to release, as [NAME=]NEWNAME[:TAG][@DIGEST]"),
		stringSliceFlag(&c.Values, "set", "a value to set, as FILE[#CONDITIONS]:PATH=VALUE, with FILE from the root of the repository"),
	}
	flags = append(flags, c.editFlags()...)
	flags = append(flags,
		boolFlag(&c.DryRun, "dry-run", "show what would be published, and what that would change, and write nothing"),
		stringFlag(&c.Record, "record", defaultRecord, "the file that tells later steps what was found out"),
		stringFlag(&r.Message, "message", "", "the commit message; one that names the images by default"),
	)
	flags = append(flags, r.Sync.flags()...)
	flags = append(flags, r.rules.flags()...)
	flags = append(flags,
		durationFlag(&r.Await, "await", 0, "ask whether the release stays, and wait so long for an answer; nobody is asked by default", category(categoryApproval)),
		stringFlag(&r.OnUnhealthy, "on-unhealthy", string(approval.KeepRejected), "what becomes of a release that is not healthy: keep it and say so, or revert it without asking", category(categoryApproval)),
	)
	flags = append(flags, r.asking.flags()...)
	flags = append(flags, r.approval.flags()...)
	flags = append(flags,
		stringFlag(&r.ID, "release", "", "the id of the release; made from job, order and contents by default", category(categoryRelease)),
		boolFlag(&r.AllowReverted, "allow-reverted", "publish an image although it was reverted", category(categoryRelease)),
		int64Flag(&r.History, "history", defaultHistory, "look back this many commits for newer builds, reverts, and who set a value", category(categoryRelease)),
	)
	flags = append(flags, r.build.flags()...)
	flags = append(flags, r.identity.flags()...)
	flags = append(flags, r.git.flags("the repository", "main")...)
	flags = append(flags, r.Sync.argocd.flags()...)
	return step(r, &cli.Command{
		Name:  "release",
		Usage: "set images, check what they change, publish them, and wait until they are healthy: all in one",
		Description: `Does what checkout, set-image, validate, commit-push and argocd-sync do one after the other, without a checkout and over one
connection to each server: the change is made on the newest commit of the branch, of which only the files are fetched that the
overlay is built from. When others push at the same time all of that is done again on what they published. With --app or
--selector the applications are then brought to the published commit.

With --await it then asks whether the release stays, as await-approval does, and with --on-reject revert one that is rejected is
taken back by a commit, to which the applications are brought. With --on-unhealthy revert the same happens to one that is not healthy,
without asking. A time limit that ends before anything is decided about its health is no reason for that.

Unchanged if everything was so already; the revision is then that of the commit that has set the values. It may be killed
anywhere and run again, here or elsewhere, and be mixed with the steps that it is made of, since it leaves the same record.`,
		Flags: flags,
	}, withRetry)
}

// Run publishes a change of the branch's tip, and brings the applications there.
func (r *Release) Run(ctx context.Context, env *Env) (Result, error) {
	dir, err := r.check()
	if err != nil {
		return Result{}, err
	}
	client, apps, err := r.connect(ctx, env)
	if err != nil {
		return Result{}, err
	}
	if client != nil {
		defer func() { _ = client.Close() }()
	}
	remote, err := r.git.open(env, "")
	if err != nil {
		return Result{}, err
	}
	defer remote.Close()
	details := &releaseDetails{Branch: r.git.branch, Path: dir, Rendered: []ObjectChange{}, DryRun: r.Change.DryRun}
	outcome, err := r.publish(ctx, env, remote, details)
	switch {
	case r.decides():
		outcome, err = r.decide(ctx, env, remote, client, details, outcome, err)
	case err != nil || client == nil:
	case details.Revision == "":
		details.Sync = r.foresee(env, apps)
	default:
		details.Sync, err = r.bring(ctx, env, client, remote.URL(), details)
	}
	if r.Await > 0 && r.Change.DryRun && err == nil {
		env.Log.Info("would then ask whether it stays", zap.Duration("window", r.Await), zap.String("silence", r.asking.onTimeout+"s"))
	}
	if err != nil {
		return Result{}, &detailedError{error: err, details: details}
	}
	if details.Sync != nil && details.Sync.outcome() == Changed {
		outcome = Changed
	}
	return Result{Step: "release", Outcome: outcome, Details: details}, nil
}

// check finds what is wrong with the call before anything is asked of anybody, and loads the rules.
func (r *Release) check() (dir string, err error) {
	if dir, err = cleanPath(r.Change.Path); err != nil {
		return "", err
	}
	if r.git.repo == "" {
		return "", failure.New(failure.Usage, "name the repository with --repo", "there is nothing to release to")
	}
	if r.syncs() {
		if err := r.Sync.check(); err != nil {
			return "", err
		}
	}
	if _, err := r.Change.parse(); err != nil {
		return "", err
	}
	if err := r.checkAwait(); err != nil {
		return "", err
	}
	return dir, r.rules.load()
}

func (r *Release) syncs() bool { return len(r.Sync.Apps) > 0 || r.Sync.Selector != "" }

// connect reaches Argo CD before anything is published: what would then not get into the cluster stays out of Git, too.
func (r *Release) connect(ctx context.Context, env *Env) (*argocd.Client, []*argocd.Application, error) {
	if !r.syncs() {
		return nil, nil, nil
	}
	env.show("Argo CD", "connecting")
	client, err := r.Sync.argocd.connect(ctx, env, r.Sync.Timeout)
	if err != nil {
		return nil, nil, err
	}
	refs, err := r.Sync.refs(ctx, env, client)
	apps := make([]*argocd.Application, len(refs))
	for i, ref := range refs {
		err = cmp.Or(err, retry.Do(ctx, env.Retry, env.observe("read application "+ref.String()), func(ctx context.Context) (err error) {
			apps[i], err = client.Get(ctx, ref)
			return err
		}))
		if err == nil {
			err = mayStart(ctx, env, client, ref, apps[i])
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, client.Close())
	}
	env.show("Argo CD", "connected, and the applications are there")
	return client, apps, nil
}

// mayStart asks for the right that would otherwise be found missing when everything is published. A server that does not say is
// asked when it matters, as is one that syncs the application by itself.
func mayStart(ctx context.Context, env *Env, client *argocd.Client, ref argocd.Ref, app *argocd.Application) error {
	if app.Automated {
		return nil
	}
	ref.Project = app.Project
	may, err := client.May(ctx, ref, "applications", "sync")
	if err != nil {
		env.Log.Info("it is not known whether the account may sync the application", zap.String("application", ref.String()), zap.Error(err))
		return ctx.Err()
	}
	if !may {
		return failure.New(failure.Denied, "grant the account sync on it in argocd-rbac-cm", "application %s: account %s may not sync it", ref, client.User())
	}
	return nil
}

// foresee says what would be asked of Argo CD once the commit is published, which a dry run has no name for.
func (r *Release) foresee(env *Env, apps []*argocd.Application) *argocdSyncDetails {
	details := &argocdSyncDetails{DryRun: true}
	for _, app := range apps {
		report := applicationReport{Application: app.String(), Project: app.Project, Outcome: Changed, Revisions: app.Sync.Revisions, Sync: app.Sync.Status, Health: app.Health}
		switch {
		case app.Automated:
			report.Plan = "would wait for its own sync to the published commit"
		case r.Sync.Prune || app.AutoPrune:
			report.Plan = "would start a sync to the published commit that prunes"
		default:
			report.Plan = "would start a sync to the published commit"
		}
		env.Log.Info(report.Application + ": " + report.Plan)
		details.Applications = append(details.Applications, report)
	}
	return details
}

func (r *Release) publish(ctx context.Context, env *Env, remote *gitrepo.Remote, details *releaseDetails) (Outcome, error) {
	plan := &plan{Release: r, env: env, details: details}
	p := &publication{
		env: env, remote: remote, branch: r.git.branch, message: r.Message, identity: r.identity,
		history: int(r.History), allowReverted: r.AllowReverted, dryRun: r.Change.DryRun,
		trailers: release.Trailers{Release: env.Redact.String(r.ID), Job: env.Redact.String(r.build.job), Order: r.build.order, Build: r.build.url, Source: r.build.source},
	}
	p.edit = func(ctx context.Context, tip gitrepo.Hash, tree *gitrepo.Tree) ([]gitrepo.Change, []release.PathImages, error) {
		env.show("publish", fmt.Sprintf("on %s, attempt %d", short(tip.String()), p.attempts))
		changes, images, err := plan.make(ctx, tree)
		p.edited = plan.edited
		if p.trailers.Release == "" {
			// It stays the same in all attempts: what one of them has published is found by it.
			p.trailers.Release = env.Redact.String(r.build.releaseID(r.git.branch, tip, changes))
		}
		return changes, images, err
	}
	done, err := p.publish(ctx)
	details.Attempts = p.attempts
	if err != nil {
		return "", err
	}
	env.show("publish", cmp.Or(short(done.Revision), "dry run")+" "+string(done.Outcome))
	details.Release = cmp.Or(done.own, p.trailers.Release)
	details.Revision, details.Images, details.unasked, details.changes = done.Revision, done.Images, done.unknown, plan.checked.changes
	for _, change := range done.Changes {
		details.Files = append(details.Files, change.Path)
	}
	if p.looked.Commits > 0 {
		details.Looked = &p.looked
	}
	if r.Change.DryRun {
		printChanges(env.Stderr, "what is there now", []checkedPath{plan.checked})
		return done.Outcome, nil
	}
	env.Log.Info("published", zap.String("outcome", string(done.Outcome)), zap.String("revision", done.Revision), zap.String("release", details.Release))
	env.keep(release.Record{
		Repo: remote.URL(), Branch: r.git.branch, Release: details.Release, Job: p.trailers.Job, Order: r.build.order,
		Commit: done.Revision, Outcome: string(done.Outcome), Images: done.Images,
	}, r.Change.Record)
	return done.Outcome, nil
}

// bring brings the applications to the published commit. What is published stays so, whatever becomes of them.
func (r *Release) bring(ctx context.Context, env *Env, client *argocd.Client, repo string, details *releaseDetails) (*argocdSyncDetails, error) {
	limited, cancel := context.WithTimeout(ctx, r.Sync.Timeout)
	defer cancel()
	r.Sync.git, r.Sync.DryRun = r.git, r.Change.DryRun
	request := r.Sync.wanted(details.Revision)
	request.Repo, request.ID = repo, details.Release+"@"+short(details.Revision)
	synced, err := r.Sync.sync(ctx, limited, env, client, request, repo)
	if kind := failure.KindOf(err); kind == failure.Unhealthy || kind == failure.Pending {
		err = failure.New(kind, "look at the application, run this again to go on waiting, or take it back with slipway revert --record "+r.Change.Record,
			"commit %s is published: %w", short(details.Revision), err)
	}
	return synced, err
}
