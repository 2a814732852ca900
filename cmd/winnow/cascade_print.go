package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"winnow/grader"
	"winnow/grader/cascade"
)

// printCascade prints what a cascade did, for people.
func printCascade(w io.Writer, plan *cascade.Plan, e *cascade.Evidence) error {
	r, b := e.Report, plan.Band
	p := comparePrinter{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	p.line("small\t%s\trates %d records", excerpt(plan.Small.Name, 80), r.Rated)
	p.line("large\t%s\trates %d of them (%s): %d of the sample, %d in the band, %d to check", excerpt(plan.Large.Name, 80),
		r.Sample+r.Band+r.Check, percent(r.Share), r.Sample, r.Band, r.Check)
	best := ""
	if plan.Top != nil {
		best = fmt.Sprintf(", asked for as the best %g percent", *plan.Top)
	}
	p.line("cut\t%g\tby large, %d of %d records of the sample reach it%s", plan.Cut, plan.Keep, b.Records, best)
	switch {
	case b.Band.All():
		p.line("band\teverything\tno narrower one reaches the agreement: large decides all")
	case b.Band.Low == b.Band.High:
		p.line("band\tnothing\tsmall decides all outside the sample")
	default:
		p.line("band\t%s to %s\tof the probability that large keeps, by %s; %s of the records outside the sample", figure(grader.Figure(b.Band.Low)), figure(grader.Figure(b.Band.High)), plan.Calibration.Method, percent(r.BandShare))
	}
	p.line("kept\t%d\tof %d; %d entries have no rating", r.Kept, r.Entries, r.Unrated)
	p.line("\nagreement with large alone, outside the sample; %g was asked for", plan.Agreement)
	p.line("  by the sample, out of fold\t%s\t%s to large", estimate(b.Agreement), percent(b.Share))
	p.line("  likewise, the band chosen without\t%s\t%s to large", estimate(plan.Crossed.Agreement), percent(plan.Crossed.Share))
	if c := r.Checked; c != nil {
		p.line("  by %d records of the check\t%s", c.Records, estimate(c.Agreement))
	}
	p.line("  of the commoner verdict alone\t%s", figure(plan.Majority))
	p.line("Cohen's kappa, by the sample\t%s", estimate(b.Kappa))
	if c := r.Checked; c != nil {
		p.line("Cohen's kappa, by the check\t%s", estimate(c.Kappa))
	}
	p.line("of what large keeps, kept\t%s", figure(b.Found))
	p.line("of what is kept, large keeps\t%s", figure(b.Right))
	if plan.Crossed.Agreement.Value < grader.Figure(plan.Agreement) {
		p.line("\nA band chosen by other records agrees less than was asked for: expect that figure, or give a larger --cascade-sample or --agreement.")
	}
	p.line("\nBAND\tSHARE OF LARGE\tAGREEMENT\tKAPPA\tFOUND\tRIGHT")
	for _, m := range plan.Curve {
		p.line("%s–%s\t%s\t%s\t%s\t%s\t%s", figure(grader.Figure(m.Band.Low)), figure(grader.Figure(m.Band.High)), percent(m.Share), estimate(m.Agreement), estimate(m.Kappa), figure(m.Found), figure(m.Right))
	}
	p.line("\nThe bands that agree best of those of a width, by the sample that they were chosen by, which flatters them: --cascade-check measures on other records.")
	p.line("Where most verdicts are alike, agreement comes cheap: see kappa and the share that is found. Intervals: 95 %%.")
	p.cost(e)
	return p.flush()
}

func (p *comparePrinter) cost(e *cascade.Evidence) {
	t, s := e.Report.Tokens, e.Seconds
	p.line("\nCOST\tSMALL\tLARGE\tLARGE ALONE\tSHARE")
	p.line("tokens of prompts\t%d\t%d\t%d (estimated)\t%s of large's", t.Small, t.Large, t.LargeAlone, percent(t.Share))
	alone, share := "not timed", "-"
	if !math.IsNaN(float64(s.LargeAlone)) {
		alone, share = fmt.Sprintf("%.1f (estimated)", float64(s.LargeAlone)), percent(s.Share)
	}
	p.line("seconds\t%.1f for %d\t%.1f for %d\t%s\t%s", s.Small.Seconds, s.Small.Records, s.Large().Seconds, s.Large().Records, alone, share)
	p.line("Of large's seconds %.1f were for %d of the sample, %.1f for %d more; learning took %.1f.", s.Sample.Seconds, s.Sample.Records, s.Band.Seconds, s.Band.Records, s.Learn)
}

func percent(f grader.Figure) string {
	if math.IsNaN(float64(f)) {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(f))
}
