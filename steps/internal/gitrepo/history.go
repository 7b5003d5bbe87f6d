package gitrepo

import (
	"container/heap"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/go-git/go-git/v5/plumbing/object"
)

// History returns up to limit commits that a tip is made of, newest first, the tip among them. Commits that are not at
// hand are fetched without their files, in one request. Truncated says that there are older ones which were not looked
// at. Commits up to which an earlier walk went are not fetched again.
func (r *Remote) History(ctx context.Context, tip Hash, limit int) (commits []Commit, truncated bool, err error) {
	if limit < 1 {
		return nil, true, nil
	}
	commits, missing := r.walkCommits(tip, limit)
	if missing && r.walked[tip] < limit {
		if err := r.fetchCommits(ctx, tip, limit); err != nil {
			return nil, false, err
		}
		commits, missing = r.walkCommits(tip, limit)
	}
	last := len(commits) == limit
	if last {
		for _, p := range commits[limit-1].Parents {
			truncated = truncated || !p.IsZero()
		}
	}
	return commits, truncated || missing, nil
}

// Contains says whether a commit is among the last limit commits that a tip is made of. It fetches like History.
func (r *Remote) Contains(ctx context.Context, tip, h Hash, limit int) (bool, error) {
	if tip == h {
		return true, nil
	}
	commits, _, err := r.History(ctx, tip, limit)
	if err != nil {
		return false, err
	}
	for _, c := range commits {
		if c.Hash == h {
			return true, nil
		}
	}
	return false, nil
}

// walkCommits goes from the tip to the parents, newest first. missing says that a commit was not at hand before the limit
// was reached, other than those that the server was asked for and left out.
func (r *Remote) walkCommits(tip Hash, limit int) (commits []Commit, missing bool) {
	queue := &byTime{}
	seen := map[Hash]bool{}
	push := func(h Hash) {
		if seen[h] {
			return
		}
		seen[h] = true
		c, err := object.GetCommit(r.store, h)
		if err != nil {
			missing = true
			return
		}
		heap.Push(queue, c)
	}
	push(tip)
	for queue.Len() > 0 && len(commits) < limit {
		c := heap.Pop(queue).(*object.Commit)
		commits = append(commits, newCommit(c))
		if len(commits) == limit {
			break
		}
		for _, p := range c.ParentHashes {
			push(p)
		}
	}
	return commits, missing
}

func (r *Remote) fetchCommits(ctx context.Context, tip Hash, limit int) error {
	q := fetchRequest{wants: []Hash{tip}, depth: limit, filter: r.filter("tree:0"), boundary: r.boundary}
	for h, n := range r.walked {
		if !r.noFilter && n >= limit {
			// The commits of an earlier walk are here, back to where the server cut it off.
			q.haves = append(q.haves, h)
		}
	}
	if len(q.haves) > 0 {
		q.shallow = slices.Collect(maps.Keys(r.boundary))
	}
	err := r.fetch(ctx, q)
	if errors.Is(err, errFilter) {
		err = r.fetch(ctx, fetchRequest{wants: []Hash{tip}, depth: limit})
	}
	if err != nil {
		return err
	}
	clear(r.walked)
	r.walked[tip] = limit
	return nil
}

type byTime []*object.Commit

func (q byTime) Len() int { return len(q) }
func (q byTime) Less(i, j int) bool {
	return q[i].Committer.When.After(q[j].Committer.When)
}
func (q byTime) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *byTime) Push(x any)   { *q = append(*q, x.(*object.Commit)) }
func (q *byTime) Pop() any {
	old := *q
	c := old[len(old)-1]
	*q = old[:len(old)-1]
	return c
}
