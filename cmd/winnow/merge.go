package main

import (
	"github.com/urfave/cli/v2"

	"winnow/grader/journal"
)

func mergeCommand() *cli.Command {
	return &cli.Command{
		Name:      "merge",
		Usage:     "make one scores file of several",
		ArgsUsage: "SCORES...",
		Description: `Example, on two machines and then on any:
  winnow grade data.json -m model.gguf --shard 1/2
  winnow grade data.json -m model.gguf --shard 2/2
  winnow merge data.scores-*-of-2.jsonl -o data.scores.jsonl

All files must be of one model, rubric and settings. An entry that stands in
several files is taken once; entries that contradict one another are an error. If
-o is there already it is merged too, so nothing in it is lost.

The result has its lines in the order of the records, whatever the files and their
order: any number of shards gives the same bytes. A scores file that winnow grade
wrote on one machine has them in the order in which they were rated; merged alone
it gives those same bytes. Either can be graded further and filtered.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "scores `FILE` to write; - for stdout"},
			&cli.StringFlag{Name: "prefer", Usage: "of entries that contradict one another take the `first`: that of the file named first"},
			&cli.BoolFlag{Name: "json", Usage: "print a summary as one line of JSON"},
		},
		OnUsageError: onUsageError,
		Action:       merge,
	}
}

func merge(c *cli.Context) error {
	paths, out := c.Args().Slice(), c.String("output")
	switch {
	case len(paths) == 0 || out == "":
		return usagef("merge needs scores files and -o FILE: winnow merge SCORES... -o FILE")
	case c.IsSet("prefer") && c.String("prefer") != "first":
		return usagef("--prefer %s: want first", c.String("prefer"))
	case out == "-" && c.Bool("json"):
		return usagef("-o - leaves no room on stdout for --json")
	}
	o := journal.MergeOptions{PreferFirst: c.IsSet("prefer")}
	var sum journal.Merged
	var err error
	if out == "-" {
		sum, err = journal.Merge(c.App.Writer, paths, o)
	} else {
		sum, err = journal.MergeInto(out, paths, o)
	}
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c.App.Writer, struct {
			Kind      string `json:"kind"`
			Files     int    `json:"files"`
			Entries   int    `json:"entries"`
			Repeated  int    `json:"repeated"`
			Overruled int    `json:"overruled"`
		}{"summary", sum.Files, sum.Entries, sum.Repeated, sum.Overruled})
	}
	say(c.App.ErrWriter, "%d entries of %d files; %d were there more than once\n", sum.Entries, sum.Files, sum.Repeated)
	if sum.Overruled > 0 {
		say(c.App.ErrWriter, "%d entries contradicted those of files named earlier and were left out\n", sum.Overruled)
	}
	return nil
}
