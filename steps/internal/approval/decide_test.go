package approval_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/steps/internal/approval"
	"slipway/steps/internal/failure"
)

var (
	bob      = approval.Actor{By: "bob", Via: "command", Build: "7"}
	deadline = noon.Add(30 * time.Minute)
)

// asked is a pending question under some terms, of a release by ann.
func asked(terms approval.Terms) approval.Record {
	return approval.New(id, noon, 30*time.Minute, terms, approval.Subject{Authors: []string{"Ann"}}, approval.Actor{Via: "jenkins"})
}

func TestWhatAnAnswerMakesOfAQuestion(t *testing.T) {
	const (
		accept  = approval.AcceptOnTimeout
		reject  = approval.RejectOnTimeout
		answer  = approval.ByAnswer
		silence = approval.BySilence
	)
	before, just, at, after := -time.Minute, -2*time.Second, time.Duration(0), time.Hour
	for name, test := range map[string]struct {
		signal    approval.Signal
		at        time.Duration // from the deadline
		onTimeout approval.OnTimeout
		state     approval.State
		why       approval.Why
	}{
		"a click before the deadline accepts":                      {approval.Proceed, before, accept, approval.Accepted, answer},
		"a click at the deadline accepts":                          {approval.Proceed, at, reject, approval.Accepted, answer},
		"a click after the deadline accepts while none is settled": {approval.Proceed, after, reject, approval.Accepted, answer},
		"a rejection before the deadline rejects":                  {approval.Reject, before, accept, approval.Rejected, answer},
		"a rejection at the deadline rejects":                      {approval.Reject, at, accept, approval.Rejected, answer},
		"a rejection after the deadline rejects":                   {approval.Reject, after, accept, approval.Rejected, answer},
		"a time limit that ends too early changes nothing":         {approval.Timeout, just, accept, approval.Pending, ""},
		"a time limit at the deadline accepts":                     {approval.Timeout, at, accept, approval.Accepted, silence},
		"a time limit at the deadline rejects":                     {approval.Timeout, at, reject, approval.Rejected, silence},
		"a time limit after the deadline accepts":                  {approval.Timeout, after, accept, approval.Accepted, silence},
		"an interruption before the deadline rejects":              {approval.Interrupted, before, accept, approval.Rejected, answer},
		"an interruption well before the deadline rejects":         {approval.Interrupted, just - time.Millisecond, accept, approval.Rejected, answer},
		"an interruption two seconds before it was the time limit": {approval.Interrupted, just, accept, approval.Accepted, silence},
		"an interruption at the deadline was the time limit":       {approval.Interrupted, at, accept, approval.Accepted, silence},
		"an interruption after the deadline rejects by silence":    {approval.Interrupted, after, reject, approval.Rejected, silence},
		"a cancelled build decides nothing before the deadline":    {approval.Cancel, before, accept, approval.Pending, ""},
		"a cancelled build decides nothing after the deadline":     {approval.Cancel, after, reject, approval.Pending, ""},
		"what is no signal decides nothing":                        {"perhaps", before, accept, approval.Pending, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := asked(approval.Terms{OnTimeout: test.onTimeout})
			now := deadline.Add(test.at)
			got, err := r.Decide(approval.Answer{Signal: test.signal, Actor: bob, Reason: "because"}, now)
			if err != nil || got.State != test.state {
				t.Fatalf("%s, %v", got.State, err)
			}
			if test.state == approval.Pending {
				if diff := cmp.Diff(r, got); diff != "" {
					t.Errorf("it changed:\n%s", diff)
				}
				return
			}
			want := &approval.Decision{State: test.state, Why: test.why, Actor: bob, At: now, Reason: "because"}
			if test.why == silence {
				want.At, want.Reason, want.Actor = deadline, "no answer within 30m0s", approval.Actor{Build: "7"}
			}
			if diff := cmp.Diff(want, got.Decision); diff != "" {
				t.Errorf("the decision (-want +got):\n%s", diff)
			}
			if len(got.Events) != 2 || got.Events[1].State != test.state || got.Events[1].Actor != bob || got.Events[1].Note != want.Reason {
				t.Errorf("the events are %+v", got.Events)
			}
			if len(r.Events) != 1 || r.Decision != nil {
				t.Error("the record that was asked has changed")
			}
			for _, signal := range approval.Signals {
				again, err := got.Decide(approval.Answer{Signal: signal, Actor: approval.Actor{By: "eve"}}, now.Add(time.Hour))
				if diff := cmp.Diff(got, again); diff != "" || err != nil {
					t.Errorf("%s changes what is settled: %v%s", signal, err, diff)
				}
			}
		})
	}
}

