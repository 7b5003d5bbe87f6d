// Command slipway releases images through a GitOps repository, one idempotent step at a time.
package main

import (
	"context"
	"os"

	"slipway/internal/startup"
	_ "slipway/internal/startup/untranslated" // before the SDK of Argo CD
	"slipway/steps"
)

func main() {
	startup.Done()
	ctx, stop := steps.NotifyContext(context.Background())
	stdout, stderr := os.Stdout, os.Stderr
	// Libraries print to these on their own account: kustomize what is deprecated, the client of Argo CD what it retries. stdout
	// is for the result and nothing else, and stderr may have to be JSON.
	if silence, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stdout, os.Stderr = silence, silence
	}
	code := steps.Main(ctx, os.Args, os.Stdin, stdout, stderr, startup.LookupEnv)
	stop()
	os.Exit(code)
}
