package steps

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime/debug"
	"strings"
	"text/template"
	"time"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/redact"
)

// The rules of output:
//   - stdout gets one document at the end of the run and nothing before: the result, the error, or the help asked for.
//   - stderr gets the log while it happens, and the error once more in words.
//   - Both are redacted here, so that no step can forget it.

// gracePeriod is how long a step may take to reach a safe point after a signal. Jenkins kills what is left after a while;
// a step that is cut off here is as safe as one that was killed.
const gracePeriod = 3 * time.Second

// Main runs slipway with args, the program's name first, and returns its exit code. Unlike flags, whose environment
// variables are the process's own (empty ones are removed), secrets are read through lookupEnv. When ctx is cancelled the step has three seconds
// to reach a safe point.
func Main(
	ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, lookupEnv func(string) (string, bool),
) int {
	return runApp(ctx, App(), args, stdin, stdout, stderr, lookupEnv)
}

func runApp(
	ctx context.Context, app *cli.App, args []string, stdin io.Reader, stdout, stderr io.Writer, lookupEnv func(string) (string, bool),
) int {
	secrets := redact.New()
	addSecrets(secrets, lookupEnv)
	list := newLive(stderr)
	log := secrets.Writer(list)
	p := &printer{name: stepName(app, args), secrets: secrets, stdout: stdout, stderr: log}
	done := make(chan *run, 1)
	go func() {
		r := &run{secrets: secrets, stdin: stdin, stdout: stdout, stderr: log, live: list, lookupEnv: lookupEnv}
		r.execute(ctx, app, args)
		done <- r
	}()
	r := waitFor(ctx, done)
	list.end()
	code := p.print(ctx, r)
	if err := log.Flush(); err != nil && code == ExitOK {
		return ExitFailure
	}
	return code
}

// waitFor returns a run that only says so where the step did not stop in time.
func waitFor(ctx context.Context, done <-chan *run) *run {
	select {
	case r := <-done:
		return r
	case <-ctx.Done():
	}
	select {
	case r := <-done:
		return r
	case <-time.After(gracePeriod):
		return &run{err: &stepError{fmt.Errorf("no safe point within %s: %w", gracePeriod, context.Cause(ctx))}}
	}
}

// run is one call of a step: what it is given and what came of it. It belongs to the goroutine of the step until that
// has ended.
type run struct {
	secrets   *redact.Redactor
	stdin     io.Reader
	stdout    io.Writer // for what is no step; the result of one is printed when it has ended
	stderr    io.Writer
	live      *live
	lookupEnv func(string) (string, bool)

	log       *zap.Logger
	logFormat string
	format    *template.Template
	help      bytes.Buffer
	result    *Result
	err       error
}

type runKey struct{}

func runOf(ctx context.Context) *run { return ctx.Value(runKey{}).(*run) }

func (r *run) execute(ctx context.Context, app *cli.App, args []string) {
	defer func() {
		if cause := recover(); cause != nil {
			r.err = &stepError{failure.New(failure.Failure, "this is a defect of slipway: please report it with the log of --log-level debug",
				"internal error: %v", cause)}
			if r.log != nil {
				r.log.Debug("stack of the internal error", zap.ByteString("stack", debug.Stack()))
			}
		}
	}()
	forgetEmpty(app)
	app.Writer, app.ErrWriter = &r.help, &r.help
	r.err = app.RunContext(context.WithValue(ctx, runKey{}, r), arranged(app, args))
}

type printer struct {
	name           string
	secrets        *redact.Redactor
	stdout, stderr io.Writer
}

// print writes the one document and returns the exit code.
func (p *printer) print(ctx context.Context, r *run) int {
	switch {
	case r.err != nil:
		return p.failed(ctx, r)
	case r.result == nil:
		return p.write(r.help.String(), ExitOK)
	default:
		return p.succeeded(r)
	}
}

