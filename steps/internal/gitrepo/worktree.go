package gitrepo

import (
	"bytes"
	"cmp"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"

	"slipway/steps/internal/failure"
)

// Worktree is an ordinary Git checkout on disk, as git clone or a Jenkins checkout step makes it: full, shallow, partial
// or sparse; on a branch or detached. It needs no git program.
type Worktree struct {
	dir    *workDir
	dot    string // the Git directory of this work tree
	common string // the Git directory with objects and refs; the same unless git worktree made it
	repo   repository
	head   *object.Commit
	branch string
	config worktreeConfig
	remote *Remote // given by Attach
	own    *Remote // what Revision reads; commits share most of their directories
}

type repository struct{ Storer *filesystem.Storage }

type worktreeConfig struct {
	autoCRLF string
	fileMode bool
	partial  bool // objects may be missing: a remote has promised them
}

// ErrNoCheckout says that a directory is not inside of a Git checkout.
var ErrNoCheckout = errors.New("not inside of a Git checkout")

// OpenWorktree opens the checkout that a directory lies in. When there is none the error is ErrNoCheckout.
func OpenWorktree(dir string) (*Worktree, error) {
	abs, err := existing(dir)
	if err != nil {
		return nil, err
	}
	root, dot, err := around(abs)
	if err != nil {
		return nil, err
	}
	if dot == "" {
		return nil, fmt.Errorf("directory %s: %w", dir, ErrNoCheckout)
	}
	return openWorktree(root, dot)
}

// existing returns the absolute path of a directory, without symlinks.
func existing(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(abs); err != nil || !info.IsDir() {
		return "", failure.New(failure.Usage, "name an existing directory with --dir", "directory %s: %w", dir, cmp.Or(err, error(syscall.ENOTDIR)))
	}
	return filepath.EvalSymlinks(abs)
}

// around finds the work tree that a directory lies in, and its Git directory; both are "" when there is none.
func around(dir string) (root, dot string, err error) {
	for at := dir; ; at = filepath.Dir(at) {
		dot, err := gitDir(at)
		switch {
		case err == nil:
			return at, dot, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", "", failure.New(failure.Invalid, "", "%s: %w", at, err)
		case at == filepath.Dir(at):
			return "", "", nil
		}
	}
}

// gitDir finds the Git directory of a work tree: .git, or the directory that a file of this name points to.
func gitDir(root string) (string, error) {
	dot := filepath.Join(root, ".git")
	info, err := os.Stat(dot)
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		if _, err := os.Stat(filepath.Join(dot, "HEAD")); err != nil {
			return "", err
		}
		return dot, nil
	}
	data, err := os.ReadFile(dot)
	if err != nil {
		return "", err
	}
	target, ok := strings.CutPrefix(strings.TrimSpace(string(data)), "gitdir: ")
	if !ok {
		return "", errors.New(".git is a file that names no Git directory")
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(root, target)
	}
	return target, nil
}

func openWorktree(root, dot string) (*Worktree, error) {
	dir, err := openWorkDir(root)
	if err != nil {
		return nil, err
	}
	w := &Worktree{dir: dir, dot: dot, common: dot}
	if data, err := os.ReadFile(filepath.Join(dot, "commondir")); err == nil {
		w.common = strings.TrimSpace(string(data))
		if !filepath.IsAbs(w.common) {
			w.common = filepath.Join(dot, w.common)
		}
	}
	files := osfs.New(dot)
	options := filesystem.Options{
		KeepDescriptors: true,          // else every object opens its pack again
		AlternatesFS:    osfs.New("/"), // a reference repository may be anywhere
	}
	if w.common != dot {
		w.repo.Storer = filesystem.NewStorageWithOptions(dotgit.NewRepositoryFilesystem(files, osfs.New(w.common)), cache.NewObjectLRU(8*cache.MiByte), options)
	} else {
		w.repo.Storer = filesystem.NewStorageWithOptions(files, cache.NewObjectLRU(8*cache.MiByte), options)
	}
	if err := w.readConfig(); err != nil {
		return nil, err
	}
	return w, w.readHead()
}

