package e2e_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"slipway/e2e/cluster"
)

// TestTheServerInProcessIsLikeTheRealOne asks the real server what the client's own tests ask the one in process.
func TestTheServerInProcessIsLikeTheRealOne(t *testing.T) {
	url, admin := argocd.Kubernetes()
	conformance := exec.Command(os.Getenv(cluster.ConformanceVariable), "-test.run=^TestConformance$", "-test.v")
	conformance.Dir = "../steps/internal/argocd"
	conformance.Env = append(os.Environ(),
		"SLIPWAY_E2E_MAJOR="+argocd.Major, "SLIPWAY_E2E_SERVER="+argocd.Address(), "SLIPWAY_E2E_CA_FILE="+argocd.CAFile(),
		"SLIPWAY_E2E_KUBERNETES="+url, "SLIPWAY_E2E_KUBERNETES_TOKEN="+admin)
	for _, account := range []string{"gitops", "reader", "stranger"} {
		conformance.Env = append(conformance.Env, "SLIPWAY_E2E_TOKEN_"+strings.ToUpper(account)+"="+token(t, account))
	}
	out, err := conformance.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
