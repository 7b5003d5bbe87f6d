package steps

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"slipway/retry"
	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
	"slipway/steps/internal/release"
)

// CommitPush publishes what differs between a checkout and the commit it was made from.
type CommitPush struct {
	Dir     string
	Paths   []string
	Message string
	Release string
	History int64
	DryRun  bool
	Record  string
	// AllowReverted publishes an image although a revert took it away.
	AllowReverted bool

	git      gitOptions
	build    build
	identity identity
}

// commitPushDetails is the part of the result that only this step has.
type commitPushDetails struct {
	Revision string               `json:"revision,omitempty"`
	Branch   string               `json:"branch"`
	Release  string               `json:"release"`
	Images   []release.PathImages `json:"images,omitempty"`
	Files    []string             `json:"files,omitempty"`
	LeftOut  []string             `json:"leftOut,omitempty"`
	Checkout string               `json:"checkout,omitempty"`
	Attempts int                  `json:"attempts,omitempty"`
	Looked   *lookedBack          `json:"lookedBack,omitempty"`
	DryRun   bool                 `json:"dryRun,omitempty"`
}

func newCommitPush() *cli.Command {
	c := &CommitPush{}
	flags := []cli.Flag{
		stringFlag(&c.Dir, "dir", ".", "the checkout to publish from"),
		stringSliceFlag(&c.Paths, "path", "publish only what is below this path, new files included"),
		stringFlag(&c.Message, "message", "", "the commit message; one that names the images by default"),
		stringFlag(&c.Record, "record", defaultRecord, "the file that tells later steps what was found out"),
		boolFlag(&c.DryRun, "dry-run", "show what would be published, and write nothing"),
		stringFlag(&c.Release, "release", "", "the id of the release; made from job, order and contents by default", category(categoryRelease)),
		boolFlag(&c.AllowReverted, "allow-reverted", "publish an image although it was reverted", category(categoryRelease)),
		int64Flag(&c.History, "history", defaultHistory, "look back this many commits for newer builds, reverts, and who set a value", category(categoryRelease)),
	}
	flags = append(flags, c.build.flags()...)
	flags = append(flags, c.identity.flags()...)
	flags = append(flags, c.git.flags("the repository; by default where the checkout came from", "main")...)
	return step(c, &cli.Command{
		Name:  "commit-push",
		Usage: "publish the changes of a checkout as one commit on a remote branch",
		Description: `Commits what differs from the commit that the checkout was made from, merges it with whatever the branch holds by now,
and pushes it, trying again when others push at the same time. Nothing is ever forced. Then the checkout is brought to the
published commit. Run again it is unchanged, and reports the commit that set the values.

Without --path only files that Git tracks are published. A newer build of the same --job is never overwritten (exit 6), and
an image that was reverted stays so (exit 4) unless --allow-reverted.`,
		Flags: flags,
	}, withRetry)
}

