package e2e_test

import (
	"errors"
	"regexp"
	"testing"
)

// question waits until a release asks, and returns the id of what it asks.
func (r *running) question() string {
	r.story.Helper()
	id := ""
	r.story.eventually("somebody is asked", func() error {
		said := r.stderr.String()
		asked := regexp.MustCompile(`waiting for an answer id=(\S+)`).FindStringSubmatch(said)
		if asked == nil {
			return errors.New(said)
		}
		id = asked[1]
		return nil
	})
	return id
}

func TestARejectedReleaseIsTakenBackInGitAndInTheCluster(t *testing.T) {
	t.Parallel()
	for name, automated := range map[string]bool{"reject-manual": false, "reject-automated": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tell(t, name, setting{automated: automated})
			asking := s.release("v2", "--await", "10m", "--on-reject", "revert", "--poll", "200ms")
			release := s.begin(asking...)
			id := release.question()
			s.runs("v2")
			s.succeeds("reject", id, "--repo", s.url, "--by", "lead", "--reason", "too slow")
			if got := release.wait(); got.code != 10 || got.Error.Category != "rejected" {
				t.Fatalf("exit %d, %s", got.code, got.Error.Category)
			}
			s.runs("v1")
			tip, syncs := s.tip(), len(s.state().Status.History)
			s.exits(10, asking...)
			if s.tip() != tip {
				t.Error("run again, it has published")
			}
			s.syncs(syncs)
			s.runs("v1")
		})
	}
}

func TestAnApprovedReleaseStaysAndNobodyIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := tell(t, "approve", setting{})
	asking := s.release("v2", "--await", "10m", "--on-reject", "revert", "--poll", "200ms")
	release := s.begin(asking...)
	s.succeeds("approve", release.question(), "--repo", s.url, "--by", "lead")
	if got := release.wait(); got.code != 0 || got.Outcome != "changed" {
		t.Fatalf("exit %d, %s", got.code, got.Outcome)
	}
	if got := s.succeeds(asking...); got.Outcome != "unchanged" {
		t.Errorf("asked again: %s", got.Outcome)
	}
	s.runs("v2")
}

func TestAnUnhealthyReleaseIsTakenBackWithoutAsking(t *testing.T) {
	t.Parallel()
	s := tell(t, "condemn", setting{})
	s.impatient()
	got := s.exits(7, s.release("fail-pull", "--degraded-grace", "1s", "--await", "10m", "--on-unhealthy", "revert")...)
	if got.Error.Category != "unhealthy" {
		t.Errorf("failed as %s", got.Error.Category)
	}
	s.runs("v1")
}
