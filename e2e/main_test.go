// Package e2e_test holds stories that are told with the real slipway in front of the real Argo CD: each keeps a promise.
package e2e_test

import (
	"fmt"
	"os"
	"testing"

	"slipway/e2e/cluster"
	"slipway/internal/gitrepotest"
)

// argocd and git are the servers of all stories.
var (
	argocd *cluster.Cluster
	git    *gitrepotest.Server
)

func TestMain(m *testing.M) {
	os.Exit(cluster.Main("binaries", "..", func(c *cluster.Cluster) int {
		server, err := gitrepotest.Start(gitrepotest.Options{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer server.Close()
		argocd, git = c, server
		return m.Run()
	}))
}
