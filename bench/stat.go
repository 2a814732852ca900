package bench

import (
	"math"
	"slices"
	"time"
)

// median returns the median and the relative spread, (largest − smallest) ÷
// median. Of no numbers both are NaN.
func median(x []float64) (mid, spread float64) {
	if len(x) == 0 {
		return math.NaN(), math.NaN()
	}
	x = slices.Sorted(slices.Values(x))
	mid = (x[(len(x)-1)/2] + x[len(x)/2]) / 2
	return mid, (x[len(x)-1] - x[0]) / mid
}

// Projection returns how long so many records take at a rate. At a rate that is
// not above 0, and where a Duration cannot hold the time, it returns the longest
// Duration.
func Projection(recordsPerSecond float64, records int) time.Duration {
	ns := float64(max(records, 0)) / recordsPerSecond * float64(time.Second)
	if !(recordsPerSecond > 0) || !(ns < math.MaxInt64) {
		return math.MaxInt64
	}
	return time.Duration(ns)
}
