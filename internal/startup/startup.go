// Package startup is imported by main to be initialised before the packages of Argo CD's SDK, whose own initialisation costs
// more than most steps and may end the process. It imports nothing that is initialised late, or it would be late itself.
package startup

import (
	"os"
	"runtime"
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

// Percentages as of GOGC.
const (
	// first is that of the first collection: it lets 24 MB be in use, where most steps never get, instead of beginning at once to
	// look for garbage among what was allocated during initialisation.
	first = 600
	// later is that of all others. A step lives for a second: collecting half as often as usual saves a fifth of the CPU of a
	// large build for a few megabytes.
	later = 200
)

// Done ends the time in which no garbage is collected. main calls it first of all.
func Done() {
	if os.Getenv("GOGC") != "" {
		debug.SetGCPercent(percent)
		return
	}
	debug.SetGCPercent(first)
	// What nobody refers to is noticed by the first collection.
	runtime.AddCleanup(new(*int), func(percent int) { debug.SetGCPercent(percent) }, later)
}

// LookupEnv is os.LookupEnv, and knows what was kept from the SDK.
func LookupEnv(key string) (string, bool) {
	if key == argocdOpts {
		return opts, hasOpts
	}
	return os.LookupEnv(key)
}
