package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"winnow/grader"
	"winnow/grader/record"
	"winnow/grader/verdict"
)

func compareCommand() *cli.Command {
	return &cli.Command{
		Name:      "compare",
		Usage:     "say how two scores files agree",
		ArgsUsage: "A B",
		Description: `Examples:
  winnow compare f16.scores.jsonl q4.scores.jsonl
  winnow compare small.jsonl large.jsonl --min 4 --data data.json --most 20
  winnow compare a.jsonl b.jsonl --json | jq .rating.spearman.value

A and B are scores files of any models, rubrics and settings. Records are joined by
content, and those without a rating are counted by their status. Printed are what
differs between the two judges; the correlations of their ratings; how far B's
ratings are from A's; what each would keep at --min, and how many of B's best records
are among as many of A's best; and the records that differ most. With several criteria
the rating is the least, and each criterion that both have is compared too.

Intervals are of 95 %, by percentile bootstrap over records with a fixed seed. If the
scales differ, only ranks are compared.`,
		Flags: append(dataFlags(),
			&cli.Float64Flag{Name: "min", Value: verdict.DefaultMin, Usage: "the cut: expected ratings of `X` and more are kept"},
			&cli.StringFlag{Name: "data", Usage: "`DATA` file, or a pattern, that has the texts of the records that differ most"},
			&cli.IntFlag{Name: "most", Value: 10, Usage: "list the `N` records that differ most"},
			&cli.IntFlag{Name: "resamples", DefaultText: "1000; of more than 10,000 records fewer, but at least 100", Usage: "take `N` resamples for the intervals"},
			&cli.BoolFlag{Name: "json", Usage: "print one line of JSON"},
		),
		OnUsageError: onUsageError,
		Action:       compare,
	}
}

func compare(c *cli.Context) error {
	switch {
	case c.NArg() != 2:
		return usagef("compare takes two scores files, %d given: winnow compare A B", c.NArg())
	case math.IsNaN(c.Float64("min")) || math.IsInf(c.Float64("min"), 0):
		return usagef("--min %g: want a finite number", c.Float64("min"))
	case c.Int("most") < 0:
		return usagef("--most %d: want 0 or more", c.Int("most"))
	case c.IsSet("resamples") && (c.Int("resamples") < 2 || c.Int("resamples") > 1_000_000):
		return usagef("--resamples %d: want 2 to 1000000", c.Int("resamples"))
	}
	o := grader.CompareOptions{Min: c.Float64("min"), Most: c.Int("most"), Resamples: c.Int("resamples")}
	if path := c.String("data"); path != "" {
		src, err := newSource(c, []string{path})
		if err != nil {
			return err
		}
		defer src.close()
		src.options.Mixed = true // nothing is written in their layout
		o.Open = src.open
	} else {
		for _, f := range dataFlags() {
			if name := f.Names()[0]; c.IsSet(name) {
				return usagef("--%s says how --data is read: give --data too", name)
			}
		}
	}
	result, err := grader.Compare(c.Context, c.Args().Get(0), c.Args().Get(1), o)
	if err != nil {
		return err
	}
	for _, side := range []grader.Compared{result.A, result.B} {
		if side.Torn > 0 {
			say(c.App.ErrWriter, "%s: its last line is unfinished and is left out\n", side.Path)
		}
	}
	if c.Bool("json") {
		return printJSON(c.App.Writer, struct {
			Kind string `json:"kind"`
			*grader.Comparison
		}{"comparison", result})
	}
	p := comparePrinter{w: tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)}
	p.head(result)
	if result.Records.Compared == 0 {
		p.line("no record has a rating in both")
		return p.flush()
	}
	if !result.SameScale {
		p.line("the scales differ: only ranks are compared")
	}
	p.agreement("rating", result.Rating, result)
	for _, g := range result.Criteria {
		p.agreement("criterion "+excerpt(g.Criterion, 40), g, result)
	}
	p.line("\nintervals: 95 %%, %d resamples of %d records", result.Resamples, result.Records.Compared)
	p.most(result, o.Open != nil)
	return p.flush()
}

// comparePrinter prints a comparison for people. It keeps the first error.
type comparePrinter struct {
	w   *tabwriter.Writer
	err error
}

func (p *comparePrinter) line(format string, args ...any) {
	if _, err := fmt.Fprintf(p.w, format+"\n", args...); err != nil && p.err == nil {
		p.err = err
	}
}