func (w *Worktree) readConfig() error {
	cfg, err := w.repo.Storer.Config()
	if err != nil {
		return failure.New(failure.Invalid, "repair .git/config, or make a new checkout", "checkout %s: %w", w.dir.path, err)
	}
	if format := cfg.Raw.Section("extensions").Option("objectformat"); checkObjectFormat(strings.ToLower(format)) != nil {
		return checkObjectFormat(format)
	}
	w.config.autoCRLF = strings.ToLower(cfg.Raw.Section("core").Option("autocrlf"))
	w.config.fileMode = !strings.EqualFold(cfg.Raw.Section("core").Option("filemode"), "false")
	for _, remote := range cfg.Raw.Section("remote").Subsections {
		w.config.partial = w.config.partial || strings.EqualFold(remote.Option("promisor"), "true")
	}
	return nil
}

func (w *Worktree) readHead() error {
	ref, err := w.repo.Storer.Reference(plumbing.HEAD)
	if err != nil {
		return failure.New(failure.Invalid, "make a new checkout", "checkout %s: HEAD cannot be read: %w", w.dir.path, err)
	}
	hash := ref.Hash()
	if ref.Type() == plumbing.SymbolicReference {
		w.branch = strings.TrimPrefix(ref.Target().String(), "refs/heads/")
		tip, err := w.repo.Storer.Reference(ref.Target())
		if errors.Is(err, plumbing.ErrReferenceNotFound) {
			return failure.New(failure.Conflict, "make a first commit, or check out a branch that has one", "checkout %s: branch %s has no commits", w.dir.path, w.branch)
		}
		if err != nil {
			return err
		}
		hash = tip.Hash()
	}
	w.head, err = object.GetCommit(w.repo.Storer, hash)
	if err != nil {
		return failure.New(failure.Invalid, "make a new checkout", "checkout %s: commit %s cannot be read: %w", w.dir.path, hash, err)
	}
	return nil
}

// Root is the absolute path of the work tree.
func (w *Worktree) Root() string { return w.dir.path }

// Base is the commit that is checked out.
func (w *Worktree) Base() Hash { return w.head.Hash }

// Branch is the branch that is checked out, "" when HEAD is detached.
func (w *Worktree) Branch() string { return w.branch }

// Origin returns the address of the remote named origin, as the configuration has it, "" when there is none.
func (w *Worktree) Origin() (string, error) {
	cfg, err := w.repo.Storer.Config()
	if err != nil {
		return "", err
	}
	if remote := cfg.Remotes["origin"]; remote != nil && len(remote.URLs) > 0 {
		return remote.URLs[0], nil
	}
	return "", nil
}

// Attach lets a Remote use the objects of the checkout.
func (w *Worktree) Attach(r *Remote) error {
	w.remote, r.store.local = r, w.repo.Storer
	if !r.noFilter {
		r.top = w.head.Hash // of the tip only what differs from it need be sent
	}
	return nil
}

// Advance lays out a commit that was published to a branch: objects, files, index, and the branch or the detached HEAD,
// so that nothing differs afterwards. published names what the commit holds of this checkout's own changes. Files with
// other changes are never touched: then nothing is done at all, and the error says why. Killed in the middle, it is
// finished by Resume.
func (w *Worktree) Advance(ctx context.Context, branch string, to Hash, built *Built, published []Change) error {
	if w.branch != "" && w.branch != branch {
		return fmt.Errorf("the checkout is on branch %s, not on %s", w.branch, branch)
	}
	if to == w.head.Hash {
		return nil
	}
	if err := w.receive(ctx, to, built); err != nil {
		return err
	}
	j := journal{From: w.head.Hash.String(), To: to.String(), Branch: branch, Remote: w.remote.URL(), Published: map[string]string{}}
	for _, c := range published {
		j.Published[c.Path] = hashOf(c.To).String()
	}
	moves, err := w.moves(ctx, w.head, to)
	if err != nil {
		return err
	}
	if err := w.refuseLoss(moves, j.hashes()); err != nil {
		return err
	}
	if err := w.writeJournal(j); err != nil {
		return err
	}
	return w.finish(j, moves)
}

