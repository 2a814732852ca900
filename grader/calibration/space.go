package calibration

import (
	"fmt"
	"math"
	"slices"

	"winnow/grader/journal"
)

// clip is how many deviations from the mean a feature may be at most.
const clip = 4

// space turns entries into rows of numbers of like size: each column less its mean, by
// its deviation, within clip deviations, and then by the root of its block's width.
// Undefined is the mean.
type space struct {
	Groups   []Group `json:"features"`
	Raw      bool    `json:"raw,omitempty"`      // rows are as they come
	Products bool    `json:"products,omitempty"` // squares and products of pairs of columns follow, but for single ratings' probabilities
	Mean     vector  `json:"mean,omitempty"`
	Spread   vector  `json:"deviation,omitempty"` // 0: the column is constant and counts for nothing

	layout layout
	block  []float64 // weight of each column
	pairs  [][2]int
}

// fit sets mean and deviation from the rows of the training part.
func (s *space) fit(rows [][]float64) {
	s.bind(s.layout)
	if !s.Raw {
		s.standardise(rows)
	}
}

// standardise sets mean and deviation of each column.
func (s *space) standardise(rows [][]float64) {
	d := len(rows[0])
	mean, spread := make([]float64, d), make([]float64, d)
	for j := range d {
		n := 0.0
		for _, r := range rows {
			if !math.IsNaN(r[j]) {
				mean[j] += r[j]
				n++
			}
		}
		if n == 0 {
			continue
		}
		mean[j] /= n
		for _, r := range rows {
			if !math.IsNaN(r[j]) {
				spread[j] += (r[j] - mean[j]) * (r[j] - mean[j])
			}
		}
		spread[j] = math.Sqrt(spread[j] / n)
		if spread[j] <= 1e-9*math.Abs(mean[j]) {
			spread[j] = 0
		}
	}
	s.Mean, s.Spread = rounded(mean), rounded(spread)
}

// bind completes a space for a judge's entries.
func (s *space) bind(l layout) {
	s.layout, s.block, s.pairs = l, nil, nil
	for _, w := range l.blocks(s.Groups) {
		for range w {
			s.block = append(s.block, 1/math.Sqrt(float64(w)))
		}
	}
	if !s.Products {
		return
	}
	var some []int // columns that are multiplied
	at := 0
	for _, g := range s.Groups {
		for j := range l.width(g) {
			within := j
			if g == Distribution {
				within = j%(len(l.scale)+2) - len(l.scale)
			}
			if within >= 0 {
				some = append(some, at+j)
			}
		}
		at += l.width(g)
	}
	for i, a := range some {
		for _, b := range some[i:] {
			s.pairs = append(s.pairs, [2]int{a, b})
		}
	}
}

// validate reports what keeps a space that was read from a file from being bound.
func (s *space) validate(l layout) error {
	if len(s.Groups) == 0 {
		return fmt.Errorf("a model names no features")
	}
	d := 0
	for _, g := range s.Groups {
		if !slices.Contains([]Group{Value, Ratings, Distribution, Signals, HiddenState}, g) {
			return fmt.Errorf("a model has the unknown features %q", g)
		}
		d += l.width(g)
	}
	if s.Raw && len(s.Mean)+len(s.Spread) == 0 {
		return nil
	}
	if len(s.Mean) != d || len(s.Spread) != d {
		return fmt.Errorf("a model has %d means and %d deviations, want %d of each", len(s.Mean), len(s.Spread), d)
	}
	for i, x := range s.Spread {
		if x < 0 {
			return fmt.Errorf("deviation %d is %g", i, x)
		}
	}
	return nil
}

// raw returns an entry's columns before they are standardised.
func (s *space) raw(row []float64, e *journal.Entry) []float64 {
	for _, g := range s.Groups {
		row = s.layout.appendGroup(row, g, e)
	}
	return row
}

// row standardises an entry's raw columns.
func (s *space) row(raw []float64) []float64 {
	if s.Raw {
		return raw
	}
	out := make([]float64, len(raw), len(raw)+len(s.pairs))
	for j, x := range raw {
		if s.Spread[j] == 0 || math.IsNaN(x) {
			continue
		}
		out[j] = min(max((x-float64(s.Mean[j]))/float64(s.Spread[j]), -clip), clip)
	}
	share := 1 / math.Sqrt(float64(max(1, len(s.pairs))))
	for _, p := range s.pairs {
		out = append(out, out[p[0]]*out[p[1]]*share)
	}
	for j := range raw {
		out[j] *= s.block[j]
	}
	return out
}

// width is how many numbers a row has.
func (s *space) width() int { return len(s.block) + len(s.pairs) }

// uses reports whether a group is among the features.
func (s *space) uses(g Group) bool { return slices.Contains(s.Groups, g) }
