package steps

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.uber.org/zap"

	"slipway/retry"
	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
	"slipway/steps/internal/kustomization"
	"slipway/steps/internal/merge"
	"slipway/steps/internal/release"
	"slipway/steps/internal/udiff"
)

// publication is a change on its way to a branch: commit-push and revert fill it in, publish carries it out. One attempt
// reads the tip, merges the change with it, builds a commit and swaps the branch to it; whatever goes wrong on the way is
// cured by another attempt or by none.
type publication struct {
	env    *Env
	remote *gitrepo.Remote
	branch string
	// changes are three-way: From is what the change was made on, To what it makes of it.
	changes []gitrepo.Change
	// edit, where there is one, makes the change of each tip anew, and says what it asks for.
	edit func(ctx context.Context, tip gitrepo.Hash, tree *gitrepo.Tree) ([]gitrepo.Change, []release.PathImages, error)
	// trailers identify the release; the paths and images are filled in from what an attempt really changes.
	trailers release.Trailers
	message  string // "" for a generated one
	identity identity
	history  int // commits to look back for order, freeze, and who set a value
	// allowReverted publishes a value although a revert took it away.
	allowReverted bool
	// revertOf is the release commit that the change takes back, nil for a release.
	revertOf *release.Commit
	dryRun   bool

	images    []release.PathImages // what the change asks for
	edited    []release.PathImages // where the files of an edit are, changed or not
	uncertain bool                 // a push of this run may have landed
	attempts  int
	looked    lookedBack
}

// lookedBack says how far the rules of order and freeze could see.
type lookedBack struct {
	Commits int `json:"commits"`
	// Older says that there are older commits, which were not looked at.
	Older bool `json:"older"`
}

// published is the result of a publication. built is nil when this run did not build the commit.
type published struct {
	Outcome  Outcome
	Revision string
	Images   []release.PathImages
	Changes  []gitrepo.Change // From the tip, To the published
	built    *gitrepo.Built
	tip      gitrepo.Hash
	own      string // the release that an earlier run of the same build has published, when there was nothing to publish
	unknown  bool   // who has set the values: the revision is then only the tip
}

// withdrawnError says that what is asked for was published before, and taken away since.
type withdrawnError struct {
	error
	revision string // the commit that was published
}

func (w *withdrawnError) Unwrap() error { return w.error }

// publish brings the change onto the branch, exactly once however often it is run.
func (p *publication) publish(ctx context.Context) (published, error) {
	// Before anything is asked of the server: who commits, and with which key.
	if _, err := p.identity.spec(p.env, ""); err != nil {
		return published{}, err
	}
	p.images = imagesOf(p.changes)
	var done published
	err := retry.Do(ctx, p.env.Retry, p.env.observe("publish to "+p.branch), func(ctx context.Context) error {
		p.attempts++
		var err error
		done, err = p.attempt(ctx)
		p.uncertain = p.uncertain || errors.Is(err, gitrepo.ErrUncertain)
		return err
	})
	return done, err
}

