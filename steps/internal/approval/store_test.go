package approval_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/gitrepotest"
	"slipway/retry"
	"slipway/steps/internal/approval"
	"slipway/steps/internal/failure"
	"slipway/steps/internal/gitrepo"
)

// keeper is one way to keep records that the whole suite runs against.
type keeper struct {
	name string
	mode approval.Mode
	// config and hook make the server refuse what is no branch; script is that of the hook.
	config map[string]string
	hook   string
	script string
	file   bool
}

const onlyBranches = `while read old new ref; do case $ref in refs/heads/*) ;; *) echo "only branches are accepted" >&2; exit 1;; esac; done`

var keepers = []keeper{
	{name: "refs", mode: approval.InRefs},
	{name: "a branch", mode: approval.InBranch},
	{name: "refs, as the server takes them", mode: approval.Auto},
	{name: "a branch, as the server hides the refs", mode: approval.Auto, config: map[string]string{"transfer.hideRefs": "refs/slipway"}},
	{name: "a branch, as the server declines the push", mode: approval.Auto, hook: "pre-receive", script: onlyBranches},
	{name: "a branch, as the server declines the ref", mode: approval.Auto, hook: "update", script: `case $1 in refs/heads/*) ;; *) exit 1;; esac`},
	{name: "files", file: true},
}

func eachKeeper(t *testing.T, run func(*shelf)) {
	t.Helper()
	for _, k := range keepers {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			run(newShelf(t, k))
		})
	}
}

// shelf is a place for records that is empty.
type shelf struct {
	keeper
	t      *testing.T
	dir    string
	server *gitrepotest.Server
}

