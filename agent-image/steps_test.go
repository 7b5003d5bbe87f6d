//go:build image

package agentimage_test

import (
	"strings"
	"testing"

	_ "slipway/internal/startup/untranslated" // before the SDK of Argo CD
	"slipway/steps"
)

func TestEveryStepRunsInTheImage(t *testing.T) {
	for name, user := range users {
		t.Run("as "+name, func(t *testing.T) {
			a := newAgent(t, user)
			everyStep(a)
			for _, step := range steps.App().Commands {
				name, _, _ := strings.Cut(step.Name, " ")
				if !step.Hidden && !a.ran[name] {
					t.Errorf("%s was not run", name)
				}
			}
		})
	}
}

func everyStep(a *agent) {
	a.t.Helper()
	repo := a.git.URL(repository)

	if got := a.expect("unchanged", "version", "--require", ">=9.8,<10").Details.Version; got != version {
		a.t.Errorf("the binary in the image is %s, not %s", got, version)
	}
	if _, err := output(a.command(nil, "slipway", "completion", "--shell", "bash")); err != nil {
		a.t.Error(err)
	}
	a.ran["completion"] = true
	a.expect("unchanged", "doctor", "--repo", repo, "--path", overlay, "--app", application)

	a.expect("changed", "checkout", "--repo", repo, "--path", overlay, "--dir", ".")
	a.expect("changed", "set-image", "--path", overlay, "--image", web+":6.0.0")
	a.expect("unchanged", "validate", "--path", overlay)
	a.expect("changed", "commit-push", "--path", overlay, "--job", "shop/web", "--order", "1")
	a.expect("changed", "argocd-sync", "--app", application, "--settle", "0s")
	a.onBranch("6.0.0", 2)

	id := a.expect("changed", "await-approval", "open", "--on-reject", "revert").Details.ID
	a.expect("changed", "approve", id, "--repo", repo, "--by", "lead")
	a.expect("unchanged", "await-approval", "--on-reject", "revert")

	a.expect("changed", "release", "--repo", repo, "--path", overlay, "--image", web+":6.1.0", "--job", "shop/web", "--order", "2",
		"--app", application, "--settle", "0s")
	a.onBranch("6.1.0", 3)
	id = a.expect("changed", "await-approval", "open", "--on-reject", "revert").Details.ID
	a.expect("changed", "reject", id, "--repo", repo, "--by", "lead", "--reason", "errors in the checkout")
	if r, code := a.slipway("await-approval", "--on-reject", "revert", "--app", application, "--settle", "0s"); code != 10 {
		a.t.Errorf("a release that was rejected exits with %d %s, not 10", code, r.Error.Category)
	}
	a.onBranch("6.0.0", 4)
	a.expect("unchanged", "status", "--repo", repo, "--html", "releases.html")

	a.expect("changed", "release", "--repo", repo, "--path", overlay, "--image", web+":6.2.0", "--job", "shop/web", "--order", "3",
		"--app", application, "--settle", "0s")
	a.expect("changed", "revert", "--repo", repo, "--record", ".slipway/release.json")
	a.expect("changed", "argocd-sync", "--app", application, "--settle", "0s")
	a.onBranch("6.0.0", 6)
}
