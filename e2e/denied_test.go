package e2e_test

import (
	"os"
	"strings"
	"testing"
)

func TestATokenThatMayNotSyncIsRefused(t *testing.T) {
	t.Parallel()
	for account, says := range map[string]string{"stranger": "permission denied", "reader": "permission denied: applications, sync, team-a/"} {
		t.Run(account, func(t *testing.T) {
			t.Parallel()
			s := tell(t, "denied-"+account, setting{})
			s.publish("v2")
			s.token = token(t, account)
			got := s.exits(9, s.sync()...)
			if got.Error.Category != "denied" || !strings.Contains(got.stderr, says) {
				t.Errorf("failed as %s", got.Error.Category)
			}
			s.syncs(1)
			s.runs("v1")
		})
	}
}

func TestAReleaseToWhatTheTokenMayNotSyncOrSeePublishesNothing(t *testing.T) {
	t.Parallel()
	s := tell(t, "unseen", setting{})
	before := s.tip()
	for _, token := range []string{token(t, "reader"), token(t, "stranger"), "not-a-token"} {
		s.token = token
		s.exits(9, s.release("v2")...)
		if s.tip() != before {
			t.Error("it was published")
		}
	}
}

func TestAnApplicationThatDoesNotExistIsNamedWithItsProject(t *testing.T) {
	t.Parallel()
	s := tell(t, "existing", setting{})
	got := s.exits(2, "argocd-sync", "--app", "missing", "--revision", s.tip(), "--repo", s.url)
	if !strings.Contains(got.Error.Message, "not found") {
		t.Errorf("failed with %s", got.Error.Message)
	}
}

func TestTheRightsAreThoseThatTheDocumentationRecommends(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/argocd.md")
	if err != nil {
		t.Fatal(err)
	}
	objects, err := os.ReadFile("cluster/objects/base.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules int
	for line := range strings.Lines(string(page)) {
		rule := strings.TrimSpace(line)
		if !strings.HasPrefix(rule, "p, ") && !strings.HasPrefix(rule, "g, ") {
			continue
		}
		rules++
		if !strings.Contains(string(objects), "    "+rule+"\n") {
			t.Errorf("the stories do not have %s", rule)
		}
	}
	if got := strings.Count(string(objects), "gitops-team-a"); rules == 0 || got != rules {
		t.Errorf("the stories have %d rules, the documentation %d", got, rules)
	}
}
