package steps_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"slipway/internal/argocdtest"
	"slipway/internal/gitrepotest"
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
		"slipway-probes": func() {
			ctx, stop := steps.NotifyContext(context.Background())
			code := steps.MainWithProbes(ctx, probes, os.Args, os.Stdout, os.Stderr, os.LookupEnv)
			stop()
			os.Exit(code)
		},
	})
}

// TestScripts runs the contract of the binary as stories, one per file. UPDATE=1 rewrites the files that cmp compares.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup:               setUpScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     exits,
			"json":      jsonAt,
			"gitserver": gitServer,
			"argocd":    argoCD,
		},
	})
}

// raceOptions are those of a binary with the race detector, which sleeps for a second before it exits: a fortieth is long enough
// for the goroutines that are left to meet in, and stories start thousands of processes.
const raceOptions = "atexit_sleep_ms=25"

// setUpScript keeps the machine's own configuration out: a story must mean the same on every agent.
func setUpScript(env *testscript.Env) error {
	env.Values[gitServerKey{}] = new(*gitrepotest.Server)
	env.Values[argoCDKey{}] = new(*argocdtest.Server)
	for _, variable := range [][2]string{
		{"HOME", filepath.Join(env.WorkDir, "no-home")},
		{"XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "no-home")},
		{"GIT_CONFIG_NOSYSTEM", "1"},
		{"GIT_CONFIG_GLOBAL", os.DevNull},
		{"GIT_TERMINAL_PROMPT", "0"},
		{"GIT_AUTHOR_NAME", "Story"},
		{"GIT_AUTHOR_EMAIL", "story@example.com"},
		{"GIT_COMMITTER_NAME", "Story"},
		{"GIT_COMMITTER_EMAIL", "story@example.com"},
		{"NO_PROXY", "127.0.0.1,localhost"},
		{"GORACE", raceOptions},
	} {
		env.Setenv(variable[0], variable[1])
	}
	return nil
}

// exits runs a program and checks its exit code: exits CODE PROGRAM [ARGUMENT...].
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGUMENT...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		got = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s exits with %d, not %d", args[1], got, want)
	}
}

// jsonAt checks one value of a JSON document: json FILE PATH WANT, where FILE may be stdout and PATH is dotted; list
// elements are named by their index, WANT is text or JSON, and "! json FILE PATH" says that there is no such value.
func jsonAt(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || neg != (len(args) == 2) {
		ts.Fatalf("usage: json FILE PATH WANT, or: ! json FILE PATH")
	}
	var document any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &document))
	value, err := lookUp(document, strings.Split(args[1], "."))
	if neg {
		if err == nil {
			ts.Fatalf("%s: %s is %v", args[0], args[1], value)
		}
		return
	}
	ts.Check(err)
	got, isText := value.(string)
	if !isText {
		text, err := json.Marshal(value)
		ts.Check(err)
		got = string(text)
	}
	if got != args[2] {
		ts.Fatalf("%s: %s is %s, not %s", args[0], args[1], got, args[2])
	}
}

func lookUp(value any, path []string) (any, error) {
	for _, key := range path {
		switch node := value.(type) {
		case map[string]any:
			next, ok := node[key]
			if !ok {
				return nil, fmt.Errorf("no key %q", key)
			}
			value = next
		case []any:
			index, err := strconv.Atoi(key)
			if err != nil || index < 0 || index >= len(node) {
				return nil, fmt.Errorf("no element %q", key)
			}
			value = node[index]
		default:
			return nil, fmt.Errorf("nothing below %q", key)
		}
	}
	return value, nil
}
