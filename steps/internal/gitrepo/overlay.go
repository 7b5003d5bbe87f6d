package gitrepo

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"slipway/steps/internal/failure"
)

// Overlay is a directory that holds some directories of one commit and nothing else: what one release edits and builds.
// It has no .git. What it was made from is in .slipway/checkout.json, and the objects that were fetched for it are in
// .slipway/objects.pack, so that publishing from it asks the server for nothing that did not change.
type Overlay struct {
	dir    *workDir
	state  overlayState
	remote *Remote // given by Attach
}

type overlayState struct {
	Version int    `json:"version"`
	Repo    string `json:"repo"`
	Branch  string `json:"branch"`
	Commit  string `json:"commit"`
	// Paths are the directories that were asked for; new files below them are part of a release.
	Paths []string `json:"paths"`
	// Files are the files that were laid out: mode and object id by path.
	Files map[string]string `json:"files"`
	// Complete is false while files are being laid out, and after that was interrupted.
	Complete bool `json:"complete"`
	// Next is the state that an Advance is on the way to, and Published the ids of the files that it may replace.
	Next      *overlayState     `json:"next,omitempty"`
	Published map[string]string `json:"published,omitempty"`
}

const (
	overlayDir     = ownPrefix
	overlayFile    = overlayDir + "/checkout.json"
	overlayPack    = overlayDir + "/objects.pack"
	overlayVersion = 1
)

// ErrNoOverlay says that a directory was not made by MakeOverlay.
var ErrNoOverlay = errors.New("not made by slipway checkout")

// OpenOverlay opens a directory that MakeOverlay laid out. For any other the error is ErrNoOverlay.
func OpenOverlay(dir string) (*Overlay, error) {
	data, err := os.ReadFile(filepath.Join(dir, overlayFile))
	if errors.Is(err, fs.ErrNotExist) || err != nil && isNotDir(err) {
		return nil, fmt.Errorf("directory %s: %w", dir, ErrNoOverlay)
	}
	if err != nil {
		return nil, failure.New(failure.Invalid, "make the checkout again in an empty directory", "checkout %s: %w", dir, err)
	}
	work, err := openWorkDir(dir)
	if err != nil {
		return nil, err
	}
	o := &Overlay{dir: work}
	if err := json.Unmarshal(data, &o.state); err != nil || o.state.Version != overlayVersion {
		return nil, failure.New(failure.Invalid, "make the checkout again in an empty directory", "checkout %s: %s cannot be read by this version", dir, overlayFile)
	}
	return o, nil
}

// Origin is the address of the repository.
func (o *Overlay) Origin() (string, error) { return o.state.Repo, nil }

// Root is the absolute path of the directory.
func (o *Overlay) Root() string { return o.dir.path }

// Branch is the branch that was checked out.
func (o *Overlay) Branch() string { return o.state.Branch }

// Base is the commit whose files are laid out.
func (o *Overlay) Base() Hash { return plumbing.NewHash(o.state.Commit) }

// MakeOverlay lays out the given directories of a commit in dir, which must be empty, missing, or an overlay without
// changes of its own. paths are what was asked for; also are directories and files that these refer to. It returns the
// overlay and whether anything was written. Killed in the middle, it may be called again.
func MakeOverlay(ctx context.Context, r *Remote, branch string, commit Hash, dir string, paths, also []string) (o *Overlay, changed bool, err error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, false, failure.New(failure.Usage, "name a directory that can be created with --dir", "checkout: %w", err)
	}
	o, err = OpenOverlay(dir)
	fresh := errors.Is(err, ErrNoOverlay)
	switch {
	case fresh:
		if o, err = newOverlay(dir); err != nil {
			return nil, false, err
		}
	case err != nil:
		return nil, false, err
	}
	files, err := collect(ctx, r, commit, append(slices.Clone(paths), also...))
	if err != nil {
		return nil, false, err
	}
	if o.state.Complete {
		if err := o.Attach(r); err != nil {
			return nil, false, err
		}
		if err := o.Resume(ctx); err != nil {
			return nil, false, err
		}
		local, _, err := o.Changes(nil)
		if err != nil {
			return nil, false, err
		}
		if len(local) > 0 {
			return nil, false, failure.New(failure.Conflict, "publish them with commit-push, or use another directory", "checkout %s: there are changes, the first in %s", dir, local[0].Path)
		}
	}
	next := overlayState{Version: overlayVersion, Repo: r.URL(), Branch: branch, Commit: commit.String(), Paths: paths, Files: map[string]string{}, Complete: true}
	for p, f := range files {
		next.Files[p] = describe(f)
	}
	if o.state.Complete && o.state.Repo == next.Repo && o.state.Branch == branch && maps.Equal(o.state.Files, next.Files) && slices.Equal(o.state.Paths, paths) {
		if o.state.Commit == next.Commit {
			return o, false, nil
		}
		return o, true, o.save(r, next)
	}
	return o, true, o.lay(r, next, files)
}

