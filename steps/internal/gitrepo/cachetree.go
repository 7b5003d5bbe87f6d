package gitrepo

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// cachedTree is a directory in the cache of trees of an index (gitformat-index, extension TREE): the index holds exactly
// the files of the tree with this id. Without the cache every directory of HEAD must be read to find out what differs,
// which is what a large repository takes longest for.
type cachedTree struct {
	name  string
	hash  Hash
	files int // in it and below
	below map[string]*cachedTree
	order []string
}

// cachedTree returns the cache, nil unless it is whole. A cache with gaps is of no use: go-git leaves the gaps out, and
// with them the places of all that follows.
func (s *stagingArea) cachedTree() *cachedTree {
	if s.Cache == nil || len(s.Cache.Entries) == 0 || s.Cache.Entries[0].Path != "" || s.Cache.Entries[0].Entries != len(s.Entries) {
		return nil
	}
	rest := s.Cache.Entries
	root := readCachedTree(&rest)
	if len(rest) > 0 {
		return nil
	}
	return root
}

func readCachedTree(rest *[]index.TreeEntry) *cachedTree {
	e := (*rest)[0]
	*rest = (*rest)[1:]
	t := &cachedTree{name: e.Path, hash: e.Hash, files: e.Entries}
	for range e.Trees {
		if len(*rest) == 0 {
			break
		}
		t.add(readCachedTree(rest))
	}
	return t
}

func (t *cachedTree) add(child *cachedTree) {
	if t.below == nil {
		t.below = map[string]*cachedTree{}
	}
	t.below[child.name] = child
	t.order = append(t.order, child.name)
}

func (t *cachedTree) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "%s\x00%d %d\n", t.name, t.files, len(t.order))
	b.Write(t.hash[:])
	for _, name := range t.order {
		t.below[name].write(b)
	}
}

// treeExtension is the cache for an index that is about to be moved from one commit to another, nil where the index did
// not hold exactly the first one.
func (w *Worktree) treeExtension(idx *stagingArea, from, to Hash, moves []move) []byte {
	old := idx.cachedTree()
	before, err := object.GetCommit(w.repo.Storer, from)
	if err != nil || old == nil || old.hash != before.TreeHash {
		return nil
	}
	after, err := object.GetCommit(w.repo.Storer, to)
	if err != nil {
		return nil
	}
	touched := map[string]bool{}
	for _, m := range moves {
		for dir := path.Dir(m.path); !touched[dir]; dir = path.Dir(dir) {
			touched[dir] = true
		}
	}
	next := w.recache(w.local(), old, "", ".", after.TreeHash, touched)
	if next == nil {
		return nil
	}
	var b bytes.Buffer
	next.write(&b)
	return append(binary.BigEndian.AppendUint32([]byte("TREE"), uint32(b.Len())), b.Bytes()...)
}

// recache takes over what was not touched, and reads what was.
func (w *Worktree) recache(local *Remote, old *cachedTree, name, dir string, h Hash, touched map[string]bool) *cachedTree {
	if old != nil && !touched[dir] {
		return old
	}
	tree, err := local.load(h)
	if err != nil {
		return nil
	}
	t := &cachedTree{name: name, hash: h}
	for _, e := range tree.Entries {
		if e.Mode != filemode.Dir {
			t.files++
			continue
		}
		var was *cachedTree
		if old != nil {
			was = old.below[e.Name]
		}
		child := w.recache(local, was, e.Name, path.Join(dir, e.Name), e.Hash, touched)
		if child == nil {
			return nil
		}
		t.files += child.files
		t.add(child)
	}
	return t
}
