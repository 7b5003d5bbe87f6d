package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"slipway/steps/internal/failure"
)

// Tree is the files of one commit. Directories and files are fetched when they are first needed, and once.
type Tree struct {
	remote *Remote
	commit Hash
	root   Hash
}

// The filters for directories that are wanted by their ids: a directory alone, and a directory with everything below it
// except files too large to be manifests. A wanted object itself is always sent.
const (
	listing  = "tree:1"
	contents = "blob:limit=10m"
)

// fetch brings objects of this tree by their ids, in one request, or the whole tree where the server has no partial fetch.
func (t *Tree) fetch(ctx context.Context, filter string, hashes ...Hash) error {
	err := errFilter
	if !t.remote.noFilter {
		err = t.remote.fetch(ctx, fetchRequest{wants: hashes, filter: filter})
	}
	if errors.Is(err, errFilter) {
		err = t.remote.fetchTop(ctx, t.commit)
	}
	if err != nil {
		return err
	}
	for _, h := range hashes {
		if !t.remote.store.has(h) {
			return damaged(t.remote.url, h, plumbing.ErrObjectNotFound)
		}
	}
	return nil
}

// Hash returns the id of the root directory.
func (t *Tree) Hash() Hash { return t.root }

// maxTrees is how many parsed directories are kept. A build of everything looks at tens of thousands, each of them once, and
// at those above them again and again.
const maxTrees = 1000

// load returns a directory that must be at hand.
func (r *Remote) load(h Hash) (*object.Tree, error) {
	if t := r.trees[h]; t != nil {
		return t, nil
	}
	t, err := object.GetTree(r.store, h)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, err
	}
	if err != nil {
		return nil, damaged(r.url, h, err)
	}
	if len(r.trees) >= maxTrees {
		clear(r.trees)
	}
	r.trees[h] = t
	return t, nil
}

// entryOf finds a name in a directory, which may hold thousands. object.Tree has a map for this, which costs more to build than
// this search does. Git sorts directories as if their names ended in a slash.
func entryOf(t *object.Tree, name string) (object.TreeEntry, bool) {
	for _, key := range []string{name, name + "/"} {
		i, found := slices.BinarySearchFunc(t.Entries, key, func(e object.TreeEntry, key string) int {
			if e.Mode == filemode.Dir {
				return strings.Compare(e.Name+"/", key)
			}
			return strings.Compare(e.Name, key)
		})
		if found {
			return t.Entries[i], true
		}
	}
	return object.TreeEntry{}, false
}

// lookup is one walk from the root to a path that had to stop at a directory which is not at hand.
type lookup struct {
	entry   Entry
	missing Hash // the directory to fetch; zero when the walk reached its end
	service bool // the directory holds everything about one service: fetch it whole
}

// walk follows a path as far as directories are at hand. A name that is absent from a directory which was read is
// fs.ErrNotExist; a directory that was not fetched never is.
func (t *Tree) walk(p string) (lookup, error) {
	parts := cleanPath(p)
	at := Entry{Mode: ModeTree, Hash: t.root}
	for i, name := range parts {
		if at.Mode != ModeTree {
			return lookup{}, notExist(p)
		}
		dir, err := t.remote.load(at.Hash)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			return lookup{missing: at.Hash, service: isService(parts, i)}, nil
		}
		if err != nil {
			return lookup{}, err
		}
		e, ok := entryOf(dir, name)
		if !ok {
			return lookup{}, notExist(p)
		}
		at = Entry{Name: name, Mode: Mode(e.Mode), Hash: e.Hash}
	}
	return lookup{entry: at}, nil
}

// isService says whether the directory parts[:i] is that of one service. By the convention of kustomize a directory
// named overlays lies in it beside the bases the overlays refer to, so that one request brings all that a build needs.
// Anywhere else a directory may hold thousands of services, and only its listing is fetched.
func isService(parts []string, i int) bool {
	return i < len(parts) && (parts[i] == "overlays" || parts[i] == "base") || i > 0 && (parts[i-1] == "overlays" || parts[i-1] == "base")
}

