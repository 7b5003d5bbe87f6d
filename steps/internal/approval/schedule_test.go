package approval_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/gitrepotest"
	"slipway/retry"
	"slipway/steps/internal/approval"
)

// A call of a real Git server costs it some processes. Files play all of them anyway.
var gitSchedules = flag.Int("git-schedules", 1000, "how many of the thousand schedules are played on real Git servers, too")

// TestEveryScheduleHasOneOutcome interleaves those who open, answer and wait, from one call of the store to the next. A seed
// decides on the order, on what they do and when, and on what gets lost.
func TestEveryScheduleHasOneOutcome(t *testing.T) {
	type part struct {
		keeper string
		seeds  []int
	}
	var parts []part
	for i, name := range []string{"refs", "a branch", "refs, as the server takes them", "a branch, as the server declines the push"} {
		parts = append(parts, part{"files", span(i, 1000, 4)})
		// On one server each question makes the next one dearer.
		for seeds := range slices.Chunk(span(i, *gitSchedules, 4), 50) {
			parts = append(parts, part{name, seeds})
		}
	}
	for _, part := range parts {
		t.Run(part.keeper, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t, keepers[slices.IndexFunc(keepers, func(k keeper) bool { return k.name == part.keeper })])
			stores := []approval.Store{s.open(t), s.open(t), s.open(t), s.open(t)}
			type end struct {
				id    string
				state approval.State
			}
			var ends []end
			for _, seed := range part.seeds {
				p := newPlay(s, stores, seed)
				p.run(t.Context())
				ends = append(ends, end{p.id, p.check(t)})
				if t.Failed() {
					t.Fatalf("seed %d: %s", seed, p)
				}
			}
			// A question that was settled is never asked again.
			store := s.open(t)
			for _, e := range ends {
				if got := read(t, store, e.id); got.State != e.state {
					t.Errorf("%s was %s and is %s", e.id, e.state, got.State)
				}
			}
		})
	}
}

func span(from, to, step int) []int {
	var all []int
	for i := from; i < to; i += step {
		all = append(all, i)
	}
	return all
}

// play is one schedule.
type play struct {
	shelf   *shelf
	random  *rand.Rand
	id      string
	now     time.Time
	players []*player
	lossy   bool
}

// player is one process: it does something about a question, and calls its store when it is its turn.
type player struct {
	approval.Store
	play  *play
	actor approval.Actor
	// opens says that it opens the question, and waits until it is settled.
	opens  bool
	answer *approval.Answer
	click  time.Duration // how long the answer was on its way
	skew   time.Duration // by how much its clock is wrong

	waits, turn chan struct{}
	lose        bool // the answer to its next call, where no server loses it

	saw     approval.Record // at last
	decided bool            // that its answer was the one, as far as it knows
	err     error
}

func newPlay(s *shelf, stores []approval.Store, seed int) *play {
	random := rand.New(rand.NewPCG(uint64(seed), 5))
	p := &play{shelf: s, random: random, now: noon, id: fmt.Sprintf("%s@%d", path, seed), lossy: random.IntN(3) == 0}
	for i := range 2 + random.IntN(3) {
		one := &player{
			Store: stores[i], play: p, actor: approval.Actor{By: fmt.Sprintf("player %d", i), Via: "command"}, opens: i == 0 || random.IntN(2) == 0,
			skew: time.Duration(random.IntN(5)-2) * time.Second, click: time.Duration(random.IntN(4)-1) * time.Second,
			turn: make(chan struct{}), waits: make(chan struct{}),
		}
		if random.IntN(4) > 0 {
			one.answer = &approval.Answer{Signal: approval.Signals[random.IntN(len(approval.Signals))], Actor: one.actor}
		}
		p.players = append(p.players, one)
	}
	return p
}

func (p *play) String() string {
	var b strings.Builder
	for i, one := range p.players {
		fmt.Fprintf(&b, "\nplayer %d opens: %t, answers: %+v, saw %s, decided: %t, %v", i, one.opens, one.answer, one.saw.State, one.decided, one.err)
	}
	return b.String()
}

// run gives the players their turns until all are done. Whoever has none waits for it.
func (p *play) run(ctx context.Context) {
	var waiting []*player
	for _, one := range p.players {
		go one.run(ctx)
		if _, more := <-one.waits; more {
			waiting = append(waiting, one)
		}
	}
	for len(waiting) > 0 {
		i := p.random.IntN(len(waiting))
		p.now = p.now.Add(time.Duration(p.random.IntN(3000)) * time.Millisecond)
		p.mayLose(waiting[i])
		waiting[i].turn <- struct{}{}
		if _, more := <-waiting[i].waits; !more {
			waiting = slices.Delete(waiting, i, i+1)
		}
	}
}

// mayLose loses a push of the player, or the answer to it.
func (p *play) mayLose(one *player) {
	loses, arrives := p.lossy && p.random.IntN(4) == 0, p.random.IntN(3) > 0
	switch {
	case p.shelf.file:
		one.lose = loses
	case !loses:
		p.shelf.server.Fault(nil)
	case arrives:
		p.shelf.faultPush(0, gitrepotest.DropAfter())
	default:
		p.shelf.faultPush(0, gitrepotest.DropBefore())
	}
}

func (one *player) Read(ctx context.Context, id string) (approval.Stored, error) {
	one.wait()
	return one.Store.Read(ctx, id)
}

func (one *player) Swap(ctx context.Context, was approval.Stored, next approval.Record) (approval.Stored, error) {
	one.wait()
	stored, err := one.Store.Swap(ctx, was, next)
	if err == nil && one.lose {
		return approval.Stored{}, retry.Transient(errors.New("the answer was lost"))
	}
	return stored, err
}

