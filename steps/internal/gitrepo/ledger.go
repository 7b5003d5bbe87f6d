package gitrepo

import (
	"container/heap"
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"

	"slipway/steps/internal/failure"
)

// Ledger keeps small files in refs of a repository, each change of which is a commit on the one before. It reads and writes
// nothing else of the repository, and disturbs nothing that its Remote has at hand. Like the Remote it is not safe for
// concurrent use.
type Ledger struct {
	Remote *Remote
	// Commit says who writes.
	Commit func(message string) (CommitSpec, error)
}

// Refs returns the commits at which the refs are now whose full names begin with prefix.
func (l *Ledger) Refs(ctx context.Context, prefix string) (map[string]string, error) {
	refs, err := l.Remote.refs(ctx, prefix)
	if err != nil {
		return nil, err
	}
	at := map[string]string{}
	for name, h := range refs {
		if strings.HasPrefix(name, prefix) { // a server may send more than it was asked for
			at[name] = h.String()
		}
	}
	return at, nil
}

// Fetch brings commits with all their files in one request, so that Read asks for nothing more. What is at hand stays.
func (l *Ledger) Fetch(ctx context.Context, commits ...string) error {
	var missing []Hash
	for _, commit := range commits {
		h, err := commitHash(commit)
		if err != nil {
			return err
		}
		if c, err := object.GetCommit(l.Remote.store, h); err != nil || !l.Remote.whole(c.TreeHash) {
			missing = appendNew(missing, h)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return l.Remote.fetch(ctx, fetchRequest{wants: missing, depth: 1})
}

// Read returns files in the uppermost directory of a commit: those whose names match one of the patterns, which are those of
// package path, or all if there is none.
func (l *Ledger) Read(ctx context.Context, commit string, patterns ...string) (map[string][]byte, error) {
	if len(patterns) == 0 {
		if err := l.Fetch(ctx, commit); err != nil {
			return nil, err
		}
	}
	tree, err := l.tree(ctx, commit)
	if err != nil {
		return nil, err
	}
	var missing []Hash
	var wanted []object.TreeEntry
	for _, e := range tree.Entries {
		if e.Mode != filemode.Regular || len(patterns) > 0 && !matches(patterns, e.Name) {
			continue
		}
		wanted = append(wanted, e)
		if !l.Remote.store.has(e.Hash) {
			missing = appendNew(missing, e.Hash)
		}
	}
	if len(missing) > 0 {
		err := errFilter
		if !l.Remote.noFilter {
			err = l.Remote.fetch(ctx, fetchRequest{wants: missing, filter: listing})
		}
		if errors.Is(err, errFilter) {
			err = l.Remote.fetch(ctx, fetchRequest{wants: []Hash{plumbing.NewHash(commit)}, depth: 1})
		}
		if err != nil {
			return nil, err
		}
	}
	files := map[string][]byte{}
	for _, e := range wanted {
		data, ok := l.Remote.store.bytes(plumbing.BlobObject, e.Hash)
		if !ok {
			return nil, damaged(l.Remote.url, e.Hash, plumbing.ErrObjectNotFound)
		}
		files[e.Name] = data
	}
	return files, nil
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		matched, err := path.Match(pattern, name)
		return matched && err == nil
	})
}

func commitHash(commit string) (Hash, error) {
	h, ok := ParseHash(commit)
	if !ok {
		return Hash{}, failure.New(failure.Usage, "", "%q is not the id of a commit", commit)
	}
	return h, nil
}

// tree returns the uppermost directory of a commit, which is fetched without files when it is not at hand.
func (l *Ledger) tree(ctx context.Context, commit string) (*object.Tree, error) {
	h, err := commitHash(commit)
	if err != nil {
		return nil, err
	}
	r := l.Remote
	for attempt := 0; ; attempt++ {
		c, err := object.GetCommit(r.store, h)
		if err == nil {
			var tree *object.Tree
			if tree, err = r.load(c.TreeHash); err == nil {
				return tree, nil
			}
		}
		if attempt > 0 {
			return nil, damaged(r.url, h, err)
		}
		err = r.fetch(ctx, fetchRequest{wants: []Hash{h}, depth: 1, filter: r.filter("blob:none")})
		if errors.Is(err, errFilter) {
			err = r.fetch(ctx, fetchRequest{wants: []Hash{h}, depth: 1})
		}
		if err != nil {
			return nil, err
		}
	}
}

