// Package startup is imported by main to be initialised before the packages of Argo CD's SDK, whose own initialisation costs
// more than most steps and may end the process. It imports nothing that is initialised late, or it would be late itself.
package startup

import (
	"os"
	"runtime/debug"
)

// argocdOpts is ARGOCD_OPTS. The SDK parses it while it is initialised and ends the process if it does not like it, also for
// steps that have nothing to do with Argo CD.
const argocdOpts = "ARGOCD_OPTS"

var (
	opts    string
	hasOpts bool
	percent int
)

func init() {
	// Nearly all that is allocated during initialisation stays: collecting it is work for nothing.
	percent = debug.SetGCPercent(-1)
	if opts, hasOpts = os.LookupEnv(argocdOpts); hasOpts {
		_ = os.Unsetenv(argocdOpts)
	}
}

// Done ends the time in which no garbage is collected. main calls it first of all.
func Done() {
	if os.Getenv("GOGC") == "" {
		// A step lives for a second: collecting half as often saves a fifth of the CPU of a large build for a few megabytes.
		percent = 200
	}
	debug.SetGCPercent(percent)
}

// LookupEnv is os.LookupEnv, and knows what was kept from the SDK.
func LookupEnv(key string) (string, bool) {
	if key == argocdOpts {
		return opts, hasOpts
	}
	return os.LookupEnv(key)
}
