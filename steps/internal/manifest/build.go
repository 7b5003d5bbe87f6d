package manifest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime/metrics"
	"sync"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/provenance"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"slipway/steps/internal/failure"
)

// KustomizeVersion is the version of the kustomize CLI whose output Build reproduces byte for byte.
const KustomizeVersion = "v5.8.1"

// Limits bound one build; a zero field has the default.
type Limits struct {
	Time    time.Duration // from the call to the result, 30 s
	File    int64         // bytes of one file, 5 MiB
	Total   int64         // bytes of all files, each counted as often as it is read, 64 MiB
	Nodes   int           // YAML nodes of all files that are parsed, once aliases are expanded, 500,000
	Objects int           // rendered objects, 10,000
	Memory  int64         // bytes by which the heap of the process may grow, 1 GiB
}

const defaultTotal = 64 << 20

// A JSON patch may copy what it has copied. Real ones copy a few lines; the API server stops at 3 MiB.
func init() { jsonpatch.AccumulatedCopySizeLimit = defaultTotal / 16 }

func (l Limits) orDefaults() Limits {
	return Limits{
		Time:    cmp.Or(l.Time, 30*time.Second),
		File:    cmp.Or(l.File, 5<<20),
		Total:   cmp.Or(l.Total, defaultTotal),
		Nodes:   cmp.Or(l.Nodes, 500_000),
		Objects: cmp.Or(l.Objects, 10_000),
		Memory:  cmp.Or(l.Memory, 1<<30),
	}
}

// Build renders the kustomization in a directory of the source. What the guard refuses and what kustomize finds wrong is
// of kind Invalid and names the file and, where it is known, the line; errors of the source itself come as they are. Build
// is safe for concurrent use. When time or memory is used up it returns, although kustomize cannot be stopped and goes on
// in the background until it asks for its next file: the process should end soon. Builds at the same time share the memory.
func Build(ctx context.Context, s Source, dir string, l Limits) (*Result, error) {
	return within(ctx, dir, l, func(bounded context.Context, dir string, l Limits) (*Result, error) {
		type outcome struct {
			result *Result
			err    error
		}
		done := make(chan outcome, 1)
		go func() {
			result, err := render(bounded, s, dir, l)
			done <- outcome{result, err}
		}()
		select {
		case got := <-done:
			return got.result, got.err
		case <-growth(bounded, l.Memory):
			return nil, tooMuchMemory(dir, l)
		case <-bounded.Done():
			return nil, bounded.Err()
		}
	})
}

// within is what all ways to build have in common: the directory, the time, and what is said when it is up.
func within(ctx context.Context, dir string, l Limits, build func(context.Context, string, Limits) (*Result, error)) (*Result, error) {
	if !filepath.IsLocal(dir) {
		return nil, outside(dir)
	}
	dir, l = filepath.ToSlash(filepath.Clean(dir)), l.orDefaults()
	bounded, cancel := context.WithTimeout(ctx, l.Time)
	defer cancel()
	result, err := build(bounded, dir, l)
	switch {
	case err == nil:
		return result, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: %w", dir, ctx.Err())
	case errors.Is(err, context.DeadlineExceeded) && bounded.Err() != nil:
		return nil, failure.New(failure.Invalid, "split the kustomization, or look for what makes it grow",
			"%s: the build took longer than %s", dir, l.Time)
	}
	return nil, err
}

func tooMuchMemory(dir string, l Limits) error {
	return failure.New(failure.Invalid, "look for patches and replacements that copy what they have copied",
		"%s: the build needs more than %d bytes of memory", dir, l.Memory)
}

// growth closes its channel when the heap has grown by more than most bytes. A few lines of patches that copy each other's
// results grow without bound, and no limit on what is read foresees it.
func growth(ctx context.Context, most int64) <-chan struct{} {
	heap := func() int64 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	grown, before := make(chan struct{}), heap()
	go func() {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if heap()-before > most {
					close(grown)
					return
				}
			}
		}
	}()
	return grown
}

