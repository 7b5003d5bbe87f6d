package e2e_test

import (
	"fmt"
	"testing"
)

func TestAReleaseEndsWhenTheClusterRunsIt(t *testing.T) {
	t.Parallel()
	for name, automated := range map[string]bool{"manual": false, "automated": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tell(t, name, setting{automated: automated})
			first := s.succeeds(s.release("v2")...)
			s.runs("v2")
			if app := first.Details.Sync.Applications[0]; first.Outcome != "changed" || app.Sync != "Synced" || app.Health != "Healthy" {
				t.Errorf("reported %+v", first)
			}
			if again := s.succeeds(s.release("v2")...); again.Outcome != "unchanged" {
				t.Errorf("run again it was %s", again.Outcome)
			}
			s.syncs(2)
		})
	}
}

func TestTheStepsOneByOneDoWhatAReleaseDoes(t *testing.T) {
	t.Parallel()
	s := tell(t, "steps", setting{})
	s.succeeds("checkout", "--repo", s.url, "--path", "deploy", "--dir", "work")
	s.succeeds("set-image", "--dir", "work", "--path", "deploy", "--image", image+":v2")
	s.succeeds("validate", "--dir", "work", "--path", "deploy")
	s.succeeds("commit-push", "--dir", "work")
	s.succeeds(s.sync("--dry-run")...)
	s.runs("v1")
	s.succeeds(s.sync()...)
	s.runs("v2")
	s.syncs(2)
}

func TestOfTwoReleasesAtOnceNoneIsLost(t *testing.T) {
	t.Parallel()
	for name, automated := range map[string]bool{"two-manual": false, "two-automated": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tell(t, name, setting{automated: automated, minReadySeconds: 3})
			first := s.begin(s.release("v2", "--job", "one", "--record", "one.json")...)
			first.operates()
			second := s.begin(s.release("v3", "--job", "two", "--record", "two.json")...)
			for _, r := range []*running{first, second} {
				if got := r.wait(); got.code != 0 {
					t.Errorf("exit %d", got.code)
				}
			}
			s.runs("v3")
		})
	}
}

func TestABuildDoesNotReplaceANewerOne(t *testing.T) {
	t.Parallel()
	s := tell(t, "order", setting{})
	s.succeeds(s.release("v3", "--job", "shop", "--order", "3")...)
	late := s.exits(6, s.release("v2", "--job", "shop", "--order", "2", "--record", "late.json")...)
	if late.Error.Category != "superseded" {
		t.Errorf("failed as %s", late.Error.Category)
	}
	s.runs("v3")
	s.syncs(2)
}

func TestALaterCommitIsAsGoodIfItContainsTheRelease(t *testing.T) {
	t.Parallel()
	s := tell(t, "later", setting{})
	ours := s.publish("v2")
	theirs := s.publish("v3", "--record", "theirs.json")
	s.succeeds(s.sync("--revision", theirs, "--repo", s.url)...)
	got := s.succeeds(s.sync("--revision", ours, "--repo", s.url)...)
	if got.Outcome != "unchanged" || fmt.Sprint(got.Details.Applications[0].Revisions) != "["+theirs+"]" {
		t.Errorf("reported %+v", got)
	}
	exact := s.exits(6, s.sync("--revision", ours, "--repo", s.url, "--exact")...)
	if exact.Error.Category != "superseded" {
		t.Errorf("failed as %s", exact.Error.Category)
	}
	s.runs("v3")
}

func TestAReleaseThatItsBranchHasLostIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	s := tell(t, "rewritten", setting{})
	before := s.tip()
	ours := s.publish("v2")
	if _, err := git.Git(s.name, "update-ref", "refs/heads/main", before); err != nil {
		t.Fatal(err)
	}
	theirs := s.publish("v3", "--record", "theirs.json")
	s.succeeds(s.sync("--revision", theirs, "--repo", s.url)...)
	if got := s.exits(4, s.sync("--revision", ours, "--repo", s.url)...); got.Error.Category != "conflict" {
		t.Errorf("failed as %s", got.Error.Category)
	}
	s.runs("v3")
}
