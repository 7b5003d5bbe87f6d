// Command argo2 is the servers of Argo CD v2 and kustomize in one binary. Which of them it is, the base name of argv[0] says;
// only for "argocd" ARGOCD_BINARY_NAME does, because the kustomize that repo-server starts inherits that variable.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	_ "time/tzdata"

	controller "github.com/argoproj/argo-cd/v2/cmd/argocd-application-controller/commands"
	askpass "github.com/argoproj/argo-cd/v2/cmd/argocd-git-ask-pass/commands"
	reposerver "github.com/argoproj/argo-cd/v2/cmd/argocd-repo-server/commands"
	server "github.com/argoproj/argo-cd/v2/cmd/argocd-server/commands"
	"github.com/spf13/cobra"
	"sigs.k8s.io/kustomize/kustomize/v5/commands"
)

func main() {
	name := filepath.Base(os.Args[0])
	if name == "argocd" {
		name = os.Getenv("ARGOCD_BINARY_NAME")
	}
	programs := map[string]func() *cobra.Command{
		"argocd-server":                 server.NewCommand,
		"argocd-repo-server":            reposerver.NewCommand,
		"argocd-application-controller": controller.NewCommand,
		"argocd-git-ask-pass":           askpass.NewCommand,
		"kustomize":                     commands.NewDefaultCommand,
	}
	program, known := programs[name]
	if !known {
		fmt.Fprintf(os.Stderr, "%s: no program of that name is in this binary\n", name)
		os.Exit(2)
	}
	if err := program().Execute(); err != nil {
		os.Exit(1)
	}
}
