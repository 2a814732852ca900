package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// flagsFirst moves a command's flags before its arguments. urfave/cli v2 stops
// at the first argument and would silently ignore every flag behind it, but
// "winnow filter data.json --top 9000" is what people type.
func flagsFirst(app *cli.App, args []string) ([]string, error) {
	if len(args) < 2 || args[len(args)-1] == "--"+cli.BashCompletionFlag.Names()[0] {
		return args, nil // shells ask with that flag, and urfave looks for it at the end
	}
	out, rest := args[:1:1], args[1:]
	flags, commands := app.Flags, app.Commands
	for {
		// Flags up to the first argument belong to this level.
		moved, left, err := takeFlags(flags, rest, false)
		if err != nil {
			return nil, err
		}
		out, rest = append(out, moved...), left
		if len(rest) == 0 {
			return out, nil
		}
		cmd := find(commands, rest[0])
		if cmd == nil {
			break
		}
		out, rest = append(out, rest[0]), rest[1:]
		flags, commands = cmd.Flags, cmd.Subcommands
	}
	moved, rest, err := takeFlags(flags, rest, true)
	if err != nil {
		return nil, err
	}
	out = append(out, moved...)
	if len(rest) > 0 && !slices.ContainsFunc(moved, isHelp) { // to urfave, arguments of --help are topics
		out = append(append(out, "--"), rest...)
	}
	return out, nil
}

func isHelp(arg string) bool {
	return strings.HasPrefix(arg, "-") && slices.Contains(cli.HelpFlag.Names(), strings.TrimLeft(arg, "-"))
}

func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// takeFlags separates flags, with their values, from arguments. With all it goes
// on behind the first argument. Everything behind "--" is an argument. Unknown
// flags are taken as flags: urfave names them in its error.
func takeFlags(flags []cli.Flag, args []string, all bool) (taken, rest []string, err error) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--" && all:
			return taken, append(rest, args[i+1:]...), nil
		case len(arg) < 2 || arg[0] != '-' || arg == "--":
			if !all {
				return taken, args[i:], nil
			}
			rest = append(rest, arg)
		default:
			taken = append(taken, arg)
			if !takesValue(flags, arg) {
				continue
			}
			if i++; i == len(args) {
				return nil, nil, usagef("flag %s needs a value", arg)
			}
			taken = append(taken, args[i])
		}
	}
	return taken, rest, nil
}

// takesValue reports whether the flag's value is the next argument.
func takesValue(flags []cli.Flag, arg string) bool {
	name := strings.TrimLeft(arg, "-")
	if strings.Contains(name, "=") {
		return false
	}
	for _, f := range flags {
		for _, n := range f.Names() {
			if n == name {
				_, isBool := f.(*cli.BoolFlag)
				return !isBool
			}
		}
	}
	return false
}
