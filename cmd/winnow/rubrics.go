package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"winnow/grader/rubric"
)

func rubricsCommand() *cli.Command {
	return &cli.Command{
		Name:  "rubrics",
		Usage: "list the shipped rubrics, or print one",
		Description: `Examples:
  winnow rubrics
  winnow rubrics show alpagasus-accuracy > mine.toml    a starting point for one's own
  winnow grade data.json --rubric mine.toml`,
		OnUsageError: onUsageError,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("unknown argument %q: want winnow rubrics, or winnow rubrics show NAME", c.Args().First())
			}
			w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
			for _, r := range rubric.Shipped() {
				fmt.Fprintf(w, "%s\t%s\n", r.Name, r.Description)
			}
			return w.Flush()
		},
		Subcommands: []*cli.Command{{
			Name:         "show",
			Usage:        "print a rubric as the file that it can be given as",
			ArgsUsage:    "NAME",
			OnUsageError: onUsageError,
			Action: func(c *cli.Context) error {
				if c.NArg() != 1 {
					return usagef("rubrics show takes one name, %d given", c.NArg())
				}
				r, err := rubric.Load(c.Args().First())
				if err != nil {
					return usageError{err}
				}
				_, err = fmt.Fprint(c.App.Writer, r.Source())
				return err
			},
		}},
	}
}
