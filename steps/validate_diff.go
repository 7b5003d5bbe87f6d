package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
	"slipway/steps/internal/kustomization"
	"slipway/steps/internal/manifest"
	"slipway/steps/internal/manifest/lint"
)

// comparison is what the objects of each path are compared with: the commit of --diff, or else the previous one. That is
// HEAD for what has edits that are not committed, and the first parent of HEAD for what has none.
type comparison struct {
	env       *Env
	builder   builder
	ref       string // of --diff
	revisions []func() (*revision, error)
	unseen    sync.Once
}

// revision is the files of one commit.
type revision struct {
	name string
	treeSource
}

// compareWith finds the revisions to compare with. Without a checkout there are none, which only --diff minds.
func compareWith(ctx context.Context, env *Env, checkout gitrepo.Checkout, build builder, ref string) (*comparison, error) {
	c := &comparison{env: env, builder: build, ref: ref}
	if checkout == nil {
		if ref != "" {
			return nil, failure.New(failure.Usage, "name a checkout with --dir, or leave --diff out", "--diff %s: %w", ref, gitrepo.ErrNoCheckout)
		}
		return c, nil
	}
	mu := &sync.Mutex{}
	open := func(name string) func() (*revision, error) {
		return sync.OnceValues(func() (*revision, error) {
			mu.Lock()
			defer mu.Unlock()
			tree, err := checkout.Revision(ctx, name)
			return &revision{name, treeSource{tree, mu}}, err
		})
	}
	if ref != "" {
		c.revisions = append(c.revisions, open(ref))
		_, err := c.revisions[0]()
		return c, err
	}
	c.revisions = append(c.revisions, open("HEAD"), open("HEAD^"))
	return c, nil
}

// before builds a path as it was, and says in which revision. Nil means that there is nothing to compare with: no file was
// changed, or what was there did not build. An overlay that was built from the same files cannot differ, so that it is not
// built again.
func (c *comparison) before(ctx context.Context, dir string, trace *manifest.Trace) (*manifest.Result, string, error) {
	for _, open := range c.revisions {
		r, err := open()
		if err != nil {
			return nil, "", c.tolerate(err)
		}
		same, err := trace.Same(ctx, r)
		if err != nil {
			return nil, "", c.tolerate(err)
		}
		if !same {
			before, err := c.build(ctx, r, dir)
			return before, r.name, err
		}
	}
	return nil, "", nil
}

func (c *comparison) build(ctx context.Context, r *revision, dir string) (*manifest.Result, error) {
	there, err := hasKustomization(ctx, r, dir)
	if err != nil {
		return nil, c.tolerate(err)
	}
	if !there {
		return &manifest.Result{}, nil // the path is new
	}
	before, err := c.builder(ctx, r, dir)
	if err != nil && failure.KindOf(err) == failure.Invalid {
		c.env.Log.Warn("there it did not build, so nothing is compared", zap.String("path", dir), zap.String("revision", r.name), zap.Error(err))
		return nil, nil
	}
	return before, c.tolerate(err)
}

// tolerate drops the errors of a comparison that nobody asked for: the first commit has no parent, and a shallow or partial
// clone may lack the previous one.
func (c *comparison) tolerate(err error) error {
	if err == nil || c.ref != "" || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if failure.KindOf(err) != failure.Usage || errors.Is(err, gitrepo.ErrNotAtHand) {
		c.unseen.Do(func() {
			c.env.Log.Info("fields that must not change are not compared with the previous commit", zap.String("hint", failure.HintOf(err)), zap.Error(err))
		})
	}
	return nil
}

// compare adds to what was found in a path what an update of the earlier objects would be refused for, and with --diff what
// changes.
func (c *comparison) compare(ctx context.Context, checked *checkedPath, trace *manifest.Trace, after *manifest.Result) error {
	before, name, err := c.before(ctx, checked.path, trace)
	if err != nil || before == nil {
		return err
	}
	checked.compare(before, after, name)
	if c.ref != "" {
		checked.changes, err = manifest.DiffObjects(before, after)
	}
	return err
}

