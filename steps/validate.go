package steps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
	"slipway/steps/internal/manifest"
)

// Validate builds overlays and says what an API server would refuse in them.
type Validate struct {
	Dir   string
	Paths []string
	All   bool
	JUnit string
	Diff  string

	rules rules
}

// validateDetails is part of the result, and of the error when there are findings.
type validateDetails struct {
	Paths    int       `json:"paths"`
	Objects  int       `json:"objects"`
	Findings []Finding `json:"findings"`
	// Against is the commit of --diff, and Changes is what differs from it.
	Against string         `json:"against,omitempty"`
	Changes []ObjectChange `json:"changes,omitzero"`
}

// Finding is one reason for which the objects of an overlay would be refused. Object, File and Line are empty where it is about
// the overlay as a whole, or where they are not known.
type Finding struct {
	Path    string `json:"path"`
	Rule    string `json:"rule"`
	Object  string `json:"object,omitempty"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

func newValidate() *cli.Command {
	v := &Validate{}
	flags := []cli.Flag{
		stringFlag(&v.Dir, "dir", ".", "the checkout to work in"),
		stringSliceFlag(&v.Paths, "path", "the directory of a kustomization, relative to --dir"),
		boolFlag(&v.All, "all", "check every kustomization that no other one includes"),
		optionalFlag(&v.Diff, "diff", "HEAD", "show how the objects differ from this commit: a branch, a tag or an id; alone it means HEAD"),
		stringFlag(&v.JUnit, "junit", "", "write the findings to this file, in the form that Jenkins reads"),
	}
	return withSchema(step(v, &cli.Command{
		Name:  "validate",
		Usage: "build overlays and check every object, without a cluster and without a network",
		Description: `Builds the kustomization of each --path as kustomize does, but inside of the repository only: no URL, no plugin, no helm, no
path that leads out, and bounded in time, size and memory. Then checks every object against the schemas of Kubernetes and of the
custom resources of Argo CD and KubeSphere, and against what an API server or a kubelet refuses beyond its schema.

In a checkout every object is also compared with what it was before, in HEAD for files with edits that are not committed, else in
the parent of HEAD: a field that changes although the API server keeps it for good is a finding, too. --diff names another
commit to compare with, and shows what becomes of the objects: a difference alone is no finding. Values of Secrets are hidden.
Objects that Argo CD makes anew (hooks, Force=true) may change. --diff HEAD accepts what the last commit changed.

Writes nothing but --junit. Findings are exit 3; each says what to do, and names the file and the line of the object, the patch or
the kustomization that has it, where that is known.`,
		Flags: append(flags, v.rules.flags()...),
	}), validateSchema)
}

// Run checks all paths; findings in one do not keep the others from being checked.
func (v *Validate) Run(ctx context.Context, env *Env) (Result, error) {
	if (len(v.Paths) == 0) != v.All {
		return Result{}, failure.New(failure.Usage, "name what to check with --path, or everything with --all", "give either --path or --all")
	}
	at, err := v.open(ctx)
	if err != nil {
		return Result{}, err
	}
	if err := v.rules.load(); err != nil {
		return Result{}, err
	}
	compared, err := compareWith(ctx, env, at.checkout, v.rules.build, v.Diff)
	if err != nil {
		return Result{}, err
	}
	checked, err := v.check(ctx, env, at, compared)
	if err != nil {
		return Result{}, err
	}
	details := validateDetails{Paths: len(at.paths), Findings: []Finding{}}
	for _, c := range checked {
		details.Objects += c.rendered
		details.Findings = append(details.Findings, c.findings...)
	}
	if v.Diff != "" {
		if err := v.show(ctx, env, at, compared, checked, &details); err != nil {
			return Result{}, err
		}
	}
	if v.JUnit != "" {
		if err := writeJUnit(v.JUnit, env.Redact, checked); err != nil {
			return Result{}, err
		}
	}
	if n := len(details.Findings); n > 0 {
		printFindings(env.Stderr, details.Findings)
		return Result{}, &detailedError{details: details, error: failure.New(failure.Invalid, "each finding says what to do", "findings: %d, in %d objects", n, details.Objects)}
	}
	return Result{Step: "validate", Outcome: Unchanged, Details: details}, nil
}

// site is the repository that --dir lies in, or --dir itself, which then has no checkout. Below is --dir and paths are what
// to check, both as they read from its root.
type site struct {
	source   manifest.Source
	checkout gitrepo.Checkout
	below    string
	paths    []string
}

func (v *Validate) open(ctx context.Context) (at site, err error) {
	root, err := repository(v.Dir)
	if err != nil {
		return at, err
	}
	inRepo := func(p string) (string, error) { return repoPath(root, v.Dir, p) }
	at.checkout, _, err = openCheckout(v.Dir)
	// In a repository without a commit there is nothing to compare with, but enough to check.
	if fresh := v.Diff == "" && failure.KindOf(err) == failure.Conflict; err != nil && !fresh && !errors.Is(err, gitrepo.ErrNoCheckout) {
		return at, err
	}
	if at.source, err = manifest.Dir(root); err != nil {
		return at, err
	}
	if at.below, err = inRepo("."); err != nil {
		return at, err
	}
	if !v.All {
		at.paths, err = mapPaths(v.Paths, inRepo)
		return at, err
	}
	roots, err := manifest.Roots(ctx, at.source)
	at.paths = slices.DeleteFunc(roots, func(p string) bool { return !within(p, []string{at.below}) })
	if err == nil && len(at.paths) == 0 {
		err = failure.New(failure.Usage, "check --dir", "there is no kustomization in %s", v.Dir)
	}
	return at, err
}

// check checks paths side by side, as many as there are processors. What a path was built from is dropped before the next.
func (v *Validate) check(ctx context.Context, env *Env, at site, compared *comparison) ([]checkedPath, error) {
	checked := make([]checkedPath, len(at.paths))
	var (
		mu     sync.Mutex
		failed error
		done   int
		said   = time.Now()
		group  sync.WaitGroup
	)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	queue := make(chan int)
	workers := min(runtime.GOMAXPROCS(0), len(at.paths))
	if v.All {
		env.Log.Info("checking", zap.Int("kustomizations", len(at.paths)), zap.Int("workers", workers))
	}
	for range workers {
		group.Go(func() {
			for i := range queue {
				c, err := v.checkPath(ctx, at.source, compared, at.paths[i])
				mu.Lock()
				c.lines = nil
				checked[i] = c
				done++
				if err != nil && failed == nil {
					failed = err
					stop()
				}
				if time.Since(said) > 30*time.Second {
					said = time.Now()
					env.Log.Info("checking", zap.Int("done", done), zap.Int("of", len(at.paths)))
				}
				mu.Unlock()
			}
		})
	}
	for i := range at.paths {
		select {
		case queue <- i:
		case <-ctx.Done():
		}
	}
	close(queue)
	group.Wait()
	if failed == nil {
		failed = ctx.Err()
	}
	return checked, failed
}

func (v *Validate) checkPath(ctx context.Context, source manifest.Source, compared *comparison, p string) (checkedPath, error) {
	c := checkedPath{path: p, lines: manifest.NewLines(ctx, source, p)}
	trace := manifest.NewTrace(source)
	built, err := v.rules.buildAndCheck(ctx, &c, trace)
	if err != nil || built == nil {
		return c, err
	}
	if v.JUnit != "" {
		for _, o := range built.Objects {
			c.objects = append(c.objects, o.ID())
		}
	}
	return c, compared.compare(ctx, &c, trace, built)
}

// printFindings writes one block for each finding, since messages and fixes are too long for the columns of a table.
func printFindings(w io.Writer, findings []Finding) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", f.place(), f.Object, f.Field)
		_, _ = fmt.Fprintf(table, "\t%s: %s\n", f.Rule, strings.ReplaceAll(f.Message, "\n", " "))
		if f.Fix != "" {
			_, _ = fmt.Fprintf(table, "\tfix: %s\n", f.Fix)
		}
	}
	_ = table.Flush() // stderr is for people; the findings are in the JSON, too
}
