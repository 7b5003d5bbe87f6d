package steps

import (
	"github.com/urfave/cli/v2"

	"slipway/steps/internal/manifest"
)

// buildChild is the command of the process in which manifest.BuildIsolated builds.
const buildChild = "build-child"

// newBuildChild is no step: its stdin and stdout are a conversation with the slipway that started it.
func newBuildChild() *cli.Command {
	return &cli.Command{
		Name:   buildChild,
		Hidden: true,
		Action: func(c *cli.Context) error {
			run := runOf(c.Context)
			if err := manifest.ServeBuild(c.Context, run.stdin, run.stdout); err != nil {
				return &stepError{err}
			}
			return nil
		},
	}
}
