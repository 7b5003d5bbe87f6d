package approval

import (
	"context"
	"errors"
	"slices"
	"strings"
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
	ref := refsPrefix + name(id)
	at, err := p.refs.Refs(ctx, ref)
	if err != nil {
		return Stored{}, about(id, err)
	}
	commit, ok := at[ref]
	if !ok {
		return Stored{}, none(id)
	}
	files, err := p.refs.Read(ctx, commit)
	if err != nil {
		return Stored{}, about(id, err)
	}
	r, err := Decode(id, files[recordFile])
	return Stored{Record: r, Version: refVersion + commit}, err
}

func (p inRefs) create(ctx context.Context, r Record) (Stored, error) { return p.write(ctx, "", r) }

func (p inRefs) swap(ctx context.Context, was Stored, next Record) (Stored, error) {
	return p.write(ctx, strings.TrimPrefix(was.Version, refVersion), next)
}

func (p inRefs) write(ctx context.Context, old string, r Record) (Stored, error) {
	data, err := r.Encode()
	if err != nil {
		return Stored{}, err
	}
	commit, err := p.refs.Swap(ctx, refsPrefix+name(r.ID), old, map[string][]byte{recordFile: data}, message(r))
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
