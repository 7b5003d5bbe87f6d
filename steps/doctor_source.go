package steps

import (
	"context"
	"path"
	"slices"
	"strings"

	"slipway/steps/internal/argocd"
	"slipway/steps/internal/failure"
)

// checkSource compares what the application reads with where a release goes.
func (c *checkup) checkSource(ctx context.Context, app *argocd.Application) {
	if c.git.repo == "" {
		c.skip("--repo was not given", "source")
		return
	}
	sources := app.From(c.git.repo)
	if len(sources) == 0 {
		var repos []string
		for _, s := range app.Sources {
			repos = append(repos, s.Repo)
		}
		c.fail("source", failure.New(failure.Usage, "check --app and --repo", "it does not read %s, but %s", c.git.repo, strings.Join(repos, ", ")))
		return
	}
	matching := slices.DeleteFunc(slices.Clone(sources), func(s argocd.Source) bool { return !c.renders(ctx, s.Path) })
	switch s := append(matching, sources...)[0]; {
	case len(matching) == 0:
		c.fail("source", failure.New(failure.Usage, "check --app and --path", "it reads the path %s, not %s", s.Path, c.Path))
	case s.Revision == "HEAD":
		c.warn("source", "let it follow the branch by its name", "it follows HEAD, the default branch, which must be %s", c.git.branch)
	case strings.TrimPrefix(s.Revision, "refs/heads/") != c.git.branch:
		c.fail("source", failure.New(failure.Usage, "check --app and --branch", "it follows %s, not the branch %s", s.Revision, c.git.branch))
	case app.Multiple:
		c.ok("source", "%d of its %d sources read the repository, the branch and the path", len(matching), len(app.Sources))
	default:
		c.ok("source", "it reads the repository, the branch and the path")
	}
}

// renders says whether a change of --path changes what is rendered of another path.
func (c *checkup) renders(ctx context.Context, rendered string) bool {
	own, rendered := path.Clean(c.Path), path.Clean(rendered)
	if c.Path == "" || own == rendered {
		return true
	}
	if c.tree == nil {
		return false
	}
	also, err := referred(ctx, c.tree, []string{rendered})
	return err == nil && within(own, also)
}
