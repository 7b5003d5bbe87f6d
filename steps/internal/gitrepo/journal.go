package gitrepo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// journal is what an Advance writes down before it touches the first file. Without it a run that was killed among the
// files would leave other people's releases looking like local changes, and the next run would publish or revert them.
type journal struct {
	From      string `json:"from"`
	To        string `json:"to"`
	Branch    string `json:"branch"`
	Remote    string `json:"remote"`
	Published byPath `json:"published,omitempty"`
}

func (j journal) hashes() map[string]Hash {
	all := map[string]Hash{}
	for p, h := range j.Published {
		all[p] = plumbing.NewHash(h)
	}
	return all
}

func (w *Worktree) journalFile() string { return filepath.Join(w.dot, "slipway-advance.json") }

func (w *Worktree) writeJournal(j journal) error {
	data, err := json.Marshal(j)
	if err != nil {
		return err
	}
	return replaceFile(w.journalFile(), data)
}

// Resume finishes an Advance that was killed, and does nothing when there was none.
func (w *Worktree) Resume(ctx context.Context) error {
	data, err := os.ReadFile(w.journalFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var j journal
	if err := json.Unmarshal(data, &j); err != nil {
		return fmt.Errorf("%s: %w", w.journalFile(), err)
	}
	head := w.head.Hash.String()
	if head != j.From && head != j.To {
		// Somebody checked out something else since, and with it every file.
		return os.Remove(w.journalFile())
	}
	from, err := object.GetCommit(w.repo.Storer, plumbing.NewHash(j.From))
	if err != nil {
		return err
	}
	moves, err := w.moves(ctx, from, plumbing.NewHash(j.To))
	if err != nil {
		return err
	}
	if err := w.refuseLoss(moves, j.hashes()); err != nil {
		return err
	}
	return w.finish(j, moves)
}

// finish lays out the files, then the index, then the refs; each may have been done already.
func (w *Worktree) finish(j journal, moves []move) error {
	for _, m := range moves {
		if m.sparse {
			continue
		}
		if err := w.lay(m); err != nil {
			return err
		}
	}
	to := plumbing.NewHash(j.To)
	if err := w.updateIndex(plumbing.NewHash(j.From), to, moves); err != nil {
		return err
	}
	if err := w.updateRefs(j.Branch, j.Remote, to); err != nil {
		return err
	}
	head, err := object.GetCommit(w.repo.Storer, to)
	if err != nil {
		return err
	}
	w.head = head
	return os.Remove(w.journalFile())
}

// lay writes one file unless it is there already, with the line ends that the checkout has.
func (w *Worktree) lay(m move) error {
	now, err := w.dir.read(m.path)
	if err != nil {
		return err
	}
	if sameFile(now, m.to) {
		return nil
	}
	to := m.to
	if now != nil && to != nil && w.convertsLineEnds(m.path, to) && hasCRLF(now.Data) && !hasCRLF(to.Data) {
		to = &File{Mode: to.Mode, Data: toCRLF(to.Data)}
	}
	return w.dir.write(m.path, to)
}

func (w *Worktree) updateRefs(branch, remote string, to Hash) error {
	if w.branch == "" {
		if err := setRef(w.dot, plumbing.HEAD, to); err != nil {
			return err
		}
	} else if err := setRef(w.common, plumbing.NewBranchReferenceName(w.branch), to); err != nil {
		return err
	}
	// The remote-tracking branch, if the checkout has one for where the commit was published.
	if url, err := w.Origin(); err != nil || withoutUser(url) != remote {
		return err
	}
	tracking := plumbing.NewRemoteReferenceName("origin", branch)
	if _, err := w.repo.Storer.Reference(tracking); err != nil {
		return nil
	}
	return setRef(w.common, tracking, to)
}

// setRef replaces a ref in one step. go-git empties the file and then writes to it; killed in between, the checkout would
// have no HEAD.
func setRef(dot string, name plumbing.ReferenceName, to Hash) error {
	file, temp := filepath.Join(dot, filepath.FromSlash(name.String())), filepath.Join(dot, "slipway-ref")
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(temp, []byte(to.String()+"\n"), 0o666); err != nil {
		return err
	}
	return os.Rename(temp, file)
}