func TestAnAnswerCountsFromWhenItWasGiven(t *testing.T) {
	for name, test := range map[string]struct {
		signal  approval.Signal
		at, now time.Duration // from the deadline
		want    approval.State
		decided time.Duration
	}{
		"an abort that arrived late":                       {approval.Interrupted, -time.Minute, time.Hour, approval.Rejected, -time.Minute},
		"a click that arrived late":                        {approval.Proceed, -time.Minute, time.Hour, approval.Accepted, -time.Minute},
		"a click by a clock that is ahead":                 {approval.Proceed, time.Hour, -time.Minute, approval.Accepted, -time.Minute},
		"an abort by a clock that is ahead":                {approval.Interrupted, time.Hour, -time.Minute, approval.Rejected, -time.Minute},
		"a time limit that was reached, heard of too soon": {approval.Interrupted, -time.Second, -time.Second, approval.Accepted, 0},
	} {
		t.Run(name, func(t *testing.T) {
			local := time.FixedZone("local", 8*60*60)
			r, err := asked(approval.Terms{OnTimeout: approval.AcceptOnTimeout}).Decide(
				approval.Answer{Signal: test.signal, Actor: bob, At: deadline.Add(test.at).In(local)}, deadline.Add(test.now).In(local))
			if err != nil || r.State != test.want {
				t.Fatalf("%s, %v", r.State, err)
			}
			if at := r.Decision.At; !at.Equal(deadline.Add(test.decided)) || at.Location() != time.UTC {
				t.Errorf("decided at %s", at)
			}
		})
	}
}

func TestWhoMayAnswer(t *testing.T) {
	limited := approval.Terms{Approvers: []string{"bob", "Carol"}}
	notAuthor := approval.Terms{NotByAuthor: true}
	both := approval.Terms{Approvers: []string{"ann", "bob"}, NotByAuthor: true}
	for name, test := range map[string]struct {
		terms  approval.Terms
		by     string
		denied string // what the error says; "" lets the answer count
		// rejects says that a rejection counts all the same.
		rejects bool
	}{
		"anybody":                              {approval.Terms{}, "eve", "", false},
		"somebody unknown where anybody may":   {approval.Terms{}, "", "", false},
		"an approver":                          {limited, "bob", "", false},
		"an approver, written another way":     {limited, " CAROL ", "", false},
		"nobody's name":                        {limited, "eve", `"eve" is not one of its approvers, who are ["bob" "Carol"]`, false},
		"somebody unknown":                     {limited, "", "it is not known who accepts it", true},
		"the author":                           {notAuthor, "ann", `"ann" is its author`, false},
		"somebody else":                        {notAuthor, "bob", "", false},
		"somebody unknown, perhaps the author": {notAuthor, "", "it is not known who accepts it", true},
		"the author, although an approver":     {both, "ann", `"ann" is its author`, false},
		"an approver, not the author":          {both, "bob", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, signal := range []approval.Signal{approval.Proceed, approval.Reject, approval.Interrupted} {
				r := asked(test.terms)
				got, err := r.Decide(approval.Answer{Signal: signal, Actor: approval.Actor{By: test.by}}, noon.Add(time.Minute))
				if test.denied == "" || signal != approval.Proceed && test.rejects {
					if err != nil || got.State == approval.Pending || got.Decision.By != test.by {
						t.Errorf("%s: %s, %v", signal, got.State, err)
					}
					continue
				}
				if failure.KindOf(err) != failure.Denied || failure.HintOf(err) == "" || !strings.Contains(err.Error(), test.denied) || !strings.Contains(err.Error(), id) {
					t.Errorf("%s: %v", signal, err)
				}
				if diff := cmp.Diff(r, got); diff != "" {
					t.Errorf("%s changed it:\n%s", signal, diff)
				}
			}
		})
	}
}

func TestSilenceNeedsNobodysLeave(t *testing.T) {
	r := asked(approval.Terms{OnTimeout: approval.AcceptOnTimeout, Approvers: []string{"bob"}, NotByAuthor: true})
	for _, signal := range []approval.Signal{approval.Timeout, approval.Interrupted} {
		got, err := r.Decide(approval.Answer{Signal: signal, Actor: approval.Actor{By: "ann"}}, deadline)
		if err != nil || got.State != approval.Accepted || got.Decision.Why != approval.BySilence {
			t.Errorf("%s: %s, %v", signal, got.State, err)
		}
	}
	if _, err := r.Decide(approval.Answer{Signal: approval.Cancel}, noon); err != nil {
		t.Errorf("a cancelled build: %v", err)
	}
}

func TestTheWindowClosesAtTheDeadline(t *testing.T) {
	r := asked(approval.Terms{OnTimeout: approval.AcceptOnTimeout})
	for _, test := range []struct {
		now     time.Time
		overdue bool
		left    time.Duration
	}{
		{noon, false, 30 * time.Minute},
		{deadline.Add(-time.Nanosecond), false, time.Nanosecond},
		{deadline, true, 0},
		{deadline.Add(time.Hour), true, 0},
	} {
		after := r.Settle(test.now, bob)
		if r.Overdue(test.now) != test.overdue || r.Remaining(test.now) != test.left || (after.State == approval.Accepted) != test.overdue {
			t.Errorf("at %s it is %s, with %s left", test.now, after.State, r.Remaining(test.now))
		}
		if test.overdue && after.Overdue(test.now) {
			t.Error("what is settled is overdue")
		}
	}
}

