package e2e_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"
)

// These stories stop servers of Argo CD, so none of the others runs meanwhile.

func TestHealthOfAnOlderCommitIsNotTakenForThatOfTheRelease(t *testing.T) {
	s := tell(t, "stale", setting{})
	automated := tell(t, "stale-automated", setting{automated: true})
	signal(t, syscall.SIGSTOP)
	defer signal(t, syscall.SIGCONT)
	for _, s := range []*story{s, automated} {
		ours := s.publish("v2")
		if app := s.state().Status; app.Sync.Status != "Synced" || app.Health.Status != "Healthy" || app.Sync.Revision == ours {
			t.Fatalf("the application is not as it was: %+v", app)
		}
		s.exits(8, s.sync("--timeout", "10s")...)
		s.runs("v1")
	}
	signal(t, syscall.SIGCONT)
	for _, s := range []*story{s, automated} {
		s.succeeds(s.sync()...)
		s.runs("v2")
		s.syncs(2)
	}
}

func signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := argocd.Controller.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// away is for how long the controller is away.
func away() time.Duration {
	if testing.Short() {
		return 5 * time.Second
	}
	return time.Minute
}

func TestAControllerThatIsAwayForAMinuteIsWaitedFor(t *testing.T) {
	s := tell(t, "away", setting{minReadySeconds: 5, waves: true})
	release := s.begin(s.release("v2")...)
	release.isOperated()
	if err := argocd.Controller.Stop(); err != nil {
		t.Error(err)
	}
	if phase := s.state().Status.OperationState.Phase; phase != "Running" {
		t.Errorf("the operation was not under way, but %s", phase)
	}
	select {
	case <-release.ended:
		t.Error("it has not waited")
	case <-time.After(away()):
	}
	// It goes on with the operation, or ends it as Error before it has read the project, which lets slipway start another one.
	if err := argocd.Controller.Start(); err != nil {
		t.Fatal(err)
	}
	if got := release.wait(); got.code != 0 {
		t.Fatalf("exit %d", got.code)
	}
	s.runs("v2")
	s.syncs(2)
}

func TestAnOperationThatARepoServerCouldNotHelpWithIsStartedAgain(t *testing.T) {
	s := tell(t, "repo-server", setting{minReadySeconds: 5, waves: true})
	release := s.begin(s.release("v2")...)
	release.isOperated()
	if err := argocd.RepoServer.Kill(); err != nil {
		t.Fatal(err)
	}
	s.eventually("the operation has ended as Error", func() error {
		if said := release.stderr.String(); !strings.Contains(said, "operation Error: ") {
			return errors.New(said)
		}
		return nil
	})
	if err := argocd.RepoServer.Start(); err != nil {
		t.Fatal(err)
	}
	if got := release.wait(); got.code != 0 || !strings.Contains(got.stderr, "it is to be started again") {
		t.Fatalf("exit %d", got.code)
	}
	s.runs("v2")
	s.syncs(2)
}

func TestAControllerThatDoesNotKnowTheProjectYetIsWaitedFor(t *testing.T) {
	s := tell(t, "unknown", setting{minReadySeconds: 5, waves: true})
	release := s.begin(s.release("v2")...)
	release.isOperated()
	if err := argocd.Controller.Kill(); err != nil {
		t.Fatal(err)
	}
	// The controller writes this itself when it happens to read the applications before the projects.
	err := argocd.Apply(`apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: unknown, namespace: argocd}
spec:
  project: team-a
  source: {repoURL: "` + s.url + `", targetRevision: main, path: deploy}
  destination: {namespace: team-a-unknown, server: "https://kubernetes.default.svc"}
status:
  conditions: [{type: InvalidSpecError, message: Application referencing project team-a which does not exist}]
`)
	if err != nil {
		t.Error(err)
	}
	if err := argocd.Controller.Start(); err != nil {
		t.Fatal(err)
	}
	if got := release.wait(); got.code != 0 || !strings.Contains(got.stderr, "it is to be started again") {
		t.Fatalf("exit %d", got.code)
	}
	s.runs("v2")
	s.syncs(2)
}

func TestARestartOfTheServerIsWaitedForAndStartsNothingTwice(t *testing.T) {
	s := tell(t, "restart", setting{minReadySeconds: 8})
	release := s.begin(s.release("v2")...)
	release.operates()
	if err := argocd.ArgoCDServer.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := argocd.ArgoCDServer.Start(); err != nil {
		t.Fatal(err)
	}
	if got := release.wait(); got.code != 0 {
		t.Fatalf("exit %d", got.code)
	}
	s.runs("v2")
	s.syncs(2)
}

func TestAReleaseThatWasKilledGoesOnWhenItIsRunAgain(t *testing.T) {
	s := tell(t, "killed", setting{minReadySeconds: 3})
	release := s.begin(s.release("v2")...)
	release.operates()
	if err := release.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-release.ended
	s.succeeds(s.release("v2")...)
	s.runs("v2")
	s.syncs(2)
}