// receive brings a commit into the checkout's own repository. The commit that was just built on HEAD is written as it is;
// otherwise the server sends what lies between.
func (w *Worktree) receive(ctx context.Context, to Hash, built *Built) error {
	if holds(w.repo.Storer, to) {
		return nil
	}
	if built != nil && built.Hash == to && slices.Contains(built.Parents, w.head.Hash) {
		for _, o := range built.objects {
			if err := w.writeObject(o); err != nil {
				return err
			}
		}
		return nil
	}
	known, err := w.remote.Contains(ctx, to, w.head.Hash, reachable)
	if err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("HEAD is not among the last %d commits that were published", reachable)
	}
	shallow, err := w.repo.Storer.Shallow()
	if err != nil {
		return err
	}
	q := fetchRequest{wants: []Hash{to}, haves: []Hash{w.head.Hash}, shallow: shallow, thin: true}
	err = w.remote.fetch(ctx, q)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		// A delta against something that a partial clone does not have.
		q.thin = false
		err = w.remote.fetch(ctx, q)
	}
	if err != nil {
		return err
	}
	objects, err := w.lacking(to)
	if err != nil {
		return err
	}
	return w.writeObjects(objects)
}

// lacking lists what a commit is made of that the checkout's repository does not have, parts before what is made of them:
// a run killed while it writes them leaves nothing whose parts are missing. Nothing else may be written to it, for such an
// object would look like damage to git fsck.
func (w *Worktree) lacking(to Hash) ([]packObject, error) {
	l := &lackingWalk{w: w, seen: map[Hash]bool{}}
	err := l.visit(plumbing.CommitObject, to)
	return l.objects, err
}

type lackingWalk struct {
	w       *Worktree
	seen    map[Hash]bool
	objects []packObject
}

func (l *lackingWalk) visit(kind plumbing.ObjectType, h Hash) error {
	if l.seen[h] || holds(l.w.repo.Storer, h) {
		return nil
	}
	l.seen[h] = true
	data, ok := l.w.remote.store.bytes(kind, h)
	if !ok && l.w.config.partial {
		return nil
	}
	if !ok {
		return damaged(l.w.remote.url, h, plumbing.ErrObjectNotFound)
	}
	var err error
	if parts := map[plumbing.ObjectType]func(Hash) error{plumbing.CommitObject: l.commit, plumbing.TreeObject: l.tree}[kind]; parts != nil {
		err = parts(h)
	}
	l.objects = append(l.objects, packObject{kind: kind, data: data})
	return err
}

func (l *lackingWalk) commit(h Hash) error {
	c, err := object.GetCommit(l.w.remote.store, h)
	if err != nil {
		return err
	}
	for _, p := range c.ParentHashes {
		if err := l.visit(plumbing.CommitObject, p); err != nil {
			return err
		}
	}
	return l.visit(plumbing.TreeObject, c.TreeHash)
}

