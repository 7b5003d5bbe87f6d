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
	// Refer finds what directories of a commit refer to; nil for what the overlay was made with.
	Refer References

	dir    *workDir
	state  overlayState
	remote *Remote // given by Attach
}

// References returns the directories and files of a commit that the given directories refer to and that are not below
// them.
type References func(ctx context.Context, t *Tree, dirs []string) ([]string, error)

type overlayState struct {
	Version int    `json:"version"`
	Repo    string `json:"repo"`
	Branch  string `json:"branch"`
	Commit  string `json:"commit"`
	// Paths are the directories that were asked for; new files below them are part of a release.
	Paths []string `json:"paths"`
	// Also are the directories and files that these refer to.
	Also []string `json:"also,omitempty"`
	// Files are the files that were laid out: mode and object id by path.
	Files byPath `json:"files"`
	// Complete is false while files are being laid out, and after that was interrupted.
	Complete bool `json:"complete"`
	// Next is the state that an Advance is on the way to, and Published the ids of the files that it may replace.
	Next      *overlayState `json:"next,omitempty"`
	Published byPath        `json:"published,omitempty"`
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

// Also are the directories and files that were laid out because those that were asked for refer to them.
func (o *Overlay) Also() []string { return o.state.Also }

// MakeOverlay lays out the given directories of a commit, and what refer finds for them, in dir, which must be empty,
// missing, or an overlay without changes of its own. It returns the overlay and whether anything was written. Killed in the
// middle, it may be called again.
func MakeOverlay(ctx context.Context, r *Remote, branch string, commit Hash, dir string, paths []string, refer References) (o *Overlay, changed bool, err error) {
	next := overlayState{Version: overlayVersion, Repo: r.URL(), Branch: branch, Commit: commit.String(), Paths: paths, Complete: true}
	files, err := next.read(ctx, r, commit, refer)
	if err != nil {
		return nil, false, err
	}
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
	if err := o.refuseStrangers(files); err != nil {
		return nil, false, err
	}
	if o.state.Complete && o.state.Repo == next.Repo && o.state.Branch == branch && maps.Equal(o.state.Files, next.Files) && slices.Equal(o.state.Paths, paths) {
		if o.state.Commit == next.Commit {
			return o, false, nil
		}
		return o, true, o.save(r, next)
	}
	return o, true, o.lay(r, next, files)
}

// refuseStrangers fails when a file that is to be laid out for the first time is there already, with other contents. After
// an interrupted run it may be half of that file.
func (o *Overlay) refuseStrangers(files map[string]*File) error {
	for p, f := range files {
		if _, ours := o.state.Files[p]; ours {
			continue
		}
		if now, err := o.dir.read(p); err != nil || now != nil && !sameFile(now, f) {
			return errors.Join(err, failure.New(failure.Conflict, "take the file aside, or use another directory", "checkout %s: %s is there already", o.dir.path, p))
		}
	}
	return nil
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

// read reads the files that belong to the state at a commit, and notes them down.
func (s *overlayState) read(ctx context.Context, r *Remote, commit Hash, refer References) (map[string]*File, error) {
	if refer != nil {
		tree, err := r.Tree(ctx, commit)
		if err != nil {
			return nil, err
		}
		if s.Also, err = refer(ctx, tree, s.Paths); err != nil {
			return nil, err
		}
	}
	files, err := collect(ctx, r, commit, slices.Concat(s.Paths, s.Also))
	if err != nil {
		return nil, err
	}
	s.Commit, s.Files = commit.String(), byPath{}
	for p, f := range files {
		s.Files[p] = describe(f)
	}
	return files, nil
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
	for _, p := range deletionsFirst(slices.Collect(maps.Keys(started.Files)), files) {
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
	objects := slices.DeleteFunc(r.store.fetched(), func(o packObject) bool {
		return o.kind == plumbing.CommitObject && plumbing.ComputeHash(o.kind, o.data).String() != next.Commit
	})
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
	return o.load(r)
}

func (o *Overlay) load(r *Remote) error {
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
	info, err := o.dir.root.Lstat(dir)
	if absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		names[path.Clean(dir)] = true
		return nil
	}
	entries, err := o.dir.list(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ownPrefix) || e.IsDir() && e.Name() == ".git" {
			continue
		}
		if err := o.added(path.Join(dir, e.Name()), names); err != nil {
			return err
		}
	}
	return nil
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
	next := o.state
	files, err := next.read(ctx, r, to, o.Refer)
	if err != nil {
		return err
	}
	all := map[string]bool{}
	for p := range o.state.Files {
		all[p] = true
	}
	for p := range hashes {
		all[p] = true
	}
	for p := range files {
		all[p] = true
	}
	names := slices.Collect(maps.Keys(all))
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
	for _, p := range deletionsFirst(names, files) {
		if files[p] != nil && o.state.Files[p] == describe(files[p]) {
			continue // nothing new: what differs here is a local change that was not published
		}
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

// deletionsFirst sorts paths in the order in which they can be written.
func deletionsFirst(names []string, files map[string]*File) []string {
	slices.Sort(names)
	slices.SortStableFunc(names, func(a, b string) int { return order(files[a]) - order(files[b]) })
	return names
}