func (p *publication) attempt(ctx context.Context) (published, error) {
	tip, err := p.remote.Tip(ctx, p.branch)
	if err != nil {
		return published{}, err
	}
	commit, err := p.remote.Commit(ctx, tip)
	if err != nil {
		return published{}, err
	}
	tree, err := p.remote.Tree(ctx, tip)
	if err != nil {
		return published{}, err
	}
	if p.edit != nil {
		if p.changes, p.images, err = p.edit(ctx, tip, tree); err != nil {
			return published{}, err
		}
	}
	merged, conflicts, err := p.merge(ctx, tree, nil)
	if err != nil {
		return published{}, err
	}
	if !p.looksBack(merged, conflicts) {
		return p.push(ctx, commit, merged)
	}
	history, err := historyOf(ctx, p.remote, tip, max(p.history, p.atLeast()))
	if err != nil {
		return published{}, err
	}
	p.looked = lookedBack{Commits: len(history.Commits), Older: history.Truncated}
	if done, ok := p.landed(history); ok {
		if !p.uncertain && p.revertOf == nil && len(merged)+len(conflicts) > 0 {
			return published{}, &withdrawnError{failure.New(failure.Conflict, "if it shall be published again, give it another id with --release",
				"release %s was published as commit %s, and what it set was changed since without a trailer that says by whom", p.trailers.Release, short(done.Revision)), done.Revision}
		}
		done.tip = tip
		return done, nil
	}
	if len(conflicts) > 0 {
		if merged, err = p.settle(ctx, tree, history, conflicts); err != nil {
			return published{}, err
		}
	}
	if len(merged) == 0 {
		set, found := p.setter(history)
		if !found {
			if history.Truncated {
				p.env.Log.Info("the commit that set the value lies further back than was looked; reporting the tip", zap.Int("history", p.history))
			}
			return published{Outcome: Unchanged, Revision: tip.String(), Images: p.images, tip: tip, unknown: true}, nil
		}
		return published{Outcome: Unchanged, Revision: set.Hash, Images: p.images, tip: tip, own: p.ownRelease(set)}, nil
	}
	if err := p.permitted(history); err != nil {
		return published{}, err
	}
	return p.push(ctx, commit, merged)
}

// looksBack says whether anything depends on the commits before the tip. A change without images that applies as it is
// needs none of them, and they cost a request.
func (p *publication) looksBack(merged []gitrepo.Change, conflicts []merge.Conflict) bool {
	ordered := p.trailers.Job != "" && p.trailers.Order > 0
	return p.revertOf != nil || p.uncertain || len(merged) == 0 || len(conflicts) > 0 ||
		p.history > 0 && len(p.images) > 0 && (ordered || !p.allowReverted)
}

// atLeast is how far back to look whatever --history says: a push whose answer was lost must be found.
func (p *publication) atLeast() int {
	if p.uncertain {
		return 100
	}
	return 0
}

// historyOf walks the commits before a tip, without their files, in one request.
func historyOf(ctx context.Context, r *gitrepo.Remote, tip gitrepo.Hash, limit int) (release.History, error) {
	commits, truncated, err := r.History(ctx, tip, limit)
	if err != nil {
		return release.History{}, err
	}
	h := release.History{Truncated: truncated}
	for _, c := range commits {
		rc := release.Commit{Hash: c.Hash.String(), Author: c.Author.Name, When: c.Author.When, Message: c.Message}
		for _, parent := range c.Parents {
			rc.Parents = append(rc.Parents, parent.String())
		}
		h.Commits = append(h.Commits, rc)
	}
	return h, nil
}

// landed finds what an earlier attempt, of this run or of one that was killed, has published already.
func (p *publication) landed(h release.History) (published, bool) {
	done := published{Outcome: Unchanged, Images: p.images}
	if p.uncertain {
		done.Outcome = Changed // by an attempt of this run whose answer was lost
	}
	if p.revertOf != nil {
		c, ok := h.RevertOf(p.revertOf.Hash, "")
		done.Revision = c.Hash
		return done, ok
	}
	c, ok := h.Release(p.trailers.Release)
	if !ok || !covers(release.ParseTrailers(c.Message), p.images) {
		return published{}, false
	}
	done.Revision = c.Hash
	for _, at := range p.images {
		for _, image := range at.Images {
			if set, ok := h.SetBy(at.Path, image.Name); ok && set.Hash != c.Hash {
				return published{}, false // replaced since: what follows says by whom
			}
		}
	}
	return done, true
}

// covers says whether a release's commit set every one of these images to the value that is asked for.
func covers(t release.Trailers, images []release.PathImages) bool {
	for _, at := range images {
		for _, image := range at.Images {
			if !slices.ContainsFunc(t.Paths, func(other release.PathImages) bool {
				return other.Path == at.Path && slices.ContainsFunc(other.Images, func(o release.Image) bool {
					return o.Name == image.Name && o.New == image.New
				})
			}) {
				return false
			}
		}
	}
	return true
}

