package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"winnow/grader"
	"winnow/grader/record"
	"winnow/grader/selection"
	"winnow/grader/verdict"
)

func selectCommand() *cli.Command {
	return &cli.Command{
		Name:      "select",
		Usage:     "keep rated records that differ from one another",
		ArgsUsage: "DATA...",
		Description: `Examples:
  winnow select data.json --scores scores.jsonl --diverse --top 9000 -o kept.json
  winnow select data.json --scores scores.jsonl --rule deita --threshold 0.8 --top 9000 -o kept.json
  winnow select data.json --scores scores.jsonl --diverse --min 4 --dedup near --top 9000 -o kept.json
  winnow select data.json --scores scores.jsonl --diverse --top 9000 --quota source=500 -o kept.json

Records are chosen among those that --min, --min-prob, --where and --dedup leave.

--diverse, or --rule k-center: the best rated one is kept, then again and again the one
whose rating times its distance to all that is kept is greatest.

--rule deita: records are gone through from the best rated one on, or in the order that
--by says. One is kept unless its similarity to one kept before is above --threshold,
until there are --top. The dropped file says which record it resembles most, and how
much (Liu and others 2024, arXiv:2312.15685; --by 'complexity * quality' is the order of
the paper, with rubrics of such names).

Both see words and pairs of words, not meaning: the similarity is the cosine of vectors of
their counts, and the distance that of these vectors. Copies have 1, two records taken at
random -0.1 to 0.3. So the threshold of 0.9, the paper's for embeddings, takes out little
more than copies: of 9,225 Alpaca records one; 0.5 takes out 3 % of them, 0.4 20 %.

--quota FIELD=N keeps at most N records with the same value of a member or column FIELD,
--quota FIELD:VALUE=N at most N with that value. Records without the field have the empty
value. The flag may be given several times, and each quota counts.

Nothing is graded: winnow grade does that before. What is kept leaves as winnow filter
writes it, in the order of DATA.

` + whereHelp + `

` + dataHelp,
		Flags: slices.Concat(sourceFlags(), rejectFlags(), dedupFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "diverse", Usage: "choose by rating and distance, as --rule k-center; winnow filter chooses by rating alone"},
			&cli.StringFlag{Name: "rule", Usage: "choose by `RULE`: k-center or deita"},
			&cli.Float64Flag{Name: "threshold", Value: selection.DefaultThreshold, Usage: "with --rule deita: drop a record whose cosine similarity to a kept one is above `T`, more than 0 and less than 1"},
			&cli.StringFlag{Name: "by", DefaultText: "rating", Usage: "with --rule deita: go through the records from the highest value of `EXPR` on"},
			&cli.StringSliceFlag{Name: "quota", Usage: "keep at most N records of each value of a field, or of one: `FIELD=N` or FIELD:VALUE=N; several with commas between, or several times"},
			&cli.IntFlag{Name: "top", DefaultText: "with --rule deita: no limit", Usage: "keep `N` records"},
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
	o := selection.Options{Rule: selection.Rule(c.String("rule")), N: c.Int("top")}
	switch {
	case o.Rule != "" && o.Rule != selection.KCenter && o.Rule != selection.Deita:
		return usagef("--rule %s: want %s or %s", o.Rule, selection.KCenter, selection.Deita)
	case c.Bool("diverse") && o.Rule == selection.Deita:
		return usagef("--diverse is --rule %s: give one rule", selection.KCenter)
	case c.Bool("diverse"):
		o.Rule = selection.KCenter
	case o.Rule == "":
		return usagef("select keeps what differs: give --diverse or --rule %s; winnow filter keeps the best rated records", selection.Deita)
	}
	switch deita := o.Rule == selection.Deita; {
	case !deita && o.N < 1:
		return usagef("--diverse needs the number of records to keep: give --top N, 1 or more")
	case c.IsSet("top") && o.N < 1:
		return usagef("--top %d: want 1 or more", o.N)
	case !deita && c.IsSet("threshold"):
		return usagef("--threshold is for --rule %s", selection.Deita)
	case !deita && c.IsSet("by"):
		return usagef("--by is for --rule %s: the other rule weighs distances by ratings", selection.Deita)
	case deita && !(c.Float64("threshold") > 0 && c.Float64("threshold") < 1):
		return usagef("--threshold %g: want more than 0 and less than 1", c.Float64("threshold"))
	case deita:
		o.Threshold = c.Float64("threshold")
	}
	var err error
	if o.Quotas, err = selection.ParseQuotas(c.StringSlice("quota")); err != nil {
		return usagef("--quota: %w", err)
	}
	return filterOrSelect(c, o)
}

// pickRule makes of a rule that which says among which records some are picked, by default
// all that are rated, and the order of the picks.
func pickRule(r verdict.Rule, lowest float64) (verdict.Rule, *verdict.Order) {
	by := r.By
	r.Top, r.By = nil, nil
	if r.Min == nil && r.MinProb == nil && r.Where == nil {
		r.Min = &lowest
	}
	return r, by
}
