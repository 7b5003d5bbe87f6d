// Command with runs a command in front of the real Argo CD and Kubernetes, in the network that they have to themselves:
//
//	go run ./with COMMAND [ARG]...
//
// The command has ARGOCD_SERVER, ARGOCD_AUTH_TOKEN (of the account gitops) and SLIPWAY_ARGOCD_CA_FILE in its environment, as slipway
// reads them, and KUBECONFIG with all rights. SLIPWAY_E2E_ARGOCD names the major version, v2 by default. The servers end with it.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"slipway/e2e/cluster"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./with COMMAND [ARG]...")
		os.Exit(2)
	}
	err := os.Setenv(cluster.VersionsVariable, cmp.Or(os.Getenv(cluster.VersionsVariable), "v2"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// The sources are where they were when this was built: it is never anywhere else than where it was built.
	_, source, _, _ := runtime.Caller(0)
	module := filepath.Dir(filepath.Dir(source))
	os.Exit(cluster.Main(filepath.Join(module, "binaries"), filepath.Dir(module), run))
}

// run returns the exit code of the command.
func run(c *cluster.Cluster) int {
	token, err := c.Token("gitops")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "ARGOCD_SERVER="+c.Address(), "ARGOCD_AUTH_TOKEN="+token, "SLIPWAY_ARGOCD_CA_FILE="+c.CAFile(), "KUBECONFIG="+c.Kubeconfig())
	err = cmd.Run()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
