package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"slipway/steps/internal/failure"
)

// CommitSpec is what a commit says besides its files.
type CommitSpec struct {
	Author, Committer Signature
	Message           string
	// Signer signs the commit; nil leaves it unsigned.
	Signer Signer
}

// Built is a commit that was built on another one and is not published yet.
type Built struct {
	Commit
	objects []packObject
}

// Build makes the commit that applies changes to parent: for every change the file To, or its absence, whatever was there
// before. Nothing is sent. Directories come and go with their files; all other entries are copied as they are, so
// executable bits, symlinks and submodules survive.
func (r *Remote) Build(ctx context.Context, parent Commit, changes []Change, spec CommitSpec) (*Built, error) {
	tree, err := r.Tree(ctx, parent.Hash)
	if err != nil {
		return nil, err
	}
	paths := make([]string, len(changes))
	for i, c := range changes {
		paths[i] = c.Path
	}
	if err := tree.Prefetch(ctx, paths...); err != nil {
		return nil, err
	}
	return r.build(tree.root, []Hash{parent.Hash}, changes, spec)
}

// build makes a commit of a directory that is at hand; a zero one is empty.
func (r *Remote) build(dir Hash, parents []Hash, changes []Change, spec CommitSpec) (*Built, error) {
	b := &builder{r: r}
	root := &edit{}
	for _, c := range changes {
		if err := root.add(c); err != nil {
			return nil, err
		}
	}
	newRoot, err := b.tree("", dir, root)
	if err != nil {
		return nil, err
	}
	if newRoot.IsZero() {
		if newRoot, err = b.put(plumbing.TreeObject, nil, Hash{}); err != nil {
			return nil, err
		}
	}
	commit := &object.Commit{
		Author: spec.Author.object(), Committer: spec.Committer.object(), Message: spec.Message,
		TreeHash: newRoot, ParentHashes: parents,
	}
	data, err := encodeCommit(commit, spec.Signer)
	if err != nil {
		return nil, err
	}
	if commit.Hash, err = b.put(plumbing.CommitObject, data, Hash{}); err != nil {
		return nil, err
	}
	return &Built{Commit: newCommit(commit), objects: b.objects}, nil
}

func encodeCommit(c *object.Commit, signer Signer) ([]byte, error) {
	if signer != nil {
		payload, err := encode(c.EncodeWithoutSignature)
		if err != nil {
			return nil, err
		}
		if c.PGPSignature, err = signer.Sign(payload); err != nil {
			return nil, err
		}
	}
	return encode(c.Encode)
}

func encode(f func(plumbing.EncodedObject) error) ([]byte, error) {
	o := &plumbing.MemoryObject{}
	if err := f(o); err != nil {
		return nil, err
	}
	rd, err := o.Reader()
	if err != nil {
		return nil, err
	}
	defer rd.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(rd)
	return b.Bytes(), err
}

// edit is a directory of changes: below holds sub-directories, files what happens to files here.
type edit struct {
	below map[string]*edit
	files map[string]*File // nil deletes
}

func (e *edit) add(c Change) error {
	if err := checkPath(c.Path); err != nil {
		return err
	}
	parts := cleanPath(c.Path)
	at := e
	for _, name := range parts[:len(parts)-1] {
		if at.below == nil {
			at.below = map[string]*edit{}
		}
		next := at.below[name]
		if next == nil {
			next = &edit{}
			at.below[name] = next
		}
		at = next
	}
	if at.files == nil {
		at.files = map[string]*File{}
	}
	at.files[parts[len(parts)-1]] = c.To
	return nil
}

type builder struct {
	r       *Remote
	objects []packObject
}

// put stores an object and queues it for the pack; base is the object it replaces, for a delta.
func (b *builder) put(t plumbing.ObjectType, data []byte, base Hash) (Hash, error) {
	h, err := b.r.store.put(t, data)
	if err != nil {
		return Hash{}, err
	}
	o := packObject{kind: t, data: data}
	if old, ok := b.r.store.bytes(t, base); ok && !base.IsZero() {
		o.base, o.baseData = base, old
	}
	b.objects = append(b.objects, o)
	return h, nil
}

