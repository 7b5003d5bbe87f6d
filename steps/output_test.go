package steps_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"slipway/retry"
	"slipway/steps"
	"slipway/steps/internal/failure"
)

var errServer = errors.New("server says 503")

// probes are steps that end in every way in which a step can end.
var probes = map[string]steps.ProbeFunc{
	"works": func(context.Context, *steps.Env) (steps.Result, error) {
		return steps.Result{Step: "works", Outcome: steps.Changed, Details: map[string]any{"revision": "4f1c", "count": 1234567}}, nil
	},
	"leaks": func(_ context.Context, env *steps.Env) (steps.Result, error) {
		env.Log.Info("password is hunter2!hunter2", zap.Any("nested", map[string]string{"basic": "Ym90Omh1bnRlcjIhaHVudGVyMg=="}))
		_, _ = env.Stderr.Write([]byte("diff with hunter2!hun"))
		_, _ = env.Stderr.Write([]byte("ter2 in two pieces\n"))
		return steps.Result{Step: "leaks", Outcome: steps.Changed, Details: []string{"hunter2!hunter2", `say "hunter2!hunter2"`}}, nil
	},
	"panics": func(context.Context, *steps.Env) (steps.Result, error) {
		var details []string
		return steps.Result{Step: details[3]}, nil
	},
	"prints-control-characters": func(_ context.Context, env *steps.Env) (steps.Result, error) {
		env.Log.Info("remote:\x1b[31m red\r and back")
		return steps.Result{}, failure.New(failure.Denied, "", "remote:\x1b[31m no\r\nreally")
	},
	"observes": func(ctx context.Context, env *steps.Env) (steps.Result, error) {
		return steps.Result{}, retry.Do(ctx, env.Retry, env.Observe("push main"), func(context.Context) error { return retry.Transient(errServer) })
	},
	"waits": func(ctx context.Context, env *steps.Env) (steps.Result, error) {
		env.Log.Info("waiting")
		<-ctx.Done()
		return steps.Result{}, fmt.Errorf("push main: %w", ctx.Err())
	},
	"finishes-late": func(ctx context.Context, env *steps.Env) (steps.Result, error) {
		env.Log.Info("waiting")
		<-ctx.Done()
		return steps.Result{Step: "finishes-late", Outcome: steps.Changed}, nil
	},
	"never-stops": func(_ context.Context, env *steps.Env) (steps.Result, error) {
		env.Log.Info("waiting")
		select {}
	},
}

type ran struct {
	code           int
	stdout, stderr string
}

func runProbe(t *testing.T, args ...string) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	secrets := func(name string) (string, bool) {
		return "hunter2!hunter2", name == "SLIPWAY_GIT_PASSWORD"
	}
	code := steps.MainWithProbes(t.Context(), probes, append([]string{"slipway"}, args...), &stdout, &stderr, secrets)
	return ran{code, stdout.String(), stderr.String()}
}

func decode(t *testing.T, stdout string) map[string]any {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal([]byte(stdout), &document); err != nil {
		t.Fatalf("stdout is not one JSON document: %v\n%s", err, stdout)
	}
	if strings.Count(stdout, "\n") != 1 || !strings.HasSuffix(stdout, "\n") {
		t.Errorf("stdout is not one line: %q", stdout)
	}
	return document
}

