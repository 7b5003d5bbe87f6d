package steps_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"slipway/internal/argocdtest"
	"slipway/steps"
)

// TestAReleaseKilledAtAnyCallOfArgoCDIsFinishedByTheNext kills the process at its first call of the API, its second and so
// on, once before the server has handled the call and once after, and runs it again: one commit, and one sync of it.
func TestAReleaseKilledAtAnyCallOfArgoCDIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	s := newSite(t, shop())
	cd := s.deployed()
	releases := 0
	for _, after := range []bool{false, true} {
		for n := 0; ; n++ {
			releases++
			tag, tip, synced := fmt.Sprintf("v%d", releases+1), s.tip(), len(cd.App("shop").Status.History)
			step := []string{"release", "--repo", s.url(), "--path", shopDir, "--image", "shop:" + tag, "--app", "shop", "--settle", "0s", "--record", record}
			killed := s.killedAtCall(cd, n, after, step)
			if end := s.slipway(step...); end.code != steps.ExitOK || !strings.Contains(s.shopNow(), "newTag: "+tag+" ") {
				t.Fatalf("killed at call %d: %v", n, end)
			}
			if got := len(strings.Fields(s.bare("rev-list", tip+"..main"))); got != 1 {
				t.Errorf("killed at call %d: %d commits", n, got)
			}
			app := cd.App("shop")
			if got := len(app.Status.History) - synced; got != 1 || app.Status.Sync.Revision != s.tip() || app.Status.Health.Status != "Healthy" {
				t.Errorf("killed at call %d: %d syncs, %s at %s", n, got, app.Status.Health.Status, app.Status.Sync.Revision)
			}
			if !killed {
				break
			}
		}
	}
	t.Logf("%d releases", releases)
}

// deployed starts an Argo CD that has deployed the shop of the repository, and that the steps of the site speak to.
func (s *site) deployed() *argocdtest.Server {
	s.t.Helper()
	cd := argocdtest.New(s.t, argocdtest.Options{})
	if err := cd.AddApp(argocdtest.App{Name: "shop", Repo: s.url(), Path: shopDir, Revision: "main", Deployed: true}); err != nil {
		s.t.Fatal(err)
	}
	s.env = []string{"ARGOCD_SERVER=" + cd.Addr(), "ARGOCD_AUTH_TOKEN=" + cd.Token("admin", time.Time{}), "SLIPWAY_ARGOCD_PLAINTEXT=true"}
	return cd
}

// killedAtCall runs a step that is killed at its call of that number. It returns false if there were fewer calls.
func (s *site) killedAtCall(cd *argocdtest.Server, n int, after bool, step []string) bool {
	s.t.Helper()
	return s.killed(step, func(kill func()) (undo func()) {
		first := len(cd.Calls())
		cd.Fault(func(c argocdtest.Call) argocdtest.Fault {
			switch {
			case c.Index != first+n:
				return argocdtest.Fault{}
			case after:
				return argocdtest.Fault{After: kill, DropAfter: true}
			}
			return argocdtest.Fault{Before: kill, Drop: true}
		})
		return cd.Heal
	})
}

// TestAReleaseKilledAtTheSecondStartOfItsOperationIsFinishedByTheNext kills the process when Argo CD could not do the operation
// and is asked for it once more, before and after it has taken that: one commit still, and one sync that succeeds.
func TestAReleaseKilledAtTheSecondStartOfItsOperationIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after=%t", after), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, shop())
			cd := s.deployed()
			if err := cd.ErrOperations("shop", "rpc error: code = Unavailable desc = the repo-server is restarted"); err != nil {
				t.Fatal(err)
			}
			tip, synced := s.tip(), len(cd.App("shop").Status.History)
			step := []string{"release", "--repo", s.url(), "--path", shopDir, "--image", "shop:v2", "--app", "shop", "--settle", "0s", "--record", record}
			killed := s.killed(step, func(kill func()) (undo func()) {
				cd.Fault(func(c argocdtest.Call) argocdtest.Fault {
					switch {
					case c.Method != "application.Sync" || len(cd.Calls(c.Method)) != 2:
						return argocdtest.Fault{}
					case after:
						return argocdtest.Fault{After: kill, DropAfter: true}
					}
					return argocdtest.Fault{Before: kill, Drop: true}
				})
				return cd.Heal
			})
			if end := s.slipway(step...); !killed || end.code != steps.ExitOK {
				t.Fatalf("killed: %t; %v", killed, end)
			}
			app := cd.App("shop")
			if got := len(app.Status.History) - synced; got != 1 || app.Status.Sync.Revision != s.tip() {
				t.Errorf("%d syncs, at %s", got, app.Status.Sync.Revision)
			}
			if got := len(strings.Fields(s.bare("rev-list", tip+"..main"))); got != 1 {
				t.Errorf("%d commits", got)
			}
		})
	}
}
