package steps

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
	"slipway/steps/internal/manifest"
)

// checkPath builds and validates what the branch has now.
func (c *checkup) checkPath(ctx context.Context, tip gitrepo.Hash) {
	if c.Path == "" {
		c.skip("--path was not given", "path")
		return
	}
	objects, err := c.buildPath(ctx, tip)
	if err != nil {
		c.fail("path", err)
		return
	}
	c.ok("path", "%s builds, and its %d objects are valid", c.Path, objects)
}

func (c *checkup) buildPath(ctx context.Context, tip gitrepo.Hash) (objects int, err error) {
	dir, err := cleanPath(c.Path)
	if err != nil {
		return 0, err
	}
	if err := c.rules.load(); err != nil {
		return 0, err
	}
	if c.tree, err = c.remote.Tree(ctx, tip); err != nil {
		return 0, err
	}
	if _, err := c.tree.Entry(ctx, dir); errors.Is(err, fs.ErrNotExist) {
		return 0, failure.New(failure.Usage, "check --path and --branch", "branch %s has no directory %s", c.git.branch, dir)
	}
	if _, err := referred(ctx, c.tree, []string{dir}); err != nil {
		return 0, err
	}
	source := treeSource{c.tree, &sync.Mutex{}}
	checked := checkedPath{path: dir, lines: manifest.NewLines(ctx, source, dir)}
	if _, err := c.rules.buildAndCheck(ctx, &checked, source); err != nil {
		return 0, err
	}
	if n := len(checked.findings); n > 0 {
		first := checked.findings[0]
		return 0, failure.New(failure.Invalid, strings.TrimPrefix(first.Fix+"; slipway validate shows all findings", "; "),
			"findings: %d; the first: %s: %s", n, first.place(), first.Message)
	}
	return checked.rendered, nil
}
