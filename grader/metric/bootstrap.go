package metric

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
)

// Resampling says how Bootstrap draws.
type Resampling struct {
	Resamples int
	Seed      uint64
	Level     float64 // of the intervals, such as 0.95
}

// Interval is where a figure lies in the middle of its resamples, ends included.
type Interval struct {
	Low, High float64 // NaN where fewer than two resamples have the figure
	Undefined int     // resamples in which it is NaN; they are left out
}

// Bootstrap returns percentile intervals (B. Efron, R. Tibshirani, "An Introduction
// to the Bootstrap", 1993, section 13.3) of several figures of n records. A resample
// is n records drawn with replacement; measure gets how often each one was drawn
// and sets each of the figures. All figures are of the same resamples, and what
// belongs to one record, such as a pair, is drawn together. measure is called by
// several goroutines at once and must not keep w. The intervals depend on n, the
// Resampling and measure alone, not on the number of cores.
func Bootstrap(ctx context.Context, n, figures int, o Resampling, measure func(w []int32, figures []float64)) ([]Interval, error) {
	if n < 0 || n > math.MaxInt32 || figures < 0 || o.Resamples < 0 || !(o.Level > 0 && o.Level < 1) {
		return nil, fmt.Errorf("bootstrap of %d records, %d figures, %d resamples, level %g: want no negative number and a level between 0 and 1",
			n, figures, o.Resamples, o.Level)
	}
	values := make([][]float64, o.Resamples) // of each resample
	if n == 0 {
		values = nil
	}
	var workers sync.WaitGroup
	step := max(1, min(runtime.GOMAXPROCS(0), len(values)))
	for first := range step {
		workers.Go(func() {
			w := make([]int32, n)
			for r := first; r < len(values) && ctx.Err() == nil; r += step {
				clear(w)
				draw := rand.New(rand.NewPCG(o.Seed, uint64(r)))
				for range n {
					w[draw.Int32N(int32(n))]++
				}
				values[r] = make([]float64, figures)
				measure(w, values[r])
			}
		})
	}
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	out := make([]Interval, figures)
	column := make([]float64, 0, len(values))
	for k := range out {
		column = column[:0]
		for _, v := range values {
			if !math.IsNaN(v[k]) {
				column = append(column, v[k])
			}
		}
		slices.Sort(column)
		out[k] = Interval{Low: math.NaN(), High: math.NaN(), Undefined: len(values) - len(column)}
		if len(column) > 1 {
			out[k].Low, out[k].High = Quantile(column, (1-o.Level)/2), Quantile(column, (1+o.Level)/2)
		}
	}
	return out, nil
}

// Quantile returns the value below which the share q of a sorted list lies, between
// two values by a straight line (definition 7 of R. Hyndman, Y. Fan, "Sample
// Quantiles in Statistical Packages", 1996). It is NaN for an empty list and for a q
// outside 0 to 1.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 || !(q >= 0 && q <= 1) {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	k := int(at)
	if k+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[k] + (at-float64(k))*(sorted[k+1]-sorted[k])
}
