package calibration

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"winnow/grader/journal"
	"winnow/grader/signal"
)

// Group is features of an entry that go together.
type Group string

// The groups.
const (
	Value        Group = "value"        // the rating that counts: of several criteria the least
	Ratings      Group = "rating"       // the expected value of each criterion
	Distribution Group = "distribution" // of each criterion: log-probability of each rating string given that the answer is on the scale, log-odds of the off-scale mass, entropy
	Signals      Group = "signals"      // each signal, counts and ratios of perplexities as logarithms, with an indicator of where it is undefined
	HiddenState  Group = "hidden"       // the hidden state
)

// floor is the least probability that a logarithm sees. Journals have seven digits.
const floor = 1e-6

// layout says where an entry of one judge has its features.
type layout struct {
	criteria []string
	scale    []string
	names    []string // of the signals that are features
	at       []int    // where in an entry's Signals each of names is
	signals  int      // of an entry
	hidden   int      // numbers of the hidden state; 0 without one
}

// layoutOf is the layout of a judge's entries. names are the signals that are
// features; nil for all that the judge has.
func layoutOf(m journal.Manifest, names []string) (layout, error) {
	if names == nil {
		names = m.Signals
	}
	l := layout{criteria: m.Criteria(), scale: m.Scale.Strings, names: names, signals: len(m.Signals)}
	for _, name := range names {
		i := slices.Index(m.Signals, name)
		if i < 0 {
			return l, fmt.Errorf("the scores have no signal %s: grade with the signals %s", name, needed(names))
		}
		l.at = append(l.at, i)
	}
	if m.Hidden != nil {
		l.hidden = m.Hidden.Size
	}
	return l, nil
}

// needed names the groups of signals for a message.
func needed(names []string) string {
	set, err := signal.Of(names)
	if err != nil {
		return strings.Join(names, ",")
	}
	return set.String()
}

// has reports whether a group has any columns.
func (l *layout) has(g Group) bool { return l.width(g) > 0 }

func (l *layout) width(g Group) int {
	switch g {
	case Value:
		return 1
	case Ratings:
		return len(l.criteria)
	case Distribution:
		return len(l.criteria) * (len(l.scale) + 2)
	case Signals:
		return 2 * len(l.names)
	case HiddenState:
		return l.hidden
	}
	return 0
}

// blocks are the widths of runs of columns that share a weight: groups, and of the
// hidden state its two vectors, so that many columns do not drown few.
func (l *layout) blocks(groups []Group) (widths []int) {
	for _, g := range groups {
		if w := l.width(g); g == HiddenState && w%2 == 0 {
			widths = append(widths, w/2, w/2)
		} else if w > 0 {
			widths = append(widths, w)
		}
	}
	return widths
}

// check reports why an entry has no features.
func (l *layout) check(e *journal.Entry, hidden bool) error {
	switch {
	case len(e.Ratings) != len(l.criteria):
		return fmt.Errorf("the entry has %d ratings, want %d", len(e.Ratings), len(l.criteria))
	case len(l.names) > 0 && len(e.Signals) != l.signals:
		return fmt.Errorf("the entry has %d signals, want %d", len(e.Signals), l.signals)
	case hidden && len(e.Hidden) != l.hidden:
		return fmt.Errorf("the entry has %d numbers of a hidden state, want %d", len(e.Hidden), l.hidden)
	}
	for i := range e.Ratings {
		if len(e.Ratings[i].Probs) != len(l.scale) {
			return fmt.Errorf("the entry has %d probabilities, want %d", len(e.Ratings[i].Probs), len(l.scale))
		}
	}
	return nil
}

// appendGroup appends the columns of one group. The entry has passed check. What is
// undefined is NaN.
func (l *layout) appendGroup(row []float64, g Group, e *journal.Entry) []float64 {
	switch g {
	case Value:
		row = append(row, e.Value())
	case Ratings:
		for i := range e.Ratings {
			row = append(row, e.Ratings[i].Value)
		}
	case Distribution:
		for i := range e.Ratings {
			r := &e.Ratings[i]
			on := 0.0
			for _, p := range r.Probs {
				on += p
			}
			for _, p := range r.Probs {
				row = append(row, math.Log(max(p/max(on, floor), floor)))
			}
			row = append(row, logit(min(max(r.OffScale, floor), 1-floor)), r.Entropy)
		}
	case Signals:
		for i, name := range l.names {
			x := shaped(name, e.Signals[l.at[i]])
			undefined := 0.0
			if math.IsNaN(x) {
				undefined = 1
			}
			row = append(row, x, undefined)
		}
	case HiddenState:
		for _, x := range e.Hidden {
			row = append(row, float64(x))
		}
	}
	return row
}

// shaped is a signal in the form that a linear model can use. Infinity, as of a
// perplexity too large for a float64, is undefined.
func shaped(name string, x float64) float64 {
	switch name {
	case signal.InstructionTokens, signal.ResponseTokens:
		x = math.Log1p(max(x, 0))
	case signal.PPL, signal.IFDPPL, signal.IFDPlain:
		x = math.Log(max(x, floor*floor))
	}
	if math.IsInf(x, 0) {
		return math.NaN()
	}
	return x
}

func logit(p float64) float64 { return math.Log(p) - math.Log1p(-p) }

// probability is the inverse of logit.
func probability(z float64) float64 {
	if z < 0 {
		e := math.Exp(z)
		return e / (1 + e)
	}
	return 1 / (1 + math.Exp(-z))
}