// Run publishes, and brings the checkout to the published commit.
func (c *CommitPush) Run(ctx context.Context, env *Env) (Result, error) {
	checkout, inRepo, err := openCheckout(c.Dir)
	if err != nil {
		return Result{}, err
	}
	paths, err := mapPaths(c.Paths, inRepo)
	if err != nil {
		return Result{}, err
	}
	origin, err := checkout.Origin()
	if err != nil {
		return Result{}, err
	}
	remote, err := c.git.open(env, origin)
	if err != nil {
		return Result{}, err
	}
	defer remote.Close()
	if err := checkout.Attach(remote); err != nil {
		return Result{}, err
	}
	if !c.DryRun {
		if err := checkout.Resume(ctx); err != nil {
			return Result{}, failure.New(failure.Conflict, "take the files you want to keep aside, and make a new checkout",
				"checkout %s: an earlier run was killed while it brought the files up to date: %w", c.Dir, err)
		}
	}
	changes, leftOut, err := checkout.Changes(paths)
	if err != nil {
		return Result{}, err
	}
	if len(leftOut) > 0 {
		env.Log.Warn("left out: changes beyond --path, or files that Git does not track", zap.Int("files", len(leftOut)), zap.Strings("first", leftOut[:min(5, len(leftOut))]))
	}
	record, err := release.ReadRecord(c.Record)
	if err != nil {
		return Result{}, err
	}
	if err := exist(checkout.Root(), paths, changes); err != nil {
		return Result{}, err
	}
	details := commitPushDetails{Branch: c.git.branch, LeftOut: leftOut, DryRun: c.DryRun, Release: env.Redact.String(cmp.Or(c.Release, c.build.releaseID(c.git.branch, checkout.Base(), changes)))}
	for _, change := range changes {
		details.Files = append(details.Files, change.Path)
	}
	p := &publication{
		env: env, remote: remote, branch: c.git.branch, changes: changes, message: c.Message, identity: c.identity,
		history: int(c.History), allowReverted: c.AllowReverted, dryRun: c.DryRun,
		trailers: release.Trailers{Release: details.Release, Job: env.Redact.String(c.build.job), Order: c.build.order, Build: c.build.url, Source: c.source(checkout)},
	}
	if record.Job != p.trailers.Job || record.Order != c.build.order {
		record.Release = "" // of another build, whose release this one must not take for its own
	}
	// set-image knows its paths as they are given, relative to --dir; once published they are those of the repository.
	asked := slices.Clone(record.Images)
	for i := range asked {
		if record.Commit != "" {
			break
		}
		if asked[i].Path, err = inRepo(asked[i].Path); err != nil {
			return Result{}, err
		}
	}
	var done published
	if len(changes) == 0 {
		done, err = c.nothing(ctx, p, record.Release, asked, paths)
		details.Release = cmp.Or(done.own, details.Release)
	} else {
		done, err = p.publish(ctx)
	}
	if err != nil {
		return Result{}, err
	}
	details.Revision, details.Images, details.Attempts = done.Revision, done.Images, p.attempts
	if p.looked.Commits > 0 {
		details.Looked = &p.looked
	}
	result := Result{Step: "commit-push", Outcome: done.Outcome, Details: &details}
	if c.DryRun {
		return result, nil
	}
	if record.Commit != done.Revision {
		record.Revert = "" // of another release
	}
	record.Repo, record.Branch, record.Release, record.Job, record.Order = remote.URL(), c.git.branch, details.Release, p.trailers.Job, c.build.order
	record.Base, record.Commit, record.Outcome = checkout.Base().String(), done.Revision, string(done.Outcome)
	if len(done.Images) > 0 {
		record.Images = done.Images
	}
	env.keep(record, c.Record)
	details.Checkout = bring(ctx, env, checkout, c.git.branch, done, changes)
	return result, nil
}

// keep writes a record. What it tells of has happened and can be found out again, so that a failure is only said.
func (e *Env) keep(record release.Record, file string) {
	if err := record.Write(file); err != nil {
		e.Log.Warn("the record for later steps cannot be written; give them their flags instead", zap.Error(err))
	}
}

// note adds to the record what is found out about its commit later. The record of any other commit stays as it is.
func (e *Env) note(file, commit string, change func(*release.Record)) {
	record, err := release.ReadRecord(file)
	if err != nil || commit == "" || record.Commit != commit {
		return
	}
	change(&record)
	e.keep(record, file)
}

// exist refuses a path that names nothing: a typo in it would otherwise publish nothing and say that all is well.
func exist(root string, paths []string, changes []gitrepo.Change) error {
	for _, p := range paths {
		if _, err := os.Lstat(filepath.Join(root, p)); err == nil || slices.ContainsFunc(changes, func(c gitrepo.Change) bool { return within(c.Path, []string{p}) }) {
			continue
		}
		return failure.New(failure.Usage, "check the path; it is relative to --dir", "path %s does not exist in the checkout", p)
	}
	return nil
}