func newOverlay(dir string) (*Overlay, error) {
	work, err := openWorkDir(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Name() != overlayDir {
			return nil, failure.New(failure.Usage, "name an empty or a new directory with --dir", "checkout %s: the directory is not empty", dir)
		}
	}
	return &Overlay{dir: work}, nil
}

// collect reads all files at or below paths.
func collect(ctx context.Context, r *Remote, commit Hash, paths []string) (map[string]*File, error) {
	tree, err := r.Tree(ctx, commit)
	if err != nil {
		return nil, err
	}
	if err := tree.Fetch(ctx, paths...); err != nil {
		return nil, err
	}
	var names []string
	for _, p := range paths {
		e, err := tree.Entry(ctx, p)
		if err != nil {
			return nil, err
		}
		if e.Mode != ModeTree {
			names = append(names, p)
			continue
		}
		below, err := tree.Walk(ctx, p)
		if err != nil {
			return nil, err
		}
		names = append(names, below...)
	}
	return tree.Files(ctx, names...)
}

// lay writes the files and removes those of the earlier state. The state is written before, marked as incomplete, and
// after, so that an interrupted run is known as one.
func (o *Overlay) lay(r *Remote, next overlayState, files map[string]*File) error {
	started := next
	started.Complete = false
	for p := range o.state.Files {
		if _, ok := files[p]; !ok {
			started.Files = maps.Clone(started.Files)
			started.Files[p] = "" // to be removed, also by the run that comes after an interrupted one
		}
	}
	if err := o.saveState(started); err != nil {
		return err
	}
	for p := range started.Files {
		if err := o.dir.write(p, files[p]); err != nil {
			return fmt.Errorf("checkout %s: %w", o.dir.path, err)
		}
	}
	return o.save(r, next)
}

// save writes the pack before the state that relies on it.
func (o *Overlay) save(r *Remote, next overlayState) error {
	if err := o.savePack(r, next); err != nil {
		return err
	}
	return o.saveState(next)
}

func (o *Overlay) saveState(next overlayState) error {
	data, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(o.dir.path, overlayDir), 0o777); err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(o.dir.path, overlayDir, ".gitignore"), []byte("*\n")); err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(o.dir.path, overlayFile), append(data, '\n')); err != nil {
		return err
	}
	o.state = next
	return nil
}

// savePack keeps the directories and files at hand, and the one commit; a walk of other commits is not worth its size.
func (o *Overlay) savePack(r *Remote, next overlayState) error {
	var objects []packObject
	for h, obj := range r.store.Objects {
		if obj.Type() == plumbing.CommitObject && h.String() != next.Commit {
			continue
		}
		data, ok := r.store.bytes(obj.Type(), h)
		if !ok {
			return damaged(r.url, h, plumbing.ErrObjectNotFound)
		}
		objects = append(objects, packObject{kind: obj.Type(), data: data})
	}
	// Most of it are the ids in directories, which do not shrink: compressing them was half of a checkout's time.
	pack, err := writePack(objects, false, zlib.NoCompression)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(o.dir.path, overlayDir), 0o777); err != nil {
		return err
	}
	return replaceFile(filepath.Join(o.dir.path, overlayPack), pack)
}

// Attach gives a Remote the objects that were fetched when the overlay was made.
func (o *Overlay) Attach(r *Remote) error {
	o.remote = r
	if !o.state.Complete {
		return failure.New(failure.Invalid, "run slipway checkout again", "checkout %s: laying out the files was interrupted", o.dir.path)
	}
	pack, err := os.ReadFile(filepath.Join(o.dir.path, overlayPack))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.store.readPack(bytes.NewReader(pack)); err != nil {
		return failure.New(failure.Invalid, "make the checkout again in an empty directory", "checkout %s: %s is damaged: %w", o.dir.path, overlayPack, err)
	}
	if !r.noFilter && r.store.has(o.Base()) {
		r.top = o.Base()
	}
	return nil
}

func describe(f *File) string { return fmt.Sprintf("%06o %s", uint32(f.Mode), f.Hash()) }

func parseDescription(s string) (Mode, Hash, bool) {
	if len(s) != 47 {
		return 0, Hash{}, false
	}
	mode, err := strconv.ParseUint(s[:6], 8, 32)
	return Mode(mode), plumbing.NewHash(s[7:]), err == nil
}

