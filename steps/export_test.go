package steps

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"slipway/retry"
	"slipway/steps/internal/approval"
	"slipway/steps/internal/argocd"
	"slipway/steps/internal/gitrepo"
	"slipway/steps/internal/manifest"
	"slipway/steps/internal/redact"
)

// ProbeFunc is a step made for a test of what is around steps.
type ProbeFunc func(ctx context.Context, env *Env) (Result, error)

func (f ProbeFunc) Run(ctx context.Context, env *Env) (Result, error) { return f(ctx, env) }

// ParseWords runs a step with the repeatable flag --word, whose variable is SLIPWAY_WORD, and returns its values.
func ParseWords(ctx context.Context, lookupEnv func(string) (string, bool), args ...string) (words []string, code int) {
	app := App()
	nothing := ProbeFunc(func(context.Context, *Env) (Result, error) { return Result{}, nil })
	app.Commands = []*cli.Command{step(nothing, &cli.Command{Name: "words", Flags: []cli.Flag{stringSliceFlag(&words, "word", "a word")}})}
	code = runApp(ctx, app, append([]string{programName, "words"}, args...), nil, io.Discard, io.Discard, lookupEnv)
	return words, code
}

// MainWithProbes is Main with other steps.
func MainWithProbes(
	ctx context.Context, probes map[string]ProbeFunc, args []string, stdout, stderr io.Writer, lookupEnv func(string) (string, bool),
) int {
	app := App()
	app.Commands = nil
	for name, probe := range probes {
		app.Commands = append(app.Commands, step(probe, &cli.Command{Name: name}, withRetry))
	}
	return runApp(ctx, app, args, nil, stdout, stderr, lookupEnv)
}

// DialWith makes the step reach its server in another way than over the network.
func (s *ArgoCDSync) DialWith(dial argocd.Dialer) { s.argocd.dial, s.argocd.plainText = dial, true }

// Observe is what steps give to retry.Do.
func (e *Env) Observe(unit string) retry.Observer { return e.observe(unit) }

// ExitRow is one row of the table of exit codes.
type ExitRow struct {
	Code                    int
	Name, Meaning, Pipeline string
}

// ExitTable is what help and reference say about exit codes.
func ExitTable() []ExitRow {
	var rows []ExitRow
	for _, row := range exitTable {
		rows = append(rows, ExitRow{row.code, row.name, row.meaning, row.pipeline})
	}
	return rows
}

// SecretVariables maps the environment variables of secrets to what they hold, in the order of the reference.
func SecretVariables() [][2]string {
	var all [][2]string
	for _, variable := range secretVariables {
		all = append(all, [2]string{variable.name, variable.usage})
	}
	return all
}

// TreeSource is the files of a commit as builds see them.
func TreeSource(tree *gitrepo.Tree) manifest.Source { return treeSource{tree, &sync.Mutex{}} }

// Referred fetches directories of a commit and what they refer to.
func Referred(ctx context.Context, tree *gitrepo.Tree, dirs []string) ([]string, error) {
	return referred(ctx, tree, dirs)
}

// ParseOptional runs a step with the flag --like, whose value is optional and then "alone", and the flag --flag.
func ParseOptional(ctx context.Context, lookupEnv func(string) (string, bool), args ...string) (like string, flag bool, code int) {
	app := App()
	nothing := ProbeFunc(func(context.Context, *Env) (Result, error) { return Result{}, nil })
	app.Commands = []*cli.Command{step(nothing, &cli.Command{Name: "words", Flags: []cli.Flag{
		optionalFlag(&like, "like", "alone", "a word"), boolFlag(&flag, "flag", "a flag"),
	}})}
	code = runApp(ctx, app, append([]string{programName, "words"}, args...), nil, io.Discard, io.Discard, lookupEnv)
	return like, flag, code
}

// Questions asks in a store as await-approval does.
type Questions struct{ q *questions }

// NewQuestions returns the questions of one agent.
func NewQuestions(store approval.Store, log *zap.Logger, by string) Questions {
	env := &Env{Log: log, Retry: retry.Default, Redact: redact.New(), Stderr: io.Discard}
	return Questions{&questions{env: env, store: store, actor: approval.Actor{By: by}}}
}

// Open opens a question.
func (q Questions) Open(ctx context.Context, r approval.Record) (approval.Record, bool, error) {
	return q.q.open(ctx, r)
}

// Await returns when a question is settled.
func (q Questions) Await(ctx context.Context, r approval.Record, poll time.Duration) (approval.Record, error) {
	return q.q.await(ctx, r, poll)
}

// Answer hands an answer over.
func (q Questions) Answer(ctx context.Context, id string, a approval.Answer) (approval.Record, bool, error) {
	return q.q.change(ctx, "answer", id, func(r approval.Record, now time.Time) (approval.Record, error) { return r.Decide(a, now) })
}

// CommitURL is where a commit can be looked at.
func CommitURL(pattern, repo, revision string) string { return commitURL(pattern, repo, revision) }
