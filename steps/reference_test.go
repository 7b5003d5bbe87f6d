package steps_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"slipway/steps"
)

var update = flag.Bool("update", false, "write docs/reference.md and docs/slipway.1")

const referencePath = "../docs/reference.md"

func TestReferenceIsCurrent(t *testing.T) {
	want := reference(steps.App())
	if *update {
		if err := os.WriteFile(referencePath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referencePath)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/reference.md is not what the flags say; run go generate ./...\n%s", diff)
	}
}

func TestEveryCommandIsDescribed(t *testing.T) {
	for _, cmd := range steps.App().VisibleCommands() {
		if cmd.Usage == "" || cmd.Description == "" {
			t.Errorf("%s: it needs Usage and Description", cmd.Name)
		}
		if strings.HasSuffix(cmd.Usage, ".") {
			t.Errorf("%s: Usage is no sentence: %q", cmd.Name, cmd.Usage)
		}
	}
}

func TestEveryFlagIsDescribedAndHasItsVariable(t *testing.T) {
	for _, cmd := range steps.App().VisibleCommands() {
		seen := map[string]bool{}
		for _, f := range documented(cmd) {
			name := f.Names()[0]
			own := "SLIPWAY_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
			if !slices.Contains(f.GetEnvVars(), own) {
				t.Errorf("%s --%s: %s is not among its variables %v", cmd.Name, name, own, f.GetEnvVars())
			}
			if f.GetUsage() == "" {
				t.Errorf("%s --%s: it needs a usage text", cmd.Name, name)
			}
			if len(f.Names()) != 1 || seen[name] {
				t.Errorf("%s --%s: it has two names, or another flag has this one", cmd.Name, name)
			}
			seen[name] = true
		}
	}
}

// A command line can be read by every process of the agent, so a secret must not fit into one.
func TestNoFlagTakesASecret(t *testing.T) {
	for _, cmd := range steps.App().VisibleCommands() {
		for _, f := range documented(cmd) {
			name := f.Names()[0]
			for _, word := range []string{"token", "password", "secret", "passphrase"} {
				if strings.Contains(name, word) && !strings.HasSuffix(name, "-file") {
					t.Errorf("%s --%s: secrets come from the environment or a file", cmd.Name, name)
				}
			}
		}
	}
}

type documentedFlag interface {
	cli.DocGenerationFlag
	cli.CategorizableFlag
	cli.RequiredFlag
}

// documented returns the flags of a command without --help, which urfave/cli adds later.
func documented(cmd *cli.Command) []documentedFlag {
	var all []documentedFlag
	for _, f := range cmd.Flags {
		all = append(all, f.(documentedFlag))
	}
	return all
}

func reference(app *cli.App) string {
	var text strings.Builder
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&text, format+"\n", args...) }
	line("# Reference\n\nThis page is generated from the flags of `slipway` by `go generate ./...`; a test fails when it is stale.\n")
	line("`slipway STEP --flags`: no arguments but the ID of approve and reject, and every flag may be given as an environment variable instead.")
	line("The command line wins over the variable, and an empty variable is as good as none.\n")
	line("Steps: %s.\n", strings.Join(stepLinks(app), ", "))
	for _, cmd := range app.VisibleCommands() {
		writeStep(line, cmd)
	}
	writeShared(line, app)
	writeOutput(line)
	writeExitCodes(line)
	writeSecrets(line)
	return text.String()
}

func stepLinks(app *cli.App) []string {
	var links []string
	for _, cmd := range app.VisibleCommands() {
		links = append(links, fmt.Sprintf("[%s](#slipway-%s)", cmd.Name, strings.ReplaceAll(cmd.Name, " ", "-")))
	}
	return links
}