// tree rewrites one directory and returns its new id, zero when nothing is left in it. A zero old id is a new directory.
func (b *builder) tree(dir string, old Hash, e *edit) (Hash, error) {
	var list listingEdit
	if !old.IsZero() {
		tree, err := b.r.load(old)
		if err != nil {
			return Hash{}, damaged(b.r.url, old, err)
		}
		list = slices.Clone(tree.Entries)
	}
	// Deletions come first: a directory may come where a file was, and a file where a directory was.
	for name, f := range e.files {
		if at, _ := list.get(name); f == nil && at.Mode != filemode.Dir {
			list.remove(name)
		}
	}
	for name, below := range e.below {
		at, exists := list.get(name)
		if exists && at.Mode != filemode.Dir {
			if !below.creates() {
				continue
			}
			return Hash{}, failure.New(failure.Conflict, "choose another path", "%s: a file is in the place of a directory", path.Join(dir, name))
		}
		h, err := b.tree(path.Join(dir, name), at.Hash, below)
		if err != nil {
			return Hash{}, err
		}
		if h.IsZero() {
			list.remove(name)
			continue
		}
		list.put(object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: h})
	}
	for name, f := range e.files {
		if f == nil {
			continue
		}
		at, _ := list.get(name)
		if at.Mode == filemode.Dir {
			return Hash{}, failure.New(failure.Conflict, "choose another path", "%s: a directory is in the place of a file", path.Join(dir, name))
		}
		h := f.Hash()
		if f.Mode != ModeSubmodule && at.Hash != h {
			var err error
			if h, err = b.put(plumbing.BlobObject, f.Data, at.Hash); err != nil {
				return Hash{}, err
			}
		}
		list.put(object.TreeEntry{Name: name, Mode: filemode.FileMode(f.Mode), Hash: h})
	}
	if len(list) == 0 {
		return Hash{}, nil
	}
	data, err := encode((&object.Tree{Entries: list}).Encode)
	if err != nil {
		return Hash{}, fmt.Errorf("directory %q: %w", dir, err)
	}
	h := plumbing.ComputeHash(plumbing.TreeObject, data)
	if h == old {
		return old, nil
	}
	return b.put(plumbing.TreeObject, data, old)
}

// listingEdit is the entries of a directory in the order of Git, in which a directory sorts as if its name ended in a
// slash. Thousands of entries are common and one of them changes, so they are neither mapped nor sorted anew.
type listingEdit []object.TreeEntry

func (l *listingEdit) index(name string) int {
	return slices.IndexFunc(*l, func(e object.TreeEntry) bool { return e.Name == name })
}

func (l *listingEdit) get(name string) (object.TreeEntry, bool) {
	if i := l.index(name); i >= 0 {
		return (*l)[i], true
	}
	return object.TreeEntry{}, false
}

func (l *listingEdit) remove(name string) {
	if i := l.index(name); i >= 0 {
		*l = slices.Delete(*l, i, i+1)
	}
}

func (l *listingEdit) put(e object.TreeEntry) {
	if i := l.index(e.Name); i >= 0 {
		if ((*l)[i].Mode == filemode.Dir) == (e.Mode == filemode.Dir) {
			(*l)[i] = e
			return
		}
		l.remove(e.Name)
	}
	at, _ := slices.BinarySearchFunc(*l, e, func(a, b object.TreeEntry) int { return strings.Compare(sortKey(a), sortKey(b)) })
	*l = slices.Insert(*l, at, e)
}

func sortKey(e object.TreeEntry) string {
	if e.Mode == filemode.Dir {
		return e.Name + "/"
	}
	return e.Name
}

// creates says whether any file is written below; pure deletions of what is not there are no conflict.
func (e *edit) creates() bool {
	for _, f := range e.files {
		if f != nil {
			return true
		}
	}
	for _, below := range e.below {
		if below.creates() {
			return true
		}
	}
	return false
}

// Parent returns the files of the first parent of a commit, or of parent number n where n > 0.
func (r *Remote) Parent(ctx context.Context, c Commit, n int) (*Tree, error) {
	if n == 0 {
		n = 1
	}
	if n > len(c.Parents) {
		return nil, failure.New(failure.Usage, "", "commit %s has %d parents, not %d", c.Hash, len(c.Parents), n)
	}
	return r.Tree(ctx, c.Parents[n-1])
}

// IsNotExist says whether an error of a Tree means that the path does not exist in the commit.
func IsNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
