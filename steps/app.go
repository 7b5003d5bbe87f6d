package steps

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"text/template"

	"github.com/urfave/cli/v2"

	"slipway/retry"
	"slipway/steps/internal/failure"
)

//go:generate go test . -run IsCurrent -update

const programName = "slipway"

// App returns the table of contents: every step with its flags. It runs nothing by itself; Main does.
//
// A step is a struct of its options in a file of its own, with Run and a constructor that binds each flag to a field:
//
//	func newSetImage() *cli.Command {
//		s := &SetImage{}
//		return step(s, &cli.Command{
//			Name:        "set-image",
//			Usage:       "one line, lower case, no full stop",
//			Description: "What it does, when it is unchanged, what it never does.",
//			Flags: []cli.Flag{
//				stringFlag(&s.Dir, "dir", ".", "the checkout to work in"),
//				stringSliceFlag(&s.Images, "image", "the image reference to set", required),
//			},
//		}, withRetry)
//	}
//
// step adds the output flags and what the options ask for; the environment variables of a flag follow from its name.
func App() *cli.App {
	app := &cli.App{
		Name:        programName,
		Usage:       "release images through a GitOps repository, one idempotent step at a time",
		UsageText:   "slipway STEP --flags",
		Description: appDescription(),
		Version:     buildVersion(),
		Commands: []*cli.Command{
			newCheckout(),
			newSetImage(),
			newValidate(),
			newCommitPush(),
			newRevert(),
			newRelease(),
			newArgoCDSync(),
			newAwaitApproval(),
			newAwaitApprovalOpen(),
			newAwaitApprovalResolve(),
			newApprove(),
			newReject(),
			newStatus(),
			newDoctor(),
			newVersion(),
			newCompletion(),
			newBuildChild(),
		},
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		Action:                    noStep,
		OnUsageError:              onUsageError,
		// urfave/cli would call os.Exit here and skip what Main still has to do.
		ExitErrHandler: func(*cli.Context, error) {},
	}
	return app
}

// stepOption adds what several steps share; App shows how it is used.
type stepOption func(cmd *cli.Command, env *Env)

// withRetry gives a step the retry flags, which set Env.Retry.
func withRetry(cmd *cli.Command, env *Env) { cmd.Flags = append(cmd.Flags, retryFlags(&env.Retry)...) }

// withFormat is the value of --format where the result is no JSON unless it is asked for.
func withFormat(format string) stepOption {
	return func(cmd *cli.Command, _ *Env) {
		for _, f := range cmd.Flags {
			if f, ok := f.(*cli.StringFlag); ok && f.Name == "format" {
				f.Value = format
			}
		}
	}
}

// step turns a Runner and the description of its command into a command that obeys the contract of all steps.
func step(r Runner, cmd *cli.Command, options ...stepOption) *cli.Command {
	env := &Env{Retry: retry.Default}
	out := &output{}
	cmd.Flags = append(cmd.Flags, outputFlags(out)...)
	for _, option := range options {
		option(cmd, env)
	}
	cmd.HideHelpCommand = true
	cmd.OnUsageError = onUsageError
	// A missing flag that is required is found before Action is called, but an argument that is no flag is the likelier
	// reason: all flags after it were not read. After is called in both cases.
	cmd.After = noArguments
	cmd.Action = func(c *cli.Context) error {
		if err := cmp.Or(noArguments(c), checkPolicy(env.Retry)); err != nil {
			return err
		}
		format, err := parseFormat(out.format)
		if err != nil {
			return err
		}
		run := runOf(c.Context)
		if env.Log, err = newLogger(run.stderr, out.logFormat, out.logLevel); err != nil {
			return err
		}
		env.Redact, env.Stderr, env.Stdin, env.LookupEnv, env.live = run.secrets, run.stderr, run.stdin, run.lookupEnv, run.live
		run.log, run.format, run.logFormat = env.Log, format, out.logFormat
		result, err := r.Run(c.Context, env)
		if err != nil {
			return &stepError{err}
		}
		run.result = &result
		return nil
	}
	return cmd
}

// stepError tells a step's own errors from those of the command line, all of which are usage.
type stepError struct{ err error }

func (s *stepError) Error() string { return s.err.Error() }

func (s *stepError) Unwrap() error { return s.err }

func isStepError(err error) bool {
	var s *stepError
	return errors.As(err, &s)
}

func checkPolicy(p retry.Policy) error {
	if p.Timeout <= 0 || p.Initial <= 0 || p.MaxInterval <= 0 {
		return failure.New(failure.Usage, "", "the durations of --retry-timeout, --retry-initial and --retry-max-interval must be above zero")
	}
	return nil
}

func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return failure.New(failure.Usage, "every option is a flag with a name; see "+helpOf(c),
			"argument %q belongs to no flag", c.Args().First())
	}
	return nil
}

func noStep(c *cli.Context) error {
	name := c.Args().First()
	if name == "" {
		return failure.New(failure.Usage, "see slipway --help", "no step was named")
	}
	hint := "see slipway --help"
	if near := cli.SuggestCommand(c.App.VisibleCommands(), name); near != "" {
		hint = near + " see slipway --help"
	}
	return failure.New(failure.Usage, hint, "there is no step %q", name)
}

// stepName is what the JSON says where no step was reached.
func stepName(app *cli.App, args []string) string {
	if len(args) > 1 && app.Command(args[1]) != nil {
		return args[1]
	}
	return programName
}

// onUsageError says what is wrong with the flags in one line and names the nearest flag.
func onUsageError(c *cli.Context, err error, _ bool) error {
	const undefined = "flag provided but not defined: -"
	hint := "see " + helpOf(c)
	name, unknown := strings.CutPrefix(err.Error(), undefined)
	if !unknown {
		twoDashes := strings.NewReplacer("for flag -", "for flag --", "argument: -", "argument: --")
		return failure.New(failure.Usage, hint, "%s", twoDashes.Replace(err.Error()))
	}
	if near := cli.SuggestFlag(c.Command.Flags, strings.TrimLeft(name, "-"), true); near != "" {
		hint = fmt.Sprintf("did you mean %s? %s", near, hint)
	}
	return failure.New(failure.Usage, hint, "there is no flag --%s", strings.TrimLeft(name, "-"))
}

// usageError translates what urfave/cli says by itself.
func usageError(err error) error {
	if several := cli.MultiError(nil); errors.As(err, &several) {
		all := several.Errors()
		err = all[len(all)-1]
	}
	if failure.KindOf(err) == failure.Usage {
		return err
	}
	text := strings.Replace(err.Error(), "Required flag", "required flag", 1)
	return failure.New(failure.Usage, "", "%s", text)
}

func helpOf(c *cli.Context) string { return c.Command.HelpName + " --help" }

func parseFormat(text string) (*template.Template, error) {
	if text == "" {
		return nil, nil
	}
	t, err := template.New("--format").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, failure.New(failure.Usage, "the keys are those of the JSON result, as in '{{.details.revision}}'", "%w", err)
	}
	return t, nil
}

func appDescription() string {
	var text strings.Builder
	text.WriteString("Every step may be run again after any end. stdout carries one JSON result, stderr the log.\n\nExit codes:\n")
	for _, row := range exitTable {
		fmt.Fprintf(&text, "%5d  %-12s %s: %s\n", row.code, row.name, row.meaning, row.pipeline)
	}
	return strings.TrimSuffix(text.String(), "\n")
}
