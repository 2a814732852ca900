package grader

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"

	"winnow/grader/metric"
	"winnow/grader/record"
)

// Agreement is how two ratings of the same records agree. What needs one scale is
// missing where the scales differ.
type Agreement struct {
	Criterion string    `json:"criterion,omitempty"` // empty for the rating that counts
	Pearson   *Estimate `json:"pearson"`             // needs one scale
	Spearman  Estimate  `json:"spearman"`
	Kendall   Estimate  `json:"kendall"` // tau-b
	MeanA     Figure    `json:"mean_a"`
	MeanB     Figure    `json:"mean_b"`
	OffScaleA Figure    `json:"mean_off_scale_a"` // mean mass; of several criteria the greatest one's
	OffScaleB Figure    `json:"mean_off_scale_b"`
	Deltas    *Deltas   `json:"deltas"` // needs one scale
	Cut       *Cut      `json:"cut"`    // needs one scale
	Budget    Budget    `json:"budget"`
}

// Deltas is how far B's ratings are from A's, in units of the scale.
type Deltas struct {
	Shift Estimate `json:"shift"` // mean of B less A
	Mean  Figure   `json:"abs_mean"`
	P50   Figure   `json:"abs_p50"`
	P90   Figure   `json:"abs_p90"`
	P99   Figure   `json:"abs_p99"`
	Max   Figure   `json:"abs_max"`
	Equal int      `json:"equal"` // records with the same rating to the last bit
}

// Cut is what both keep of the compared records with a rating of CompareOptions.Min
// and more.
type Cut struct {
	Both    int      `json:"kept_both"`
	OnlyA   int      `json:"kept_a"`
	OnlyB   int      `json:"kept_b"`
	Neither int      `json:"kept_neither"`
	Kappa   Estimate `json:"kappa"` // Cohen's
}

// Budget is what both have among their best K records, where K is what A keeps at
// the cut. Of equal ratings those with lesser keys come first, on both sides.
type Budget struct {
	K       int    `json:"k"`
	Overlap int    `json:"overlap"`
	Share   Figure `json:"share"`  // Overlap of K
	Chance  Figure `json:"chance"` // the share to expect of a random choice
}

// pairing is what A and B say of the same records, by A's index.
type pairing struct {
	value, off [2][]float64
	key        func(int) record.Key
}

// interval says how certain the estimates are.
const interval = 0.95

// agree measures a pairing.
func agree(ctx context.Context, p pairing, c *Comparison) (Agreement, error) {
	a, b := p.value[0], p.value[1]
	n := len(a)
	pairs, err := metric.NewPairs(a, b)
	if err != nil {
		return Agreement{}, err
	}
	measure := func(w []int32, out []float64) {
		out[0], out[1] = pairs.Spearman(w), pairs.Kendall(w)
		if c.SameScale {
			out[2] = pairs.Pearson(w)
			out[3] = shift(a, b, w)
			out[4] = kappaOf(cross(a, b, c.Min, w))
		}
	}
	const figures = 5
	var values [figures]float64
	measure(nil, values[:])
	intervals, err := metric.Bootstrap(ctx, n, figures, metric.Resampling{Resamples: c.Resamples, Seed: compareSeed, Level: interval}, measure)
	if err != nil {
		return Agreement{}, err
	}
	estimate := func(k int) Estimate {
		return Estimate{Value: Figure(values[k]), Low: Figure(intervals[k].Low), High: Figure(intervals[k].High)}
	}
	g := Agreement{
		Spearman: estimate(0), Kendall: estimate(1),
		MeanA: mean(a), MeanB: mean(b), OffScaleA: mean(p.off[0]), OffScaleB: mean(p.off[1]),
		Budget: p.budget(c.Min),
	}
	if !c.SameScale {
		return g, nil
	}
	r := estimate(2)
	g.Pearson = &r
	g.Deltas = deltas(a, b)
	g.Deltas.Shift = estimate(3)
	cells := cross(a, b, c.Min, nil)
	g.Cut = &Cut{Both: int(cells[1][1]), OnlyA: int(cells[1][0]), OnlyB: int(cells[0][1]), Neither: int(cells[0][0]), Kappa: estimate(4)}
	return g, nil
}

