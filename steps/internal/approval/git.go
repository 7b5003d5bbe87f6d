package approval

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/retry"
	"slipway/steps/internal/failure"
)

// Refs are refs of a repository in which small files are kept, each change of which is a commit.
type Refs interface {
	// Refs returns the commits at which the refs are whose names begin with prefix.
	Refs(ctx context.Context, prefix string) (map[string]string, error)
	// Fetch brings commits with all their files at once; Read then costs nothing.
	Fetch(ctx context.Context, commits ...string) error
	// Read returns the files of a commit whose names match one of the patterns, or all if there is none.
	Read(ctx context.Context, commit string, patterns ...string) (map[string][]byte, error)
	// Swap moves a ref from old, or creates it if that is "", to a new commit with these files changed; nil removes one. The
	// error matches GitOptions.Diverged if it was not at old.
	Swap(ctx context.Context, ref, old string, files map[string][]byte, message string) (string, error)
	// Fold creates a ref as Swap does, with the commits of other refs behind it, and removes those.
	Fold(ctx context.Context, ref string, files map[string][]byte, message string, folded map[string]string) (string, error)
	// Find returns the newest of at most limit commits behind some tips that has a line in its message, "" if none has.
	Find(ctx context.Context, tips []string, line string, limit int) (string, error)
}

// Mode says where in a repository records are kept.
type Mode string

// The modes: InRefs keeps each record in a ref of its own, refs/slipway/approvals/<name>. InBranch keeps them as files of the
// branch slipway/approvals, for servers that take only branches and tags. Auto looks in both, and creates a record in the branch
// if that is there already, or if the server refuses the ref.
const (
	Auto     Mode = "auto"
	InRefs   Mode = "refs"
	InBranch Mode = "branch"
)

// Modes lists all modes.
var Modes = []Mode{Auto, InRefs, InBranch}

// GitOptions say how records are kept in a repository.
type GitOptions struct {
	Mode Mode // Auto if empty
	// Diverged is the error of Refs.Swap for a ref that has moved.
	Diverged error
}

// NewGit returns the store of a Git repository. Its errors keep what Refs said, and it is no safer for concurrent use.
//
// So that records do not pile up, those of the same path or application that are settled are put away when a new one is created,
// except for the newest: they leave the list and stay in the history, where Read finds them.
func NewGit(refs Refs, o GitOptions) Store {
	r, b := inRefs{refs, o.Diverged}, inBranch{refs, o.Diverged}
	switch o.Mode {
	case InRefs:
		return places{r}
	case InBranch:
		return places{b}
	default:
		return automatic{places{r, b}, b}
	}
}

// place is one of the places in a repository where records are.
type place interface {
	read(ctx context.Context, id string) (Stored, error)
	create(ctx context.Context, r Record) (Stored, error)
	// swap is asked about versions of this place.
	owns(version string) bool
	swap(ctx context.Context, was Stored, next Record) (Stored, error)
	list(ctx context.Context) (files map[string][]byte, err error)
}

// places is a store of records that are in several places, the first of which wins.
type places []place

func (p places) Read(ctx context.Context, id string) (Stored, error) {
	for _, at := range p {
		if stored, err := at.read(ctx, id); !errors.Is(err, ErrNone) {
			return stored, err
		}
	}
	return Stored{}, none(id)
}

func (p places) Swap(ctx context.Context, was Stored, next Record) (Stored, error) {
	if was.Version == "" {
		return p[0].create(ctx, next)
	}
	for _, at := range p {
		if at.owns(was.Version) {
			return at.swap(ctx, was, next)
		}
	}
	return Stored{}, failure.New(failure.Conflict, "ask anew, about another revision", "approval %s: it was settled long ago, at %s", next.ID, was.Version)
}

func (p places) List(ctx context.Context, limit int) ([]Record, error) {
	seen := map[string][]byte{}
	for _, at := range p {
		files, err := at.list(ctx)
		if err != nil {
			return nil, err
		}
		for name, data := range files {
			if _, ok := seen[name]; !ok {
				seen[name] = data
			}
		}
	}
	return newest(seen, limit)
}

// automatic creates records where the server lets it.
type automatic struct {
	places
	branch inBranch
}