func TestErrorsBecomeExitCodes(t *testing.T) {
	exhausted := retry.Do(t.Context(), retry.Policy{Timeout: time.Nanosecond}, nil, func(context.Context) error {
		return retry.Transient(failure.New(failure.Conflict, "", "tip moved"))
	})
	for name, test := range map[string]struct {
		err      error
		code     int
		category string
	}{
		"an error nobody classified": {errServer, 1, "failure"},
		"usage":                      {failure.New(failure.Usage, "", "x"), 2, "usage"},
		"invalid":                    {failure.New(failure.Invalid, "", "x"), 3, "invalid"},
		"conflict":                   {failure.New(failure.Conflict, "", "x"), 4, "conflict"},
		"transient":                  {failure.New(failure.Transient, "", "x"), 5, "transient"},
		"superseded":                 {failure.New(failure.Superseded, "", "x"), 6, "superseded"},
		"unhealthy":                  {failure.New(failure.Unhealthy, "", "x"), 7, "unhealthy"},
		"pending":                    {failure.New(failure.Pending, "", "x"), 8, "pending"},
		"denied":                     {failure.New(failure.Denied, "", "x"), 9, "denied"},
		"rejected":                   {failure.New(failure.Rejected, "", "x"), 10, "rejected"},
		"a kind below other words":   {fmt.Errorf("push: %w", failure.New(failure.Denied, "", "x")), 9, "denied"},
		"a mark without retries":     {fmt.Errorf("push: %w", retry.Transient(errServer)), 5, "transient"},
		"a marked error without a kind of its own":    {failure.New(failure.Failure, "", "x: %w", retry.Transient(errServer)), 5, "transient"},
		"exhausted retries of an attempt with a kind": {exhausted, 5, "transient"},
		"a wait that a step calls pending":            {failure.New(failure.Pending, "", "no answer: %w", exhausted), 8, "pending"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			failing := map[string]steps.ProbeFunc{
				"fails": func(context.Context, *steps.Env) (steps.Result, error) { return steps.Result{}, test.err },
			}
			code := steps.MainWithProbes(t.Context(), failing, []string{"slipway", "fails"}, &stdout, &stderr, os.LookupEnv)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			document := decode(t, stdout.String())
			value := document["error"].(map[string]any)
			if document["step"] != "fails" || value["category"] != test.category || value["hint"] == "" {
				t.Errorf("stdout: %s", stdout.String())
			}
			if value["retryable"] != (test.code == 5) {
				t.Errorf("retryable is %v", value["retryable"])
			}
			if !strings.Contains(stderr.String(), "slipway fails: "+test.err.Error()+"\nhint: ") {
				t.Errorf("stderr: %s", stderr.String())
			}
		})
	}
}

func TestAFormatSeesTheKeysOfTheJSON(t *testing.T) {
	got := runProbe(t, "works", "--format", "{{.details.revision}} {{.details.count}}")
	if got.code != 0 || got.stdout != "4f1c 1234567\n" {
		t.Errorf("got %+v", got)
	}
}

func TestSecretsDoNotReachTheOutput(t *testing.T) {
	for _, args := range [][]string{
		{"leaks"},
		{"leaks", "--log-format", "json"},
		{"leaks", "--format", "{{index .details 0}}{{.}}"},
	} {
		got := runProbe(t, args...)
		if all := got.stdout + got.stderr; strings.Contains(all, "hunter2") || strings.Contains(all, "aHVudGVyMi") || strings.Contains(all, "h1bnRlcjI") {
			t.Errorf("%v: stdout:\n%s\nstderr:\n%s", args, got.stdout, got.stderr)
		}
		if !strings.Contains(got.stderr, "diff with *** in two pieces\n") {
			t.Errorf("%v: stderr:\n%s", args, got.stderr)
		}
	}
	decode(t, runProbe(t, "leaks").stdout)
}

func TestAPanicIsAnErrorLikeOthers(t *testing.T) {
	got := runProbe(t, "panics")
	value := decode(t, got.stdout)["error"].(map[string]any)
	if got.code != 1 || value["category"] != "failure" || !strings.Contains(value["message"].(string), "internal error: runtime error: index out of range") {
		t.Errorf("got %+v", got)
	}
	if strings.Contains(got.stderr, "goroutine") {
		t.Errorf("the stack is for --log-level debug only: %s", got.stderr)
	}
	if debug := runProbe(t, "panics", "--log-level", "debug"); !strings.Contains(debug.stderr, "goroutine") {
		t.Errorf("no stack: %s", debug.stderr)
	}
}

func TestControlCharactersOfAServerAreDropped(t *testing.T) {
	got := runProbe(t, "prints-control-characters")
	if strings.ContainsAny(got.stderr+got.stdout, "\x1b\r") {
		t.Errorf("got %+v", got)
	}
}