// Find returns the newest of the commits behind some tips, of which at most limit are looked at, that has a line in its message;
// "" if none has.
func (l *Ledger) Find(ctx context.Context, tips []string, line string, limit int) (string, error) {
	var wants []Hash
	for _, tip := range tips {
		h, err := commitHash(tip)
		if err != nil {
			return "", err
		}
		wants = append(wants, h)
	}
	found, missing := l.find(wants, line, limit)
	if !missing {
		return found, nil
	}
	r := l.Remote
	err := r.fetch(ctx, fetchRequest{wants: wants, depth: limit, filter: r.filter("tree:0")})
	if errors.Is(err, errFilter) {
		err = r.fetch(ctx, fetchRequest{wants: wants, depth: limit})
	}
	if err != nil {
		return "", err
	}
	found, _ = l.find(wants, line, limit)
	return found, nil
}

// find looks at the commits that are at hand; missing says that it needed others.
func (l *Ledger) find(wants []Hash, line string, limit int) (found string, missing bool) {
	queue, seen := &byTime{}, map[Hash]bool{}
	for ; limit > 0; limit-- {
		for _, h := range wants {
			if seen[h] {
				continue
			}
			seen[h] = true
			c, err := object.GetCommit(l.Remote.store, h)
			if err != nil {
				missing = true
				continue
			}
			heap.Push(queue, c)
		}
		if queue.Len() == 0 {
			break
		}
		c := heap.Pop(queue).(*object.Commit)
		if slices.Contains(strings.Split(c.Message, "\n"), line) {
			return c.Hash.String(), false
		}
		wants = c.ParentHashes
	}
	return "", missing
}

// Swap moves a ref from a commit that was read before, or creates it if old is "", to a new commit with these files changed;
// nil removes one. It returns the new commit. When the ref was no longer at the old commit the error is ErrDiverged, and
// when the answer was lost it is ErrUncertain, as with Remote.Swap.
func (l *Ledger) Swap(ctx context.Context, ref, old string, files map[string][]byte, message string) (string, error) {
	return l.swap(ctx, ref, old, files, message, nil)
}

// Fold creates a ref whose first commit has the commits of other refs behind it, and removes these refs in the same step if they
// are still there. A server that cannot do that in one step keeps them; one that refuses to remove them refuses it all.
func (l *Ledger) Fold(ctx context.Context, ref string, files map[string][]byte, message string, folded map[string]string) (string, error) {
	return l.swap(ctx, ref, "", files, message, folded)
}

func (l *Ledger) swap(ctx context.Context, ref, old string, files map[string][]byte, message string, folded map[string]string) (string, error) {
	spec, err := l.Commit(message)
	if err != nil {
		return "", err
	}
	var changes []Change
	for name, data := range files {
		c := Change{Path: name}
		if data != nil {
			c.To = &File{Mode: ModeRegular, Data: data}
		}
		changes = append(changes, c)
	}
	var at, dir Hash
	var parents []Hash
	if old != "" {
		tree, err := l.tree(ctx, old)
		if err != nil {
			return "", err
		}
		at, dir = plumbing.NewHash(old), tree.Hash
		parents = append(parents, at)
	}
	removed := map[string]Hash{}
	for _, name := range slices.Sorted(maps.Keys(folded)) {
		removed[name] = plumbing.NewHash(folded[name])
		parents = append(parents, removed[name])
	}
	built, err := l.Remote.build(dir, parents, changes, spec)
	if err != nil {
		return "", err
	}
	command := &packp.Command{Name: plumbing.ReferenceName(ref), Old: at, New: built.Hash}
	return built.Hash.String(), l.Remote.swap(ctx, "push to "+ref, command, built, removed)
}