// Prefetch brings the directories on the way to every path, in as few requests as there are levels missing. Paths that do
// not exist are no error.
func (t *Tree) Prefetch(ctx context.Context, paths ...string) error {
	for {
		var listings, services []Hash
		for _, p := range paths {
			l, err := t.walk(p)
			switch {
			case errors.Is(err, fs.ErrNotExist):
			case err != nil:
				return err
			case l.missing.IsZero():
			case l.service:
				services = appendNew(services, l.missing)
			default:
				listings = appendNew(listings, l.missing)
			}
		}
		if len(listings) > 0 {
			if err := t.fetch(ctx, listing, listings...); err != nil {
				return err
			}
		}
		if len(services) > 0 {
			if err := t.fetch(ctx, contents, services...); err != nil {
				return err
			}
		}
		if len(listings)+len(services) == 0 {
			return nil
		}
	}
}

// Entry returns what a path names, which may be a directory. A path that does not exist is fs.ErrNotExist.
func (t *Tree) Entry(ctx context.Context, p string) (Entry, error) {
	if err := t.Prefetch(ctx, p); err != nil {
		return Entry{}, err
	}
	l, err := t.walk(p)
	return l.entry, err
}

// List returns the names in a directory, in the order of Git.
func (t *Tree) List(ctx context.Context, dir string) ([]Entry, error) {
	e, err := t.Entry(ctx, dir)
	if err != nil {
		return nil, err
	}
	if e.Mode != ModeTree {
		return nil, fmt.Errorf("%s: %w", dir, errNotDirectory)
	}
	if !t.remote.store.has(e.Hash) {
		if err := t.fetch(ctx, listing, e.Hash); err != nil {
			return nil, err
		}
	}
	tree, err := t.remote.load(e.Hash)
	if err != nil {
		return nil, damaged(t.remote.url, e.Hash, err)
	}
	entries := make([]Entry, len(tree.Entries))
	for i, e := range tree.Entries {
		entries[i] = Entry{Name: e.Name, Mode: Mode(e.Mode), Hash: e.Hash}
	}
	return entries, nil
}

var errNotDirectory = failure.New(failure.Invalid, "", "not a directory")

// Files returns the files at the given paths; a path that does not exist, or is a directory, is absent from the result.
// Contents that are not at hand are fetched in one request.
func (t *Tree) Files(ctx context.Context, paths ...string) (map[string]*File, error) {
	if err := t.Prefetch(ctx, paths...); err != nil {
		return nil, err
	}
	entries := map[string]Entry{}
	var missing []Hash
	for _, p := range paths {
		l, err := t.walk(p)
		if errors.Is(err, fs.ErrNotExist) || err == nil && l.entry.Mode == ModeTree {
			continue
		}
		if err != nil {
			return nil, err
		}
		entries[p] = l.entry
		if l.entry.Mode != ModeSubmodule && !t.remote.store.has(l.entry.Hash) {
			missing = appendNew(missing, l.entry.Hash)
		}
	}
	if len(missing) > 0 {
		if err := t.fetch(ctx, listing, missing...); err != nil {
			return nil, err
		}
	}
	files := map[string]*File{}
	for p, e := range entries {
		f := &File{Mode: e.Mode}
		if e.Mode == ModeSubmodule {
			f.Data = []byte(e.Hash.String())
		} else {
			data, ok := t.remote.store.bytes(plumbing.BlobObject, e.Hash)
			if !ok {
				return nil, damaged(t.remote.url, e.Hash, plumbing.ErrObjectNotFound)
			}
			f.Data = data
		}
		files[p] = f
	}
	return files, nil
}