func mean(v []float64) Figure {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return Figure(sum / float64(len(v)))
}

// shift is the mean of b less a, where record i counts w[i] times.
func shift(a, b []float64, w []int32) float64 {
	sum := 0.0
	for i := range a {
		t := 1.0
		if w != nil {
			t = float64(w[i])
		}
		sum += t * (b[i] - a[i])
	}
	return sum / float64(len(a)) // a resample has as many records
}

// cross counts verdicts: the first position is 1 for what a keeps, the second for b.
func cross(a, b []float64, least float64, w []int32) (cells [2][2]int64) {
	for i := range a {
		t := int64(1)
		if w != nil {
			t = int64(w[i])
		}
		x, y := 0, 0
		if a[i] >= least {
			x = 1
		}
		if b[i] >= least {
			y = 1
		}
		cells[x][y] += t
	}
	return cells
}

func kappaOf(cells [2][2]int64) float64 {
	k, err := metric.Kappa([][]int64{cells[0][:], cells[1][:]})
	if err != nil {
		return math.NaN() // counts are square and not negative
	}
	return k
}

func deltas(a, b []float64) *Deltas {
	d := &Deltas{}
	list := make([]float64, len(a))
	for i := range a {
		list[i] = math.Abs(b[i] - a[i])
		if list[i] == 0 {
			d.Equal++
		}
	}
	d.Mean = mean(list)
	slices.Sort(list)
	for q, to := range map[float64]*Figure{0.5: &d.P50, 0.9: &d.P90, 0.99: &d.P99, 1: &d.Max} {
		*to = Figure(metric.Quantile(list, q))
	}
	return d
}

// budget compares the best records of both.
func (p *pairing) budget(least float64) Budget {
	n := len(p.value[0])
	var best [2][]int
	for side, v := range p.value {
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(x, y int) int {
			if c := cmp.Compare(v[y], v[x]); c != 0 {
				return c
			}
			kx, ky := p.key(x), p.key(y)
			return bytes.Compare(kx[:], ky[:])
		})
		best[side] = order
	}
	k := 0
	for _, x := range p.value[0] {
		if x >= least {
			k++
		}
	}
	chosen := make([]bool, n)
	for _, i := range best[0][:k] {
		chosen[i] = true
	}
	out := Budget{K: k, Share: Figure(math.NaN()), Chance: Figure(math.NaN())}
	for _, i := range best[1][:k] {
		if chosen[i] {
			out.Overlap++
		}
	}
	if k > 0 {
		out.Share, out.Chance = Figure(out.Overlap)/Figure(k), Figure(k)/Figure(n)
	}
	return out
}

// most lists the n records whose ratings differ most, or whose ranks do if the
// scales differ. What does not differ is not listed.
func (j *joiner) most(rows []row, n int, sameScale bool) ([]Difference, error) {
	p := j.column(rows, 0)
	var rank [2][]float64
	for side, v := range p.value {
		var err error
		if rank[side], err = metric.Ranks(v); err != nil {
			return nil, err
		}
	}
	distance := func(i int) float64 {
		if sameScale {
			return math.Abs(p.value[1][i] - p.value[0][i])
		}
		return math.Abs(rank[1][i] - rank[0][i])
	}
	order := make([]int, 0, len(rows))
	for i := range rows {
		if distance(i) > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(distance(y), distance(x)) })
	list := []Difference{} // as JSON a list, also of nothing
	for _, i := range order[:max(0, min(n, len(order)))] {
		r := rows[i]
		d := Difference{
			IndexA: int(r.index[0]), IndexB: int(r.index[1]), Key: r.key,
			A: p.value[0][i], B: p.value[1][i], Delta: Figure(p.value[1][i] - p.value[0][i]),
			RankA: (rank[0][i] - 0.5) / float64(len(rows)), RankB: (rank[1][i] - 0.5) / float64(len(rows)),
		}
		if !sameScale {
			d.Delta = Figure(math.NaN())
		}
		list = append(list, d)
	}
	return list, nil
}
