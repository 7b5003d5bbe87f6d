package steps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
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
	"slipway/steps/internal/manifest/lint"
	"slipway/steps/internal/manifest/schema"
)

// Validate builds overlays and says what an API server would refuse in them.
type Validate struct {
	Dir           string
	Paths         []string
	All           bool
	KubeVersion   string
	CRDs          string
	IgnoreUnknown []string
	JUnit         string
}

// validateDetails is part of the result, and of the error when there are findings.
type validateDetails struct {
	Paths    int       `json:"paths"`
	Objects  int       `json:"objects"`
	Findings []Finding `json:"findings"`
}

// Finding is one reason for which the objects of an overlay would be refused. Object and File are empty where it is about
// the overlay as a whole, or where they are not known.
type Finding struct {
	Path    string `json:"path"`
	Rule    string `json:"rule"`
	Object  string `json:"object,omitempty"`
	File    string `json:"file,omitempty"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

func newValidate() *cli.Command {
	v := &Validate{}
	return step(v, &cli.Command{
		Name:  "validate",
		Usage: "build overlays and check every object, without a cluster and without a network",
		Description: `Builds the kustomization of each --path as kustomize does, but inside of the repository only: no URL, no plugin, no helm, no
path that leads out, and bounded in time, size and memory. Then checks every object against the schemas of Kubernetes and of the
custom resources of Argo CD and KubeSphere, and against what an API server or a kubelet refuses beyond its schema.

Writes nothing but --junit. Findings are exit 3; each says what to do.`,
		Flags: []cli.Flag{
			stringFlag(&v.Dir, "dir", ".", "the checkout to work in"),
			stringSliceFlag(&v.Paths, "path", "the directory of a kustomization, relative to --dir"),
			boolFlag(&v.All, "all", "check every kustomization that no other one includes"),
			stringFlag(&v.KubeVersion, "kube-version", "", "the version of Kubernetes, as 1.30; the newest known by default"),
			stringFlag(&v.CRDs, "crds", "", "a directory with CustomResourceDefinitions of your own"),
			stringSliceFlag(&v.IgnoreUnknown, "ignore-unknown", "an API group whose kinds may be unknown"),
			stringFlag(&v.JUnit, "junit", "", "write the findings to this file, in the form that Jenkins reads"),
		},
	})
}

// Run checks all paths; findings in one do not keep the others from being checked.
func (v *Validate) Run(ctx context.Context, env *Env) (Result, error) {
	if (len(v.Paths) == 0) != v.All {
		return Result{}, failure.New(failure.Usage, "name what to check with --path, or everything with --all", "give either --path or --all")
	}
	source, paths, err := v.open(ctx)
	if err != nil {
		return Result{}, err
	}
	schemas, err := v.schemas()
	if err != nil {
		return Result{}, err
	}
	checked, err := v.check(ctx, env, source, schemas, paths)
	if err != nil {
		return Result{}, err
	}
	details := validateDetails{Paths: len(paths), Findings: []Finding{}}
	for _, c := range checked {
		details.Objects += len(c.objects)
		details.Findings = append(details.Findings, c.findings...)
	}
	if v.JUnit != "" {
		if err := writeJUnit(v.JUnit, checked); err != nil {
			return Result{}, err
		}
	}
	if n := len(details.Findings); n > 0 {
		printFindings(env.Stderr, details.Findings)
		return Result{}, &detailedError{details: details, error: failure.New(failure.Invalid, "each finding says what to do", "findings: %d, in %d objects", n, details.Objects)}
	}
	return Result{Step: "validate", Outcome: Unchanged, Details: details}, nil
}

// open returns the files of the repository that --dir lies in, and the paths as they read from its root.
func (v *Validate) open(ctx context.Context) (manifest.Source, []string, error) {
	root, err := filepath.Abs(v.Dir)
	if err != nil {
		return nil, nil, err
	}
	inRepo := func(p string) (string, error) { return repoPath(root, root, p) }
	switch c, mapped, err := openCheckout(v.Dir); {
	case err == nil:
		root, inRepo = c.Root(), mapped
	case !errors.Is(err, gitrepo.ErrNoCheckout):
		return nil, nil, err
	}
	source, err := manifest.Dir(root)
	if err != nil {
		return nil, nil, err
	}
	if !v.All {
		paths, err := mapPaths(v.Paths, inRepo)
		return source, paths, err
	}
	below, err := inRepo(".")
	if err != nil {
		return nil, nil, err
	}
	paths, err := manifest.Roots(ctx, source)
	paths = slices.DeleteFunc(paths, func(p string) bool { return !within(p, []string{below}) })
	if err == nil && len(paths) == 0 {
		err = failure.New(failure.Usage, "check --dir", "there is no kustomization in %s", v.Dir)
	}
	return source, paths, err
}

func (v *Validate) schemas() (*schema.Set, error) {
	if v.CRDs == "" {
		return schema.New(v.KubeVersion)
	}
	own, err := schema.LoadCRDs(v.CRDs)
	if err != nil {
		return nil, err
	}
	return schema.New(v.KubeVersion, own...)
}

// checkedPath is what came of one path. A path that does not build has no objects and one finding.
type checkedPath struct {
	path     string
	objects  []string
	findings []Finding
}

// check checks paths side by side, as many as there are processors. What a path was built from is dropped before the next.
func (v *Validate) check(ctx context.Context, env *Env, source manifest.Source, schemas *schema.Set, paths []string) ([]checkedPath, error) {
	checked := make([]checkedPath, len(paths))
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
	for range min(runtime.GOMAXPROCS(0), len(paths)) {
		group.Go(func() {
			for i := range queue {
				c, err := v.checkPath(ctx, source, schemas, paths[i])
				mu.Lock()
				checked[i] = c
				done++
				if err != nil && failed == nil {
					failed = err
					stop()
				}
				if time.Since(said) > 30*time.Second {
					said = time.Now()
					env.Log.Info("checking", zap.Int("done", done), zap.Int("of", len(paths)))
				}
				mu.Unlock()
			}
		})
	}
	for i := range paths {
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

func (v *Validate) checkPath(ctx context.Context, source manifest.Source, schemas *schema.Set, p string) (checkedPath, error) {
	c := checkedPath{path: p}
	built, err := manifest.Build(ctx, source, p, manifest.Limits{})
	if err != nil {
		if failure.KindOf(err) != failure.Invalid {
			return c, err
		}
		c.findings = []Finding{{Path: p, Rule: "build", Message: err.Error(), Fix: failure.HintOf(err)}}
		return c, nil
	}
	data := make([]map[string]any, len(built.Objects))
	for i, o := range built.Objects {
		data[i] = o.Data
		c.objects = append(c.objects, o.ID())
		problems, known := schemas.Validate(o.Data)
		if group, _, ok := strings.Cut(o.APIVersion, "/"); !known && ok && slices.Contains(v.IgnoreUnknown, group) {
			continue
		}
		for _, problem := range problems {
			c.add(built.Objects[i], Finding{Rule: "schema", Field: problem.Path, Message: problem.Message, Fix: problem.Fix})
		}
	}
	for _, f := range lint.CheckAll(data) {
		c.add(built.Objects[f.Object], Finding{Rule: f.Rule, Field: f.Path, Message: f.Message, Fix: f.Fix})
	}
	return c, nil
}

// add keeps a finding unless there is one at the same place already: a wrong type may break several rules.
func (c *checkedPath) add(o manifest.Object, f Finding) {
	f.Path, f.Object, f.File = c.path, o.ID(), o.Origin
	if f.Field != "" && slices.ContainsFunc(c.findings, func(g Finding) bool { return g.Object == f.Object && g.Field == f.Field }) {
		return
	}
	c.findings = append(c.findings, f)
}

// printFindings writes one block for each finding, since messages and fixes are too long for the columns of a table.
func printFindings(w io.Writer, findings []Finding) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		at := f.Path
		if f.File != "" {
			at = f.File
		} else if f.Object == "" {
			at = path.Join(f.Path, "kustomization")
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", at, f.Object, f.Field)
		_, _ = fmt.Fprintf(table, "\t%s: %s\n", f.Rule, strings.ReplaceAll(f.Message, "\n", " "))
		if f.Fix != "" {
			_, _ = fmt.Fprintf(table, "\tfix: %s\n", f.Fix)
		}
	}
	_ = table.Flush() // stderr is for people; the findings are in the JSON, too
}
