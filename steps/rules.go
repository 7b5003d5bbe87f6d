package steps

import (
	"context"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/manifest"
	"slipway/steps/internal/manifest/lint"
	"slipway/steps/internal/manifest/schema"
)

// rules are what the objects of an overlay must obey, and how it is built.
type rules struct {
	kubeVersion, crds string
	ignoreUnknown     []string
	building          buildOptions

	schemas *schema.Set
	build   builder
}

func (r *rules) flags() []cli.Flag {
	return append([]cli.Flag{
		stringFlag(&r.kubeVersion, "kube-version", "", "the version of Kubernetes, as 1.30; the newest known by default"),
		stringFlag(&r.crds, "crds", "", "a directory with CustomResourceDefinitions of your own"),
		stringSliceFlag(&r.ignoreUnknown, "ignore-unknown", "an API group whose kinds may be unknown"),
	}, r.building.flags()...)
}

// load reads the schemas. It comes before the checks.
func (r *rules) load() (err error) {
	if r.build, err = r.building.builder(); err != nil {
		return err
	}
	var own []schema.CRD
	if r.crds != "" {
		if own, err = schema.LoadCRDs(r.crds); err != nil {
			return err
		}
	}
	r.schemas, err = schema.New(r.kubeVersion, own...)
	return err
}

// checkedPath is what came of one path. A path that does not build has no objects and one finding.
type checkedPath struct {
	path     string
	rendered int
	objects  []string // for --junit only: a repository may have very many
	findings []Finding
	lines    *manifest.Lines // until it is checked
	changes  []manifest.ObjectChange
}

// check adds what would be refused of the objects that a path renders.
func (r *rules) check(c *checkedPath, built *manifest.Result) {
	c.rendered = len(built.Objects)
	data := make([]map[string]any, c.rendered)
	for i, o := range built.Objects {
		data[i] = o.Data
		problems, known := r.schemas.Validate(o.Data)
		if group, _, ok := strings.Cut(o.APIVersion, "/"); !known && ok && slices.Contains(r.ignoreUnknown, group) {
			continue
		}
		for _, problem := range problems {
			c.add(o, Finding{Rule: "schema", Field: problem.Path, Message: problem.Message, Fix: problem.Fix})
		}
	}
	for _, f := range lint.CheckAll(data) {
		c.add(built.Objects[f.Object], Finding{Rule: f.Rule, Field: f.Path, Message: f.Message, Fix: f.Fix})
	}
}

// buildAndCheck builds a path. One that does not build has a finding that says so, and no result.
func (r *rules) buildAndCheck(ctx context.Context, c *checkedPath, source manifest.Source) (*manifest.Result, error) {
	built, err := r.build(ctx, source, c.path)
	switch {
	case err == nil:
		r.check(c, built)
		return built, nil
	case failure.KindOf(err) != failure.Invalid:
		return nil, err
	}
	file, line := c.lines.FindError(err)
	c.findings = []Finding{{Path: c.path, Rule: "build", File: file, Line: line, Message: err.Error(), Fix: failure.HintOf(err)}}
	return nil, nil
}

// add keeps a finding unless there is one at the same place already: a wrong type may break several rules. What an update would be
// refused for is another matter.
func (c *checkedPath) add(o manifest.Object, f Finding) {
	f.Path, f.Object = c.path, o.ID()
	if f.Rule != "immutable" && f.Field != "" && slices.ContainsFunc(c.findings, func(g Finding) bool { return g.Object == f.Object && g.Field == f.Field }) {
		return
	}
	f.locate(c.lines, o)
	c.findings = append(c.findings, f)
}