// globalSchema guards the OpenAPI schema, which kustomize keeps in globals: a kustomization that brings its own is built alone,
// and leaves nothing behind.
var globalSchema sync.RWMutex

func render(ctx context.Context, s Source, dir string, l Limits) (*Result, error) {
	if err := sharedSchema(); err != nil {
		return nil, err
	}
	g := newGuard(ctx, s, l)
	globalSchema.RLock()
	result, err := g.build(dir)
	globalSchema.RUnlock()
	if !g.schema {
		return result, err
	}
	globalSchema.Lock()
	defer globalSchema.Unlock()
	openapi.ResetOpenAPI()
	defer func() { _ = installSchema() }() // it has succeeded before
	g = newGuard(ctx, s, l)
	g.exclusive = true
	return g.build(dir)
}

func (g *guard) build(dir string) (result *Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			result, err = nil, failure.New(failure.Invalid, "look for an unusual value in the kustomization; kustomize did not expect it",
				"%s: kustomize stopped: %s", dir, clean(fmt.Sprint(p)))
		}
		// What kustomize made of a refusal is of no interest, and neither is a result without the file.
		if g.first != nil {
			result, err = nil, g.first
		}
	}()
	if err := g.target(dir); err != nil {
		return nil, err
	}
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified // as the CLI does without --reorder
	// Run prints warnings of deprecated fields to os.Stderr, and of unused variables by package log. Both belong to the
	// whole process, so that one build among others cannot keep them quiet; BuildIsolated does.
	m, err := krusty.MakeKustomizer(options).Run(g, filepath.Join(tree, dir))
	if err != nil {
		return nil, invalid(dir, err)
	}
	if m.Size() > g.limits.Objects {
		return nil, failure.New(failure.Invalid, "split the kustomization", "%s: renders %d objects, more than %d", dir, m.Size(), g.limits.Objects)
	}
	return g.result(dir, m)
}

// target checks that there is something to build.
func (g *guard) target(dir string) error {
	info, err := g.source.Stat(g.ctx, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return failure.New(failure.Invalid, "check the path; it is relative to the root of the repository", "%w", err)
	case err != nil:
		return err
	case !info.Dir:
		return failure.New(failure.Invalid, "name the directory of the kustomization", "%s: is a file", dir)
	}
	names, err := g.kustomizations(dir)
	if err == nil && len(names) != 1 {
		return failure.New(failure.Invalid, kustomizationHint, "%s: %d kustomization files", dir, len(names))
	}
	return err
}

func (g *guard) result(dir string, m resmap.ResMap) (*Result, error) {
	if err := stamp(m); err != nil {
		return nil, invalid(dir, err)
	}
	r := &Result{}
	for _, res := range m.Resources() {
		o := Object{
			APIVersion: res.GetApiVersion(), Kind: res.GetKind(), Namespace: res.GetNamespace(), Name: res.GetName(),
			Origin: g.originOf(res.GetKind(), res.GetName()),
		}
		data, err := res.MarshalJSON()
		if err == nil {
			o.Data, err = decodeObject(data)
		}
		if err != nil {
			return nil, invalid(dir, fmt.Errorf("%s: %w", o.ID(), err))
		}
		r.JSON, r.Objects = append(r.JSON, data), append(r.Objects, o)
	}
	return r, nil
}

// stamp replaces the version that kustomize takes from the main module of the binary, slipway's, in the label that
// buildMetadata asks for.
func stamp(m resmap.ResMap) error {
	const label = "app.kubernetes.io/managed-by"
	version := "kustomize-" + provenance.GetProvenance().Semver()
	for _, r := range m.Resources() {
		if r.GetLabels()[label] == version {
			if err := r.PipeE(kyaml.SetLabel(label, "kustomize-"+KustomizeVersion)); err != nil {
				return err
			}
		}
	}
	return nil
}