// Changes returns what differs from the commit that was laid out: files that were laid out, and new ones below the
// directories that were asked for. paths limit the result; leftOut names the changes beyond them.
func (o *Overlay) Changes(paths []string) (changes []Change, leftOut []string, err error) {
	names := map[string]bool{}
	for p := range o.state.Files {
		names[p] = true
	}
	for _, dir := range o.state.Paths {
		if err := o.added(dir, names); err != nil {
			return nil, nil, err
		}
	}
	for _, p := range slices.Sorted(maps.Keys(names)) {
		now, err := o.dir.read(p)
		if err != nil {
			return nil, nil, err
		}
		mode, h, tracked := parseDescription(o.state.Files[p])
		if tracked && (mode == ModeSubmodule || now != nil && now.Mode == mode && now.Hash() == h) || !tracked && now == nil {
			continue
		}
		if !under(p, paths) {
			leftOut = append(leftOut, p)
			continue
		}
		c := Change{Path: p, To: now}
		if tracked {
			data, ok := o.remote.store.bytes(plumbing.BlobObject, h)
			if !ok {
				return nil, nil, failure.New(failure.Invalid, "make the checkout again in an empty directory", "checkout %s: %s lacks the contents of %s", o.dir.path, overlayPack, p)
			}
			c.From = &File{Mode: mode, Data: data}
		}
		changes = append(changes, c)
	}
	return changes, leftOut, nil
}

func (o *Overlay) added(dir string, names map[string]bool) error {
	return fs.WalkDir(o.dir.root.FS(), path.Clean(dir), func(p string, e fs.DirEntry, err error) error {
		switch {
		case absent(err):
			return nil
		case err != nil:
			return err
		case e.IsDir() && (strings.HasPrefix(e.Name(), ownPrefix) || e.Name() == ".git"):
			return fs.SkipDir
		case !e.IsDir() && !strings.HasPrefix(e.Name(), ownPrefix):
			names[p] = true
		}
		return nil
	})
}

// Advance lays out a published commit, so that nothing differs from it afterwards. published names what the commit holds
// of the overlay's own changes; a file with other changes is never touched: then nothing is done, and the error says why.
func (o *Overlay) Advance(ctx context.Context, _ string, to Hash, _ *Built, published []Change) error {
	r := o.remote
	if to == o.Base() {
		return nil
	}
	hashes := map[string]Hash{}
	for _, c := range published {
		hashes[c.Path] = hashOf(c.To)
	}
	tree, err := r.Tree(ctx, to)
	if err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(o.state.Files))
	for p := range hashes {
		if _, ok := o.state.Files[p]; !ok {
			names = append(names, p)
		}
	}
	files, err := tree.Files(ctx, names...)
	if err != nil {
		return err
	}
	next := o.state
	next.Commit, next.Files = to.String(), map[string]string{}
	for p, f := range files {
		next.Files[p] = describe(f)
	}
	if err := o.refuseLoss(names, files, hashes); err != nil {
		return err
	}
	// Written before the first file: a run killed among them would leave what others released looking like local changes.
	pending := o.state
	pending.Next, pending.Published = &next, map[string]string{}
	for p, h := range hashes {
		pending.Published[p] = h.String()
	}
	if err := o.savePack(r, next); err != nil {
		return err
	}
	if err := o.saveState(pending); err != nil {
		return err
	}
	return o.finish(names, files)
}

func (o *Overlay) refuseLoss(names []string, files map[string]*File, published map[string]Hash) error {
	var moves []move
	for _, p := range names {
		m := move{path: p, to: files[p]}
		if mode, h, ok := parseDescription(o.state.Files[p]); ok {
			data, _ := o.remote.store.bytes(plumbing.BlobObject, h) // without them the file counts as changed, the safe side
			m.from = &File{Mode: mode, Data: data}
		}
		if !sameFile(m.from, m.to) {
			moves = append(moves, m)
		}
	}
	return o.dir.refuseLoss(moves, published)
}

// Resume finishes an Advance that was killed, and does nothing when there was none. It needs what
// Attach loads.
func (o *Overlay) Resume(context.Context) error {
	if o.state.Next == nil {
		return nil
	}
	files := map[string]*File{}
	names := maps.Clone(o.state.Files)
	published := map[string]Hash{}
	for p, h := range o.state.Published {
		published[p] = plumbing.NewHash(h)
		names[p] = ""
	}
	for p, d := range o.state.Next.Files {
		mode, h, _ := parseDescription(d)
		data, ok := o.remote.store.bytes(plumbing.BlobObject, h)
		if !ok && mode != ModeSubmodule {
			return failure.New(failure.Invalid, "make the checkout again in an empty directory", "checkout %s: %s lacks the contents of %s", o.dir.path, overlayPack, p)
		}
		files[p] = &File{Mode: mode, Data: data}
		names[p] = ""
	}
	sorted := slices.Sorted(maps.Keys(names))
	if err := o.refuseLoss(sorted, files, published); err != nil {
		return err
	}
	return o.finish(sorted, files)
}

func (o *Overlay) finish(names []string, files map[string]*File) error {
	for _, p := range names {
		now, err := o.dir.read(p)
		if err != nil {
			return err
		}
		if !sameFile(now, files[p]) {
			if err := o.dir.write(p, files[p]); err != nil {
				return err
			}
		}
	}
	return o.saveState(*o.state.Next)
}
