package htmlreport

import (
	"fmt"
	"html"
	"io"
	"strings"
	"unicode"

	"winnow/grader/metric"
)

// markdown writes lines; what others wrote goes through escape.
type markdown struct{ strings.Builder }

func (m *markdown) line(format string, args ...any) { fmt.Fprintf(&m.Builder, format+"\n", args...) }

// head begins a table.
func (m *markdown) head(columns ...string) {
	m.line("| %s |", strings.Join(columns, " | "))
	m.line("|%s", strings.Repeat(" --- |", len(columns)))
}

// escape makes text of s that Markdown shows as it is.
func escape(s string) string {
	var b strings.Builder
	for _, r := range strings.Join(strings.Fields(s), " ") {
		switch {
		case unicode.IsControl(r):
			r = unicode.ReplacementChar
		case strings.ContainsRune("<>&", r):
			b.WriteString(html.EscapeString(string(r)))
			continue
		case strings.ContainsRune("\\`*_{}[]#!|~@$", r):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func share(part, all int) string {
	if all == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(all))
}

// figure is a number for people; one that is undefined is a dash.
func figure(f metric.Figure) string {
	if x := float64(f); x == x {
		return fmt.Sprintf("%.2f", x)
	}
	return "–"
}

// Markdown writes the report for repositories and issues.
func (r *Report) Markdown(w io.Writer) error {
	m := &markdown{}
	m.line("# Report on %s\n", escape(r.Name))
	m.head("", "")
	for _, p := range r.summary() {
		m.line("| %s | %s |", escape(p[0]), escape(p[1]))
	}
	r.markdownRatings(m)
	r.markdownGroups(m)
	if len(r.Unrated) > 0 {
		m.line("\n## Records without a rating\n")
		m.head("status", "records", "such as")
		for _, u := range r.Unrated {
			m.line("| %s | %d | %s |", escape(clip(string(u.Status), 40)), u.Records, escape(clip(u.Reason, reasonChars)))
		}
	}
	r.markdownEvidence(m)
	m.line("\n## Manifest\n")
	m.head("", "")
	for _, p := range r.pairs {
		m.line("| %s | %s |", escape(p[0]), escape(p[1]))
	}
	_, err := io.WriteString(w, m.String())
	return err
}

func (r *Report) markdownRatings(m *markdown) {
	m.line("\n## Ratings\n")
	m.head("from", "to", "records", "")
	most := 1
	bars := r.bars()
	for _, b := range bars {
		most = max(most, b.Records)
	}
	for _, b := range bars {
		if b.Records > 0 {
			m.line("| %s | %s | %d | %s |", r.grid.text(b.From), r.grid.text(b.To), b.Records, strings.Repeat("█", max(1, b.Records*20/most)))
		}
	}
	m.line("\n## Kept at other cuts\n")
	m.head("cut", "kept", "of the rated")
	for _, c := range r.cuts() {
		m.line("| %s | %d | %s |", r.grid.text(c.From), c.Kept, share(c.Kept, r.Rated))
	}
	if len(r.series) > 1 {
		m.line("\n## Criteria\n")
		m.head("criterion", "mean", "reach the cut")
		at, _ := r.grid.at(r.Min)
		for _, s := range r.series {
			m.line("| %s | %s | %d |", escape(s.Name), figure(s.Mean), s.h.above(at))
		}
	}
}

// cuts says what each rating of the scale would keep as the cut.
func (r *Report) cuts() (list []bar) {
	for _, v := range r.manifest.Scale.Values {
		at := r.grid.below(v)
		list = append(list, bar{From: r.grid.value(at), Kept: r.series[0].h.above(at)})
	}
	return list
}

func (r *Report) markdownGroups(m *markdown) {
	s := &r.series[0]
	m.line("\n## Rating by length\n")
	m.head(r.Length, "records", "10 %", "25 %", "median", "75 %", "90 %")
	for _, b := range s.Length {
		m.line("| %g to %g | %d | %s | %s | %s | %s | %s |", b.From, b.To, b.Records, figure(b.Q[0]), figure(b.Q[1]), figure(b.Q[2]), figure(b.Q[3]), figure(b.Q[4]))
	}
	at, _ := r.grid.at(r.Min)
	table := func(title, column string, names []string, groups []group) {
		if len(groups) == 0 {
			return
		}
		m.line("\n## %s\n", title)
		m.head(column, "records", "mean", "median", "kept", "share")
		for i, x := range groups {
			kept := x.h.above(at)
			m.line("| %s | %d | %s | %s | %d | %s |", escape(names[i]), x.Records, figure(x.Mean), figure(x.Q[2]), kept, share(kept, x.Records))
		}
	}
	table("Rating by task", "first word", r.kinds, s.Kinds)
	table("Rating by "+escape(r.field), "value", r.fields, s.Fields)
}

func (r *Report) markdownEvidence(m *markdown) {
	if c := r.calibration; c != nil {
		m.line("\n## Calibration\n")
		if note := foreign("calibration", c.Judge.Model, r.manifest.Model); note != "" {
			m.line("%s\n", escape(note))
		}
		m.line("%s\n", escape(c.verdict()))
		m.head("said", "records", "to be kept", "said after", "records", "to be kept")
		for _, b := range c.bins() {
			m.line("| %s | %d | %s | %s | %d | %s |", figure(b[0].Mean), b[0].Records, figure(b[0].Kept), figure(b[1].Mean), b[1].Records, figure(b[1].Kept))
		}
	}
	if a := r.audit; a != nil {
		m.line("\n## Audit\n")
		if note := foreign("audit", a.Model, r.manifest.Model); note != "" {
			m.line("%s\n", escape(note))
		}
		m.head("check", "found", "verdict")
		for _, c := range a.checks() {
			m.line("| %s | %s | %s |", escape(c.Name), escape(c.Found), escape(c.Verdict))
		}
		m.line("")
		for _, w := range a.Worries {
			m.line("- %s", escape(w))
		}
	}
}
