package grader

import (
	"context"
	"fmt"
	"math"

	"winnow/grader/journal"
	"winnow/grader/metric"
	"winnow/grader/rating"
	"winnow/grader/record"
)

// EvaluateOptions says how a judge is measured by gold.
type EvaluateOptions struct {
	Cut         float64 // a record with this rating is kept
	Probability float64 // and one with this calibrated probability
	Tie         float64 // responses whose ratings differ by at most this are a tie
	Resamples   int     // of the bootstrap; 0 for DefaultResamples
	Keep        bool    // scores were read with a cut, so labels say what is worth keeping; binary ones always do
}

// evaluateSeed makes the intervals of equal evaluations equal.
const evaluateSeed = 1

// Judged is what a judge has said of records.
type Judged struct {
	Ratings
	Manifest journal.Manifest
}

// reading is a number that a judge gives to each rated record.
type reading struct {
	name    string
	of      func(journal.Entry) float64 // NaN where it is undefined
	onScale bool                        // it is in points of the scale
}

// The names of readings that are no criteria and no signals.
const (
	ratingName     = "rating"
	calibratedName = "calibrated"
	lengthName     = "response length"
)

// readings returns what there is to read: the rating that counts, each criterion if
// there are several, the calibrated probability, the signals.
func (j Judged) readings() []reading {
	list := []reading{{name: ratingName, of: journal.Entry.Value, onScale: true}}
	if names := j.Manifest.Criteria(); len(names) > 1 {
		for i, name := range names {
			list = append(list, reading{name: "criterion " + name, of: func(e journal.Entry) float64 { return ratingAt(e, i).Value }, onScale: true})
		}
	}
	if j.Manifest.Calibration != nil {
		list = append(list, reading{name: calibratedName, of: func(e journal.Entry) float64 { return e.Calibrated }})
	}
	for i, name := range j.Manifest.Signals {
		list = append(list, reading{name: name, of: func(e journal.Entry) float64 {
			if i >= len(e.Signals) {
				return math.NaN()
			}
			return e.Signals[i]
		}})
	}
	return list
}

// rated looks a record up: its entry has a rating if why is empty.
func (j Judged) rated(key record.Key) (e journal.Entry, why record.Status) {
	e, ok := j.Lookup(key)
	switch {
	case !ok:
		return e, record.NotGraded
	case len(e.Ratings) == 0:
		return e, e.Status
	}
	return e, ""
}

// ratingAt returns an entry's rating by a criterion. One that a rated entry lacks is no
// number.
func ratingAt(e journal.Entry, criterion int) rating.Rating {
	if criterion < len(e.Ratings) {
		return e.Ratings[criterion]
	}
	return rating.Rating{Value: math.NaN()}
}

// column is what one reading says of all records, or of as many as have it.
type column struct {
	rows   []int // of the records that have it
	values []float64
	all    int // records
}

func newColumn(n int, value func(i int) float64) column {
	c := column{all: n}
	for i := range n {
		if x := value(i); !math.IsNaN(x) {
			c.rows, c.values = append(c.rows, i), append(c.values, x)
		}
	}
	return c
}

// pick returns what belongs to the column's records.
func pick[T any](c column, list []T) []T {
	out := make([]T, len(c.rows))
	for k, i := range c.rows {
		out[k] = list[i]
	}
	return out
}

// finite returns the values with infinite ones at the ends of what correlations of
// ranks take.
func (c column) finite() []float64 {
	const most = 1e300
	out := make([]float64, len(c.values))
	for i, x := range c.values {
		out[i] = max(-most, min(most, x))
	}
	return out
}

// weights makes a figure of the column's records one of all records.
func (c column) weights(f func(w []int32) float64) func(w []int32) float64 {
	if len(c.rows) == c.all {
		return f
	}
	return func(w []int32) float64 {
		if w == nil {
			return f(nil)
		}
		return f(pick(c, w))
	}
}

// estimates collects figures of the same n records and gives all of them their values
// and intervals at once.
type estimates struct {
	n       int
	figures []func(w []int32) float64
	to      []*Estimate
}

// add returns an estimate that run sets. The figure gets how often each record stands,
// nil for once each.
func (e *estimates) add(figure func(w []int32) float64) *Estimate {
	to := new(Estimate)
	e.figures, e.to = append(e.figures, figure), append(e.to, to)
	return to
}

func (e *estimates) run(ctx context.Context, resamples int) error {
	intervals, err := metric.Bootstrap(ctx, e.n, len(e.figures), metric.Resampling{Resamples: resamples, Seed: evaluateSeed, Level: interval}, func(w []int32, out []float64) {
		for k, f := range e.figures {
			out[k] = f(w)
		}
	})
	if err != nil {
		return fmt.Errorf("evaluating: %w", err)
	}
	for k, f := range e.figures {
		*e.to[k] = Estimate{Value: Figure(f(nil)), Low: Figure(intervals[k].Low), High: Figure(intervals[k].High)}
	}
	return nil
}

// share is the mean of numbers of which record i counts w[i] times.
func share(list []float64) func(w []int32) float64 {
	return func(w []int32) float64 {
		sum, n := 0.0, 0.0
		for i, x := range list {
			t := 1.0
			if w != nil {
				t = float64(w[i])
			}
			sum += t * x
			n += t
		}
		return sum / n // 0/0 is NaN
	}
}

// crossed counts how often a is in class i and b in class j.
func crossed(classes int, a, b []int, w []int32) [][]int64 {
	cells := make([][]int64, classes)
	for i := range cells {
		cells[i] = make([]int64, classes)
	}
	for i := range a {
		t := int64(1)
		if w != nil {
			t = int64(w[i])
		}
		cells[a[i]][b[i]] += t
	}
	return cells
}

// kappaFigure is Cohen's kappa of two lists of classes.
func kappaFigure(classes int, a, b []int) func(w []int32) float64 {
	return func(w []int32) float64 {
		k, err := metric.Kappa(crossed(classes, a, b, w))
		if err != nil {
			return math.NaN() // counts are square and not negative
		}
		return k
	}
}
