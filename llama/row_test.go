package llama

import (
	"math"
	"math/rand/v2"
	"testing"
)

// logSumExp is the plain computation in double precision.
func logSumExp(row []float32) float64 {
	top := math.Inf(-1)
	for _, x := range row {
		top = max(top, float64(x))
	}
	sum := 0.0
	for _, x := range row {
		sum += math.Exp(float64(x) - top)
	}
	return top + math.Log(sum)
}

func TestLogSumExp(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 15, 16, 17, 31, 32, 33, 1023, 1024, 1025, 49152, 151936} {
		for _, spread := range []float64{0, 0.1, 3, 30, 300} {
			row := make([]float32, n)
			for i := range row {
				row[i] = float32(random.NormFloat64()*spread - 20)
			}
			// Twice the error of a plain single-precision exponential and sum.
			if got, want := LogSumExp(row), logSumExp(row); !(math.Abs(got-want) <= 1e-6) {
				t.Errorf("%d logits of deviation %g: %v, want %v, off by %g", n, spread, got, want, got-want)
			}
		}
	}
}

func TestLogSumExpEdges(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	long := make([]float32, 5000)
	long[4000] = nan
	for name, c := range map[string]struct {
		row  []float32
		want float64
	}{
		"nothing":        {nil, math.Inf(-1)},
		"one":            {[]float32{-3}, -3},
		"-Inf is no one": {[]float32{-inf, 2, -inf}, 2},
		"all -Inf":       {[]float32{-inf, -inf}, math.Inf(-1)},
		"NaN":            {[]float32{1, nan, 2}, math.NaN()},
		"NaN in a block": {long, math.NaN()},
		"only NaN":       {[]float32{nan}, math.NaN()},
		"+Inf":           {[]float32{1, inf}, math.NaN()},
		"far apart":      {[]float32{1000, -1000, 3e38}, 3.0000000054977558e38},
	} {
		got := LogSumExp(c.row)
		if math.IsNaN(got) != math.IsNaN(c.want) || !math.IsNaN(c.want) && got != c.want && !(math.Abs(got-c.want) <= 1e-6) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func BenchmarkLogSumExp(b *testing.B) {
	row := make([]float32, 49152)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range row {
		row[i] = float32(random.NormFloat64() * 3)
	}
	b.SetBytes(int64(4 * len(row)))
	for b.Loop() {
		LogSumExp(row)
	}
}