func writeStep(line func(string, ...any), cmd *cli.Command) {
	line("## slipway %s\n\n%s.\n\n%s\n", cmd.Name, strings.ToUpper(cmd.Usage[:1])+cmd.Usage[1:], cmd.Description)
	var own, shared []documentedFlag
	for _, f := range documented(cmd) {
		if isShared(f) {
			shared = append(shared, f)
		} else {
			own = append(own, f)
		}
	}
	writeFlags(line, own)
	var names []string
	for _, f := range shared {
		names = append(names, fmt.Sprintf("`--%s`", f.Names()[0]))
	}
	line("And [the flags of all steps](#flags-of-all-steps): %s.\n", strings.Join(names, ", "))
}

func isShared(f documentedFlag) bool {
	return slices.Contains([]string{"Output", "Retry"}, f.GetCategory())
}

func writeShared(line func(string, ...any), app *cli.App) {
	line("## Flags of all steps\n\nThe retry flags are there where a step talks to something remote.\n")
	writeFlags(line, sharedFlags(app))
}

// sharedFlags returns the flags that several steps have in common, each once.
func sharedFlags(app *cli.App) []documentedFlag {
	var shared []documentedFlag
	for _, cmd := range app.VisibleCommands() {
		for _, f := range documented(cmd) {
			known := slices.ContainsFunc(shared, func(s documentedFlag) bool { return s.Names()[0] == f.Names()[0] })
			if isShared(f) && !known {
				shared = append(shared, f)
			}
		}
	}
	return shared
}

func writeFlags(line func(string, ...any), flags []documentedFlag) {
	line("| flag | default | environment | what it does |\n|---|---|---|---|")
	for _, f := range flags {
		value := cell(f.GetDefaultText())
		switch {
		case f.IsRequired():
			value = "required"
		case !f.TakesValue():
			value = ""
		case value != "":
			value = "`" + strings.Trim(value, `"`) + "`"
		}
		line("| `--%s` | %s | %s | %s |", f.Names()[0], value, "`"+strings.Join(f.GetEnvVars(), "`, `")+"`", cell(f.GetUsage()))
	}
	line("")
}

func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(text)
}

func writeOutput(line func(string, ...any)) {
	line("## Output\n\nstdout carries one JSON document in one line, and nothing else. A step that succeeded prints its result:\n")
	line("```json\n%s\n```\n", `{"step":"version","outcome":"unchanged","details":{"version":"1.4.0"}}`)
	line("`outcome` is `changed` or `unchanged`: unchanged means that everything was already as asked and nothing was written.")
	line("`--format` is a Go template over the same keys. A step that failed prints its error, whatever the format:\n")
	line("```json\n%s\n```\n", `{"step":"version","error":{"category":"usage","message":"...","hint":"...","retryable":false}}`)
	line("`details` stands beside `message` where a step has more to say than one, as the findings of validate.\n")
	line("stderr carries the log and the error in words. Both are redacted. SIGINT and SIGTERM give a step three seconds to reach a")
	line("safe point; a second signal ends it at once. A step that was stopped or killed at any moment may simply be run again.\n")
}

func writeExitCodes(line func(string, ...any)) {
	line("## Exit codes\n\n`category` in the JSON is the name in this table.\n\n| code | name | meaning | the pipeline should |\n|---|---|---|---|")
	for _, row := range steps.ExitTable() {
		line("| %d | %s | %s | %s |", row.Code, row.Name, row.Meaning, row.Pipeline)
	}
	line("")
}

func writeSecrets(line func(string, ...any)) {
	line("## Secrets\n\nSecrets have no flags: the command line of a process can be read by every other process of the agent. Each of these")
	line("variables may instead be given with `_FILE` added to its name, holding the name of a file. What slipway prints or writes")
	line("contains none of them, nor their URL-encoded, JSON-escaped or base64 forms, nor passwords in URLs; words of fewer than four")
	line("bytes are not masked.\n\n| variable | what it holds |\n|---|---|")
	for _, variable := range steps.SecretVariables() {
		line("| `%s` | %s |", variable[0], variable[1])
	}
}
