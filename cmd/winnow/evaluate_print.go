package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"winnow/grader"
	"winnow/grader/record"
)

// print writes an evaluation for people, or as a line of JSON.
func (e *evaluation) print(c *cli.Context) error {
	if e.Judge.Torn > 0 {
		say(c.App.ErrWriter, "%s: its last line is unfinished and is left out\n", e.Judge.Scores)
	}
	if c.Bool("json") {
		return printJSON(c.App.Writer, e)
	}
	p := &comparePrinter{w: tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)}
	what := e.Gold.Kind
	if e.Gold.Format != "" {
		what += " (" + e.Gold.Format + ")"
	}
	if e.Gold.Label != "" {
		what += " (" + excerpt(e.Gold.Label, 40) + ")"
	}
	if e.Gold.Seed != nil {
		what += fmt.Sprintf(", half %s of seed %d", e.Gold.Half, *e.Gold.Seed)
	}
	p.line("gold   %s: %s", excerpt(e.Gold.Path, 120), what)
	p.line("judge  %s: %s; %s", excerpt(e.Judge.Scores, 120), excerpt(e.Judge.Model, 80), excerpt(strings.Join(e.Judge.Criteria, ", "), 120))
	if e.Labels != nil {
		p.labels(e.Labels, e.Gold.Min)
	} else {
		p.pairs(e.Pairs)
	}
	p.published(e.Published)
	return p.flush()
}

// counts prints how much of the gold can be used; it reports whether any of it can.
func (p *comparePrinter) counts(what string, n, rated int, unrated map[record.Status]int, resamples int) bool {
	p.line("\n%d %s, %d rated%s", n, what, rated, statuses("; ", unrated))
	if rated == 0 {
		p.line("the judge has rated none of them")
		return false
	}
	p.line("intervals: 95 %%, %d resamples", resamples)
	return true
}

func (p *comparePrinter) labels(e *grader.LabelEvaluation, least *float64) {
	if !p.counts("labels", e.Labels, e.Rated, e.Unrated, e.Resamples) {
		return
	}
	switch {
	case e.Kept == nil:
		p.line("the labels are scores: --min X says which are worth keeping")
	case least != nil:
		p.line("worth keeping, with %g and more: %d, base rate %s", *least, *e.Kept, figure(*e.BaseRate))
	default:
		p.line("worth keeping: %d, base rate %s", *e.Kept, figure(*e.BaseRate))
	}
	p.line("\nORDER\tRECORDS\tAUC\tSPEARMAN\tKENDALL")
	for _, r := range e.Readings {
		p.line("%s\t%d\t%s\t%s\t%s", excerpt(r.Name, 40), r.Records, maybe(r.AUC), maybe(r.Spearman), maybe(r.Kendall))
	}
	if len(e.Verdicts) > 0 {
		p.line("\nCUT\tKEPT\tOF THEM RIGHT\tKEPT SHARE\tPRECISION\tRECALL\tKAPPA")
	}
	for _, v := range e.Verdicts {
		p.line("%s ≥ %g\t%d\t%d\t%s\t%s\t%s\t%s", v.Name, v.Cut, v.Both+v.OnlyJudge, v.Both, maybe(v.Share), maybe(v.Precision), maybe(v.Recall), maybe(v.Kappa))
	}
	if len(e.Probabilities) > 0 {
		p.line("\nPROBABILITY\tMEAN\tCALIBRATION ERROR")
	}
	for _, r := range e.Probabilities {
		p.line("%s\t%s\t%s", excerpt(r.Name, 60), maybe(r.Mean), maybe(r.Error))
	}
	if e.Bands != nil {
		p.bands(e.Bands)
	}
}

func (p *comparePrinter) bands(b *grader.LengthBands) {
	head := []string{"\nAUC WITHIN LENGTHS", "RECORDS", "KEPT"}
	within := []string{"all pairs of a band", "", ""}
	for _, r := range b.Readings {
		head, within = append(head, strings.ToUpper(r.Name)), append(within, maybe(r.Within))
	}
	p.line("%s", strings.Join(head, "\t"))
	for i, band := range b.Bands {
		row := []string{fmt.Sprintf("%d to %d", band.From, band.To), fmt.Sprint(band.Records), fmt.Sprint(band.Kept)}
		for _, r := range b.Readings {
			row = append(row, maybe(r.AUC[i]))
		}
		p.line("%s", strings.Join(row, "\t"))
	}
	p.line("%s", strings.Join(within, "\t"))
}

func (p *comparePrinter) pairs(e *grader.PairEvaluation) {
	if !p.counts("pairs", e.Pairs, e.Rated, e.Unrated, e.Resamples) {
		return
	}
	how := "each response is rated alone"
	if e.Pairwise {
		how = "both responses are shown, in both orders"
	}
	p.line("the first response is better in %d, the second in %d, neither in %d; %s", e.First, e.Rated-e.First-e.Ties, e.Ties, how)
	p.line("\nHIGHER IS BETTER\tPAIRS\tACCURACY\tTIES WRONG\tTIE RATE\tAUC\tKAPPA")
	for _, r := range e.Readings {
		p.line("%s\t%d\t%s\t%s\t%s\t%s\t%s", excerpt(r.Name, 40), r.Pairs, maybe(r.Accuracy), maybe(r.Strict), maybe(r.TieRate), maybe(r.AUC), maybe(r.Kappa))
	}
	if e.Ties > 0 {
		p.line("\nAGREEMENT\tWITH TIES AS A CLASS")
		for _, r := range e.Readings {
			p.line("%s\t%s", excerpt(r.Name, 40), maybe(r.Agreement))
		}
	}
	if o := e.Orders; o != nil {
		p.line("\nORDER\t")
		p.line("accuracy as they are\t%s", maybe(o.First))
		p.line("accuracy swapped\t%s", maybe(o.Second))
		p.line("right in both\t%s", maybe(o.Both))
		p.line("same answer in both\t%s", maybe(o.Consistent))
		p.line("answers for the first place\t%s", maybe(o.FirstPlace))
		p.line("worth of the first place, %s\t%s", o.Unit, maybe(o.Bias))
	}
}

func (p *comparePrinter) published(list []grader.Published) {
	if len(list) == 0 {
		return
	}
	p.line("\npublished elsewhere, not measured here (%s):", grader.PublishedSource)
	p.line("ACCURACY\tLLMBAR NATURAL\tLLMBAR ADVERSARIAL\t")
	for _, j := range list {
		p.line("%s\t%.3f\t%.3f\t%s", j.Judge, j.Natural, j.Adversarial, j.Note)
	}
}

// maybe is an estimate for people; a dash if there is none.
func maybe(e *grader.Estimate) string {
	if e == nil {
		return "-"
	}
	return strings.ReplaceAll(fmt.Sprintf("%.3f [%.3f, %.3f]", e.Value, e.Low, e.High), "NaN", "-")
}
