package steps_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"slipway/steps"
)

// builds are two builds of one job that began on the same commit, each with a checkout of its own.
type builds struct {
	*site
	older, newer []string // the step of each
}

// newBuilds prepares builds order and order+1, which release the tags v<order> and v<order+1>.
func newBuilds(s *site, order int, clones bool) *builds {
	s.t.Helper()
	prepare := func(order int) []string {
		dir := fmt.Sprintf("build-%d", order)
		if clones {
			s.git("clone", "--quiet", "--depth=1", s.url(), dir)
		} else {
			s.must(steps.Changed, "checkout", "--repo", s.url(), "--path", shopDir, "--dir", dir)
		}
		s.set(dir+"/"+shopFile, "shop", fmt.Sprintf("v%d", order))
		return []string{"commit-push", "--dir", dir, "--record", dir + "/.slipway/release.json", "--job", "shop", "--order", fmt.Sprint(order)}
	}
	return &builds{site: s, older: prepare(order), newer: prepare(order + 1)}
}

// holds checks the tag on the branch.
func (b *builds) holds(tag string) {
	b.t.Helper()
	if want := withTag(b.t, kustomization("shop", "cart"), "shop", tag); b.shopNow()+"\n" != want {
		b.t.Errorf("the branch does not hold %s:\n%s", tag, b.bare("log", "-p", "main", "--", shopFile))
	}
}

func TestAnOlderBuildNeverReplacesANewerOne(t *testing.T) {
	t.Parallel()
	for _, clones := range []bool{false, true} {
		kind := "from slipway checkouts"
		if clones {
			kind = "from git checkouts"
		}
		t.Run("the newer one comes first, "+kind, func(t *testing.T) {
			t.Parallel()
			b := newBuilds(newSite(t, shop()), 10, clones)
			b.must(steps.Changed, b.newer...)
			tip := b.tip()
			for range 2 {
				r := b.refused(steps.ExitSuperseded, b.older...)
				if r.Error.Category != "superseded" || !strings.Contains(r.Error.Message, "build 11 of shop") {
					t.Errorf("the message does not say by whom: %v", r)
				}
			}
			if b.tip() != tip {
				t.Error("a commit was made")
			}
			b.holds("v11")
		})
		t.Run("the older one comes first, "+kind, func(t *testing.T) {
			t.Parallel()
			b := newBuilds(newSite(t, shop()), 10, clones)
			b.must(steps.Changed, b.older...)
			b.must(steps.Changed, b.newer...)
			b.holds("v11")
			tip := b.tip()
			b.must(steps.Unchanged, b.newer...)
			if b.tip() != tip {
				t.Error("a commit was made")
			}
		})
		t.Run("they come at the same time, "+kind, func(t *testing.T) {
			t.Parallel()
			start, s := time.Now(), newSite(t, shop())
			const rounds = 10
			landed := 0
			for round := range rounds {
				order := 10 + 2*round
				b := newBuilds(s, order, clones)
				before := s.tip()
				run := []func() ended{
					func() ended { return finish(t, s.command(b.older...)) },
					func() ended { return finish(t, s.command(b.newer...)) },
				}
				results := race(run...)
				older, newer := results[0], results[1]
				commits := 1
				if older.code == steps.ExitOK {
					commits, landed = 2, landed+1
				}
				if newer.code != steps.ExitOK || older.code != steps.ExitOK && older.code != steps.ExitSuperseded {
					t.Errorf("round %d: the newer: %v\nthe older: %v", round, newer, older)
				}
				if got := len(strings.Fields(s.bare("rev-list", before+"..main"))); got != commits {
					t.Errorf("round %d: %d commits, want %d", round, got, commits)
				}
				b.holds(fmt.Sprintf("v%d", order+1))
			}
			t.Logf("in %d of %d rounds the older one landed first, in %v", landed, rounds, time.Since(start).Round(time.Millisecond))
		})
	}
}