// merge returns what the tip's files become, without those that stay as they are. adopt names images, by file, whose
// value at the tip is out of date and does not count as a change of the other side.
func (p *publication) merge(ctx context.Context, tree *gitrepo.Tree, adopt map[string][]string) ([]gitrepo.Change, []merge.Conflict, error) {
	paths := make([]string, len(p.changes))
	for i, c := range p.changes {
		paths[i] = c.Path
	}
	ours, err := tree.Files(ctx, paths...)
	if err != nil {
		return nil, nil, err
	}
	var merged []gitrepo.Change
	var conflicts []merge.Conflict
	for _, c := range p.changes {
		base, tip := c.From, ours[c.Path]
		if names := adopt[c.Path]; names != nil && base != nil && tip != nil {
			data, err := kustomization.Adopt(base.Data, tip.Data, names...)
			if err != nil {
				return nil, nil, err
			}
			base = &gitrepo.File{Mode: base.Mode, Data: data}
		}
		result, found := merge.Path(c.Path, mergeFile(base), mergeFile(tip), mergeFile(c.To), mergeImages)
		conflicts = append(conflicts, found...)
		next := gitrepoFile(result)
		if len(found) == 0 && !sameContents(tip, next) {
			merged = append(merged, gitrepo.Change{Path: c.Path, From: tip, To: next})
		}
	}
	return merged, conflicts, nil
}

// mergeImages is the merge driver for kustomizations: image entries by name, the rest by lines.
func mergeImages(file string, base, ours, theirs []byte) ([]byte, []merge.Conflict, bool) {
	if !kustomization.IsFile(file) {
		return nil, nil, false
	}
	merged, found, ok := kustomization.Merge(base, ours, theirs, func(base, ours, theirs []byte) ([]byte, bool) {
		merged, hunks := merge.Text(base, ours, theirs)
		return merged, len(hunks) == 0
	})
	var conflicts []merge.Conflict
	for _, c := range found {
		conflicts = append(conflicts, merge.Conflict{
			Path: file, Key: c.Key, Base: c.Base, Ours: c.Ours, Theirs: c.Theirs, Reason: "the tip and this change both set it",
		})
	}
	return merged, conflicts, ok
}

// permitted refuses a value that a newer build has replaced, or that a revert took away.
func (p *publication) permitted(h release.History) error {
	if p.revertOf != nil {
		return nil
	}
	for _, at := range p.images {
		for _, image := range at.Images {
			if c, ok := h.Newer(at.Path, image.Name, p.trailers.Job, p.trailers.Order); ok && p.trailers.Order > 0 {
				return superseded(at.Path, image.Name, c)
			}
			if c, ok := h.Frozen(at.Path, image.Name, image.New); ok && !p.allowReverted {
				return &withdrawnError{failure.New(failure.Conflict, "release another version, or say --allow-reverted to release this one again",
					"%s: image %s was reverted from %s by %s on %s (commit %s): %s", at.Path, image.Name, image.New, c.Author,
					c.When.UTC().Format("2006-01-02 15:04 MST"), short(c.Hash), firstLine(c.Message)), release.ParseTrailers(c.Message).Reverts}
			}
		}
	}
	return nil
}

func superseded(at, image string, c release.Commit) error {
	t := release.ParseTrailers(c.Message)
	what := "commit " + short(c.Hash)
	if t.Job != "" {
		what = fmt.Sprintf("build %d of %s (commit %s)", t.Order, t.Job, short(c.Hash))
	}
	return failure.New(failure.Superseded, "nothing is to be done: the newer release stays", "%s: image %s has been released by the newer %s", at, image, what)
}

// setter is the commit that set the values in force: the newest that names one of the images, or where no image is asked for
// the newest that released to what is edited.
func (p *publication) setter(h release.History) (release.Commit, bool) {
	for _, at := range p.images {
		for _, image := range at.Images {
			if c, ok := h.SetBy(at.Path, image.Name); ok {
				return c, true
			}
		}
	}
	if len(p.images) > 0 {
		return release.Commit{}, false
	}
	return newestAt(h, p.edited)
}

