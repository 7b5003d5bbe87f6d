package steps

import (
	_ "embed"
	"io"

	"github.com/urfave/cli/v2"
)

// validateSchema is the JSON schema of what validate prints on stdout. A field that it does not know is refused by it: who
// adds one to the details describes it there.
//
//go:embed schemas/validate.json
var validateSchema string

// withSchema gives a step the flag --schema, which prints a document about the step's output and does nothing else.
func withSchema(cmd *cli.Command, document string) *cli.Command {
	var asked bool
	cmd.Flags = append(cmd.Flags, boolFlag(&asked, "schema", "print the JSON schema of results and errors, and do nothing else"))
	run := cmd.Action
	cmd.Action = func(c *cli.Context) error {
		if !asked {
			return run(c)
		}
		_, err := io.WriteString(c.App.Writer, document)
		return err
	}
	return cmd
}
