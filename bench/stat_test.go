package bench

import (
	"math"
	"testing"
	"time"
)

func TestMedianOfNothing(t *testing.T) {
	if mid, spread := median(nil); !math.IsNaN(mid) || !math.IsNaN(spread) {
		t.Errorf("median of nothing is %v with spread %v, want NaN", mid, spread)
	}
}

func TestProjection(t *testing.T) {
	for _, c := range []struct {
		rate    float64
		records int
		want    time.Duration
	}{
		{2, 7, 3500 * time.Millisecond},
		{7.5, 52000, 6933333333333 * time.Nanosecond}, // Alpaca in 1 h 55 min
		{4, 0, 0},
		{4, -1, 0},
		{math.Inf(1), 5, 0},
		{0, 5, math.MaxInt64},
		{0, 0, math.MaxInt64},
		{-1, 5, math.MaxInt64},
		{math.NaN(), 5, math.MaxInt64},
		{1e-12, math.MaxInt, math.MaxInt64},
	} {
		if got := Projection(c.rate, c.records); got != c.want {
			t.Errorf("Projection(%v, %d) = %v, want %v", c.rate, c.records, got, c.want)
		}
	}
}
