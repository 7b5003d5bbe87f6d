package steps

import (
	"context"
	"fmt"
	"path"
	"sync"

	"go.uber.org/zap"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
	"slipway/steps/internal/kustomization"
	"slipway/steps/internal/manifest"
	"slipway/steps/internal/release"
)

// plan makes the change of a release on one tip after the other, and checks what comes of each.
type plan struct {
	*Release
	env     *Env
	details *releaseDetails

	checked checkedPath
	edited  []release.PathImages // where the files are that are looked at, and what they have in common
}

// make edits the files of a tip, and refuses a change that has not the effect that it says, or findings.
func (p *plan) make(ctx context.Context, tree *gitrepo.Tree) ([]gitrepo.Change, []release.PathImages, error) {
	if _, err := referred(ctx, tree, []string{p.details.Path}); err != nil {
		return nil, nil, err
	}
	p.env.show("check", "building "+p.details.Path)
	source := treeSource{tree, &sync.Mutex{}}
	e, err := p.Change.parse()
	if err != nil {
		return nil, nil, err
	}
	if err := e.read(ctx, source, p.details.Path); err != nil {
		return nil, nil, err
	}
	var all []gitrepo.Change
	p.edited = nil
	for _, f := range e.files {
		all = append(all, gitrepo.Change{Path: f.Path})
		p.edited = append(p.edited, release.PathImages{Path: path.Dir(f.Path)})
	}
	p.edited = append(p.edited, release.PathImages{Path: commonDir(all)})
	var set SetImageDetails
	contents, err := e.apply(&set)
	if err != nil {
		return nil, nil, err
	}
	f := &effect{
		path: p.details.Path,
		build: func(edits map[string][]byte) (*manifest.Result, error) {
			return p.rules.build(ctx, manifest.Overlay(source, edits), p.details.Path)
		},
		name: func(f *kustomization.File) (string, error) { return f.Path, nil },
	}
	if _, err := p.Change.prove(p.env, f, e, contents); err != nil {
		return nil, nil, err
	}
	edits := map[string][]byte{}
	paths := make([]string, len(contents))
	for i, c := range contents {
		edits[c.File.Path], paths[i] = c.Data, c.File.Path
	}
	if err := p.examine(ctx, manifest.Overlay(source, edits), f); err != nil {
		return nil, nil, err
	}
	p.details.Values = set.Values
	images := set.Changes
	if len(images) == 0 && e.kustomization != nil {
		if images, err = e.unchanged(); err != nil {
			return nil, nil, err
		}
	}
	old, err := tree.Files(ctx, paths...)
	if err != nil {
		return nil, nil, err
	}
	var changes []gitrepo.Change
	for _, c := range contents {
		from := old[c.File.Path]
		changes = append(changes, gitrepo.Change{Path: c.File.Path, From: from, To: &gitrepo.File{Mode: from.Mode, Data: c.Data}})
	}
	return changes, asked(p.details.Path, images), nil
}

func asked(dir string, images []ImageChange) []release.PathImages {
	if len(images) == 0 {
		return nil
	}
	at := release.PathImages{Path: dir}
	for _, i := range images {
		at.Images = append(at.Images, release.Image{Name: i.Name, New: i.New, Old: i.Old})
	}
	return []release.PathImages{at}
}

// examine validates what is rendered with the edit, and compares it with what was rendered before.
func (p *plan) examine(ctx context.Context, source manifest.Source, f *effect) error {
	p.checked = checkedPath{path: p.details.Path, lines: manifest.NewLines(ctx, source, p.details.Path)}
	if f.after == nil {
		return nil // there is no edit
	}
	p.rules.check(&p.checked, f.after)
	before, err := f.before()
	if err != nil {
		p.env.Log.Warn("before the edit the kustomization did not build, so what changes cannot be told", zap.Error(err))
	} else {
		p.checked.compare(before, f.after, "the tip of "+p.git.branch)
		if p.checked.changes, err = manifest.DiffObjects(before, f.after); err != nil {
			return err
		}
	}
	p.env.show("check", fmt.Sprintf("%d objects, %d change, %d findings", p.checked.rendered, len(p.checked.changes), len(p.checked.findings)))
	p.details.Rendered, p.details.Findings = []ObjectChange{}, p.checked.findings
	for _, c := range p.checked.changes {
		p.details.Rendered = append(p.details.Rendered, objectChange(p.details.Path, c))
	}
	if n := len(p.checked.findings); n > 0 {
		printFindings(p.env.Stderr, p.checked.findings)
		return failure.New(failure.Invalid, "each finding says what to do", "findings: %d, in %d objects; nothing was published", n, p.checked.rendered)
	}
	return nil
}