func (p *printer) succeeded(r *run) int {
	document, err := p.document(r.result)
	if err != nil {
		p.say("the result cannot be written as JSON: %v", err)
		return ExitFailure
	}
	if r.format == nil {
		return p.write(document, ExitOK)
	}
	text, err := p.formatted(r.format, document)
	if err != nil {
		// The step has had its effect: the result is printed all the same, and the call is what has to be fixed.
		p.say("the step succeeded, but its result does not fit --format: %v", err)
		return p.write(document, ExitUsage)
	}
	return p.write(text, ExitOK)
}

type errorDocument struct {
	Step  string     `json:"step"`
	Error errorValue `json:"error"`
}

type errorValue struct {
	Category  string `json:"category"`
	Message   string `json:"message"`
	Hint      string `json:"hint"`
	Retryable bool   `json:"retryable"`
	Details   any    `json:"details,omitempty"`
}

// detailedError is a failure with more to say than fits in a message.
type detailedError struct {
	error
	details any
}

func (d *detailedError) Unwrap() error { return d.error }

func (p *printer) failed(ctx context.Context, r *run) int {
	err := r.err
	if !isStepError(err) {
		err = usageError(err)
	}
	row := exitFor(ctx, err)
	value := errorValue{
		Category:  row.name,
		Message:   oneText(err.Error()),
		Hint:      failure.HintOf(err),
		Retryable: row.code == ExitTransient || row.name == interrupted,
	}
	if d := (*detailedError)(nil); errors.As(err, &d) {
		value.Details = d.details
	}
	if value.Hint == "" {
		value.Hint = p.defaultHint(row)
	}
	if r.logFormat == logJSON {
		r.log.Error(value.Message, zap.String("category", value.Category), zap.String("hint", value.Hint))
	} else {
		p.say("%s", value.Message)
		_, _ = fmt.Fprintf(p.stderr, "hint: %s\n", value.Hint)
	}
	document, err := p.document(errorDocument{p.name, value})
	if err != nil {
		p.say("the error cannot be written as JSON: %v", err)
		return ExitFailure
	}
	return p.write(document, row.code)
}

func (p *printer) defaultHint(row exitRow) string {
	if row.code != ExitUsage {
		return row.pipeline
	}
	if p.name == programName {
		return "see slipway --help"
	}
	return fmt.Sprintf("see slipway %s --help", p.name)
}

func (p *printer) say(format string, args ...any) {
	name := programName
	if p.name != programName {
		name += " " + p.name
	}
	_, _ = fmt.Fprintf(p.stderr, "%s: %s\n", name, oneText(fmt.Sprintf(format, args...)))
}

// write returns code, unless stdout takes no text: then the pipeline would go on without the result.
func (p *printer) write(text string, code int) int {
	if _, err := io.WriteString(p.stdout, text); err != nil {
		p.say("stdout: %v", err)
		return ExitFailure
	}
	return code
}

var jsonString = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// document is value as one line of JSON with the secrets in its strings masked: masking the text as a whole could break
// its syntax.
func (p *printer) document(value any) (string, error) {
	text, err := encode(value)
	if err != nil {
		return "", err
	}
	masked := jsonString.ReplaceAllStringFunc(text, func(literal string) string {
		var plain string
		if json.Unmarshal([]byte(literal), &plain) != nil || p.secrets.String(plain) == plain {
			return literal
		}
		again, err := encode(p.secrets.String(plain))
		if err != nil {
			return `"` + redact.Mask + `"`
		}
		return strings.TrimSuffix(again, "\n")
	})
	return masked, nil
}

func encode(value any) (string, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return text.String(), err
}

func (p *printer) formatted(format *template.Template, document string) (string, error) {
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.UseNumber()
	var keys map[string]any
	if err := decoder.Decode(&keys); err != nil {
		return "", err
	}
	var text strings.Builder
	if err := format.Execute(&text, keys); err != nil {
		return "", err
	}
	return strings.TrimSuffix(p.secrets.String(text.String()), "\n") + "\n", nil
}