func TestEachRetryIsLogged(t *testing.T) {
	got := runProbe(t, "observes", "--retry-timeout", "50ms", "--retry-initial", "1ms", "--retry-max-interval", "1ms")
	if got.code != 5 {
		t.Errorf("exit code %d", got.code)
	}
	for _, want := range []string{`WARN  push main: attempt failed attempt=1 reason="server says 503" next=`, "attempt=2", "slipway observes: gave up after ", "attempts: server says 503"} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("%q is missing in\n%s", want, got.stderr)
		}
	}
}

func TestDurationsOfRetriesMustBePositive(t *testing.T) {
	for _, flag := range []string{"--retry-timeout", "--retry-initial", "--retry-max-interval"} {
		if got := runProbe(t, "works", flag, "0s"); got.code != 2 || !strings.Contains(got.stderr, "must be above zero") {
			t.Errorf("%s 0s: %+v", flag, got)
		}
	}
	if got := runProbe(t, "works", "--retry-timeout", "soon"); got.code != 2 || !strings.Contains(got.stderr, `invalid value "soon" for flag --retry-timeout`) {
		t.Errorf("got %+v", got)
	}
}

func TestAnOutputThatTakesNothingIsAFailure(t *testing.T) {
	closed, err := os.Create(t.TempDir() + "/closed")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	var stderr bytes.Buffer
	code := steps.MainWithProbes(t.Context(), probes, []string{"slipway", "works"}, closed, &stderr, os.LookupEnv)
	if code != 1 || !strings.Contains(stderr.String(), "stdout") {
		t.Errorf("exit code %d, stderr %s", code, stderr.String())
	}
}

func TestSignals(t *testing.T) {
	for name, test := range map[string]struct {
		step   string
		signal syscall.Signal
		twice  bool
		code   int
		within time.Duration
	}{
		"SIGTERM reaches the step":                     {"waits", syscall.SIGTERM, false, 143, 2 * time.Second},
		"SIGINT is told apart":                         {"waits", syscall.SIGINT, false, 130, 2 * time.Second},
		"a step that still succeeds says so":           {"finishes-late", syscall.SIGTERM, false, 0, 2 * time.Second},
		"a step that does not stop is left behind":     {"never-stops", syscall.SIGTERM, false, 143, 5 * time.Second},
		"a second signal ends the process immediately": {"never-stops", syscall.SIGTERM, true, -1, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), "slipway-probes", test.step)
			var stdout bytes.Buffer
			cmd.Stdout = &stdout
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			log := bufio.NewReader(stderr)
			if line, err := log.ReadString('\n'); err != nil || !strings.Contains(line, "waiting") {
				t.Fatalf("stderr: %q, %v", line, err)
			}
			start := time.Now()
			stop := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
			defer stop.Stop()
			signalUntilHeard(t, cmd.Process, test.signal, test.twice, log)
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != test.code {
				t.Errorf("exit code %d, want %d; stdout: %s", code, test.code, stdout.String())
			}
			if took := time.Since(start); took > test.within {
				t.Errorf("it took %s", took)
			}
			if test.code > 100 {
				value := decode(t, stdout.String())["error"].(map[string]any)
				if value["category"] != "interrupted" || value["retryable"] != true {
					t.Errorf("stdout: %s", stdout.String())
				}
			}
		})
	}
}

// signalUntilHeard reads the log to its end. A second signal is repeated until the process is gone, because one that
// follows too closely on the first may be merged with it.
func signalUntilHeard(t *testing.T, process *os.Process, signal syscall.Signal, twice bool, log *bufio.Reader) {
	t.Helper()
	if err := process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = log.WriteTo(new(bytes.Buffer))
	}()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-ended:
			return
		case <-again.C:
			if twice {
				_ = process.Signal(signal)
			}
		}
	}
}

// TestWhatLibrariesPrintIsNoPartOfTheLog builds what kustomize calls deprecated on stderr by itself.
func TestWhatLibrariesPrintIsNoPartOfTheLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte("commonLabels: {app: shop}\nconfigMapGenerator: [{name: map}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	slipway, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), slipway, "validate", "--dir", dir, "--path", ".")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("error %v, stderr:\n%s", err, &stderr)
	}
}
