package calibration

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"
)

// TestLinearFindsCoefficients draws outcomes from a known model.
func TestLinearFindsCoefficients(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	want := []float64{1.5, -0.7, 0}
	const intercept = -2.0 // one in six or so is to be kept
	rows, keep := make([][]float64, 20000), make([]bool, 20000)
	for i := range rows {
		rows[i] = []float64{random.NormFloat64(), random.NormFloat64(), random.NormFloat64()}
		z := intercept
		for j, w := range want {
			z += w * rows[i][j]
		}
		keep[i] = random.Float64() < probability(z)
	}
	learners, err := fitLinear(rows, keep, []float64{1, 1e-6})
	if err != nil {
		t.Fatal(err)
	}
	strong, got := learners[0].(*linear), learners[1].(*linear)
	for j, w := range want {
		if !(math.Abs(float64(got.Weights[j])-w) < 0.08) {
			t.Errorf("weight %d is %g, want %g", j, got.Weights[j], w)
		}
		if !(math.Abs(float64(strong.Weights[j])) <= math.Abs(w)/2+0.02) {
			t.Errorf("with a strong penalty weight %d is %g", j, strong.Weights[j])
		}
	}
	if !(math.Abs(got.Intercept-intercept) < 0.08) {
		t.Errorf("intercept %g, want %g", got.Intercept, intercept)
	}
	// At the minimum the mean probability is the share of what is kept.
	sum, kept := 0.0, 0.0
	for i := range rows {
		sum += probability(strong.logit(rows[i]))
		if keep[i] {
			kept++
		}
	}
	if !(math.Abs(sum-kept) < 2) {
		t.Errorf("probabilities add up to %g, %g are kept: a penalty must not move the mean", sum, kept)
	}
}

// TestLinearGradient compares the gradient with differences of the loss.
func TestLinearGradient(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	f := &logistic{penalty: 0.3, at: []float64{math.NaN(), 0, 0, 0}}
	for range 30 {
		f.rows = append(f.rows, []float64{random.NormFloat64(), random.NormFloat64(), random.NormFloat64()})
		f.keep = append(f.keep, random.IntN(3) == 0)
	}
	f.margin = make([]float64, len(f.rows))
	x, g := []float64{0.5, -1, 2, 0.3}, make([]float64, 4)
	f.gradient(g, x)
	for j := range x {
		const h = 1e-5
		x[j] += h
		up := f.value(x)
		x[j] -= 2 * h
		down := f.value(x)
		x[j] += h
		if want := (up - down) / (2 * h); !(math.Abs(g[j]-want) < 1e-7) {
			t.Errorf("slope %d is %g, want %g", j, g[j], want)
		}
	}
}

// TestIsotonicReference holds the fits against scikit-learn's (testdata/isotonic.py).
func TestIsotonicReference(t *testing.T) {
	text, err := os.ReadFile("testdata/isotonic.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		X, At, Rising, Falling []float64
		Keep                   []bool
		RisingSquares          float64 `json:"rising_squares"`
		FallingSquares         float64 `json:"falling_squares"`
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) != 50 {
		t.Fatalf("%d cases, want 50", len(cases))
	}
	for n, c := range cases {
		for _, d := range []struct {
			rising  bool
			want    []float64
			squares float64
		}{{true, c.Rising, c.RisingSquares}, {false, c.Falling, c.FallingSquares}} {
			got, squares := pool(c.X, c.Keep, d.rising)
			if !(math.Abs(squares-d.squares) < 1e-9) {
				t.Errorf("case %d, rising %t: squares %g, want %g", n, d.rising, squares, d.squares)
			}
			for i, x := range c.At {
				if y := got.at(x); !(math.Abs(y-d.want[i]) < 1e-6) {
					t.Errorf("case %d, rising %t: %g at %g, want %g", n, d.rising, y, x, d.want[i])
				}
			}
			if err := got.validate(1); err == nil {
				t.Error("a fit without a margin is valid")
			}
		}
		rows := make([][]float64, len(c.X))
		for i, x := range c.X {
			rows[i] = []float64{x}
		}
		learners, err := fitIsotonic(rows, c.Keep)
		if err != nil {
			t.Fatal(err)
		}
		if err := learners[0].validate(1); err != nil {
			t.Errorf("case %d: %v", n, err)
		}
		for _, x := range []float64{-1e300, 0, 1e300} {
			if z := learners[0].logit([]float64{x}); math.IsNaN(z) || math.IsInf(z, 0) {
				t.Errorf("case %d: log-odds %g at %g", n, z, x)
			}
		}
	}
}

// TestTreesLearnXOR learns what no linear model can, beside columns that mean nothing.
func TestTreesLearnXOR(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	draw := func(n int) (rows [][]float64, keep []bool) {
		for range n {
			r := []float64{random.NormFloat64(), random.NormFloat64(), random.NormFloat64(), 1}
			rows, keep = append(rows, r), append(keep, (r[0] > 0) != (r[1] > 0))
		}
		return rows, keep
	}
	rows, keep := draw(1500)
	learners, err := fitTrees(rows, keep, treeCounts)
	if err != nil {
		t.Fatal(err)
	}
	linear, err := fitLinear(rows, keep, light)
	if err != nil {
		t.Fatal(err)
	}
	fresh, truth := draw(1500)
	right := func(l learner) (share float64) {
		for i, r := range fresh {
			if (l.logit(r) > 0) == truth[i] {
				share += 1 / float64(len(fresh))
			}
		}
		return share
	}
	for k, l := range learners {
		if err := l.validate(4); err != nil {
			t.Error(err)
		}
		if n := len(l.(*trees).Leaf); n != int(treeCounts[k])*leaves {
			t.Errorf("%d leaves, want those of %g trees", n, treeCounts[k])
		}
	}
	if got := right(learners[len(learners)-1]); !(got > 0.93) {
		t.Errorf("boosted trees are right %.3f of the time, want more than 0.93", got)
	}
	if got := right(linear[0]); !(got < 0.6) {
		t.Errorf("a linear model is right %.3f of the time: this is no XOR", got)
	}
}

// TestTreesWithLittle has nothing to split: the share of what is kept is all there is.
func TestTreesWithLittle(t *testing.T) {
	rows, keep := make([][]float64, 12), make([]bool, 12)
	for i := range rows {
		rows[i], keep[i] = []float64{2, float64(i)}, i == 0
	}
	learners, err := fitTrees(rows, keep, []float64{3})
	if err != nil {
		t.Fatal(err)
	}
	first := learners[0].logit(rows[0])
	for _, r := range rows {
		if z := learners[0].logit(r); z != first || !(z < 0) {
			t.Errorf("log-odds %g, want %g, below 0", z, first)
		}
	}
}