func newShelf(t *testing.T, k keeper) *shelf {
	t.Helper()
	s := &shelf{keeper: k, t: t, dir: filepath.Join(t.TempDir(), "approvals")}
	if k.file {
		return s
	}
	s.server = gitrepotest.New(t, gitrepotest.Options{})
	if err := s.server.CreateRepo("gitops", gitrepotest.RepoOptions{Files: map[string]string{"README.md": "the repository\n"}, Config: k.config}); err != nil {
		t.Fatal(err)
	}
	if k.hook != "" {
		if err := s.server.Hook("gitops", k.hook, k.script); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// open returns the store as a process of its own sees it.
func (s *shelf) open(t *testing.T) approval.Store {
	t.Helper()
	if s.file {
		return approval.NewFile(s.dir)
	}
	return approval.NewGit(s.ledger(t), approval.GitOptions{Mode: s.mode, Diverged: gitrepo.ErrDiverged})
}

func (s *shelf) ledger(t *testing.T) *gitrepo.Ledger {
	t.Helper()
	remote, err := gitrepo.Open(s.server.URL("gitops"), gitrepo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = remote.Close() })
	return &gitrepo.Ledger{Remote: remote, Commit: func(message string) (gitrepo.CommitSpec, error) {
		who := gitrepo.Signature{Name: "agent", Email: "agent@example.com", When: time.Now()}
		return gitrepo.CommitSpec{Author: who, Committer: who, Message: message}, nil
	}}
}

// refs says whether records are in refs of their own.
func (s *shelf) refs() bool {
	return s.mode == approval.InRefs || s.mode == approval.Auto && s.hook == "" && s.config == nil
}

// tamper changes the only record, past the store.
func (s *shelf) tamper(t *testing.T, change func(data []byte) []byte) {
	t.Helper()
	if s.file {
		s.tamperFile(t, change)
		return
	}
	ledger := s.ledger(t)
	for _, prefix := range []string{"refs/slipway/", "refs/heads/slipway/"} {
		refs, err := ledger.Refs(t.Context(), prefix)
		if err != nil {
			t.Fatal(err)
		}
		for ref, at := range refs {
			files, err := ledger.Read(t.Context(), at)
			if err != nil {
				t.Fatal(err)
			}
			for file, data := range files {
				files[file] = change(data)
			}
			if _, err := ledger.Swap(t.Context(), ref, at, files, "tamper"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (s *shelf) tamperFile(t *testing.T, change func(data []byte) []byte) {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		file := filepath.Join(s.dir, e.Name())
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, change(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

const (
	path = "services/shop/overlays/prod"
	id   = path + "@" + sha
)

func fresh(id string) approval.Record {
	return approval.New(id, noon, 30*time.Minute, approval.Terms{OnTimeout: approval.AcceptOnTimeout, OnReject: approval.RevertRejected},
		approval.Subject{Path: path, Revision: sha, Images: []approval.Image{{Name: "shop", Old: "v1", New: "v2"}}},
		approval.Actor{By: "ann", Via: "jenkins"})
}

func settled(t *testing.T, r approval.Record, signal approval.Signal, by string) approval.Record {
	t.Helper()
	next, err := r.Decide(approval.Answer{Signal: signal, Actor: approval.Actor{By: by, Via: "command"}}, noon.Add(time.Minute))
	if err != nil || next.State == approval.Pending {
		t.Fatalf("%s: %v", next.State, err)
	}
	return next
}

func create(t *testing.T, store approval.Store, r approval.Record) approval.Stored {
	t.Helper()
	stored, err := store.Swap(t.Context(), approval.Stored{}, r)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func read(t *testing.T, store approval.Store, id string) approval.Stored {
	t.Helper()
	stored, err := store.Read(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func wantLost(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, approval.ErrDiverged) || !retry.IsTransient(err) {
		t.Errorf("a lost race is %v", err)
	}
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	eachKeeper(t, func(s *shelf) {
		t := s.t
		store := s.open(t)
		if _, err := store.Read(t.Context(), id); !errors.Is(err, approval.ErrNone) || !strings.Contains(err.Error(), id) || retry.IsTransient(err) {
			t.Fatalf("a record that is not there: %v", err)
		}
		opened := create(t, store, fresh(id))
		if diff := cmp.Diff(opened, read(t, s.open(t), id)); diff != "" || opened.Version == "" {
			t.Fatalf("opened (-written +read):\n%s", diff)
		}
		accepted, err := store.Swap(t.Context(), opened, settled(t, opened.Record, approval.Proceed, "bob"))
		if err != nil {
			t.Fatal(err)
		}
		for _, reader := range []approval.Store{store, s.open(t)} {
			if diff := cmp.Diff(accepted, read(t, reader, id)); diff != "" || accepted.Version == opened.Version {
				t.Errorf("accepted (-written +read):\n%s", diff)
			}
		}
	})
}

func TestOneOfTwoWritersWins(t *testing.T) {
	eachKeeper(t, func(s *shelf) {
		t := s.t
		one, other := s.open(t), s.open(t)
		ours := create(t, one, fresh(id))
		theirs := fresh(id)
		theirs.Deadline = noon
		_, err := other.Swap(t.Context(), approval.Stored{}, theirs)
		wantLost(t, err)
		seen := read(t, other, id)
		if diff := cmp.Diff(ours.Record, seen.Record); diff != "" {
			t.Fatalf("what was opened first (-want +got):\n%s", diff)
		}
		rejected, err := other.Swap(t.Context(), seen, settled(t, seen.Record, approval.Reject, "bob"))
		if err != nil {
			t.Fatal(err)
		}
		for _, late := range []approval.Store{one, other, s.open(t)} {
			_, err = late.Swap(t.Context(), ours, settled(t, ours.Record, approval.Proceed, "ann"))
			wantLost(t, err)
		}
		if diff := cmp.Diff(rejected, read(t, one, id)); diff != "" {
			t.Errorf("what was decided first (-want +got):\n%s", diff)
		}
	})
}

func TestWritersAtTheSameTimeAgree(t *testing.T) {
	eachKeeper(t, func(s *shelf) {
		t := s.t
		const writers = 4
		signals := []approval.Signal{approval.Proceed, approval.Reject}
		var group sync.WaitGroup
		var states [writers]string
		for i := range writers {
			store := s.open(t)
			group.Go(func() {
				mine := fresh(id)
				mine.Subject.Build = fmt.Sprint(i)
				_, first := insist(t, store, id, func(r approval.Record) (approval.Record, error) {
					if r.ID == "" {
						return mine, nil
					}
					return r, nil
				})
				r, decided := insist(t, store, id, func(r approval.Record) (approval.Record, error) {
					return r.Decide(approval.Answer{Signal: signals[i%2]}, noon)
				})
				states[i] = fmt.Sprintf("%s, opened by %s: %t %t", r.State, r.Subject.Build, first, decided)
			})
		}
		group.Wait()
		final := read(t, s.open(t), id)
		if len(final.Events) != 2 {
			t.Errorf("the events are %+v", final.Events)
		}
		openers, deciders := 0, 0
		for _, state := range states {
			truth := fmt.Sprintf("%s, opened by %s:", final.State, final.Subject.Build)
			said, did, _ := strings.Cut(state, ": ")
			if said+":" != truth {
				t.Errorf("somebody saw %q, the record is %q", state, truth)
			}
			openers += strings.Count(did, "true ")
			deciders += strings.Count(did, " true")
		}
		if openers != 1 || deciders != 1 {
			t.Errorf("%d opened it, %d decided: %q", openers, deciders, states)
		}
	})
}

// insist tries again at once for as long as that may help.
func insist(t *testing.T, store approval.Store, id string, change func(approval.Record) (approval.Record, error)) (approval.Record, bool) {
	t.Helper()
	for range 50 {
		stored, changed, err := approval.Apply(t.Context(), store, id, change)
		if err == nil {
			return stored.Record, changed
		}
		if !retry.IsTransient(err) {
			t.Error(err)
			break
		}
	}
	t.Error("no end of transient errors")
	return approval.Record{}, false
}

func TestTheLastOpenedIsListedFirst(t *testing.T) {
	eachKeeper(t, func(s *shelf) {
		t := s.t
		store := s.open(t)
		if records, err := store.List(t.Context(), 10); err != nil || len(records) != 0 {
			t.Fatalf("of nothing: %v, %v", records, err)
		}
		for i, minute := range []int{3, 1, 4, 2} {
			r := fresh(fmt.Sprintf("services/svc-%d@%s", i, sha))
			r.Opened = noon.Add(time.Duration(minute) * time.Minute)
			create(t, store, r)
		}
		for limit, want := range map[int][]string{0: nil, 3: {"svc-2", "svc-0", "svc-3"}, 10: {"svc-2", "svc-0", "svc-3", "svc-1"}} {
			records, err := s.open(t).List(t.Context(), limit)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range records {
				got = append(got, strings.TrimSuffix(strings.TrimPrefix(r.ID, "services/"), "@"+sha))
			}
			if !slices.Equal(got, want) {
				t.Errorf("at most %d: %v, want %v", limit, got, want)
			}
		}
	})
}

func TestARecordThatCannotBeReadIsLeftAlone(t *testing.T) {
	for name, test := range map[string]struct {
		change func([]byte) []byte
		says   string
	}{
		"of a newer version": {func(data []byte) []byte {
			return bytes.Replace(data, []byte(`"version"`), []byte(`"version":7,"was"`), 1)
		}, "version 7"},
		"that is damaged":   {func(data []byte) []byte { return bytes.Replace(data, []byte("{"), []byte("["), 1) }, "cannot be read"},
		"of another id":     {func(data []byte) []byte { return bytes.Replace(data, []byte(path), []byte("services/other"), 1) }, "makes no sense"},
		"in no known state": {func(data []byte) []byte { return bytes.ReplaceAll(data, []byte("pending"), []byte("perhaps")) }, "perhaps"},
	} {
		t.Run(name, func(t *testing.T) {
			eachKeeper(t, func(s *shelf) {
				t := s.t
				create(t, s.open(t), fresh(id))
				var before []byte
				s.tamper(t, func(data []byte) []byte { before = test.change(data); return before })
				store := s.open(t)
				_, changed, err := approval.Apply(t.Context(), store, id, func(r approval.Record) (approval.Record, error) {
					t.Error("somebody was asked what to make of it")
					return r, nil
				})
				if changed || failure.KindOf(err) != failure.Invalid || failure.HintOf(err) == "" || !strings.Contains(err.Error(), test.says) {
					t.Errorf("%v", err)
				}
				_, err = store.Swap(t.Context(), approval.Stored{}, fresh(id))
				wantLost(t, err)
				s.tamper(t, func(data []byte) []byte {
					if !bytes.Equal(before, data) {
						t.Errorf("it was written:\n%s", data)
					}
					return data
				})
				create(t, store, fresh("another@"+sha))
				if records, err := store.List(t.Context(), 5); len(records) != 1 || failure.KindOf(err) != failure.Invalid {
					t.Errorf("the list has %d records, %v", len(records), err)
				}
			})
		})
	}
}

func TestFieldsOfOtherVersionsSurvive(t *testing.T) {
	eachKeeper(t, func(s *shelf) {
		t := s.t
		create(t, s.open(t), fresh(id))
		s.tamper(t, func(data []byte) []byte { return bytes.Replace(data, []byte("{"), []byte(`{"color":["blue",1],`), 1) })
		if _, changed := insist(t, s.open(t), id, func(r approval.Record) (approval.Record, error) {
			return r.Decide(approval.Answer{Signal: approval.Proceed}, noon)
		}); !changed {
			t.Fatal("nothing changed")
		}
		s.tamper(t, func(data []byte) []byte {
			decoder := json.NewDecoder(bytes.NewReader(data))
			var last struct {
				State approval.State
				Color []any
			}
			for decoder.More() {
				last.Color = nil
				if err := decoder.Decode(&last); err != nil {
					t.Fatal(err)
				}
			}
			if last.State != approval.Accepted || len(last.Color) != 2 {
				t.Errorf("it became\n%s", data)
			}
			return data
		})
	})
}

// trickyIDs are some of hostileIDs, for servers and file systems have to be asked one by one.
var trickyIDs = []string{
	id, path, "", "a@", "a.lock", "../../etc/passwd", "a/b", "a%2Fb", "-rf", "a\nb", "服务/商店@" + sha, strings.Repeat("long/", 100) + "@" + sha, "a\xffb",
}

func TestNoIDIsTakenForAnother(t *testing.T) {
	eachKeeper(t, func(s *shelf) {
		t := s.t
		store := s.open(t)
		n := 0
		for _, id := range trickyIDs {
			_, err := store.Swap(t.Context(), approval.Stored{}, fresh(id))
			if valid := utf8.ValidString(id); valid != (err == nil) {
				t.Fatalf("%q: %v", id, err)
			} else if valid {
				n++
			}
		}
		records, err := s.open(t).List(t.Context(), 1000)
		if err != nil || len(records) != n {
			t.Fatalf("%d of %d records, %v", len(records), n, err)
		}
		for _, r := range records {
			if got := read(t, store, r.ID); got.ID != r.ID {
				t.Errorf("%q was read as %q", r.ID, got.ID)
			}
		}
	})
}
