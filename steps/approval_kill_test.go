package steps_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"slipway/internal/gitrepotest"
	"slipway/steps"
)

// killedAfterPush runs a step that is killed when the server has handled its push of that number: after any other request the server
// is as it was before.
func (s *site) killedAfterPush(n int, step []string) bool {
	s.t.Helper()
	return s.killed(step, func(kill func()) (undo func()) {
		var pushes atomic.Int64
		s.server.Fault(func(r gitrepotest.Request) gitrepotest.Action {
			if r.Push && pushes.Add(1) == int64(n)+1 {
				return gitrepotest.Action{After: kill, DropAfter: true}
			}
			return gitrepotest.Pass()
		})
		return func() { s.server.Fault(nil) }
	})
}

// rejection is what must be true of a release that was rejected, however often those who took it back were killed.
func (s *site) rejection(what string) {
	s.t.Helper()
	if got := s.bare("log", "--format=%(trailers:key=Slipway-Reverts,valueonly)", "main"); len(strings.Fields(got)) != 1 {
		s.t.Errorf("%s: %d commits take it back", what, len(strings.Fields(got)))
	}
	if !strings.Contains(s.shopNow(), "newTag: v1 ") {
		s.t.Errorf("%s: the release is still there:\n%s", what, s.shopNow())
	}
	refs := strings.Fields(s.bare("for-each-ref", "--format=%(refname)", "refs/slipway/approvals"))
	if len(refs) != 1 {
		s.t.Fatalf("%s: %d records", what, len(refs))
	}
	var record struct {
		State  string
		Events []struct{ State string }
	}
	if err := json.Unmarshal([]byte(s.bare("show", refs[0]+":approval.json")), &record); err != nil {
		s.t.Fatal(err)
	}
	var states []string
	for _, e := range record.Events {
		states = append(states, e.State)
	}
	if got := strings.Join(states, " "); got != "pending rejected reverting reverted" {
		s.t.Errorf("%s: the record went through %s", what, got)
	}
}

// TestARejectionThatIsKilledAtAnyRequestIsCarriedOutByTheNext hands a rejection over, kills that at each of its requests, and has
// an agent with an empty workspace hand it over again.
func TestARejectionThatIsKilledAtAnyRequestIsCarriedOutByTheNext(t *testing.T) {
	t.Parallel()
	s := newSite(t, shop())
	s.must(steps.Changed, releaseStep(s)...)
	opened := s.must(steps.Changed, "await-approval", "open", "--repo", s.url(), "--record", record, "--on-reject", "revert")
	s.othersRelease()
	s.save()
	s.ends = steps.ExitRejected
	resolve := []string{"await-approval", "resolve", "--id", opened.Details.ID, "--repo", s.url(), "--signal", "reject", "--by", "lead", "--record", "none"}
	runs := 0
	for _, after := range []bool{false, true} {
		for n := 0; ; n++ {
			s.restore()
			var killed bool
			if after {
				killed = s.killedAfterPush(n, resolve)
			} else {
				killed = s.killedAt(n, false, resolve)
			}
			what := fmt.Sprintf("killed at request %d, handled %t", n, after)
			if end := s.slipway(resolve...); end.code != steps.ExitRejected {
				t.Errorf("%s: %v", what, end)
			}
			tip := s.tip()
			if end := s.slipway("await-approval", "--id", opened.Details.ID, "--repo", s.url(), "--record", "none"); end.code != steps.ExitRejected || s.tip() != tip {
				t.Errorf("%s: asked once more: %v", what, end)
			}
			s.rejection(what)
			if runs++; !killed {
				break
			}
		}
	}
	t.Logf("%d runs", runs)
}

// TestAReleaseKilledUntilItIsTakenBackIsFinishedByTheNext kills a whole release, which silence rejects, at each request of Git and
// each call of Argo CD, and runs it again.
func TestAReleaseKilledUntilItIsTakenBackIsFinishedByTheNext(t *testing.T) {
	for _, to := range []string{"Git", "Argo CD"} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, handled %t", to, after), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, shop())
				cd := s.deployed()
				s.save()
				s.ends = steps.ExitRejected
				step := append(releaseStep(s), "--app", "shop", "--settle", "0s", "--await", "100ms", "--poll", "1h", "--on-timeout", "reject", "--on-reject", "revert",
					"--job", "shop", "--order", "7")
				runs := 0
				for killed := true; killed; runs++ {
					s.restore()
					switch {
					case to == "Argo CD":
						killed = s.killedAtCall(cd, runs, after, step)
					case after:
						killed = s.killedAfterPush(runs, step)
					default:
						killed = s.killedAt(runs, false, step)
					}
					what := fmt.Sprintf("killed at %d", runs)
					if end := s.slipway(step...); end.code != steps.ExitRejected {
						t.Errorf("%s: %v", what, end)
					}
					s.rejection(what)
					if app := cd.App("shop"); app.Status.Sync.Revision != s.tip() || app.Status.Health.Status != "Healthy" {
						t.Errorf("%s: %s at %s", what, app.Status.Health.Status, app.Status.Sync.Revision)
					}
				}
				t.Logf("%d runs", runs)
			})
		}
	}
}
