package steps

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"slipway/steps/internal/failure"
)

// Completion prints the script with which a shell completes steps and flags.
type Completion struct {
	// Shell is bash, zsh or fish.
	Shell string
}

// CompletionDetails is the result of Completion.
type CompletionDetails struct {
	Shell  string `json:"shell"`
	Script string `json:"script"`
}

func newCompletion() *cli.Command {
	c := &Completion{}
	return step(c, &cli.Command{
		Name:  "completion",
		Usage: "print a shell's completion script",
		Description: "Prints the script itself, not JSON, unless --format says otherwise. Load it with one of\n\n" +
			"    source <(slipway completion --shell bash)\n" +
			"    source <(slipway completion --shell zsh)\n" +
			"    slipway completion --shell fish | source",
		Flags: []cli.Flag{
			stringFlag(&c.Shell, "shell", "", "bash, zsh or fish", required),
		},
	}, withFormat("{{.details.script}}"))
}

// Run is unchanged always.
func (c *Completion) Run(context.Context, *Env) (Result, error) {
	script, err := completionScript(c.Shell)
	if err != nil {
		return Result{}, err
	}
	return Result{Step: "completion", Outcome: Unchanged, Details: CompletionDetails{c.Shell, script}}, nil
}

func completionScript(shell string) (string, error) {
	app := App()
	app.Setup()
	switch shell {
	case "bash":
		return bashCompletion(app), nil
	case "zsh":
		return "autoload -U +X bashcompinit && bashcompinit\n" + bashCompletion(app), nil
	case "fish":
		return withVerbs(app).ToFishCompletion()
	}
	return "", failure.New(failure.Usage, "give bash, zsh or fish", "--shell %q is not supported", shell)
}

// bashCompletion uses nothing that zsh's emulation of bash's completion lacks. A step with a verb is a command with a space in
// its name; its case stands before that of the step alone, which also matches it.
func bashCompletion(app *cli.App) string {
	var verbs, cases strings.Builder
	var names []string
	following := map[string]string{} // a step's verbs
	for _, cmd := range app.VisibleCommands() {
		if name, verb, ok := strings.Cut(cmd.Name, " "); ok {
			following[name] += verb + " "
			fmt.Fprintf(&verbs, "    %q) words=%q ;;\n", cmd.Name, flagWords(cmd))
		}
	}
	for _, cmd := range app.VisibleCommands() {
		if !strings.Contains(cmd.Name, " ") {
			names = append(names, cmd.Name)
			fmt.Fprintf(&cases, "    %q*) words=%q ;;\n", cmd.Name+" ", following[cmd.Name]+flagWords(cmd))
		}
	}
	return fmt.Sprintf(`_slipway() {
  local word="${COMP_WORDS[COMP_CWORD]}" words=%q
  if [ "$COMP_CWORD" -gt 1 ]; then
    case "${COMP_WORDS[1]} ${COMP_WORDS[2]}" in
%s%s    *) words="" ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _slipway slipway
`, strings.Join(append(names, "--help", "--version"), " "), verbs.String(), cases.String())
}

// withVerbs turns a step with a verb into a command below the step, which is how urfave/cli completes it for fish.
func withVerbs(app *cli.App) *cli.App {
	steps := map[string]*cli.Command{}
	var commands []*cli.Command
	for _, cmd := range app.Commands {
		name, verb, ok := strings.Cut(cmd.Name, " ")
		if ok && steps[name] != nil {
			cmd.Name = verb
			steps[name].Subcommands = append(steps[name].Subcommands, cmd)
			continue
		}
		steps[cmd.Name] = cmd
		commands = append(commands, cmd)
	}
	app.Commands = commands
	return app
}

func flagWords(cmd *cli.Command) string {
	var words []string
	for _, flag := range cmd.Flags {
		words = append(words, "--"+flag.Names()[0])
	}
	return strings.Join(append(words, "--help"), " ")
}
