package steps

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"slipway/retry"
	"slipway/steps/internal/approval"
	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
	"slipway/steps/internal/manifest"
	"slipway/steps/internal/release"
)

// describe completes what is asked about from the commit, where there is one: what it says of itself, and what it changes.
func (a *AwaitApproval) describe(ctx context.Context, env *Env, q *questions, s *approval.Subject) error {
	s.Build, s.Branch, s.Authors = q.actor.Build, a.rollback.git.branch, a.asking.authors
	for _, app := range a.rollback.sync.Apps {
		if !slices.ContainsFunc(s.Applications, func(known approval.Application) bool { return known.Name == app }) {
			s.Applications = append(s.Applications, approval.Application{Name: app})
		}
	}
	remote := q.remote
	if remote == nil && a.rollback.git.repo != "" && s.Revision != "" {
		var err error
		if remote, err = a.rollback.git.open(env, ""); err != nil {
			return err
		}
		defer remote.Close()
	}
	if remote != nil && s.Revision != "" {
		s.Repo = remote.URL()
		s.CommitURL = commitURL(a.asking.commitURL, s.Repo, s.Revision)
		if err := readSubject(ctx, env, remote, s); err != nil {
			return err
		}
	}
	if a.asking.notByAuthor && len(s.Authors) == 0 {
		env.Log.Warn("it is not known who made the release, so that nobody's answer is refused: name them with --author")
	}
	return nil
}

// readSubject reads the commit of a release.
func readSubject(ctx context.Context, env *Env, remote *gitrepo.Remote, s *approval.Subject) error {
	hash, _ := gitrepo.ParseHash(s.Revision)
	policy := env.Retry
	policy.Timeout = min(policy.Timeout, 20*time.Second) // a commit that is not there looks like a server that lags behind
	var commits []gitrepo.Commit
	err := retry.Do(ctx, policy, env.observe("read commit "+short(s.Revision)), func(ctx context.Context) (err error) {
		commits, _, err = remote.History(ctx, hash, 2) // together: not every server gives the one before by itself
		return err
	})
	if err != nil {
		return failure.New(kindOf(err), "check --revision and --repo", "the released commit cannot be read: %w", err)
	}
	commit := commits[0]
	describeCommit(s, commit)
	if s.Path == "" || len(commit.Parents) == 0 {
		return nil
	}
	var changes []manifest.ObjectChange
	err = retry.Do(ctx, policy, env.observe("read "+s.Path), func(ctx context.Context) (err error) {
		changes, err = renderedChanges(ctx, remote, commit, s.Path)
		return err
	})
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		env.Log.Info("what the release changes in the rendered objects cannot be told", zap.String("path", s.Path), zap.Error(err))
		return nil
	}
	addChanges(s, s.Path, changes)
	s.Diff = env.Redact.String(s.Diff)
	return nil
}

// describeCommit takes from a commit what it says of itself.
func describeCommit(s *approval.Subject, c gitrepo.Commit) {
	t := release.ParseTrailers(c.Message)
	if t.Release != "" {
		s.Release, s.Job, s.Order = t.Release, t.Job, t.Order
	}
	for _, at := range t.Paths {
		if len(s.Images) == 0 && at.Path == s.Path {
			s.Images = imagesAsked([]release.PathImages{at})
		}
	}
	if c.Author.Name != programName {
		s.Authors = append(slices.Clone(s.Authors), c.Author.Name, c.Author.Email)
	}
}

// renderedChanges builds a path as it is in a commit and as it was in the one before.
func renderedChanges(ctx context.Context, remote *gitrepo.Remote, c gitrepo.Commit, path string) ([]manifest.ObjectChange, error) {
	mu := &sync.Mutex{}
	var built [2]*manifest.Result
	for i, hash := range []gitrepo.Hash{c.Parents[0], c.Hash} {
		tree, err := remote.Tree(ctx, hash)
		if err != nil {
			return nil, err
		}
		if _, err := referred(ctx, tree, []string{path}); err != nil {
			return nil, err
		}
		source := treeSource{tree, mu}
		there, err := hasKustomization(ctx, source, path)
		if err != nil {
			return nil, err
		}
		built[i] = &manifest.Result{}
		if there {
			if built[i], err = manifest.Build(ctx, source, path, manifest.Limits{}); err != nil {
				return nil, err
			}
		}
	}
	return manifest.DiffObjects(built[0], built[1])
}
