package approval

import (
	"fmt"
	"slices"
	"time"

	"slipway/steps/internal/failure"
)

// Signal is what a channel has to say of the question.
type Signal string

// The signals. Interrupted is what a pipeline sends that cannot tell an abort from a time limit: the time does. A build that
// is cancelled decides nothing.
const (
	Proceed     Signal = "proceed"
	Reject      Signal = "reject"
	Timeout     Signal = "timeout"
	Cancel      Signal = "cancel"
	Interrupted Signal = "interrupted"
)

// Signals lists all signals.
var Signals = []Signal{Proceed, Reject, Timeout, Cancel, Interrupted}

// slack is how much earlier than the deadline a time limit of the same length may end: it was rounded, and is kept by
// another clock.
const slack = 2 * time.Second

// Answer is a signal, from whom, and when it was given, which may be long before it arrives.
type Answer struct {
	Signal Signal
	Actor
	At     time.Time
	Reason string
}

// New returns the record of a question that is opened now.
func New(id string, now time.Time, window time.Duration, terms Terms, subject Subject, by Actor) Record {
	now = now.UTC().Truncate(time.Millisecond)
	return Record{
		ID: id, State: Pending, Opened: now, Deadline: now.Add(window), Terms: terms, Subject: subject,
		Events: []Event{{At: now, State: Pending, Actor: by}},
	}
}

// Overdue says whether a pending record's window has closed.
func (r Record) Overdue(now time.Time) bool { return r.State == Pending && !now.Before(r.Deadline) }

// Remaining is how long the window stays open.
func (r Record) Remaining(now time.Time) time.Duration { return max(0, r.Deadline.Sub(now)) }

// Settle returns the record as silence leaves it, if its window has closed. Any other record stays as it is.
func (r Record) Settle(now time.Time, by Actor) Record {
	if !r.Overdue(now) {
		return r
	}
	state := Accepted
	if r.Terms.OnTimeout == RejectOnTimeout {
		state = Rejected
	}
	note := fmt.Sprintf("no answer within %s", r.Deadline.Sub(r.Opened))
	next := r.decided(now, Decision{State: state, Why: BySilence, Actor: Actor{Build: by.Build}, At: r.Deadline, Reason: note})
	next.Events[len(next.Events)-1].Actor = by // who noticed it has not decided it
	return next
}

// Decide returns the record as an answer leaves it; it stays as it is where the answer decides nothing, as that of a
// cancelled build, one before its time, or any answer to a record that is settled.
//
// An explicit answer counts while nothing else has been recorded, even after the deadline: the channel has already settled
// the click against its own time limit. An answer of somebody who may not answer is failure.Denied, except a rejection of
// which nobody knows whose it is, which would otherwise turn into acceptance.
func (r Record) Decide(a Answer, now time.Time) (Record, error) {
	if r.State != Pending {
		return r, nil
	}
	if a.At.IsZero() || a.At.After(now) {
		a.At = now // a click cannot have come after we heard of it: the clock it was taken from is ahead
	}
	a.At = a.At.UTC().Truncate(time.Millisecond)
	signal := a.Signal
	if signal == Interrupted {
		signal = Reject
		if !a.At.Before(r.Deadline.Add(-slack)) {
			return r.Settle(later(now, r.Deadline), a.Actor), nil
		}
	}
	switch signal {
	case Timeout:
		return r.Settle(now, a.Actor), nil
	case Proceed, Reject:
	default:
		return r, nil
	}
	if err := r.permits(signal, a.By); err != nil {
		return r, err
	}
	state := Accepted
	if signal == Reject {
		state = Rejected
	}
	return r.decided(now, Decision{State: state, Why: ByAnswer, Actor: a.Actor, At: a.At, Reason: a.Reason}), nil
}

// Condemn returns the record of a release that has not become healthy and is taken back without asking.
func (r Record) Condemn(now time.Time, by Actor, reason string) Record {
	if r.State != Pending {
		return r
	}
	r.Terms.OnReject = RevertRejected
	return r.decided(now, Decision{State: Rejected, Why: ByUnhealthy, Actor: by, At: now.UTC().Truncate(time.Millisecond), Reason: reason})
}

// Begin returns a rejected record as one whose release a commit has taken back in Git; the cluster follows. Until then it says
// rejected, so that whoever comes next does it.
func (r Record) Begin(now time.Time, by Actor, revision string) Record {
	if r.State != Rejected {
		return r
	}
	r.Revision = revision
	return r.moved(now, Reverting, by, revision)
}

// End returns a record that is being reverted as one that has been, as far as anybody wants to follow it.
func (r Record) End(now time.Time, by Actor) Record {
	if r.State != Reverting {
		return r
	}
	return r.moved(now, Reverted, by, "")
}

// Supersede returns the record of a rejected release that a newer one has replaced: nothing is left to take back.
func (r Record) Supersede(now time.Time, by Actor, note string) Record {
	if r.State != Rejected {
		return r
	}
	return r.moved(now, Superseded, by, note)
}

// permits checks who answers.
func (r Record) permits(signal Signal, by string) error {
	limited := len(r.Terms.Approvers) > 0
	if by == "" {
		if signal == Reject || !limited && !r.Terms.NotByAuthor {
			return nil
		}
		return failure.New(failure.Denied, "say who accepts it with --by", "approval %s: it is not known who accepts it, and not everybody may", r.ID)
	}
	if limited && !slices.ContainsFunc(r.Terms.Approvers, func(name string) bool { return isName(name, by) }) {
		return failure.New(failure.Denied, "ask one of them to answer", "approval %s: %q is not one of its approvers, who are %q", r.ID, by, r.Terms.Approvers)
	}
	if r.Terms.NotByAuthor && slices.ContainsFunc(r.Subject.Authors, func(name string) bool { return isName(name, by) }) {
		return failure.New(failure.Denied, "ask somebody else to answer", "approval %s: %q is its author, and may not answer for it", r.ID, by)
	}
	return nil
}

func (r Record) decided(now time.Time, d Decision) Record {
	r.Decision = &d
	return r.moved(now, d.State, d.Actor, d.Reason)
}

func (r Record) moved(now time.Time, state State, by Actor, note string) Record {
	r.State = state
	r.Events = append(slices.Clone(r.Events), Event{At: now.UTC().Truncate(time.Millisecond), State: state, Actor: by, Note: note})
	return r
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
