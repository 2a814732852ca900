// Package metric measures how well numbers agree: of two raters of the same
// records, or of a rating with what it should foretell. It is pure and knows
// nothing of records.
//
// What is not defined is NaN and no error: a correlation where one side is
// constant or there are fewer than two pairs, an AUC without both classes, a
// kappa where chance alone would agree always, anything of nothing. Numbers that
// are NaN, and lists of different lengths, are errors.
package metric

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// maxMagnitude keeps differences of two numbers finite.
const maxMagnitude = 1e300

// Pairs is a list of pairs (x, y), prepared for correlations of all of them or of
// resamples. It does not change, so several goroutines may use it at once. It takes
// 36 bytes a pair, each correlation up to 24 more while it is computed.
type Pairs struct {
	x, y           []float64 // moved and scaled into [-1, 1], which changes no correlation
	xRank, yRank   []int32   // among the distinct values, from 0
	xCount, yCount int       // of distinct values
	order          []int32   // of the pairs by x, of equal ones by y
}

// NewPairs prepares the pairs (x[i], y[i]). Numbers must be finite and of a
// magnitude of at most 1e300. The lists are not kept.
func NewPairs(x, y []float64) (*Pairs, error) {
	if len(x) != len(y) {
		return nil, fmt.Errorf("pairs of %d and %d numbers: want as many of each", len(x), len(y))
	}
	if len(x) > math.MaxInt32 {
		return nil, fmt.Errorf("%d pairs: want at most %d", len(x), math.MaxInt32)
	}
	for i := range x {
		for _, v := range [...]float64{x[i], y[i]} {
			if !(math.Abs(v) <= maxMagnitude) {
				return nil, fmt.Errorf("pair %d is (%g, %g): want finite numbers of a magnitude of at most %g", i, x[i], y[i], float64(maxMagnitude))
			}
		}
	}
	p := &Pairs{x: scaled(x), y: scaled(y), order: make([]int32, len(x))}
	for i := range p.order {
		p.order[i] = int32(i)
	}
	p.yRank, p.yCount = denseRanks(y, p.order)
	p.xRank, p.xCount = denseRanks(x, p.order)
	slices.SortFunc(p.order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(p.xRank[a], p.xRank[b]), cmp.Compare(p.yRank[a], p.yRank[b]))
	})
	return p, nil
}

// Len returns the number of pairs.
func (p *Pairs) Len() int { return len(p.x) }

// scaled moves the first value to 0, so that a constant has no variance left by
// rounding, and scales the largest to 1, so that no square over- or underflows.
func scaled(v []float64) []float64 {
	out := make([]float64, len(v))
	most := 0.0
	for i := range v {
		out[i] = v[i] - v[0]
		most = max(most, math.Abs(out[i]))
	}
	if most > 0 {
		for i := range out {
			out[i] /= most
		}
	}
	return out
}

// denseRanks returns the rank of each value among the distinct ones. It sorts
// order by value.
func denseRanks(v []float64, order []int32) ([]int32, int) {
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(v[a], v[b]) })
	ranks, n := make([]int32, len(v)), 0
	for k, i := range order {
		if k == 0 || v[i] != v[order[k-1]] {
			n++
		}
		ranks[i] = int32(n - 1)
	}
	return ranks, n
}

// total returns how many pairs there are if pair i stands w[i] times, once each if
// w is nil. It is -1 for a w that does not fit.
func (p *Pairs) total(w []int32) int64 {
	if w == nil {
		return int64(len(p.x))
	}
	if len(w) != len(p.x) {
		return -1
	}
	var n int64
	for _, times := range w {
		if times < 0 {
			return -1
		}
		n += int64(times)
	}
	if n > math.MaxInt32 {
		return -1
	}
	return n
}

func times(w []int32, i int) int32 {
	if w == nil {
		return 1
	}
	return w[i]
}

// Pearson returns the correlation of x and y in [-1, 1]. Pair i counts w[i] times,
// once each if w is nil; a w of another length, with a negative number or of a sum
// above 2³¹-1 gives NaN. Numbers are scaled by the spread of all pairs: the figure of a
// resample whose own spread is r times that is off by about 1e-16/r, or NaN.
func (p *Pairs) Pearson(w []int32) float64 {
	n := p.total(w)
	if n < 2 {
		return math.NaN()
	}
	// In a resample the first value that counts need not be 0.
	first := 0
	for times(w, first) == 0 {
		first++
	}
	x0, y0 := p.x[first], p.y[first]
	var sx, sy float64
	for i := range p.x {
		t := float64(times(w, i))
		sx += t * (p.x[i] - x0)
		sy += t * (p.y[i] - y0)
	}
	mx, my := sx/float64(n), sy/float64(n)
	var xx, yy, xy float64
	for i := range p.x {
		t := float64(times(w, i))
		dx, dy := p.x[i]-x0-mx, p.y[i]-y0-my
		xx += t * dx * dx
		yy += t * dy * dy
		xy += t * dx * dy
	}
	return correlation(xy, xx, yy)
}