func (one *player) wait() {
	one.waits <- struct{}{}
	<-one.turn
}

func (one *player) clock() time.Time { return one.play.now.Add(one.skew) }

func (one *player) run(ctx context.Context) {
	defer close(one.waits)
	one.err = one.live(ctx)
	if errors.Is(one.err, approval.ErrNone) && !one.opens {
		one.err = nil // it answered before it was asked
	}
}

func (one *player) live(ctx context.Context) error {
	if one.opens {
		terms := approval.Terms{OnTimeout: approval.AcceptOnTimeout, OnReject: approval.RevertRejected}
		if err := one.change(ctx, func(r approval.Record) (approval.Record, error) {
			if r.ID == "" {
				return approval.New(one.play.id, one.clock(), 10*time.Second, terms, approval.Subject{}, one.actor), nil
			}
			return r, nil
		}); err != nil {
			return err
		}
	}
	if one.answer != nil {
		one.answer.At = one.clock().Add(-one.click)
		if err := one.change(ctx, func(r approval.Record) (approval.Record, error) { return r.Decide(*one.answer, one.clock()) }); err != nil {
			return err
		}
	}
	for one.opens && one.saw.State == approval.Pending {
		if err := one.change(ctx, func(r approval.Record) (approval.Record, error) { return r.Settle(one.clock(), one.actor), nil }); err != nil {
			return err
		}
	}
	if !one.saw.State.IsRejected() {
		return nil
	}
	if err := one.change(ctx, func(r approval.Record) (approval.Record, error) { return r.Begin(one.clock(), one.actor, sha), nil }); err != nil {
		return err
	}
	return one.change(ctx, func(r approval.Record) (approval.Record, error) { return r.End(one.clock(), one.actor), nil })
}

// change is what package steps does, without its pauses.
func (one *player) change(ctx context.Context, change func(approval.Record) (approval.Record, error)) error {
	for {
		was := approval.Pending
		stored, changed, err := approval.Apply(ctx, one, one.play.id, func(r approval.Record) (approval.Record, error) {
			was = r.State
			return change(r)
		})
		if err == nil {
			one.saw = stored.Record
			one.decided = one.decided || changed && was == approval.Pending && one.saw.State != approval.Pending
			return nil
		}
		if !retry.IsTransient(err) {
			return err
		}
	}
}

// check returns the outcome, of which there must be one.
func (p *play) check(t *testing.T) approval.State {
	t.Helper()
	if p.shelf.server != nil {
		p.shelf.server.Fault(nil)
	}
	r := read(t, p.players[0].Store, p.id)
	var states []approval.State
	for _, e := range r.Events {
		states = append(states, e.State)
	}
	chain := []approval.State{approval.Pending, approval.Accepted}
	if r.State != approval.Accepted {
		chain = []approval.State{approval.Pending, approval.Rejected, approval.Reverting, approval.Reverted}
	}
	if diff := cmp.Diff(chain, states); diff != "" {
		t.Errorf("the record went through (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(chain, p.shelf.history(t, p.id)); diff != "" {
		t.Errorf("its history is (-want +got):\n%s", diff)
	}
	deciders := 0
	for i, one := range p.players {
		if one.err != nil {
			t.Errorf("player %d: %v", i, one.err)
		}
		if one.opens && one.saw.State != r.State || one.saw.Decision != nil && cmp.Diff(r.Decision, one.saw.Decision) != "" {
			t.Errorf("player %d reports %s, %+v; the record says %s, %+v", i, one.saw.State, one.saw.Decision, r.State, r.Decision)
		}
		if one.decided {
			deciders++
		}
	}
	if deciders > 1 || deciders == 0 && !p.lossy {
		t.Errorf("%d players say that they decided", deciders)
	}
	if r.Decision.Why == approval.ByAnswer {
		p.checkAnswer(t, *r.Decision)
	} else if late := r.Events[1].At; late.Before(r.Deadline) {
		t.Errorf("silence was found %s before the deadline", r.Deadline.Sub(late))
	}
	return r.State
}

func (p *play) checkAnswer(t *testing.T, d approval.Decision) {
	t.Helper()
	i := slices.IndexFunc(p.players, func(one *player) bool { return one.actor == d.Actor })
	if i < 0 || p.players[i].answer == nil {
		t.Fatalf("%+v is nobody's answer", d)
	}
	signal := p.players[i].answer.Signal
	if d.State == approval.Accepted && signal != approval.Proceed || d.State == approval.Rejected && signal != approval.Reject && signal != approval.Interrupted {
		t.Errorf("%s became of the answer %s", d.State, signal)
	}
}

// history returns the states that were ever written, the first one first.
func (s *shelf) history(t *testing.T, id string) []approval.State {
	t.Helper()
	var states []approval.State
	if s.file {
		lines, err := os.ReadFile(filepath.Join(s.dir, approval.Name(id)+".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(lines) {
			var r struct{ State approval.State }
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatal(err)
			}
			states = append(states, r.State)
		}
		return states
	}
	subjects, err := s.server.Git("gitops", "log", "--all", "--reverse", "--topo-order", "--format=%s", "--grep=^Slipway-Approval: "+id+"$")
	if err != nil {
		t.Fatal(err)
	}
	verbs := map[string]approval.State{
		"open": approval.Pending, "accept": approval.Accepted, "reject": approval.Rejected, "begin to revert": approval.Reverting, "revert": approval.Reverted,
	}
	for subject := range strings.Lines(subjects) {
		verb, _, _ := strings.Cut(subject, " "+id+":")
		states = append(states, verbs[verb])
	}
	return states
}
