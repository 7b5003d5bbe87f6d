package steps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"slipway/retry"
	"slipway/steps/internal/failure"
)

// The exit codes, the same for all steps. Pipelines branch on them, so a code never changes its meaning.
const (
	ExitOK         = 0
	ExitFailure    = 1
	ExitUsage      = 2
	ExitInvalid    = 3
	ExitConflict   = 4
	ExitTransient  = 5
	ExitSuperseded = 6
	ExitUnhealthy  = 7
	ExitPending    = 8
	ExitDenied     = 9
	ExitRejected   = 10
	ExitInterrupt  = 130
	ExitTerminate  = 143
)

// interrupted is the category of a step that a signal stopped. It is no kind of failure: no adapter may claim it.
const interrupted = "interrupted"

type exitRow struct {
	code int
	name string
	// meaning completes "the step exits with this code because".
	meaning string
	// pipeline says what to do; it is the hint of an error that brings none.
	pipeline string
}

// exitTable is the one place that connects kinds of failures, codes and what they mean.
var exitTable = []exitRow{
	{ExitOK, "ok", "everything is as asked", "go on; the JSON says changed or unchanged"},
	{ExitFailure, string(failure.Failure), "something failed that slipway cannot classify", "look at the log"},
	{ExitUsage, string(failure.Usage), "the call or its environment is wrong", "fix the call"},
	{ExitInvalid, string(failure.Invalid), "the files are not what the step can work on", "fix the manifests"},
	{ExitConflict, string(failure.Conflict), "the remote state forbids it", "let a person decide"},
	{ExitTransient, string(failure.Transient), "retries were exhausted; nothing is half done", "run it again"},
	{ExitSuperseded, string(failure.Superseded), "a newer build has already released", "stop quietly"},
	{ExitUnhealthy, string(failure.Unhealthy), "the sync failed or the application is degraded", "look at the application"},
	{ExitPending, string(failure.Pending), "the deadline passed without an answer or without health", "wait, or run it again to go on waiting"},
	{ExitDenied, string(failure.Denied), "the remote does not accept the credentials or their rights", "fix credentials or permissions"},
	{ExitRejected, string(failure.Rejected), "the approver said no", "revert the release"},
	{ExitInterrupt, interrupted, "SIGINT stopped it", "nothing: it is safe to run again"},
	{ExitTerminate, interrupted, "SIGTERM stopped it", "nothing: it is safe to run again"},
}

// exitFor is the only mapping from errors to exit codes. A signal wins over whatever it made the step fail with.
func exitFor(ctx context.Context, err error) exitRow {
	var signalled *signalError
	if errors.As(context.Cause(ctx), &signalled) {
		return rowOfCode(signalled.exitCode())
	}
	return rowOfKind(kindOf(err))
}

func rowOfKind(kind failure.Kind) exitRow {
	for _, row := range exitTable {
		if row.name == string(kind) {
			return row
		}
	}
	return rowOfCode(ExitFailure)
}

func rowOfCode(code int) exitRow {
	for _, row := range exitTable {
		if row.code == code {
			return row
		}
	}
	return exitTable[ExitFailure]
}

// kindOf lets the outermost word count: a step may say what an exhausted wait means to it (pending), while a kind below
// the exhausted retries says only why the last attempt failed.
func kindOf(err error) failure.Kind {
	var classified *failure.Error
	outermost := errors.As(err, &classified) && triedAgain(classified) == triedAgain(err)
	if triedAgain(err) && (!outermost || classified.Kind == failure.Failure) {
		return failure.Transient
	}
	return failure.KindOf(err)
}

func triedAgain(err error) bool { return errors.Is(err, retry.ErrExhausted) || retry.IsTransient(err) }

// NotifyContext returns a context that SIGINT and SIGTERM cancel; Main then exits with 130 or 143. Only the first signal
// is caught: a second one ends the process at once. The returned function gives up the signals.
func NotifyContext(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(&signalError{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(context.Canceled)
	}
}

type signalError struct{ signal os.Signal }

func (s *signalError) Error() string { return fmt.Sprintf("stopped by a signal: %s", s.signal) }

func (s *signalError) exitCode() int {
	if s.signal == os.Interrupt {
		return ExitInterrupt
	}
	return ExitTerminate
}
