package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	"winnow/grader"
	"winnow/grader/audit"
)

// auditPrinter prints an audit for people.
type auditPrinter struct {
	comparePrinter
	r *audit.Report
}

func printAudit(w io.Writer, r *audit.Report) error {
	p := auditPrinter{comparePrinter{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}, r}
	p.sample()
	p.shuffled()
	p.length()
	p.criteria()
	p.spread()
	p.drift()
	p.canaries()
	p.worries()
	p.line("\nintervals: 95 %%, %d resamples of the sampled records", r.Resamples)
	return p.flush()
}

// section begins a part of the report with what a good judge would show.
func (p *auditPrinter) section(title, good string) { p.line("\n%s\n  A good judge: %s", title, good) }

func (p *auditPrinter) verdict(v audit.Result) { p.line("  verdict: %s (%s)", v.Verdict, v.Limit) }

func (p *auditPrinter) sample() {
	s := p.r.Sample
	var rubrics []string
	for _, r := range p.r.Rubrics {
		rubrics = append(rubrics, excerpt(r.Name, 40))
	}
	p.line("judge: %s by %s", excerpt(p.r.Model.Name, 80), strings.Join(rubrics, ", "))
	p.line("sample: %d records of %d, seed %d; %d rated%s", s.Records, s.Eligible, s.Seed, s.Rated, statuses("; left out: ", s.LeftOut))
	p.line("made: %d records and variants%s; scale %g to %g, cut %g", p.r.Made, statuses("; without a rating: ", p.r.Unrated), p.r.Lowest, p.r.Highest, p.r.Min)
}

func (p *auditPrinter) shuffled() {
	s := p.r.Shuffled
	p.section("true against shuffled responses", "rates a response above one of the same length to another instruction; AUC and wins near 1, chance is 0.5")
	p.line("  pairs\t%d\twithout another response %d", s.Pairs, s.NoOther)
	p.line("  AUC\t%s", estimate(s.AUC))
	p.line("  wins\t%s", estimate(s.Wins))
	p.line("  mean rating\ttrue %s\tshuffled %s", figure(s.True), figure(s.Wrong))
	p.verdict(s.Result)
}

func (p *auditPrinter) length() {
	l := p.r.Length
	p.section("rating and length", "rates what is said, not how much; correlations near 0, bands alike")
	p.line("  Spearman, characters\t%s", estimate(l.Spearman))
	if l.Tokens != nil {
		p.line("  Spearman, tokens\t%s", estimate(*l.Tokens))
	}
	for _, b := range l.Bands {
		p.line("  %d to %d characters\tmean rating %s\t%d records", b.Shortest, b.Longest, figure(b.Mean), b.Records)
	}
	p.verdict(l.Result)
}

func (p *auditPrinter) criteria() {
	if len(p.r.Criteria) == 0 {
		return
	}
	p.section("criteria", "has criteria that agree, but do not say the same; rank correlations above 0 and below 1")
	for _, c := range p.r.Criteria {
		p.line("  %s and %s\tSpearman %s\t%s", excerpt(c.A, 40), excerpt(c.B, 40), estimate(c.Spearman), c.Verdict)
	}
	p.line("  limit: %s", p.r.Criteria[0].Limit)
}

func (p *auditPrinter) spread() {
	s := p.r.Spread
	p.section("saturation and ties", "spreads ratings over the scale, so that a budget can order the records, and answers with ratings")
	p.line("  rating\tmean %s\tdeviation %s\tdifferent ones %d", figure(s.Mean), figure(s.SD), s.Distinct)
	p.line("  most common\t%.2f\tof %d records\tshare %s", s.Common, s.Ties, figure(s.Share))
	p.line("  top tenth of the scale\tshare %s", figure(s.Top))
	p.line("  entropy of the histogram\t%s nats\tevenness %s", figure(s.Entropy), figure(s.Evenness))
	p.line("  off-scale mass\tmean %s\tabove a half: share %s", figure(s.OffScale), figure(s.Lost))
	p.verdict(s.Result)
}

func (p *auditPrinter) drift() {
	if len(p.r.Drift) == 0 {
		return
	}
	p.section("drift", "gives a record the same rating again, in whatever order and batch; on a CPU with flash attention to the last bit")
	for _, d := range p.r.Drift {
		p.line("  %s\tmax %s\tmean %s\tequal bits %d of %d\tcross the cut %d\tSpearman %s", excerpt(d.Text, 60),
			small(d.Max), small(d.Mean), d.Equal, d.Records, d.Flips, estimate(d.Spearman))
		p.verdict(d.Result)
	}
}

// small is a number for people that may be far below 1.
func small(f grader.Figure) string {
	if math.IsNaN(float64(f)) {
		return "-"
	}
	return strconv.FormatFloat(float64(f), 'g', 3, 64)
}

func (p *auditPrinter) canaries() {
	for _, part := range []struct {
		aim         audit.Aim
		title, good string
	}{
		{audit.Attack, "attacks", "does not rate a response higher for what is written to please or to deceive it; changes at or below 0"},
		{audit.Corruption, "corruptions", "rates a response lower when it is made worse; changes well below 0"},
	} {
		limit := ""
		for _, c := range p.r.Canaries {
			if c.Aim != part.aim || c.Made == 0 {
				continue
			}
			if limit == "" {
				limit = c.Limit
				p.section(part.title, part.good)
				p.line("  VARIANT\tVERDICT\tMEDIAN CHANGE\tP10\tP90\tCROSS THE CUT\tRECORDS\tWHAT")
			}
			p.line("  %s\t%s\t%s\t%s\t%s\tup %d, down %d\t%d\t%s", c.Name, c.Verdict, signedEstimate(c.Median), signed(c.P10), signed(c.P90), c.Up, c.Down, c.Records, c.Text)
		}
		if limit != "" {
			p.line("  limit: %s", limit)
		}
	}
}

// signed is a change for people.
func signed(f grader.Figure) string {
	if math.IsNaN(float64(f)) {
		return "-"
	}
	return fmt.Sprintf("%+.2f", float64(f))
}

func signedEstimate(e grader.Estimate) string {
	return fmt.Sprintf("%s [%s, %s]", signed(e.Value), signed(e.Low), signed(e.High))
}

func (p *auditPrinter) worries() {
	p.line("\nwhat to worry about")
	if len(p.r.Worries) == 0 {
		p.line("  nothing: all that was measured holds")
	}
	for _, w := range p.r.Worries {
		p.line("  - %s", w)
	}
}