func (a automatic) Swap(ctx context.Context, was Stored, next Record) (Stored, error) {
	if was.Version != "" {
		return a.places.Swap(ctx, was, next)
	}
	tip, err := a.branch.tip(ctx)
	if err != nil {
		return Stored{}, about(next.ID, err)
	}
	if tip != "" {
		return a.branch.create(ctx, next)
	}
	stored, refused := a.places[0].create(ctx, next)
	if refused == nil || retry.IsTransient(refused) || ctx.Err() != nil {
		return stored, refused
	}
	stored, err = a.branch.create(ctx, next)
	if err != nil && !retry.IsTransient(err) {
		err = fmt.Errorf("%w; before that, %w", err, refused)
	}
	return stored, err
}

// newest returns the records of some files, the last opened first. The error names those that cannot be read.
func newest(files map[string][]byte, limit int) ([]Record, error) {
	var records []Record
	var errs []error
	for name, data := range files {
		r, err := decodeFile(name, data)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b Record) int {
		return cmp.Or(b.Opened.Compare(a.Opened), strings.Compare(a.ID, b.ID))
	})
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return records[:min(len(records), max(limit, 0))], errors.Join(errs...)
}

// decodeFile reads the record that is stored under a name.
func decodeFile(stored string, data []byte) (Record, error) {
	var header struct{ ID string }
	if err := json.Unmarshal(data, &header); err != nil || name(header.ID) != stored {
		return Decode(stored, data)
	}
	return Decode(header.ID, data)
}

const (
	// kept is how many records of the same path or application stay when another one is created, besides those that are not settled.
	kept = 5
	// reach is how many commits are looked at for a record that was put away.
	reach = 500
)

// settled returns the names of the records among some files of the same path or application that can be put away. What cannot
// be read stays.
func settled(files map[string][]byte) []string {
	if len(files) <= kept {
		return nil
	}
	var names []string
	records, _ := newest(files, len(files)) // what is wrong with the others is for List to say
	for _, r := range records[min(kept, len(records)):] {
		if r.State.IsFinal(r.Terms.OnReject) {
			names = append(names, name(r.ID))
		}
	}
	return names
}

// recall returns a record that was put away into the history behind some commits. It is not written any more.
func recall(ctx context.Context, refs Refs, id string, tips []string, file string) (Stored, error) {
	if len(tips) == 0 {
		return Stored{}, none(id)
	}
	commit, err := refs.Find(ctx, tips, trailerOf(id), reach)
	if err != nil {
		return Stored{}, about(id, err)
	}
	if commit == "" {
		return Stored{}, none(id)
	}
	files, err := refs.Read(ctx, commit, file)
	if err != nil {
		return Stored{}, about(id, err)
	}
	r, err := Decode(id, files[file])
	return Stored{Record: r, Version: "history " + commit}, err
}

func listing(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("list of approvals: %w", err)
}

func none(id string) error { return about(id, ErrNone) }

func about(id string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("approval %s: %w", id, err)
}

// diverged is the error of a lost race.
func diverged(id string, cause error) error {
	return retry.Transient(fmt.Errorf("approval %s: %w: %w", id, ErrDiverged, cause))
}

const trailer = "Slipway-Approval: "

var verbs = map[State]string{
	Pending: "open", Accepted: "accept", Rejected: "reject", Reverting: "begin to revert", Reverted: "revert", Superseded: "supersede",
}

// message is what the commit says that brings a record to where it is. None of what others wrote can pass for its trailer.
func message(r Record) string {
	text := verbs[r.State] + " " + line(r.ID)
	if len(r.Events) > 0 {
		last := r.Events[len(r.Events)-1]
		text += ": by "
		if r.Decision != nil && r.Decision.Why == BySilence && last.State == r.Decision.State {
			text += "silence, noticed by "
		}
		text += line(last.String())
		if last.Note != "" {
			text += "\n\nNote: " + line(last.Note)
		}
	}
	return text + "\n\n" + trailerOf(r.ID) + "\n"
}

// trailerOf is the line by which the commits of a record are found.
func trailerOf(id string) string {
	if line(id) != id {
		id = name(id)
	}
	return trailer + id
}

func line(text string) string { return strings.Join(strings.Fields(text), " ") }
