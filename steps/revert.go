package steps

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"slipway/retry"
	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
	"slipway/steps/internal/release"
)

// Revert publishes the inverse of a release.
type Revert struct {
	Dir      string
	Release  string
	Commit   string
	Record   string
	Mainline int64
	Message  string
	History  int64
	DryRun   bool

	git      gitOptions
	build    build
	identity identity
	path     string // where it is not empty, the release must have been there
	approval string // what the trailer says
}

type revertDetails struct {
	Revision string               `json:"revision,omitempty"`
	Reverts  string               `json:"reverts,omitempty"`
	Branch   string               `json:"branch"`
	Release  string               `json:"release,omitempty"`
	Images   []release.PathImages `json:"images,omitempty"`
	Files    []string             `json:"files,omitempty"`
	Checkout string               `json:"checkout,omitempty"`
	Attempts int                  `json:"attempts,omitempty"`
	DryRun   bool                 `json:"dryRun,omitempty"`
}

func newRevert() *cli.Command {
	r := &Revert{}
	flags := []cli.Flag{
		stringFlag(&r.Release, "release", "", "the id of the release to take back, as its commit's Slipway-Release says"),
		stringFlag(&r.Commit, "commit", "", "the commit to take back"),
		stringFlag(&r.Record, "record", "", "take back what this record of an earlier commit-push says was released"),
		stringFlag(&r.Dir, "dir", "", "a checkout, which is brought to the published commit; none is needed"),
		int64Flag(&r.Mainline, "mainline", 0, "for a merge commit, the number of the parent whose side stays, counted from 1"),
		stringFlag(&r.Message, "message", "", "the commit message; one that names the release by default"),
		int64Flag(&r.History, "history", defaultHistory, "look back this many commits for the release", category(categoryRelease)),
		boolFlag(&r.DryRun, "dry-run", "show what would be published, and write nothing"),
	}
	flags = append(flags, r.build.flags()...)
	flags = append(flags, r.identity.flags()...)
	flags = append(flags, r.git.flags("the repository; with --dir by default where the checkout came from", "main")...)
	return step(r, &cli.Command{
		Name:  "revert",
		Usage: "take a release back by a commit that undoes it",
		Description: `Finds the release by its id, its commit, or the record of commit-push, and publishes the inverse of its commit, merged with
whatever the branch holds by now: what other services have released since stays, also in the same file. Run again it is
unchanged. A release that a newer one has replaced is left alone (exit 6). What was reverted stays so: commit-push refuses to
publish the same image there again.`,
		Flags: flags,
	}, withRetry)
}