func correlation(xy, xx, yy float64) float64 {
	if xx <= 0 || yy <= 0 {
		return math.NaN()
	}
	return max(-1, min(1, xy/math.Sqrt(xx)/math.Sqrt(yy)))
}

// Spearman returns the correlation of the ranks of x and y in [-1, 1]; equal
// values share the mean of their ranks. For w see Pearson.
func (p *Pairs) Spearman(w []int32) float64 {
	n := p.total(w)
	if n < 2 {
		return math.NaN()
	}
	rx, ry := midRanks(p.xRank, p.xCount, w), midRanks(p.yRank, p.yCount, w)
	mean := float64(n+1) / 2
	var xx, yy, xy float64
	for i := range p.x {
		t := float64(times(w, i))
		dx, dy := rx[p.xRank[i]]-mean, ry[p.yRank[i]]-mean
		xx += t * dx * dx
		yy += t * dy * dy
		xy += t * dx * dy
	}
	return correlation(xy, xx, yy)
}

// midRanks returns for each distinct value the mean of the ranks, from 1, of the
// pairs that have it.
func midRanks(rank []int32, distinct int, w []int32) []float64 {
	mid := make([]float64, distinct)
	for i, r := range rank {
		mid[r] += float64(times(w, i))
	}
	before := 0.0
	for r, n := range mid {
		mid[r] = before + (n+1)/2
		before += n
	}
	return mid
}

// Kendall returns tau-b of x and y in [-1, 1] (M. Kendall, "The treatment of ties
// in ranking problems", 1945), in O(n log n). For w see Pearson.
func (p *Pairs) Kendall(w []int32) float64 {
	n := p.total(w)
	if n < 2 {
		return math.NaN()
	}
	choose := func(n int64) int64 { return n * (n - 1) / 2 }
	perY := make([]int64, p.yCount)
	seen := make([]int32, p.yCount+1) // Fenwick tree: how often each y stands before
	var xTies, yTies, bothTies, discordant, before int64
	for i := 0; i < len(p.order); {
		end, same := i, int64(0)
		// Pairs of equal x are neither concordant nor discordant: count first, add after.
		for ; end < len(p.order) && p.xRank[p.order[end]] == p.xRank[p.order[i]]; end++ {
			at := int(p.order[end])
			t := int64(times(w, at))
			if t == 0 {
				continue
			}
			same += t
			var upTo int64
			for k := p.yRank[at] + 1; k > 0; k &= k - 1 {
				upTo += int64(seen[k])
			}
			discordant += t * (before - upTo)
		}
		for ; i < end; i++ {
			at := int(p.order[i])
			t := times(w, at)
			if t == 0 {
				continue
			}
			for k := int(p.yRank[at]) + 1; k <= p.yCount; k += k & -k {
				seen[k] += t
			}
			// Within equal x, equal y stand together.
			run := int64(t)
			for i+1 < end && p.yRank[p.order[i+1]] == p.yRank[at] {
				i++
				more := times(w, int(p.order[i]))
				for k := int(p.yRank[at]) + 1; more > 0 && k <= p.yCount; k += k & -k {
					seen[k] += more
				}
				run += int64(more)
			}
			perY[p.yRank[at]] += run
			bothTies += choose(run)
		}
		before += same
		xTies += choose(same)
	}
	for _, same := range perY {
		yTies += choose(same)
	}
	all := choose(n)
	difference := all - xTies - yTies + bothTies - 2*discordant
	return correlation(float64(difference), float64(all-xTies), float64(all-yTies))
}

// Ranks returns the rank of each number from 1; equal ones share the mean of their
// ranks.
func Ranks(v []float64) ([]float64, error) {
	p, err := NewPairs(v, v)
	if err != nil {
		return nil, err
	}
	mid, ranks := midRanks(p.xRank, p.xCount, nil), make([]float64, len(v))
	for i, r := range p.xRank {
		ranks[i] = mid[r]
	}
	return ranks, nil
}
