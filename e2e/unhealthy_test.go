package e2e_test

import (
	"strings"
	"testing"

	"slipway/internal/gitrepotest"
)

func TestAnImageThatCannotBePulledIsExplainedAndHauledBack(t *testing.T) {
	t.Parallel()
	for name, automated := range map[string]bool{"pull-manual": false, "pull-automated": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tell(t, name, setting{automated: automated})
			s.impatient()
			got := s.exits(7, s.release("fail-pull", "--degraded-grace", "1s")...)
			if got.Error.Category != "unhealthy" {
				t.Errorf("failed as %s", got.Error.Category)
			}
			causes := got.Error.Details.Sync.Applications[0].Explanation.Causes
			if len(causes) == 0 || causes[0].Reason != "ImagePullBackOff" || !strings.Contains(causes[0].Message, image+":fail-pull") {
				t.Errorf("explained as %+v", causes)
			}
			for _, want := range []string{"exceeded its progress deadline", "ImagePullBackOff", argocd.Address() + "/applications/argocd/" + name} {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("%q is not said", want)
				}
			}
			s.succeeds("revert", "--repo", s.url, "--record", ".slipway/release.json")
			s.succeeds(s.sync()...)
			s.runs("v1")
		})
	}
}

// impatient lets Kubernetes take a rollout for failed after some seconds.
func (s *story) impatient() {
	s.Helper()
	files := map[string]string{"deploy/deployment.yaml": strings.Replace(deploymentOf(0), "progressDeadlineSeconds: 100", "progressDeadlineSeconds: 6", 1)}
	tip, err := git.Commit(s.name, gitrepotest.Commit{Message: "Wait for less", Files: files})
	if err != nil {
		s.Fatal(err)
	}
	s.succeeds(s.sync("--revision", tip, "--repo", s.url)...)
}

func TestManifestsThatArgoCDCannotRenderAreExplained(t *testing.T) {
	t.Parallel()
	s := tell(t, "broken", setting{})
	tip, err := git.Commit(s.name, gitrepotest.Commit{Message: "Break it", Files: map[string]string{"deploy/service.yaml": "kind: [\n"}})
	if err != nil {
		t.Fatal(err)
	}
	got := s.begin(s.sync("--revision", tip, "--repo", s.url, "--timeout", "30s")...).wait()
	if got.code != 7 || !strings.Contains(got.stderr, "service.yaml") {
		t.Errorf("exit %d", got.code)
	}
	s.runs("v1")
}

func TestWhatTheClusterRefusesIsExplained(t *testing.T) {
	t.Parallel()
	s := tell(t, "refused", setting{})
	broken := strings.Replace(deploymentOf(0), "replicas: 2", "replicas: -1", 1)
	tip, err := git.Commit(s.name, gitrepotest.Commit{Message: "Ask for what is impossible", Files: map[string]string{"deploy/deployment.yaml": broken}})
	if err != nil {
		t.Fatal(err)
	}
	got := s.begin(s.sync("--revision", tip, "--repo", s.url, "--timeout", "1m")...).wait()
	if got.code != 7 || !strings.Contains(got.stderr, "spec.replicas") {
		t.Errorf("exit %d", got.code)
	}
	s.runs("v1")
}