// TestARecordGoesOneWay tries every change on a record in every state.
func TestARecordGoesOneWay(t *testing.T) {
	terms := approval.Terms{OnTimeout: approval.AcceptOnTimeout, OnReject: approval.RevertRejected}
	now := noon.Add(time.Minute)
	changes := map[string]func(approval.Record) approval.Record{
		"settle":    func(r approval.Record) approval.Record { return r.Settle(deadline, bob) },
		"accept":    func(r approval.Record) approval.Record { return settled(t, r, approval.Proceed, "bob") },
		"reject":    func(r approval.Record) approval.Record { return settled(t, r, approval.Reject, "bob") },
		"condemn":   func(r approval.Record) approval.Record { return r.Condemn(now, bob, "it crashes") },
		"begin":     func(r approval.Record) approval.Record { return r.Begin(now, bob, sha) },
		"end":       func(r approval.Record) approval.Record { return r.End(now, bob) },
		"supersede": func(r approval.Record) approval.Record { return r.Supersede(now, bob, "a newer one") },
	}
	pending := asked(terms)
	rejected := settled(t, pending, approval.Reject, "bob")
	reverting := rejected.Begin(now, bob, sha)
	for _, test := range []struct {
		from approval.Record
		to   map[string]approval.State
	}{
		{pending, map[string]approval.State{"settle": approval.Accepted, "accept": approval.Accepted, "reject": approval.Rejected, "condemn": approval.Rejected}},
		{settled(t, pending, approval.Proceed, "bob"), nil},
		{rejected, map[string]approval.State{"begin": approval.Reverting, "supersede": approval.Superseded}},
		{reverting, map[string]approval.State{"end": approval.Reverted}},
		{reverting.End(now, bob), nil},
		{rejected.Supersede(now, bob, ""), nil},
	} {
		for name, change := range changes {
			got := change(test.from)
			want, moves := test.to[name]
			if !moves {
				if diff := cmp.Diff(test.from, got); diff != "" {
					t.Errorf("%s changes a record that is %s:\n%s", name, test.from.State, diff)
				}
				continue
			}
			if n := len(got.Events); got.State != want || n != len(test.from.Events)+1 || got.Events[n-1].State != want || got.Events[n-1].By != "bob" {
				t.Errorf("%s makes %s of a record that is %s: %+v", name, got.State, test.from.State, got.Events)
			}
		}
	}
	if reverting.Revision != sha || reverting.End(now, bob).Revision != sha {
		t.Error("the commit that took the release back is forgotten")
	}
}

func TestAReleaseThatIsNotHealthyIsTakenBackUnasked(t *testing.T) {
	r := asked(approval.Terms{OnTimeout: approval.AcceptOnTimeout, OnReject: approval.KeepRejected}).Condemn(noon, bob, "it crashes")
	want := &approval.Decision{State: approval.Rejected, Why: approval.ByUnhealthy, Actor: bob, At: noon, Reason: "it crashes"}
	if diff := cmp.Diff(want, r.Decision); diff != "" || r.State.IsFinal(r.Terms.OnReject) {
		t.Errorf("%s, with %s:\n%s", r.State, r.Terms.OnReject, diff)
	}
}

func TestWhatIsLeftToBeDone(t *testing.T) {
	for state, want := range map[approval.State]struct{ rejected, final, finalKept bool }{
		approval.Pending:    {false, false, false},
		approval.Accepted:   {false, true, true},
		approval.Rejected:   {true, false, true},
		approval.Reverting:  {true, false, false},
		approval.Reverted:   {true, true, true},
		approval.Superseded: {true, true, true},
	} {
		if state.IsRejected() != want.rejected || state.IsFinal(approval.RevertRejected) != want.final || state.IsFinal(approval.KeepRejected) != want.finalKept {
			t.Errorf("%s: rejected %t, final %t, final if it is kept %t", state, state.IsRejected(), state.IsFinal(approval.RevertRejected), state.IsFinal(approval.KeepRejected))
		}
	}
}

func TestARecordSurvivesBeingStored(t *testing.T) {
	r := settled(t, asked(approval.Terms{OnTimeout: approval.RejectOnTimeout, OnReject: approval.RevertRejected, Approvers: []string{"bob"}}), approval.Reject, "bob").
		Begin(noon.Add(1234567*time.Microsecond), bob, sha)
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := approval.Decode(id, data)
	if diff := cmp.Diff(r, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if again, err := got.Encode(); err != nil || !slices.Equal(data, again) {
		t.Errorf("written again it differs: %v", err)
	}
}
