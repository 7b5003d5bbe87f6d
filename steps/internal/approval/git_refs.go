package approval

import (
	"context"
	"errors"
	"slices"
	"strings"

	"slipway/retry"
)

const (
	refsPrefix = "refs/slipway/approvals/"
	recordFile = "approval.json"
)

// inRefs keeps each record in a ref of its own. The version of a record is the commit of its ref.
type inRefs struct {
	refs     Refs
	diverged error
}

const refVersion = "ref "

func (p inRefs) owns(version string) bool { return strings.HasPrefix(version, refVersion) }

func (p inRefs) read(ctx context.Context, id string) (Stored, error) {
	at, err := p.refs.Refs(ctx, strings.TrimSuffix(refsPrefix+siblings(id), "@"))
	if err != nil {
		return Stored{}, about(id, err)
	}
	commit, ok := at[refsPrefix+name(id)]
	if !ok {
		return recall(ctx, p.refs, id, tips(at, id), recordFile)
	}
	files, err := p.refs.Read(ctx, commit)
	if err != nil {
		return Stored{}, about(id, err)
	}
	r, err := Decode(id, files[recordFile])
	return Stored{Record: r, Version: refVersion + commit}, err
}

// tips returns the commits of the refs that ask about the same path or application as an id.
func tips(at map[string]string, id string) []string {
	var commits []string
	for ref, commit := range at {
		if strings.HasPrefix(ref, refsPrefix+siblings(id)) {
			commits = append(commits, commit)
		}
	}
	slices.Sort(commits)
	return commits
}

func (p inRefs) create(ctx context.Context, r Record) (Stored, error) {
	at, err := p.refs.Refs(ctx, refsPrefix+siblings(r.ID))
	if err != nil {
		return Stored{}, about(r.ID, err)
	}
	if len(at) <= kept {
		return p.write(ctx, "", r, nil)
	}
	files, err := p.all(ctx, at)
	if err != nil {
		return Stored{}, about(r.ID, err)
	}
	folded := map[string]string{}
	for _, name := range settled(files) {
		folded[refsPrefix+name] = at[refsPrefix+name]
	}
	stored, err := p.write(ctx, "", r, folded)
	if err != nil && len(folded) > 0 && !retry.IsTransient(err) && ctx.Err() == nil {
		return p.write(ctx, "", r, nil) // it may be no more than that refs must not be removed
	}
	return stored, err
}

func (p inRefs) swap(ctx context.Context, was Stored, next Record) (Stored, error) {
	return p.write(ctx, strings.TrimPrefix(was.Version, refVersion), next, nil)
}

func (p inRefs) write(ctx context.Context, old string, r Record, folded map[string]string) (Stored, error) {
	data, err := r.Encode()
	if err != nil {
		return Stored{}, err
	}
	ref, files := refsPrefix+name(r.ID), map[string][]byte{recordFile: data}
	var commit string
	if len(folded) > 0 {
		commit, err = p.refs.Fold(ctx, ref, files, message(r), folded)
	} else {
		commit, err = p.refs.Swap(ctx, ref, old, files, message(r))
	}
	if errors.Is(err, p.diverged) {
		return Stored{}, diverged(r.ID, err)
	}
	if err != nil {
		return Stored{}, about(r.ID, err)
	}
	return Stored{Record: r, Version: refVersion + commit}, nil
}

func (p inRefs) list(ctx context.Context) (map[string][]byte, error) {
	at, err := p.refs.Refs(ctx, refsPrefix)
	if err != nil {
		return nil, listing(err)
	}
	return p.all(ctx, at)
}

// all returns the records of some refs by their names.
func (p inRefs) all(ctx context.Context, at map[string]string) (map[string][]byte, error) {
	var commits []string
	for _, commit := range at {
		commits = append(commits, commit)
	}
	slices.Sort(commits)
	if err := p.refs.Fetch(ctx, commits...); err != nil {
		return nil, listing(err)
	}
	records := map[string][]byte{}
	for ref, commit := range at {
		files, err := p.refs.Read(ctx, commit)
		if err != nil {
			return nil, listing(err)
		}
		records[strings.TrimPrefix(ref, refsPrefix)] = files[recordFile]
	}
	return records, nil
}