// nothing reports the commit that set the values when there is nothing to publish.
func (c *CommitPush) nothing(ctx context.Context, p *publication, id string, images []release.PathImages, paths []string) (published, error) {
	done := published{Outcome: Unchanged}
	err := retry.Do(ctx, p.env.Retry, p.env.observe("read "+c.git.branch), func(ctx context.Context) error {
		tip, err := p.remote.Tip(ctx, c.git.branch)
		if err != nil {
			return err
		}
		done.tip, done.Revision = tip, tip.String()
		h, err := historyOf(ctx, p.remote, tip, int(c.History))
		if err != nil {
			return err
		}
		if r, ok := h.Release(id); ok {
			done.Revision, done.own = r.Hash, id
			return nil
		}
		wanted := images
		if len(paths) > 0 {
			wanted = nil
			for _, at := range paths {
				wanted = append(wanted, release.PathImages{Path: at})
			}
		}
		if r, ok := newestAt(h, wanted); ok {
			done.Revision = r.Hash
			if t := release.ParseTrailers(r.Message); t.Job != "" && t.Job == p.trailers.Job && t.Order == c.build.order {
				done.own = t.Release
			}
		} else if h.Truncated {
			p.env.Log.Info("the commit that set the values lies further back than was looked; reporting the tip", zap.Int64("history", c.History))
		}
		return nil
	})
	return done, err
}

// newestAt is the newest commit that released to one of the paths, of the given images if there are any.
func newestAt(h release.History, wanted []release.PathImages) (release.Commit, bool) {
	for _, commit := range h.Commits {
		for _, set := range release.ParseTrailers(commit.Message).Paths {
			for _, at := range wanted {
				if at.Path != set.Path {
					continue
				}
				if len(at.Images) == 0 || sharesImage(at.Images, set.Images) {
					return commit, true
				}
			}
		}
	}
	return release.Commit{}, false
}

func sharesImage(a, b []release.Image) bool {
	for _, x := range a {
		for _, y := range b {
			if x.Name == y.Name {
				return true
			}
		}
	}
	return false
}

// bring brings a checkout to the published commit. The release has happened by then: where that cannot be done, it is
// said and nothing else.
func bring(ctx context.Context, env *Env, checkout gitrepo.Checkout, branch string, done published, changes []gitrepo.Change) string {
	err := retry.Do(ctx, env.Retry, env.observe("bring the checkout up to date"), func(ctx context.Context) error {
		return checkout.Advance(ctx, branch, done.tip, done.built, changes)
	})
	if err != nil {
		env.Log.Warn("what was asked for is published, but the checkout stays as it is", zap.Error(err))
		return "left as it is: " + env.Redact.String(err.Error())
	}
	return "at " + done.tip.String()
}

// source is the commit of the sources, unless Jenkins's GIT_COMMIT means the GitOps checkout itself.
func (c *CommitPush) source(checkout gitrepo.Checkout) string {
	if c.build.source == checkout.Base().String() {
		return ""
	}
	return c.build.source
}

// The defaults that several steps share.
const (
	defaultRecord  = ".slipway/release.json"
	defaultHistory = 200
)

// mapPaths reads paths relative to --dir as paths of the repository.
func mapPaths(paths []string, inRepo func(string) (string, error)) ([]string, error) {
	var mapped []string
	for _, p := range paths {
		m, err := inRepo(p)
		if err != nil {
			return nil, err
		}
		mapped = append(mapped, m)
	}
	return mapped, nil
}

// repoPath reads a path relative to --dir, which may lie deep in a checkout, as one relative to the checkout's root.
func repoPath(root, dir, p string) (string, error) {
	outside := failure.New(failure.Usage, "give a path inside of the checkout, relative to --dir", "path %q leads out of the checkout", p)
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return "", err
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return "", err
	}
	if filepath.IsAbs(p) {
		return "", outside
	}
	rel, err := filepath.Rel(root, filepath.Join(abs, p))
	if err != nil || !filepath.IsLocal(rel) {
		return "", errors.Join(outside, err)
	}
	return filepath.ToSlash(rel), nil
}
