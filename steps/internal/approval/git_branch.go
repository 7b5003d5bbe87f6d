package approval

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"slipway/retry"
	"slipway/steps/internal/failure"
)

const (
	branchRef = "refs/heads/slipway/approvals"
	inTheWay  = "refs/heads/slipway" // Git has no branch below another
	fileEnd   = ".json"
)

// inBranch keeps records as files of one branch. The version of a record is the commit of the branch at which it was read, and
// stands for the file in it: other records may move the branch.
type inBranch struct {
	refs     Refs
	diverged error
}

const branchVersion = "branch "

func (p inBranch) owns(version string) bool { return strings.HasPrefix(version, branchVersion) }

// tip returns the commit of the branch, "" if there is no branch.
func (p inBranch) tip(ctx context.Context) (string, error) {
	at, err := p.refs.Refs(ctx, branchRef)
	return at[branchRef], err
}

// file returns the record in a commit of the branch, nil if there is none.
func (p inBranch) file(ctx context.Context, id, commit string) ([]byte, error) {
	if commit == "" {
		return nil, nil
	}
	file := name(id) + fileEnd
	files, err := p.refs.Read(ctx, commit, file)
	return files[file], err
}

func (p inBranch) read(ctx context.Context, id string) (Stored, error) {
	tip, err := p.tip(ctx)
	if err != nil {
		return Stored{}, about(id, err)
	}
	data, err := p.file(ctx, id, tip)
	if err != nil {
		return Stored{}, about(id, err)
	}
	if data == nil && tip == "" {
		return Stored{}, none(id)
	}
	if data == nil {
		return recall(ctx, p.refs, id, []string{tip}, name(id)+fileEnd)
	}
	r, err := Decode(id, data)
	return Stored{Record: r, Version: branchVersion + tip}, err
}

func (p inBranch) create(ctx context.Context, r Record) (Stored, error) {
	at, err := p.refs.Refs(ctx, inTheWay)
	if err != nil {
		return Stored{}, about(r.ID, err)
	}
	tip := at[branchRef]
	if tip == "" {
		if at[inTheWay] != "" {
			return Stored{}, failure.New(failure.Conflict, "rename the branch slipway", "approval %s: there is a branch slipway, and so none can be called slipway/approvals", r.ID)
		}
		return p.write(ctx, tip, r, nil)
	}
	file := name(r.ID) + fileEnd
	files, err := p.refs.Read(ctx, tip, file, siblings(r.ID)+"*"+fileEnd)
	if err != nil {
		return Stored{}, about(r.ID, err)
	}
	if files[file] != nil {
		return Stored{}, diverged(r.ID, fmt.Errorf("it is there at %s", tip))
	}
	return p.write(ctx, tip, r, settled(byName(files)))
}

func byName(files map[string][]byte) map[string][]byte {
	records := map[string][]byte{}
	for file, data := range files {
		if name, ok := strings.CutSuffix(file, fileEnd); ok {
			records[name] = data
		}
	}
	return records
}

func (p inBranch) swap(ctx context.Context, was Stored, next Record) (Stored, error) {
	return p.write(ctx, strings.TrimPrefix(was.Version, branchVersion), next, nil)
}

func (p inBranch) write(ctx context.Context, old string, r Record, removed []string) (Stored, error) {
	data, err := r.Encode()
	if err != nil {
		return Stored{}, err
	}
	files := map[string][]byte{name(r.ID) + fileEnd: data}
	for _, name := range removed {
		files[name+fileEnd] = nil
	}
	commit, err := p.refs.Swap(ctx, branchRef, old, files, message(r))
	if errors.Is(err, p.diverged) {
		return Stored{}, p.overtaken(ctx, r.ID, old, err)
	}
	if err != nil {
		return Stored{}, about(r.ID, err)
	}
	return Stored{Record: r, Version: branchVersion + commit}, nil
}

// overtaken says what it means that the branch has moved: something only if this record did.
func (p inBranch) overtaken(ctx context.Context, id, old string, cause error) error {
	before, err := p.file(ctx, id, old)
	if err != nil {
		return about(id, err)
	}
	tip, err := p.tip(ctx)
	if err != nil {
		return about(id, err)
	}
	after, err := p.file(ctx, id, tip)
	if err != nil {
		return about(id, err)
	}
	if !bytes.Equal(before, after) {
		return diverged(id, cause)
	}
	return retry.Transient(fmt.Errorf("approval %s: another one was written at the same time: %w", id, cause))
}

func (p inBranch) list(ctx context.Context) (map[string][]byte, error) {
	tip, err := p.tip(ctx)
	if err != nil || tip == "" {
		return nil, listing(err)
	}
	files, err := p.refs.Read(ctx, tip)
	if err != nil {
		return nil, listing(err)
	}
	return byName(files), nil
}
