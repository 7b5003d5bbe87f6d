package gitrepo

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"slipway/steps/internal/failure"
)

// ErrNotAtHand says that a checkout lacks a commit, or a part of one: the clone is shallow or partial, or nobody fetched it.
var ErrNotAtHand = errors.New("not in this checkout")

var (
	// revision is a name and the way from it to one of its parents.
	revision    = regexp.MustCompile(`^([^~^:]+)((?:[~^][0-9]*)*)$`)
	ancestry    = regexp.MustCompile(`[~^][0-9]*`)
	abbreviated = regexp.MustCompile(`^[0-9a-fA-F]{4,40}$`)
)

// Revision returns the files of a commit that the checkout itself has, and fetches nothing. It is named as for git: HEAD, a
// tag, a branch, a branch of a remote, or an id, which may be abbreviated; ~N and ^N lead to parents. A branch that only the
// remote origin has needs no prefix. What is not there is of kind Usage, and ErrNotAtHand if a fetch could bring it.
func (w *Worktree) Revision(ctx context.Context, rev string) (*Tree, error) {
	parts := revision.FindStringSubmatch(rev)
	if parts == nil {
		return nil, unreadable(rev)
	}
	h, err := w.named(parts[1])
	if err != nil {
		return nil, err
	}
	steps, err := parents(parts[2])
	if err != nil {
		return nil, unreadable(rev)
	}
	for i, n := range steps {
		if h, err = w.parent(rev, h, n, len(steps)-i); err != nil {
			return nil, err
		}
	}
	if w.own == nil {
		w.own = w.local()
	}
	return w.own.Tree(ctx, h)
}

func unreadable(rev string) error {
	return failure.New(failure.Usage, "give a branch, a tag or a commit, as HEAD~1 or origin/main", "revision %q cannot be read", rev)
}

// parents lists which parent to go to, one step after the other.
func parents(way string) ([]int, error) {
	var steps []int
	for _, step := range ancestry.FindAllString(way, -1) {
		n := 1
		if len(step) > 1 {
			var err error
			if n, err = strconv.Atoi(step[1:]); err != nil || n > reachable {
				return nil, errors.New("too far")
			}
		}
		switch {
		case step[0] == '~':
			steps = append(steps, slices.Repeat([]int{1}, n)...)
		case n > 0:
			steps = append(steps, n)
		}
	}
	return steps, nil
}

// named finds the commit that a name without ancestry stands for.
func (w *Worktree) named(name string) (Hash, error) {
	if name == "@" {
		name = "HEAD"
	}
	for _, rule := range slices.Concat(plumbing.RefRevParseRules, []string{"refs/remotes/origin/%s"}) {
		ref := plumbing.ReferenceName(fmt.Sprintf(rule, name))
		if found, err := storer.ResolveReference(w.repo.Storer, ref); err == nil {
			return w.peel(name, found.Hash())
		}
	}
	if abbreviated.MatchString(name) {
		return w.abbreviated(strings.ToLower(name))
	}
	fetch := "git fetch origin"
	if branch, ok := strings.CutPrefix(name, "origin/"); ok {
		fetch = fmt.Sprintf("git fetch origin +refs/heads/%s:refs/remotes/origin/%s", branch, branch)
	}
	return Hash{}, notAtHand("check the name; "+fetch+" brings what is new", "checkout %s: revision %s", w.dir.path, name)
}

func notAtHand(hint, format string, args ...any) error {
	return failure.New(failure.Usage, hint, format+": %w", append(args, ErrNotAtHand)...)
}

