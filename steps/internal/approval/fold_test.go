package approval_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/gitrepotest"
	"slipway/retry"
	"slipway/steps/internal/approval"
	"slipway/steps/internal/failure"
)

// release opens the question about one release of the path after the other, and answers it unless it is left open.
func (s *shelf) release(t *testing.T, store approval.Store, number int, leave bool) approval.Stored {
	t.Helper()
	r := fresh(fmt.Sprintf("%s@%d", path, number))
	r.Opened = noon.Add(time.Duration(number) * time.Hour)
	stored := create(t, store, r)
	if leave {
		return stored
	}
	stored, err := store.Swap(t.Context(), stored, settled(t, r, approval.Proceed, "bob"))
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// listed returns the numbers of the releases that are listed.
func (s *shelf) listed(t *testing.T) []string {
	t.Helper()
	records, err := s.open(t).List(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	var numbers []string
	for _, r := range records {
		numbers = append(numbers, strings.TrimPrefix(r.ID, path+"@"))
	}
	return numbers
}

func TestSettledRecordsArePutAwayAndNotForgotten(t *testing.T) {
	eachServer(t, func(s *shelf) {
		t := s.t
		store := s.open(t)
		create(t, store, fresh("services/shop/overlays/pro@1"))
		create(t, store, fresh("services/shop/overlays/prod2@1"))
		var all []approval.Stored
		for number := range 12 {
			all = append(all, s.release(t, store, number, number == 2))
		}
		want := []string{"11", "10", "9", "8", "7", "6", "2", "services/shop/overlays/pro@1", "services/shop/overlays/prod2@1"}
		if got := s.listed(t); !slices.Equal(got, want) {
			t.Errorf("listed are %v", got)
		}
		later := s.open(t)
		for _, was := range all {
			got := read(t, later, was.ID)
			if diff := cmp.Diff(was.Record, got.Record); diff != "" {
				t.Errorf("%s (-written +read):\n%s", was.ID, diff)
			}
			if states := s.history(t, was.ID); len(states) != len(was.Events) {
				t.Errorf("the history of %s is %v", was.ID, states)
			}
		}
		old := read(t, later, path+"@0")
		if _, err := later.Swap(t.Context(), old, fresh(old.ID)); failure.KindOf(err) != failure.Conflict || retry.IsTransient(err) {
			t.Errorf("writing what was put away: %v", err)
		}
		if _, changed := insist(t, later, old.ID, func(r approval.Record) (approval.Record, error) {
			if r.ID == "" {
				return fresh(old.ID), nil
			}
			return r.Decide(approval.Answer{Signal: approval.Reject}, noon)
		}); changed {
			t.Error("a question that was settled is open again")
		}
		if _, err := later.Read(t.Context(), path+"@none"); !errors.Is(err, approval.ErrNone) {
			t.Errorf("a record that never was: %v", err)
		}
		if out, err := s.server.Git("gitops", "fsck", "--strict"); err != nil {
			t.Errorf("fsck: %v: %s", err, out)
		}
	})
}

func TestRecordsStayWhereRefsCannotBeRemoved(t *testing.T) {
	s := newShelf(t, keeper{mode: approval.InRefs, hook: "update", script: `case $3 in 00000000*) exit 1;; esac`})
	store := s.open(t)
	for number := range 8 {
		s.release(t, store, number, false)
	}
	if got := s.listed(t); len(got) != 8 {
		t.Errorf("listed are %v", got)
	}
	if history := s.history(t, path+"@0"); len(history) != 2 {
		t.Errorf("the history of the first is %v", history)
	}
}

func TestPuttingAwaySurvivesALostAnswerAndARace(t *testing.T) {
	for _, mode := range []approval.Mode{approval.InRefs, approval.InBranch} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			s := newShelf(t, keeper{mode: mode})
			store, other := s.open(t), s.open(t)
			for number := range 6 {
				s.release(t, store, number, false)
			}
			s.faultPush(0, gitrepotest.DropAfter())
			if _, err := store.Swap(t.Context(), approval.Stored{}, fresh(path+"@6")); !retry.IsTransient(err) {
				t.Fatalf("with the answer lost: %v", err)
			}
			s.server.Fault(nil)
			read(t, other, path+"@6")
			s.release(t, store, 7, false)
			// Somebody else creates a record and puts away the same ones, before the push of this one arrives.
			s.server.Fault(func(r gitrepotest.Request) gitrepotest.Action {
				if !r.Push {
					return gitrepotest.Pass()
				}
				s.server.Fault(nil)
				return gitrepotest.Call(func() { create(t, other, fresh(path+"@8")) }, nil)
			})
			insist(t, store, path+"@9", func(r approval.Record) (approval.Record, error) {
				if r.ID == "" {
					return fresh(path + "@9"), nil
				}
				return r, nil
			})
			for number := range 10 {
				id := fmt.Sprintf("%s@%d", path, number)
				if got := read(t, s.open(t), id); len(s.history(t, id)) != len(got.Events) {
					t.Errorf("the history of %s is %v", id, s.history(t, id))
				}
			}
		})
	}
}