// Fetch brings directories with everything below them, except files of more than 10 MiB, in one request. A path that is
// not a directory is no error.
func (t *Tree) Fetch(ctx context.Context, dirs ...string) error {
	if err := t.Prefetch(ctx, dirs...); err != nil {
		return err
	}
	var wants []Hash
	for _, d := range dirs {
		l, err := t.walk(d)
		if errors.Is(err, fs.ErrNotExist) || err == nil && l.entry.Mode != ModeTree {
			continue
		}
		if err != nil {
			return err
		}
		if !t.remote.whole(l.entry.Hash) {
			wants = appendNew(wants, l.entry.Hash)
		}
	}
	if len(wants) == 0 {
		return nil
	}
	return t.fetch(ctx, contents, wants...)
}

// whole says whether everything below a directory is at hand.
func (r *Remote) whole(h Hash) bool {
	tree, err := r.load(h)
	if err != nil {
		return false
	}
	for _, e := range tree.Entries {
		switch Mode(e.Mode) {
		case ModeTree:
			if !r.whole(e.Hash) {
				return false
			}
		case ModeSubmodule:
		default:
			if !r.store.has(e.Hash) {
				return false
			}
		}
	}
	return true
}

// Walk returns the paths of all files below a directory, in lexical order.
func (t *Tree) Walk(ctx context.Context, dir string) ([]string, error) {
	entries, err := t.List(ctx, dir)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		p := path.Join(dir, e.Name)
		if e.Mode != ModeTree {
			all = append(all, p)
			continue
		}
		below, err := t.Walk(ctx, p)
		if err != nil {
			return nil, err
		}
		all = append(all, below...)
	}
	return all, nil
}

// Diff returns the paths at which the files of two commits differ, in lexical order. Directories that are equal are not read, so
// the directories that differ are all that is fetched.
func (t *Tree) Diff(ctx context.Context, to *Tree) ([]string, error) {
	return t.diff(ctx, to, t.root, to.root, "")
}

func (t *Tree) diff(ctx context.Context, other *Tree, from, to Hash, dir string) ([]string, error) {
	a, err := t.entries(ctx, from)
	if err != nil {
		return nil, err
	}
	b, err := other.entries(ctx, to)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for n := range a {
		names[n] = true
	}
	for n := range b {
		names[n] = true
	}
	var changed []string
	for n := range names {
		x, y := a[n], b[n]
		if x == y {
			continue
		}
		p := path.Join(dir, n)
		xDir, yDir := x.Mode == ModeTree, y.Mode == ModeTree
		var left, right Hash
		if xDir {
			left = x.Hash
		}
		if yDir {
			right = y.Hash
		}
		if xDir || yDir {
			below, err := t.diff(ctx, other, left, right, p)
			if err != nil {
				return nil, err
			}
			changed = append(changed, below...)
		}
		if x.Mode != 0 && !xDir || y.Mode != 0 && !yDir {
			changed = append(changed, p)
		}
	}
	sort.Strings(changed)
	return changed, nil
}

// entries returns a directory by name; the zero hash is an empty one.
func (t *Tree) entries(ctx context.Context, h Hash) (map[string]Entry, error) {
	all := map[string]Entry{}
	if h.IsZero() {
		return all, nil
	}
	if !t.remote.store.has(h) {
		if err := t.fetch(ctx, listing, h); err != nil {
			return nil, err
		}
	}
	tree, err := t.remote.load(h)
	if err != nil {
		return nil, damaged(t.remote.url, h, err)
	}
	for _, e := range tree.Entries {
		all[e.Name] = Entry{Name: e.Name, Mode: Mode(e.Mode), Hash: e.Hash}
	}
	return all, nil
}

func appendNew(list []Hash, h Hash) []Hash {
	if slices.Contains(list, h) {
		return list
	}
	return append(list, h)
}

// listSome joins names for a message, and says how many more there are.
func listSome(names []string, most int) string {
	slices.Sort(names)
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
