package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"winnow/grader"
)

// print writes a judgement for people, or as a line of JSON.
func (j *judged) print(c *cli.Context) error {
	if j.Judge != nil && j.Judge.Torn > 0 {
		say(c.App.ErrWriter, "%s: its last line is unfinished and is left out\n", j.Judge.Scores)
	}
	if c.Bool("json") {
		return printJSON(c.App.Writer, j)
	}
	p := &comparePrinter{w: tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)}
	p.side("A", j.A)
	p.side("B", j.B)
	if j.Judge == nil {
		p.line("judge  not needed: answers are equal or empty")
	} else {
		p.line("judge  %s: %s; %s", excerpt(j.Judge.Scores, 120), excerpt(j.Judge.Model, 80), excerpt(strings.Join(j.Judge.Criteria, ", "), 120))
	}
	sets := append(j.Sets[:len(j.Sets):len(j.Sets)], j.All)
	p.judgedCounts(sets)
	p.line("\nOUTCOME OF A\tWINS\tTIES\tLOSSES\tWINNING SCORE\tWIN RATE\tAT EQUAL LENGTH")
	for _, s := range sets {
		p.line("%s\t%d\t%d\t%d\t%s\t%s\t%s", setName(s), s.Wins, s.Ties, s.Losses, maybe(s.Score), maybe(s.WinRate), maybe(s.LengthControlled))
	}
	p.line("\nTIE UNLESS BOTH ORDERS AGREE\tWINS\tTIES\tLOSSES\tWINNING SCORE")
	for _, s := range sets {
		o := s.BothOrders
		p.line("%s\t%d\t%d\t%d\t%s", setName(s), o.Wins, o.Ties, o.Losses, maybe(o.Score))
	}
	p.line("\nLENGTH\tMEAN OF A\tMEAN OF B\tLOG-ODDS A UNIT OF LOG(A/B)")
	for _, s := range sets {
		p.line("%s\t%s\t%s\t%s", setName(s), characters(s.LengthA), characters(s.LengthB), maybe(s.LengthWeight))
	}
	p.places(sets, j.Unit)
	p.line("\nintervals: 95 %%, %d resamples; tie band %g %s", j.Resamples, j.Tie, j.Unit)
	return p.flush()
}

func (p *comparePrinter) side(name string, s judgedSide) {
	models := ""
	if len(s.Models) > 0 {
		models = ": " + excerpt(strings.Join(s.Models, ", "), 80)
	}
	p.line("%s      %s%s; %d answers, %d of no prompt, %d repeated", name, excerpt(strings.Join(s.Paths, ", "), 120), models, s.Answers, s.Surplus, s.Repeated)
}

// judgedCounts prints what became of the prompts.
func (p *comparePrinter) judgedCounts(sets []grader.JudgeSet) {
	p.line("\nSET\tPROMPTS\tWITHOUT A\tWITHOUT B\tPAIRS\tDECIDED\tEQUAL\tEMPTY A\tEMPTY B\tUNRATED")
	for _, s := range sets {
		p.line("%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d%s", setName(s), s.Prompts, s.MissingA, s.MissingB, s.Pairs, s.Decided, s.Equal, s.EmptyA, s.EmptyB,
			s.Pairs-s.Decided, statuses(": ", s.Unrated))
	}
}

func (p *comparePrinter) places(sets []grader.JudgeSet, unit string) {
	if unit == "" {
		return
	}
	p.line("\nPLACES\tRATED\tSAME ANSWER IN BOTH ORDERS\tANSWERS FOR THE FIRST PLACE\tWORTH OF THE FIRST PLACE, %s", strings.ToUpper(unit))
	for _, s := range sets {
		if o := s.Places; o != nil {
			p.line("%s\t%d\t%s\t%s\t%s", setName(s), o.Rated, maybe(o.Consistent), maybe(o.FirstPlace), maybe(o.Bias))
		} else {
			p.line("%s\t0\t-\t-\t-", setName(s))
		}
	}
}

// setName names a set for people.
func setName(s grader.JudgeSet) string {
	if s.Set == "" {
		return "(no set)"
	}
	return excerpt(s.Set, 40)
}

// characters is a mean length for people.
func characters(f grader.Figure) string {
	return strings.ReplaceAll(fmt.Sprintf("%.1f", float64(f)), "NaN", "-")
}
