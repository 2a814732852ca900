package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"winnow/grader"
	"winnow/grader/record"
	"winnow/grader/verdict"
)

func selectCommand() *cli.Command {
	return &cli.Command{
		Name:      "select",
		Usage:     "keep rated records that differ from one another",
		ArgsUsage: "DATA...",
		Description: `Examples:
  winnow select data.json --scores scores.jsonl --diverse --top 9000 -o kept.json
  winnow select data.json --scores scores.jsonl --diverse --min 4 --dedup near --top 9000 -o kept.json

Of the records that --min, --min-prob, --where and --dedup leave, the best rated one is kept,
then again and again the one whose rating times its distance to all that is kept
is greatest. The distance is one of words and of pairs of words, not of meaning.
Nothing is graded: winnow grade does that before. What is kept leaves as winnow
filter writes it, in the order of DATA.

` + whereHelp + `

` + dataHelp,
		Flags: slices.Concat(sourceFlags(), rejectFlags(), dedupFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "diverse", Usage: "choose by rating and distance; winnow filter chooses by rating alone"},
			&cli.IntFlag{Name: "top", Usage: "keep `N` records"},
			&cli.Float64Flag{Name: "min", DefaultText: "the scale's lowest", Usage: "choose among expected ratings of `X` and more"},
			&cli.Float64Flag{Name: "min-prob", DefaultText: "not asked", Usage: "choose among records whose probability of a rating of --min or more is at least `Q`"},
			whereFlag(),
			&cli.StringFlag{Name: "turns", Value: string(grader.MinTurn), Usage: "a conversation's rating is that of its worst turn, the mean, or that of its last turn: `min|mean|last`"},
		}, outputFlags()),
		OnUsageError: onUsageError,
		Action:       selectRecords,
	}
}

// outputFlags say where filter and select read ratings and write records.
func outputFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "scores", Usage: "scores `FILE` (default: the first DATA's name with .scores.jsonl, in the current folder)"},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FILE` of kept records; - for stdout"},
		&cli.StringFlag{Name: "dropped", Usage: "`FILE` of all others, each with its verdict and reason in the member \"" + record.NoteMember + "\" or, of tables, in columns of such names"},
		&cli.StringFlag{Name: "to", DefaultText: "DATA's own", Usage: "format of kept and dropped records: `json|jsonl|csv|tsv|parquet`"},
		&cli.BoolFlag{Name: "table", Usage: "print a table of all records"},
		&cli.BoolFlag{Name: "json", Usage: "print the summary as one line of JSON"},
	}
}

func selectRecords(c *cli.Context) error {
	switch {
	case !c.Bool("diverse"):
		return usagef("select keeps what differs: give --diverse; winnow filter keeps the best rated records")
	case c.Int("top") < 1:
		return usagef("--diverse needs the number of records to keep: give --top N, 1 or more")
	}
	return filterOrSelect(c, c.Int("top"))
}

// diverseRule makes of a rule that which says among which records diverse ones are chosen:
// by default all that are rated.
func diverseRule(r verdict.Rule, lowest float64) verdict.Rule {
	r.Top = nil
	if r.Min == nil && r.MinProb == nil && r.Where == nil {
		r.Min = &lowest
	}
	return r
}
