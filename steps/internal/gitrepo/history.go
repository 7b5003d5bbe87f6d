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
// hand are fetched without their files, in one request; after an earlier walk only those that are new. Truncated says that
// there are older ones which were not looked at.
func (r *Remote) History(ctx context.Context, tip Hash, limit int) (commits []Commit, truncated bool, err error) {
	if limit < 1 {
		return nil, true, nil
	}
	commits, missing, cut := r.walkCommits(tip, limit)
	if missing || cut && r.walk.limit < limit {
		if err := r.fetchCommits(ctx, tip, limit); err != nil {
			return nil, false, err
		}
		commits, missing, cut = r.walkCommits(tip, limit)
	}
	if len(commits) == limit && len(commits[limit-1].Parents) > 0 {
		cut = true
	}
	return commits, cut || missing, nil
}

// Contains says whether a commit is among the last limit commits that a tip is made of. It fetches like History, unless
// the commits at hand tell.
func (r *Remote) Contains(ctx context.Context, tip, h Hash, limit int) (bool, error) {
	commits, _, _ := r.walkCommits(tip, limit)
	if hasCommit(commits, h) {
		return true, nil
	}
	commits, _, err := r.History(ctx, tip, limit)
	return hasCommit(commits, h), err
}

func hasCommit(commits []Commit, h Hash) bool {
	return slices.ContainsFunc(commits, func(c Commit) bool { return c.Hash == h })
}

// walkCommits goes from the tip to the parents, newest first. cut says that it met a place where the server left the
// parents out of the walk that was fetched, missing that a commit is not at hand for any other reason.
func (r *Remote) walkCommits(tip Hash, limit int) (commits []Commit, missing, cut bool) {
	queue := &byTime{}
	seen := map[Hash]bool{}
	push := func(h Hash) bool {
		if seen[h] {
			return true
		}
		seen[h] = true
		c, err := object.GetCommit(r.store, h)
		if err == nil {
			heap.Push(queue, c)
		}
		return err == nil
	}
	missing = !push(tip)
	for queue.Len() > 0 && len(commits) < limit {
		c := heap.Pop(queue).(*object.Commit)
		commits = append(commits, newCommit(c))
		for _, p := range c.ParentHashes {
			switch {
			case push(p):
			case r.walk.cut[c.Hash]:
				cut = true
			default:
				missing = true
			}
		}
	}
	return commits, missing && len(commits) < limit, cut
}

func (r *Remote) fetchCommits(ctx context.Context, tip Hash, limit int) error {
	if _, err := r.service(ctx, false); err != nil { // it says whether there are filters
		return err
	}
	q := fetchRequest{wants: []Hash{tip}, depth: limit, filter: r.filter("tree:0"), cut: map[Hash]bool{}}
	if r.noFilter && r.walk.limit >= limit {
		// With their files, commits are worth not being fetched twice.
		q.haves, q.shallow = []Hash{r.walk.tip}, slices.Collect(maps.Keys(r.walk.cut))
		maps.Copy(q.cut, r.walk.cut)
	}
	err := r.fetch(ctx, q)
	if errors.Is(err, errFilter) {
		q = fetchRequest{wants: []Hash{tip}, depth: limit, cut: map[Hash]bool{}}
		err = r.fetch(ctx, q)
	}
	if err != nil {
		return err
	}
	r.walk = walked{tip: tip, limit: limit, cut: q.cut}
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
