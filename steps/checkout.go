package steps

import (
	"context"
	"path"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"slipway/retry"
	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
	"slipway/steps/internal/kustomization"
)

// Checkout lays out one overlay and what it refers to, for steps that edit and publish it.
type Checkout struct {
	Dir   string
	Paths []string

	git gitOptions
}

type checkoutDetails struct {
	Revision string   `json:"revision"`
	Branch   string   `json:"branch"`
	Dir      string   `json:"dir"`
	Paths    []string `json:"paths"`
	Also     []string `json:"also,omitempty"`
}

func newCheckout() *cli.Command {
	c := &Checkout{}
	flags := []cli.Flag{
		stringFlag(&c.Dir, "dir", "", "the directory to write to: a new one, an empty one, or one that checkout made before", required),
		stringSliceFlag(&c.Paths, "path", "a directory of the repository, such as an overlay", required),
	}
	return step(c, &cli.Command{
		Name:  "checkout",
		Usage: "write one overlay, and what it refers to, into a directory",
		Description: `Fetches only the directories on the way to --path and the files in it, and whatever its kustomization refers to, so that the
cost does not grow with the repository. set-image, validate and commit-push work in the directory as in a Git checkout, which
it is not. Run again it is unchanged, or brought to the newest commit; changes that are not published yet are never touched.`,
		Flags: append(flags, c.git.flags("the repository", "main")...),
	}, withRetry)
}

// Run lays the files out.
func (c *Checkout) Run(ctx context.Context, env *Env) (Result, error) {
	var paths []string
	for _, p := range c.Paths {
		clean, err := cleanPath(p)
		if err != nil {
			return Result{}, err
		}
		paths = append(paths, clean)
	}
	if c.git.repo == "" {
		return Result{}, failure.New(failure.Usage, "name the repository with --repo", "there is nothing to check out from")
	}
	remote, err := c.git.open(env, "")
	if err != nil {
		return Result{}, err
	}
	defer remote.Close()
	details := checkoutDetails{Branch: c.git.branch, Dir: c.Dir, Paths: paths}
	result := Result{Step: "checkout", Outcome: Unchanged, Details: &details}
	err = retry.Do(ctx, env.Retry, env.observe("check out "+c.git.branch), func(ctx context.Context) error {
		tip, err := remote.Tip(ctx, c.git.branch)
		if err != nil {
			return err
		}
		overlay, changed, err := gitrepo.MakeOverlay(ctx, remote, c.git.branch, tip, c.Dir, paths, referred)
		if err != nil {
			return err
		}
		if changed {
			result.Outcome = Changed
		}
		details.Revision, details.Also = tip.String(), overlay.Also()
		return nil
	})
	return result, err
}

// cleanPath reads a path of the repository.
func cleanPath(p string) (string, error) {
	if clean := path.Clean(p); p != "" && filepath.IsLocal(clean) {
		return clean, nil
	}
	return "", failure.New(failure.Usage, "give paths relative to the root of the repository", "path %q leads out of the repository", p)
}

// referred returns what the kustomizations at paths refer to, directly or through each other, inside of the repository
// and outside of paths.
func referred(ctx context.Context, tree *gitrepo.Tree, paths []string) ([]string, error) {
	var also []string
	seen := map[string]bool{}
	queue := paths
	for len(queue) > 0 {
		if err := tree.Fetch(ctx, queue...); err != nil {
			return nil, err
		}
		var next []string
		for _, dir := range queue {
			if seen[dir] {
				continue
			}
			seen[dir] = true
			found, err := references(ctx, tree, dir)
			if err != nil {
				return nil, err
			}
			for _, p := range found {
				if !seen[p] && !within(p, paths) && !within(p, also) {
					also = append(also, p)
					next = append(next, p)
				}
			}
		}
		queue = next
	}
	return also, nil
}

func within(p string, dirs []string) bool {
	for _, dir := range dirs {
		if dir == "." || p == dir || strings.HasPrefix(p, dir+"/") {
			return true
		}
	}
	return false
}

// references returns what exists of the paths that the kustomization in a directory may refer to.
func references(ctx context.Context, tree *gitrepo.Tree, dir string) ([]string, error) {
	entry, err := tree.Entry(ctx, dir)
	if gitrepo.IsNotExist(err) {
		return nil, failure.New(failure.Usage, "check --path, --branch and --repo", "path %s does not exist in the repository", dir)
	}
	if err != nil || entry.Mode != gitrepo.ModeTree {
		return nil, err
	}
	entries, err := tree.List(ctx, dir)
	if err != nil {
		return nil, err
	}
	var candidates []string
	for _, e := range entries {
		if !kustomization.IsFile(e.Name) || e.Mode == gitrepo.ModeTree {
			continue
		}
		files, err := tree.Files(ctx, path.Join(dir, e.Name))
		if err != nil {
			return nil, err
		}
		for _, ref := range kustomization.References(files[path.Join(dir, e.Name)].Data) {
			// The whole repository is no overlay's base, and what lies outside of it is refused by validate.
			if p := path.Join(dir, ref); p != "." && p != ".." && !strings.HasPrefix(p, "../") {
				candidates = append(candidates, p)
			}
		}
	}
	if err := tree.Prefetch(ctx, candidates...); err != nil {
		return nil, err
	}
	var found []string
	for _, p := range candidates {
		if _, err := tree.Entry(ctx, p); err == nil {
			found = append(found, p)
		} else if !gitrepo.IsNotExist(err) {
			return nil, err
		}
	}
	return found, nil
}
