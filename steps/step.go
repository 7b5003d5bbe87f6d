// Package steps is slipway: the contract that all steps share, and one file per step. Start with this file, then app.go,
// then any step. Systems outside are reached through the packages below internal; only a step decides what is tried again.
package steps

import (
	"context"
	"io"

	"go.uber.org/zap"

	"slipway/retry"
	"slipway/steps/internal/redact"
)

// Outcome is the effect of a step that succeeded.
type Outcome string

// The outcomes. Unchanged means that everything was already as asked and nothing was written.
const (
	Changed   Outcome = "changed"
	Unchanged Outcome = "unchanged"
)

// Result is the one JSON document on stdout of a step that succeeded.
type Result struct {
	Step    string  `json:"step"`
	Outcome Outcome `json:"outcome"`
	Details any     `json:"details"`
}

// Runner is one configured step. A failed step returns an error and no Result. A step may be run again after any
// outcome and after being killed at any moment: it then ends in the same state.
type Runner interface {
	Run(ctx context.Context, env *Env) (Result, error)
}

// Env is what every step is given: where to talk, how long to try again, and which words must never be said.
type Env struct {
	// Log writes to stderr. Secrets in messages and string fields are redacted.
	Log *zap.Logger
	// Retry bounds what a step tries again.
	Retry retry.Policy
	// Redact knows every secret of this run; everything written to a file passes through it.
	Redact *redact.Redactor
	// Stderr is for text meant for people, such as a diff. It redacts.
	Stderr io.Writer
	// Stdin is for prompts.
	Stdin io.Reader
	// LookupEnv reads the environment; steps use it for secrets only, flags have their own env vars.
	LookupEnv func(key string) (string, bool)

	live *live // nil in tests
}