// ownRelease is the release that a commit belongs to, if that is of this very build.
func (p *publication) ownRelease(c release.Commit) string {
	if t := release.ParseTrailers(c.Message); t.Job != "" && t.Job == p.trailers.Job && t.Order == p.trailers.Order {
		return t.Release
	}
	return ""
}

// settle decides what to do about conflicts, which is not always to fail: a newer build of the same job may replace what
// an older one has set since the change was made.
func (p *publication) settle(ctx context.Context, tree *gitrepo.Tree, h release.History, conflicts []merge.Conflict) ([]gitrepo.Change, error) {
	if err := p.permitted(h); err != nil {
		return nil, err
	}
	adopt := map[string][]string{}
	for _, c := range conflicts {
		name, ok := imageOfKey(c.Key)
		set, found := h.SetBy(path.Dir(c.Path), name)
		t := release.ParseTrailers(set.Message)
		switch {
		case !ok || !found:
			return nil, conflictError(h, conflicts)
		case p.revertOf != nil && t.Reverts == "" && set.Hash != p.revertOf.Hash:
			return nil, superseded(path.Dir(c.Path), name, set)
		case p.revertOf == nil && p.trailers.Job != "" && t.Job == p.trailers.Job && t.Order > 0 && t.Order <= p.trailers.Order:
			adopt[c.Path] = append(adopt[c.Path], name)
		default:
			return nil, conflictError(h, conflicts)
		}
	}
	merged, conflicts, err := p.merge(ctx, tree, adopt)
	if err == nil && len(conflicts) > 0 {
		err = conflictError(h, conflicts)
	}
	return merged, err
}

// imageOfKey returns the name in a key such as images[name=app].newTag.
func imageOfKey(key string) (string, bool) {
	name, ok := strings.CutPrefix(key, "images[name=")
	name, _, closed := strings.Cut(name, "]")
	return name, ok && closed
}

func conflictError(h release.History, conflicts []merge.Conflict) error {
	var lines []string
	for _, c := range conflicts {
		at := c.Path
		if c.Key != "" {
			at += ": " + c.Key
		} else if c.Line > 0 {
			at += fmt.Sprintf(": line %d", c.Line)
		}
		line := fmt.Sprintf("%s: %s: it was %q, the tip has %q", at, c.Reason, c.Base, c.Ours)
		if set, ok := setBy(h, c); ok {
			line += fmt.Sprintf(" (commit %s by %s: %s)", short(set.Hash), set.Author, firstLine(set.Message))
		}
		lines = append(lines, line+fmt.Sprintf(", this change wants %q", c.Theirs))
	}
	return failure.New(failure.Conflict, "decide which value is right, make the change again on the tip of the branch, and publish it", "%s", strings.Join(lines, "; "))
}

// setBy finds the commit to name beside a conflict: the newest that set the image, or that released to the directory.
func setBy(h release.History, c merge.Conflict) (release.Commit, bool) {
	if name, ok := imageOfKey(c.Key); ok {
		return h.SetBy(path.Dir(c.Path), name)
	}
	for _, commit := range h.Commits {
		for _, at := range release.ParseTrailers(commit.Message).Paths {
			if at.Path == path.Dir(c.Path) {
				return commit, true
			}
		}
	}
	return release.Commit{}, false
}

func (p *publication) push(ctx context.Context, tip gitrepo.Commit, merged []gitrepo.Change) (published, error) {
	images := imagesOf(merged)
	t := p.trailers
	t.Paths = images
	if len(images) == 0 {
		t.Paths = []release.PathImages{{Path: commonDir(merged)}}
	}
	message := p.message
	if message == "" {
		message = summary(t.Paths, merged)
	}
	spec, err := p.identity.spec(p.env, p.env.Redact.String(t.Append(message)))
	if err != nil {
		return published{}, err
	}
	built, err := p.remote.Build(ctx, tip, merged, spec)
	if err != nil {
		return published{}, err
	}
	done := published{Outcome: Changed, Revision: built.Hash.String(), Images: images, Changes: merged, built: built, tip: built.Hash}
	if p.dryRun {
		for _, c := range merged {
			fmt.Fprint(p.env.Stderr, gitDiff(c))
		}
		// The commit will have another time stamp, and so another id, when it is made.
		done.Revision, done.built, done.tip = "", nil, tip.Hash
		return done, nil
	}
	return done, p.remote.Swap(ctx, p.branch, built)
}

