package approval_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slipway/internal/gitrepotest"
	"slipway/retry"
	"slipway/steps/internal/approval"
	"slipway/steps/internal/failure"
)

func eachServer(t *testing.T, run func(*shelf)) {
	t.Helper()
	eachKeeper(t, func(s *shelf) {
		if !s.file {
			run(s)
		}
	})
}

// faultPush does something to the push of that number, from 0 on.
func (s *shelf) faultPush(number int, action gitrepotest.Action) {
	var pushes atomic.Int32
	s.server.Fault(func(r gitrepotest.Request) gitrepotest.Action {
		if r.Push && int(pushes.Add(1)) == number+1 {
			return action
		}
		return gitrepotest.Pass()
	})
}

func TestALostAnswerIsFoundOutByTheNextAttempt(t *testing.T) {
	eachServer(t, func(s *shelf) {
		t := s.t
		for push := range 3 {
			id := fmt.Sprintf("services/svc-%d@%s", push, sha)
			s.faultPush(push, gitrepotest.DropAfter())
			store := s.open(t)
			insist(t, store, id, func(r approval.Record) (approval.Record, error) {
				if r.ID == "" {
					return fresh(id), nil
				}
				return r, nil
			})
			insist(t, store, id, func(r approval.Record) (approval.Record, error) {
				return r.Decide(approval.Answer{Signal: approval.Proceed}, noon)
			})
			s.server.Fault(nil)
			if got := read(t, s.open(t), id); got.State != approval.Accepted || len(got.Events) != 2 {
				t.Errorf("with the answer to push %d lost: %s, %+v", push, got.State, got.Events)
			}
			history, err := s.server.Git("gitops", "log", "--all", "--format=%s", "--grep=Slipway-Approval: "+id)
			if want := fmt.Sprintf("accept %s: by somebody unknown\nopen %s: by ann via jenkins\n", id, id); err != nil || history != want {
				t.Errorf("with the answer to push %d lost, the history is\n%s%v", push, history, err)
			}
		}
	})
}

func TestAFaultIsNoLostRace(t *testing.T) {
	eachServer(t, func(s *shelf) {
		t := s.t
		for name, action := range map[string]gitrepotest.Action{"lost": gitrepotest.DropAfter(), "busy": gitrepotest.Status(503, nil, "")} {
			opened := create(t, s.open(t), fresh(name+"@"+sha))
			s.faultPush(0, action)
			_, err := s.open(t).Swap(t.Context(), opened, settled(t, opened.Record, approval.Reject, "bob"))
			if !retry.IsTransient(err) || errors.Is(err, approval.ErrDiverged) || !strings.Contains(err.Error(), name+"@") {
				t.Errorf("%s: %v", name, err)
			}
			s.server.Fault(nil)
		}
	})
}

func TestRecordsOfOneBranchDoNotDisturbEachOther(t *testing.T) {
	s := newShelf(t, keeper{mode: approval.InBranch})
	store, other := s.open(t), s.open(t)
	opened := create(t, store, fresh(id))
	theirs := create(t, other, fresh("other@"+sha))
	next := settled(t, opened.Record, approval.Proceed, "bob")
	_, err := store.Swap(t.Context(), opened, next)
	if !retry.IsTransient(err) || errors.Is(err, approval.ErrDiverged) {
		t.Fatalf("while another record was written: %v", err)
	}
	again := read(t, store, id)
	if _, err := store.Swap(t.Context(), again, next); err != nil {
		t.Fatal(err)
	}
	// The tip between reading it and the push.
	s.server.Fault(func(r gitrepotest.Request) gitrepotest.Action {
		if !r.Push {
			return gitrepotest.Pass()
		}
		s.server.Fault(nil)
		return gitrepotest.Call(func() {
			if _, changed := insist(t, other, theirs.ID, func(r approval.Record) (approval.Record, error) {
				return r.Decide(approval.Answer{Signal: approval.Reject}, noon)
			}); !changed {
				t.Error("the other record did not change")
			}
		}, nil)
	})
	_, err = store.Swap(t.Context(), approval.Stored{}, fresh("third@"+sha))
	if !retry.IsTransient(err) || errors.Is(err, approval.ErrDiverged) {
		t.Fatalf("while another record was written: %v", err)
	}
	create(t, store, fresh("third@"+sha))
}

