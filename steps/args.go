package steps

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// idArgument is the ArgsUsage of commands whose --id may be given without its name: people type these.
const idArgument = "ID"

// arranged rewrites what urfave/cli does not understand: a step with a verb, such as "await-approval open", is a command with
// a space in its name; an id without its flag gets it; and a flag whose value is optional is joined with the argument that
// follows it, which can belong to nothing else.
func arranged(app *cli.App, args []string) []string {
	if len(args) < 2 {
		return args
	}
	if len(args) > 2 && app.Command(args[1]+" "+args[2]) != nil {
		args = slices.Concat(args[:1], []string{args[1] + " " + args[2]}, args[3:])
	}
	cmd := app.Command(args[1])
	if cmd == nil {
		return args
	}
	optional, valued := map[string]bool{}, map[string]bool{}
	for _, f := range cmd.Flags {
		for _, name := range f.Names() {
			switch f.(type) {
			case *cli.GenericFlag:
				optional["--"+name], optional["-"+name] = true, true
			case *cli.BoolFlag:
			default:
				valued["--"+name], valued["-"+name] = true, true
			}
		}
	}
	takesID := cmd.ArgsUsage == idArgument
	result := slices.Clone(args[:2])
	for i := 2; i < len(args); i++ {
		arg := args[i]
		follows := i+1 < len(args)
		switch {
		case optional[arg] && follows && args[i+1] != "" && !strings.HasPrefix(args[i+1], "-"):
			arg += "=" + args[i+1]
			i++
		case valued[arg] && follows:
			result = append(result, arg)
			i++
			arg = args[i]
		case takesID && arg != "" && !strings.HasPrefix(arg, "-"):
			arg, takesID = "--id="+arg, false
		}
		result = append(result, arg)
	}
	return result
}