// peel follows tags to their commit.
func (w *Worktree) peel(name string, h Hash) (Hash, error) {
	for {
		o, err := w.repo.Storer.EncodedObject(plumbing.AnyObject, h)
		if err != nil {
			return Hash{}, notAtHand("git fetch origin "+h.String()+" brings it", "checkout %s: commit %s", w.dir.path, h)
		}
		if o.Type() == plumbing.CommitObject {
			return h, nil
		}
		tag, err := object.DecodeTag(w.repo.Storer, o)
		if err != nil {
			return Hash{}, failure.New(failure.Usage, "name a commit, a branch or a tag", "checkout %s: %s is not a commit", w.dir.path, name)
		}
		h = tag.Target
	}
}

// abbreviated finds the commit whose id begins with some digits.
func (w *Worktree) abbreviated(digits string) (Hash, error) {
	if h, whole := ParseHash(digits); whole {
		return w.peel(digits, h)
	}
	prefix, err := hex.DecodeString(digits[:len(digits)/2*2])
	if err != nil {
		return Hash{}, err
	}
	candidates, err := w.repo.Storer.HashesWithPrefix(prefix)
	if err != nil {
		return Hash{}, failure.New(failure.Invalid, "make a new checkout", "checkout %s: its objects cannot be read: %w", w.dir.path, err)
	}
	var found []Hash
	for _, h := range candidates {
		if strings.HasPrefix(h.String(), digits) {
			if commit, err := w.peel(digits, h); err == nil {
				found = append(found, commit)
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Hash{}, notAtHand("check the name; git fetch origin brings what is new", "checkout %s: revision %s", w.dir.path, digits)
	}
	return Hash{}, failure.New(failure.Usage, "give more of its digits", "checkout %s: %d commits begin with %s", w.dir.path, len(found), digits)
}

// parent returns the nth parent of a commit; missing is how many generations are to be fetched if it is not at hand.
func (w *Worktree) parent(rev string, h Hash, n, missing int) (Hash, error) {
	c, err := object.GetCommit(w.repo.Storer, h)
	if err != nil {
		return Hash{}, failure.New(failure.Invalid, "make a new checkout", "checkout %s: commit %s cannot be read: %w", w.dir.path, h, err)
	}
	if n > len(c.ParentHashes) {
		return Hash{}, failure.New(failure.Usage, "name a younger commit", "checkout %s: there is no revision %s, since commit %s has %d parents",
			w.dir.path, rev, h, len(c.ParentHashes))
	}
	p := c.ParentHashes[n-1]
	if !holds(w.repo.Storer, p) {
		return Hash{}, notAtHand(fmt.Sprintf("the clone is shallow; git fetch --deepen=%d brings it", missing), "checkout %s: revision %s", w.dir.path, rev)
	}
	return p, nil
}

// Revision returns the files of the commit that the overlay was made from, which is the only one it has: HEAD, its branch,
// or its id, which may be abbreviated.
func (o *Overlay) Revision(ctx context.Context, rev string) (*Tree, error) {
	id := o.state.Commit
	known := []string{"@", "HEAD", o.state.Branch, "origin/" + o.state.Branch}
	if !slices.Contains(known, rev) && (!abbreviated.MatchString(rev) || !strings.HasPrefix(id, strings.ToLower(rev))) {
		return nil, notAtHand("slipway checkout keeps only the commit that it laid out, HEAD; git clone makes a checkout with others", "checkout %s: revision %s", o.dir.path, rev)
	}
	local := offline(o.dir.path)
	if err := o.load(local); err != nil {
		return nil, err
	}
	return local.Tree(ctx, o.Base())
}

// Commit returns the id of the commit.
func (t *Tree) Commit() Hash { return t.commit }

// offline returns a Remote for what a checkout has; it never sends a request.
func offline(dir string) *Remote {
	return &Remote{url: dir, conn: noConnection{dir}, store: newStore(), trees: map[Hash]*object.Tree{}, notice: func(string) {}}
}

type noConnection struct{ dir string }

func (c noConnection) open(context.Context, string, bool) (conversation, error) {
	return nil, notAtHand("fetch them, or make a clone that is not partial", "checkout %s: some files of the revision", c.dir)
}

func (c noConnection) close() error { return nil }