func TestARefWinsOverTheBranch(t *testing.T) {
	s := newShelf(t, keeper{mode: approval.InBranch})
	create(t, s.open(t), fresh("other@"+sha))
	inBranch := create(t, s.open(t), fresh(id))
	s.mode = approval.Auto
	automatic := s.open(t)
	if got := read(t, automatic, id); got.Version != inBranch.Version {
		t.Errorf("the record in the branch is read at %s, not %s", got.Version, inBranch.Version)
	}
	// Where there is a branch, that is where records are created.
	create(t, automatic, fresh("third@"+sha))
	if refs, err := s.server.Git("gitops", "for-each-ref", "refs/slipway"); err != nil || refs != "" {
		t.Errorf("there is a ref: %s, %v", refs, err)
	}
	s.mode = approval.InRefs
	rejected := settled(t, inBranch.Record, approval.Reject, "bob")
	create(t, s.open(t), rejected)
	if got := read(t, automatic, id); got.State != approval.Rejected {
		t.Errorf("read is what the branch says, %s", got.State)
	}
	records, err := automatic.List(t.Context(), 10)
	if err != nil || len(records) != 3 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for _, r := range records {
		if (r.State == approval.Rejected) != (r.ID == id) {
			t.Errorf("%s is listed as %s", r.ID, r.State)
		}
	}
}

func TestARefusalOfEverythingIsReportedOnce(t *testing.T) {
	s := newShelf(t, keeper{hook: "pre-receive", script: `while read old new ref; do echo "$ref: not by you" >&2; done; exit 1`})
	_, err := s.open(t).Swap(t.Context(), approval.Stored{}, fresh(id))
	if failure.KindOf(err) != failure.Conflict || retry.IsTransient(err) {
		t.Errorf("got %v", err)
	}
	for _, ref := range []string{"refs/slipway/approvals/services%2F", "refs/heads/slipway/approvals: not by you"} {
		if !strings.Contains(err.Error(), ref) {
			t.Errorf("%v does not speak of %s", err, ref)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.server.Fault(func(r gitrepotest.Request) gitrepotest.Action {
		if r.Push {
			cancel()
		}
		return gitrepotest.Pass()
	})
	if _, err := s.open(t).Swap(ctx, approval.Stored{}, fresh(id)); !errors.Is(err, context.Canceled) || strings.Count(err.Error(), id) != 1 {
		t.Errorf("when it is cancelled: %v", err)
	}
}

func TestABranchThatIsInTheWayIsNamed(t *testing.T) {
	s := newShelf(t, keeper{mode: approval.InBranch})
	if _, err := s.server.Git("gitops", "branch", "slipway", "main"); err != nil {
		t.Fatal(err)
	}
	store := s.open(t)
	if _, err := store.Read(t.Context(), id); !errors.Is(err, approval.ErrNone) {
		t.Errorf("reading: %v", err)
	}
	if _, err := store.Swap(t.Context(), approval.Stored{}, fresh(id)); failure.KindOf(err) != failure.Conflict || failure.HintOf(err) != "rename the branch slipway" {
		t.Errorf("writing: %v", err)
	}
}

func TestTheHistoryIsTheAuditTrail(t *testing.T) {
	eachServer(t, func(s *shelf) {
		t := s.t
		store := s.open(t)
		opened := create(t, store, fresh(id))
		next, err := opened.Decide(approval.Answer{
			Signal: approval.Reject, Actor: approval.Actor{By: "bob\n\nSlipway-Approval: x", Via: "terminal"}, Reason: "too slow\nSlipway-Approval: y",
		}, noon.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Swap(t.Context(), opened, next); err != nil {
			t.Fatal(err)
		}
		ref := "refs/slipway/approvals/services%2Fshop%2Foverlays%2Fprod@" + sha
		if !s.refs() {
			ref = "slipway/approvals"
		}
		got, err := s.server.Git("gitops", "log", "--format=%B", ref)
		want := "reject " + id + ": by bob Slipway-Approval: x via terminal\n\nNote: too slow Slipway-Approval: y\n\nSlipway-Approval: " + id + "\n\n" +
			"open " + id + ": by ann via jenkins\n\nSlipway-Approval: " + id + "\n\n"
		if err != nil || got != want {
			t.Errorf("the history is\n%s\nwant\n%s%v", got, want, err)
		}
		silent := create(t, store, fresh("silent@"+sha))
		if _, err := store.Swap(t.Context(), silent, silent.Settle(silent.Deadline, approval.Actor{By: "eve", Via: "command"})); err != nil {
			t.Fatal(err)
		}
		if s.refs() {
			ref = "refs/slipway/approvals/silent@" + sha
		}
		got, err = s.server.Git("gitops", "log", "-1", "--format=%s", ref)
		if want := "accept silent@" + sha + ": by silence, noticed by eve via command\n"; err != nil || got != want {
			t.Errorf("the history says %q, %v", got, err)
		}
		if out, err := s.server.Git("gitops", "fsck", "--strict"); err != nil {
			t.Errorf("fsck: %v: %s", err, out)
		}
	})
}