// Run finds the release and publishes its inverse.
func (r *Revert) Run(ctx context.Context, env *Env) (Result, error) {
	record, err := r.target()
	if err != nil {
		return Result{}, err
	}
	if r.git.repo == "" && r.Dir == "" {
		r.git.repo = record.Repo
	}
	checkout, remote, err := r.open(ctx, env)
	if err != nil {
		return Result{}, err
	}
	defer remote.Close()
	var found revertible
	err = retry.Do(ctx, env.Retry, env.observe("find the release on "+r.git.branch), func(ctx context.Context) error {
		found, err = r.find(ctx, remote, record)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	details := revertDetails{Branch: r.git.branch, DryRun: r.DryRun, Reverts: found.commit.Hash}
	result := Result{Step: "revert", Outcome: Unchanged, Details: &details}
	if found.commit.Hash == "" {
		env.Log.Info("nothing to take back: the record's build published nothing of its own", zap.String("release", record.Release))
		return result, nil
	}
	was := release.ParseTrailers(found.commit.Message)
	details.Release = was.Release
	p := &publication{
		env: env, remote: remote, branch: r.git.branch, changes: found.changes, identity: r.identity, history: int(r.History),
		revertOf: &found.commit, dryRun: r.DryRun, message: r.message(found.commit, was),
		trailers: release.Trailers{Release: was.Release, Reverts: found.commit.Hash, Approval: r.approval, Job: env.Redact.String(r.build.job), Order: r.build.order, Build: r.build.url, Source: r.build.source},
	}
	done, err := p.publish(ctx)
	if err != nil {
		return Result{}, err
	}
	result.Outcome = done.Outcome
	details.Revision, details.Images, details.Attempts = done.Revision, done.Images, p.attempts
	for _, change := range done.Changes {
		details.Files = append(details.Files, change.Path)
	}
	if r.DryRun {
		return result, nil
	}
	if checkout != nil {
		details.Checkout = bring(ctx, env, checkout, r.git.branch, done, nil)
	}
	if r.Record == "" {
		return result, nil
	}
	record.Revert = done.Revision
	env.keep(record, r.Record)
	return result, nil
}

// target checks that exactly one way names the release, and reads the record if it is that.
func (r *Revert) target() (release.Record, error) {
	given := 0
	for _, s := range []string{r.Release, r.Commit, r.Record} {
		if s != "" {
			given++
		}
	}
	if given != 1 {
		return release.Record{}, failure.New(failure.Usage, "name what to take back by --release, by --commit or by --record", "%d of these flags were given, not one", given)
	}
	if r.Mainline < 0 {
		return release.Record{}, failure.New(failure.Usage, "give the number of the parent whose side stays", "--mainline %d: parents are counted from 1", r.Mainline)
	}
	if r.Record == "" {
		return release.Record{}, nil
	}
	record, err := release.ReadRecord(r.Record)
	if err == nil && record.Commit == "" {
		err = failure.New(failure.Usage, "give the record that commit-push wrote, or name the release with --release or --commit", "record %s: it names no commit", r.Record)
	}
	return record, err
}

func (r *Revert) open(ctx context.Context, env *Env) (gitrepo.Checkout, *gitrepo.Remote, error) {
	if r.Dir == "" {
		remote, err := r.git.open(env, "")
		return nil, remote, err
	}
	checkout, _, err := openCheckout(r.Dir)
	if err != nil {
		return nil, nil, err
	}
	origin, err := checkout.Origin()
	if err != nil {
		return nil, nil, err
	}
	remote, err := r.git.open(env, origin)
	if err != nil {
		return nil, nil, err
	}
	if err := checkout.Attach(remote); err != nil {
		return nil, nil, errors.Join(err, remote.Close())
	}
	if r.DryRun {
		return checkout, remote, nil
	}
	if err := checkout.Resume(ctx); err != nil {
		return nil, nil, errors.Join(err, remote.Close())
	}
	return checkout, remote, nil
}

// revertible is a release's commit and what undoes it.
type revertible struct {
	commit  release.Commit
	changes []gitrepo.Change
}

// find looks the release up among the last commits of the branch. The commit is empty when a record's build published
// nothing of its own.
func (r *Revert) find(ctx context.Context, remote *gitrepo.Remote, record release.Record) (revertible, error) {
	tip, err := remote.Tip(ctx, r.git.branch)
	if err != nil {
		return revertible{}, err
	}
	h, err := historyOf(ctx, remote, tip, int(r.History))
	if err != nil {
		return revertible{}, err
	}
	commit, err := r.pick(h, record)
	if err != nil || commit.Hash == "" {
		return revertible{}, err
	}
	hash, _ := gitrepo.ParseHash(commit.Hash)
	c, err := remote.Commit(ctx, hash)
	if err != nil {
		return revertible{}, err
	}
	switch {
	case len(c.Parents) == 0:
		return revertible{}, failure.New(failure.Conflict, "remove by hand what is not wanted", "commit %s is the first of the repository: there is nothing to go back to", short(commit.Hash))
	case len(c.Parents) > 1 && r.Mainline == 0:
		return revertible{}, failure.New(failure.Usage, "say with --mainline which parent's side stays", "commit %s is a merge of %d parents", short(commit.Hash), len(c.Parents))
	case len(c.Parents) == 1 && r.Mainline > 0:
		return revertible{}, failure.New(failure.Usage, "leave --mainline out", "commit %s is not a merge", short(commit.Hash))
	}
	changes, err := inverse(ctx, remote, c, int(r.Mainline))
	return revertible{commit: commit, changes: changes}, err
}

func (r *Revert) pick(h release.History, record release.Record) (release.Commit, error) {
	looked := fmt.Sprintf("among the last %d commits of %s", len(h.Commits), r.git.branch)
	hint := "check the branch, or look further back with --history"
	if r.Release != "" {
		if c, ok := h.Release(r.Release); ok {
			return c, nil
		}
		return release.Commit{}, failure.New(failure.Usage, hint, "there is no release %q %s", r.Release, looked)
	}
	wanted := strings.ToLower(r.Commit)
	if r.Record != "" {
		wanted = record.Commit
	}
	if len(wanted) < 7 {
		return release.Commit{}, failure.New(failure.Usage, "give at least seven digits of the commit", "commit %q: too short", wanted)
	}
	for _, c := range h.Commits {
		if !strings.HasPrefix(c.Hash, wanted) {
			continue
		}
		if r.Record != "" && release.ParseTrailers(c.Message).Release != record.Release {
			return release.Commit{}, nil // somebody else's release, which set the same values before
		}
		if r.path != "" && !slices.ContainsFunc(release.ParseTrailers(c.Message).Paths, func(at release.PathImages) bool { return at.Path == r.path }) {
			return release.Commit{}, failure.New(failure.Conflict, "find the commit that released it, and take that back with slipway revert",
				"commit %s is no release of %s: it is not taken back", short(c.Hash), r.path)
		}
		return c, nil
	}
	return release.Commit{}, failure.New(failure.Usage, hint, "there is no commit %s %s", wanted, looked)
}

// inverse lists what changes the files of a commit back to those of its parent.
func inverse(ctx context.Context, remote *gitrepo.Remote, c gitrepo.Commit, mainline int) ([]gitrepo.Change, error) {
	with, err := remote.Tree(ctx, c.Hash)
	if err != nil {
		return nil, err
	}
	without, err := remote.Parent(ctx, c, mainline)
	if err != nil {
		return nil, err
	}
	// What the commit says it released is most likely what differs: read at once instead of level by level.
	for _, at := range release.ParseTrailers(c.Message).Paths {
		if err := errors.Join(with.Fetch(ctx, at.Path), without.Fetch(ctx, at.Path)); err != nil {
			return nil, err
		}
	}
	paths, err := with.Diff(ctx, without)
	if err != nil {
		return nil, err
	}
	from, err := with.Files(ctx, paths...)
	if err != nil {
		return nil, err
	}
	to, err := without.Files(ctx, paths...)
	if err != nil {
		return nil, err
	}
	changes := make([]gitrepo.Change, len(paths))
	for i, p := range paths {
		changes[i] = gitrepo.Change{Path: p, From: from[p], To: to[p]}
	}
	return changes, nil
}

func (r *Revert) message(c release.Commit, was release.Trailers) string {
	if r.Message != "" {
		return r.Message
	}
	message := fmt.Sprintf("revert %q\n\nThis takes back commit %s.", firstLine(c.Message), c.Hash)
	if was.Job != "" {
		message += fmt.Sprintf(" It was released by build %d of %s.", was.Order, was.Job)
	}
	return message
}
