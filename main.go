// Command slipway releases images through a GitOps repository, one idempotent step at a time.
package main

import (
	"context"
	"os"

	"slipway/steps"
)

func main() {
	ctx, stop := steps.NotifyContext(context.Background())
	code := steps.Main(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr, os.LookupEnv)
	stop()
	os.Exit(code)
}