func (p *comparePrinter) flush() error {
	if err := p.w.Flush(); err != nil && p.err == nil {
		p.err = err
	}
	return p.err
}

func (p *comparePrinter) head(c *grader.Comparison) {
	for i, side := range []grader.Compared{c.A, c.B} {
		p.line("%c  %s: %s; %d entries, %d rated%s", 'A'+i, excerpt(side.Path, 120), excerpt(side.Model, 80),
			side.Entries, side.Rated, statuses("; ", side.Unrated))
	}
	if len(c.Differences) == 0 {
		p.line("the two manifests are of one judge")
	}
	for _, d := range c.Differences {
		p.line("differs: %s", excerpt(d, 400))
	}
	n := c.Records
	p.line("\nrecords\tin both %d\tonly in A %d\tonly in B %d", n.Both, n.OnlyA, n.OnlyB)
	p.line("of both\trated in both %d\trated in A alone %d\trated in B alone %d\tin neither %d", n.Compared, n.UnratedB, n.UnratedA, n.UnratedBoth)
}

func (p *comparePrinter) agreement(title string, g grader.Agreement, c *grader.Comparison) {
	p.line("\n%s", title)
	if g.Pearson != nil {
		p.line("  Pearson\t%s", estimate(*g.Pearson))
	}
	p.line("  Spearman\t%s", estimate(g.Spearman))
	p.line("  Kendall tau-b\t%s", estimate(g.Kendall))
	p.line("  mean\tA %s\tB %s", figure(g.MeanA), figure(g.MeanB))
	p.line("  off-scale mass\tA %s\tB %s", figure(g.OffScaleA), figure(g.OffScaleB))
	if d := g.Deltas; d != nil {
		p.line("  B − A\t%s", estimate(d.Shift))
		p.line("  |B − A|\tmean %s\tp50 %s\tp90 %s\tp99 %s\tmax %s", figure(d.Mean), figure(d.P50), figure(d.P90), figure(d.P99), figure(d.Max))
		p.line("  equal bits\t%d of %d", d.Equal, c.Records.Compared)
	}
	if k := g.Cut; k != nil {
		p.line("  kept at %g\tby both %d\tby A alone %d\tby B alone %d\tby neither %d", c.Min, k.Both, k.OnlyA, k.OnlyB, k.Neither)
		p.line("  Cohen's kappa\t%s", estimate(k.Kappa))
	}
	b := g.Budget
	if b.K == 0 {
		p.line("  best of each\tA keeps none at %g", c.Min)
		return
	}
	p.line("  best %d of each\t%d in both\tshare %s\tby chance %s", b.K, b.Overlap, figure(b.Share), figure(b.Chance))
}

func (p *comparePrinter) most(c *grader.Comparison, withData bool) {
	if len(c.Most) == 0 {
		return
	}
	p.line("")
	head := "INDEX\tA\tB\tB − A\tKEY"
	if !c.SameScale {
		head = "INDEX\tA\tB\tRANK A\tRANK B\tKEY"
	}
	if withData {
		head += "\tINSTRUCTION\tRESPONSE"
	}
	p.line("%s", head)
	for _, d := range c.Most {
		change := fmt.Sprintf("%+.2f", float64(d.Delta))
		if !c.SameScale {
			change = fmt.Sprintf("%.2f\t%.2f", d.RankA, d.RankB)
		}
		texts := ""
		switch {
		case d.Found:
			texts = "\t" + excerpt(d.Instruction, 40) + "\t" + excerpt(d.Response, 40)
		case withData:
			texts = "\tnot in the data\t"
		}
		p.line("%d\t%.2f\t%.2f\t%s\t%s%s", d.IndexA, d.A, d.B, change, d.Key, texts)
	}
}

// statuses lists counts by status behind a text; "" for none.
func statuses(text string, counts map[record.Status]int) (list string) {
	for _, s := range slices.Sorted(maps.Keys(counts)) {
		list += fmt.Sprintf("%s%d %s", text, counts[s], excerpt(string(s), 40))
		text = ", "
	}
	return list
}

// figure is a number for people; one that is undefined is a dash.
func figure(f grader.Figure) string {
	if math.IsNaN(float64(f)) {
		return "-"
	}
	return strconv.FormatFloat(float64(f), 'f', 4, 64)
}

func estimate(e grader.Estimate) string {
	return fmt.Sprintf("%s [%s, %s]", figure(e.Value), figure(e.Low), figure(e.High))
}