// imagesOf lists what a change does to image entries, by the directory of the kustomization.
func imagesOf(changes []gitrepo.Change) []release.PathImages {
	var all []release.PathImages
	for _, c := range changes {
		if !kustomization.IsFile(c.Path) || isLink(c.From) || isLink(c.To) {
			continue
		}
		found, err := kustomization.Diff(contents(c.From), contents(c.To))
		if err != nil {
			continue // set-image refuses such a file; what else is changed in it, its repair for one, is text
		}
		at := release.PathImages{Path: path.Dir(c.Path)}
		for _, image := range found {
			at.Images = append(at.Images, release.Image{Name: image.Name, New: image.New, Old: image.Old})
		}
		if len(at.Images) > 0 {
			all = append(all, at)
		}
	}
	return all
}

// summary is the first line of a commit for which no message was given.
func summary(paths []release.PathImages, merged []gitrepo.Change) string {
	var parts []string
	for _, at := range paths {
		for _, image := range at.Images {
			parts = append(parts, fmt.Sprintf("%s to %s in %s", image.Name, version(image.New), at.Path))
		}
	}
	switch {
	case len(parts) == 1:
		return "release " + parts[0]
	case len(parts) > 1:
		return fmt.Sprintf("release %d images\n\n- %s", len(parts), strings.Join(parts, "\n- "))
	case len(merged) == 1:
		return "release a change of " + merged[0].Path
	}
	return fmt.Sprintf("release a change of %d files in %s", len(merged), commonDir(merged))
}

// version is what a reader wants to know of an image reference: all behind the repository.
func version(ref string) string {
	if i := strings.LastIndexByte(ref, '/'); strings.ContainsAny(ref[i+1:], ":@") {
		return strings.TrimPrefix(ref[i+1+strings.IndexAny(ref[i+1:], ":@"):], ":")
	}
	return ref
}

// commonDir is the deepest directory that holds all changes.
func commonDir(changes []gitrepo.Change) string {
	dir := path.Dir(changes[0].Path)
	for _, c := range changes {
		for dir != "." && !strings.HasPrefix(c.Path, dir+"/") {
			dir = path.Dir(dir)
		}
	}
	return dir
}

func short(hash string) string { return hash[:min(len(hash), 12)] }

func firstLine(message string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(message), "\n")
	return line
}

func mergeFile(f *gitrepo.File) *merge.File {
	if f == nil {
		return nil
	}
	return &merge.File{Mode: uint32(f.Mode), Data: f.Data}
}

func gitrepoFile(f *merge.File) *gitrepo.File {
	if f == nil {
		return nil
	}
	return &gitrepo.File{Mode: gitrepo.Mode(f.Mode), Data: f.Data}
}

func sameContents(a, b *gitrepo.File) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Mode == b.Mode && string(a.Data) == string(b.Data)
}

func contents(f *gitrepo.File) []byte {
	if f == nil {
		return nil
	}
	return f.Data
}

func isLink(f *gitrepo.File) bool {
	return f != nil && (f.Mode == gitrepo.ModeSymlink || f.Mode == gitrepo.ModeSubmodule)
}

// gitDiff is a change as git diff shows it, with the modes that the two texts alone do not tell.
func gitDiff(c gitrepo.Change) string {
	header := fmt.Sprintf("diff --git a/%s b/%s\n", c.Path, c.Path)
	switch {
	case c.From == nil:
		header += fmt.Sprintf("new file mode %06o\n", uint32(c.To.Mode))
	case c.To == nil:
		header += fmt.Sprintf("deleted file mode %06o\n", uint32(c.From.Mode))
	case c.From.Mode != c.To.Mode:
		header += fmt.Sprintf("old mode %06o\nnew mode %06o\n", uint32(c.From.Mode), uint32(c.To.Mode))
	}
	return header + udiff.Unified(c.Path, contents(c.From), contents(c.To))
}
