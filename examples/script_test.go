package examples_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"slipway/internal/startup"
	_ "slipway/internal/startup/untranslated" // before the SDK of Argo CD
	"slipway/steps"
)

func TestMain(m *testing.M) {
	startup.Done()
	testscript.Main(m, map[string]func(){
		"slipway": func() {
			ctx, stop := steps.NotifyContext(context.Background())
			code := steps.Main(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr, startup.LookupEnv)
			stop()
			os.Exit(code)
		},
	})
}

// ended is what has become of a program.
type ended struct {
	code           int
	stdout, stderr string
}

func run(t *testing.T, dir string, env []string, program string, args ...string) ended {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, &stdout, &stderr
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return ended{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}
