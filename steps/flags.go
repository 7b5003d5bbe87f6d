package steps

import (
	"errors"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"slipway/retry"
)

// The categories under which help and reference list flags; a step's own flags come first and have none.
const (
	categoryArgoCD  = "Argo CD"
	categoryGit     = "Git"
	categoryCommit  = "Commit"
	categoryRelease = "Release"
	categoryRetry   = "Retry"
	categoryOutput  = "Output"
)

// flagOption changes what the flag helpers build.
type flagOption func(*flagSpec)

type flagSpec struct {
	env      []string
	category string
	required bool
}

// required makes the step refuse to run without the flag.
func required(f *flagSpec) { f.required = true }

// env adds environment variables, read in this order after the flag's own SLIPWAY_ one.
func env(names ...string) flagOption {
	return func(f *flagSpec) { f.env = append(f.env, names...) }
}

// category puts the flag under a heading.
func category(name string) flagOption { return func(f *flagSpec) { f.category = name } }

func spec(name string, options []flagOption) flagSpec {
	f := flagSpec{
		env: []string{"SLIPWAY_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))},
	}
	for _, option := range options {
		option(&f)
	}
	return f
}

func stringFlag(to *string, name, value, usage string, options ...flagOption) cli.Flag {
	f := spec(name, options)
	return &cli.StringFlag{
		Name: name, Value: value, Destination: to, Usage: usage,
		EnvVars: f.env, Category: f.category, Required: f.required,
	}
}

func boolFlag(to *bool, name, usage string, options ...flagOption) cli.Flag {
	f := spec(name, options)
	return &cli.BoolFlag{
		Name: name, Destination: to, Usage: usage, EnvVars: f.env, Category: f.category, DisableDefaultText: true,
	}
}

func durationFlag(to *time.Duration, name string, value time.Duration, usage string, options ...flagOption) cli.Flag {
	f := spec(name, options)
	return &cli.DurationFlag{
		Name: name, Value: value, Destination: to, Usage: usage,
		EnvVars: f.env, Category: f.category, Required: f.required,
	}
}

func int64Flag(to *int64, name string, value int64, usage string, options ...flagOption) cli.Flag {
	f := spec(name, options)
	return &cli.Int64Flag{
		Name: name, Value: value, Destination: to, Usage: usage,
		EnvVars: f.env, Category: f.category, Required: f.required,
	}
}

// stringSliceFlag is given once per value; one value may also hold several lines, which is how its environment variable
// holds more than one. Nothing else separates values: file names may contain commas.
func stringSliceFlag(to *[]string, name, usage string, options ...flagOption) cli.Flag {
	f := spec(name, options)
	return &cli.StringSliceFlag{
		Name: name, Usage: usage + " (repeatable; in the environment one per line)",
		EnvVars: f.env, Category: f.category, Required: f.required,
		Action: func(_ *cli.Context, values []string) error {
			*to = nil
			for line := range strings.Lines(strings.Join(values, "\n")) {
				if line = strings.TrimSpace(line); line != "" {
					*to = append(*to, line)
				}
			}
			return nil
		},
	}
}

// optionalFlag may be given without a value, and then has the one named alone. As a variable it may also be true or false,
// which is how a pipeline exports a choice.
func optionalFlag(to *string, name, alone, usage string, options ...flagOption) cli.Flag {
	f := spec(name, options)
	return &cli.GenericFlag{Name: name, Value: &optionalValue{to, alone}, Usage: usage, EnvVars: f.env, Category: f.category}
}

type optionalValue struct {
	to    *string
	alone string
}

// IsBoolFlag makes package flag ask for no value.
func (o *optionalValue) IsBoolFlag() bool { return true }

func (o *optionalValue) Set(value string) error {
	switch value {
	case "":
		return errors.New("it is empty")
	case "true":
		value = o.alone
	case "false":
		value = ""
	}
	*o.to = value
	return nil
}

func (o *optionalValue) String() string {
	if o.to == nil {
		return "" // package flag compares with an empty one
	}
	return *o.to
}

// forgetEmpty removes the environment variables of flags that are set to nothing: that is how Jenkins exports a parameter
// without a value, and urfave/cli would take it for the flag's value.
func forgetEmpty(app *cli.App) {
	for _, cmd := range app.Commands {
		for _, f := range cmd.Flags {
			f, ok := f.(cli.DocGenerationFlag)
			if !ok {
				continue
			}
			for _, name := range f.GetEnvVars() {
				if os.Getenv(name) == "" {
					_ = os.Unsetenv(name)
				}
			}
		}
	}
}

// output is what every step's output flags say.
type output struct{ format, logFormat, logLevel string }

func outputFlags(o *output) []cli.Flag {
	return []cli.Flag{
		stringFlag(&o.format, "format", "",
			"print the result through this Go template, such as '{{.details.revision}}', instead of as JSON", category(categoryOutput)),
		stringFlag(&o.logFormat, "log-format", "console", "write the log as console or json", category(categoryOutput)),
		stringFlag(&o.logLevel, "log-level", "info", "log debug, info, warn or error and above", category(categoryOutput)),
	}
}

// retryFlags are for every step that talks to something remote.
func retryFlags(p *retry.Policy) []cli.Flag {
	return []cli.Flag{
		durationFlag(&p.Timeout, "retry-timeout", retry.Default.Timeout,
			"give up after this time, the attempts' own time included", category(categoryRetry)),
		durationFlag(&p.Initial, "retry-initial", retry.Default.Initial,
			"draw the first wait from zero to this; the window grows by 1.6 with each attempt", category(categoryRetry)),
		durationFlag(&p.MaxInterval, "retry-max-interval", retry.Default.MaxInterval,
			"let the window of a wait grow up to this", category(categoryRetry)),
	}
}