// compare adds what an update of the objects of a revision would be refused for.
func (c *checkedPath) compare(before, after *manifest.Result, revision string) {
	for _, pair := range manifest.Match(before, after) {
		if pair.Before == nil || pair.After == nil || pair.Before.ID() != pair.After.ID() || recreated(pair.After) {
			continue
		}
		for _, f := range lint.Immutable(pair.Before.Data, pair.After.Data) {
			c.add(*pair.After, Finding{Rule: f.Rule, Field: f.Path, Message: f.Message + "; it differs from " + revision, Fix: f.Fix})
		}
	}
}

// recreated says whether Argo CD deletes an object before it applies it: hooks, and what asks for it.
func recreated(o *manifest.Object) bool {
	metadata, _ := o.Data["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	for _, hook := range []string{"argocd.argoproj.io/hook", "helm.sh/hook"} {
		if annotations[hook] != nil {
			return true
		}
	}
	options := strings.ReplaceAll(fmt.Sprint(annotations["argocd.argoproj.io/sync-options"]), " ", "")
	return slices.Contains(strings.Split(options, ","), "Force=true")
}

// gone returns the overlays that the revision of --diff has and the work tree has no more: all that they rendered will be
// removed. slipway checkout lays out only what was asked for, so that what is missing there means nothing.
func (c *comparison) gone(ctx context.Context, at site) ([]checkedPath, error) {
	worktree, ok := at.checkout.(*gitrepo.Worktree)
	if !ok {
		return nil, nil
	}
	sparse, err := worktree.Sparse()
	if err != nil {
		return nil, err
	}
	r, err := c.revisions[0]()
	if err != nil {
		return nil, err
	}
	missing, err := r.lacking(ctx, at, sparse)
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	roots, err := manifest.Roots(ctx, r)
	if err != nil {
		return nil, err
	}
	var gone []checkedPath
	for _, root := range roots {
		if !missing[root] {
			continue
		}
		before, err := c.build(ctx, r, root)
		if err != nil {
			return nil, err
		}
		if before != nil {
			changes, err := manifest.DiffObjects(before, &manifest.Result{})
			if err != nil {
				return nil, err
			}
			gone = append(gone, checkedPath{path: root, changes: changes})
		}
	}
	return gone, nil
}

// lacking returns the directories with a kustomization of which the work tree has none. The contents of files are not read.
func (r *revision) lacking(ctx context.Context, at site, sparse func(string) bool) (map[string]bool, error) {
	r.mu.Lock()
	files, err := r.tree.Walk(ctx, at.below)
	r.mu.Unlock()
	if gitrepo.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	missing := map[string]bool{}
	for _, f := range files {
		if !kustomization.IsFile(path.Base(f)) || sparse(f) {
			continue
		}
		there, err := hasKustomization(ctx, at.source, path.Dir(f))
		if err != nil {
			return nil, err
		}
		if !there {
			missing[path.Dir(f)] = true
		}
	}
	return missing, nil
}

// hasKustomization says whether a directory has a kustomization file, which a directory that is not there has not.
func hasKustomization(ctx context.Context, s manifest.Source, dir string) (bool, error) {
	names, err := s.ReadDir(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) || failure.KindOf(err) == failure.Invalid {
		err = nil
	}
	return slices.ContainsFunc(names, kustomization.IsFile), err
}

// show prints what differs from the revision of --diff, and adds it to the details.
func (v *Validate) show(ctx context.Context, env *Env, at site, compared *comparison, checked []checkedPath, details *validateDetails) error {
	if v.All {
		gone, err := compared.gone(ctx, at)
		if err != nil {
			return err
		}
		checked = slices.Concat(checked, gone)
	}
	r, err := compared.revisions[0]()
	if err != nil {
		return err
	}
	details.Against, details.Changes = r.tree.Commit().String(), []ObjectChange{}
	for _, c := range checked {
		for _, change := range c.changes {
			details.Changes = append(details.Changes, objectChange(c.path, change))
		}
	}
	printChanges(env.Stderr, v.Diff, checked)
	return nil
}