func (l *lackingWalk) tree(h Hash) error {
	t, err := l.w.remote.load(h)
	if err != nil {
		return err
	}
	for _, e := range t.Entries {
		switch Mode(e.Mode) {
		case ModeSubmodule:
		case ModeTree:
			err = l.visit(plumbing.TreeObject, e.Hash)
		default:
			err = l.visit(plumbing.BlobObject, e.Hash)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// manyObjects is from where on objects are written as one pack instead of a file each.
const manyObjects = 100

// writeObjects adds objects to the checkout's repository.
func (w *Worktree) writeObjects(objects []packObject) error {
	if len(objects) < manyObjects {
		for _, o := range objects {
			if err := w.writeObject(o); err != nil {
				return err
			}
		}
		return nil
	}
	pack, err := writePack(objects, false, zlib.DefaultCompression)
	if err != nil {
		return err
	}
	if err := w.removeHalfPacks(); err != nil {
		return err
	}
	out, err := w.repo.Storer.PackfileWriter()
	if err != nil {
		return err
	}
	_, err = out.Write(pack)
	return errors.Join(err, out.Close())
}

// removeHalfPacks removes indexes without a pack. go-git writes the index first, under its last name and read-only: left
// behind by a killed run, it would keep every later run from writing the same pack.
func (w *Worktree) removeHalfPacks() error {
	indexes, err := filepath.Glob(filepath.Join(w.common, "objects", "pack", "pack-*.idx"))
	for _, name := range indexes {
		if _, missing := os.Stat(strings.TrimSuffix(name, ".idx") + ".pack"); errors.Is(missing, fs.ErrNotExist) {
			err = errors.Join(err, os.Remove(name))
		}
	}
	return err
}

// reachable is how far back HEAD is looked for among published commits before a checkout is brought forward.
const reachable = 1000

func (w *Worktree) writeObject(o packObject) error {
	obj := w.repo.Storer.NewEncodedObject()
	obj.SetType(o.kind)
	out, err := obj.Writer()
	if err != nil {
		return err
	}
	if _, err := out.Write(o.data); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	_, err = w.repo.Storer.SetEncodedObject(obj)
	return err
}

// moves lists what differs between the commit that is laid out and another one.
func (w *Worktree) moves(ctx context.Context, from *object.Commit, to Hash) ([]move, error) {
	target, err := object.GetCommit(w.repo.Storer, to)
	if err != nil {
		return nil, err
	}
	local := w.local()
	a := &Tree{remote: local, commit: from.Hash, root: from.TreeHash}
	b := &Tree{remote: local, commit: to, root: target.TreeHash}
	paths, err := a.Diff(ctx, b)
	if err != nil {
		return nil, err
	}
	idx, err := w.index()
	if err != nil {
		return nil, err
	}
	moves := make([]move, len(paths))
	for i, p := range paths {
		moves[i] = move{path: p, sparse: idx.sparse(p)}
		if moves[i].from, _, err = w.stored(a, p, moves[i].sparse); err != nil {
			return nil, err
		}
		if moves[i].to, moves[i].id, err = w.stored(b, p, moves[i].sparse); err != nil {
			return nil, err
		}
	}
	// Deletions first: a file may come where a directory was.
	slices.SortStableFunc(moves, func(a, b move) int { return order(a.to) - order(b.to) })
	return moves, nil
}

// local reads the checkout's own objects as if they were fetched.
func (w *Worktree) local() *Remote {
	r := offline(w.dir.path)
	r.store.local = w.repo.Storer
	return r
}

// stored reads a file of a commit whose directories are all at hand, nil if there is none. Without its contents it is not
// read: those of files that are left out of the work tree may not be at hand.
func (w *Worktree) stored(t *Tree, p string, withoutContents bool) (*File, Hash, error) {
	l, err := t.walk(p)
	if IsNotExist(err) || err == nil && l.entry.Mode == ModeTree {
		return nil, Hash{}, nil
	}
	if err != nil {
		return nil, Hash{}, err
	}
	if withoutContents {
		return &File{Mode: l.entry.Mode}, l.entry.Hash, nil
	}
	f, err := w.blob(l.entry.Mode, l.entry.Hash)
	return f, l.entry.Hash, err
}

func (w *Worktree) blob(mode Mode, h Hash) (*File, error) {
	if mode == ModeSubmodule {
		return &File{Mode: mode, Data: []byte(h.String())}, nil
	}
	o, err := w.repo.Storer.EncodedObject(plumbing.BlobObject, h)
	if err != nil {
		return nil, failure.New(failure.Invalid, "make a new checkout", "checkout %s: object %s cannot be read: %w", w.dir.path, h, err)
	}
	rd, err := o.Reader()
	if err != nil {
		return nil, err
	}
	defer rd.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(rd)
	return &File{Mode: mode, Data: b.Bytes()}, err
}

// refuseLoss fails when a file to be replaced holds work that is in no commit.
func (w *Worktree) refuseLoss(moves []move, published map[string]Hash) error {
	return w.dir.refuseLoss(slices.DeleteFunc(slices.Clone(moves), func(m move) bool { return m.sparse }), published)
}
