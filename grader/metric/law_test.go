package metric

import (
	"context"
	"errors"
	"math"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawPairs draws pairs with ties and how often each one stands.
func drawPairs(t *rapid.T) (x, y []float64, w []int32) {
	n := rapid.IntRange(0, 40).Draw(t, "n")
	value := rapid.OneOf(rapid.Map(rapid.IntRange(-3, 3), func(i int) float64 { return float64(i) / 2 }), rapid.Map(rapid.Float64Range(-10, 10), func(x float64) float64 {
		return math.Round(x*1024) / 1024 // small spreads are lost in resamples, as Pearson says
	}))
	x = rapid.SliceOfN(value, n, n).Draw(t, "x")
	y = rapid.SliceOfN(value, n, n).Draw(t, "y")
	w = rapid.SliceOfN(rapid.Int32Range(0, 3), n, n).Draw(t, "w")
	return x, y, w
}

func pairsOf(t interface{ Fatal(...any) }, x, y []float64) *Pairs {
	p, err := NewPairs(x, y)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// alike says whether two figures are equal but for rounding, or both undefined.
func alike(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-9
}

// bend is strictly increasing and no line, and nothing of it is rounded.
func bend(x float64) float64 { return max(x, 4*x) }

// simpleKendall is tau-b by its definition, over every pair of pairs.
func simpleKendall(x, y []float64) float64 {
	sign := func(d float64) float64 {
		switch {
		case d > 0:
			return 1
		case d < 0:
			return -1
		}
		return 0
	}
	var both, inX, inY float64
	for i := range x {
		for k := range i {
			a, b := sign(x[i]-x[k]), sign(y[i]-y[k])
			both += a * b
			inX += a * a
			inY += b * b
		}
	}
	return both / math.Sqrt(inX*inY)
}

func TestCorrelationLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y, w := drawPairs(t)
		p, turned := pairsOf(t, x, y), pairsOf(t, y, x)
		var manyX, manyY, bent []float64
		for i, n := range w {
			for range n {
				manyX, manyY = append(manyX, x[i]), append(manyY, y[i])
			}
		}
		for _, v := range x {
			bent = append(bent, -bend(v))
		}
		many, falling := pairsOf(t, manyX, manyY), pairsOf(t, bent, y)
		for name, f := range map[string]func(*Pairs, []int32) float64{
			"Pearson": (*Pairs).Pearson, "Spearman": (*Pairs).Spearman, "Kendall": (*Pairs).Kendall,
		} {
			r := f(p, nil)
			if r < -1 || r > 1 {
				t.Fatalf("%s is %v", name, r)
			}
			if s := f(turned, nil); !alike(r, s) {
				t.Fatalf("%s of (x, y) is %v, of (y, x) %v", name, r, s)
			}
			if a, b := f(p, w), f(many, nil); !alike(a, b) {
				t.Fatalf("%s with weights is %v, of as many pairs %v", name, a, b)
			}
			if self := f(pairsOf(t, x, x), nil); !alike(self, 1) && !math.IsNaN(self) {
				t.Fatalf("%s of x with itself is %v", name, self)
			}
			if s := f(falling, nil); name != "Pearson" && !alike(r, -s) {
				t.Fatalf("%s is %v, with x turned round %v", name, r, s)
			}
		}
		rx, err := Ranks(x)
		ry, err2 := Ranks(y)
		if errors.Join(err, err2) != nil {
			t.Fatal(err, err2)
		}
		if a, b := p.Spearman(nil), pairsOf(t, rx, ry).Pearson(nil); !alike(a, b) {
			t.Fatalf("Spearman is %v, Pearson of the ranks %v", a, b)
		}
		if a, b := p.Kendall(nil), simpleKendall(x, y); !alike(a, b) {
			t.Fatalf("Kendall is %v, by its definition %v", a, b)
		}
	})
}

func TestAUCLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y, _ := drawPairs(t)
		var positive, negative []bool
		var bent []float64
		for i := range x {
			positive, negative = append(positive, y[i] > 0), append(negative, y[i] <= 0)
			bent = append(bent, bend(x[i]))
		}
		a, err := AUC(x, positive)
		b, err2 := AUC(x, negative)
		c, err3 := AUC(bent, positive)
		switch {
		case errors.Join(err, err2, err3) != nil:
			t.Fatal(err, err2, err3)
		case a < 0 || a > 1 || !alike(a, 1-b) || !alike(a, c):
			t.Fatalf("AUC %v, of the other class %v, of bent scores %v", a, b, c)
		}
		if both := slices.Contains(positive, true) && slices.Contains(positive, false); both == math.IsNaN(a) {
			t.Fatalf("AUC is %v, both classes: %t", a, both)
		}
	})
}

func TestKappaLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(1, 5).Draw(t, "classes")
		counts, turned, agreed := make([][]int64, k), make([][]int64, k), make([][]int64, k)
		for i := range k {
			counts[i] = rapid.SliceOfN(rapid.Int64Range(0, 9), k, k).Draw(t, "row")
			agreed[i] = make([]int64, k)
			agreed[i][i] = counts[i][i]
		}
		for i := range k {
			for j := range k {
				turned[i] = append(turned[i], counts[j][i])
			}
		}
		for name, f := range map[string]func([][]int64) (float64, error){"Kappa": Kappa, "QuadraticKappa": QuadraticKappa} {
			a, err := f(counts)
			b, err2 := f(turned)
			c, err3 := f(agreed)
			if errors.Join(err, err2, err3) != nil || a > 1 || !alike(a, b) || !math.IsNaN(c) && c != 1 {
				t.Fatalf("%s %v, turned %v, of agreement alone %v (%v %v %v)", name, a, b, c, err, err2, err3)
			}
		}
	})
}

func TestCalibrationErrorLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Float64Range(0, 1), 1, 40).Draw(t, "p")
		came := rapid.SliceOfN(rapid.Bool(), len(p), len(p)).Draw(t, "came")
		bins := rapid.IntRange(1, 30).Draw(t, "bins")
		many, err := CalibrationError(p, came, bins)
		one, err2 := CalibrationError(p, came, 1)
		if errors.Join(err, err2) != nil || !(many >= one-1e-12 && many <= 1) {
			t.Fatalf("%d bins: %v, one: %v (%v %v)", bins, many, one, err, err2)
		}
	})
}

func TestDegenerate(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	p := pairsOf(t, []float64{1, 2, 3}, []float64{2, 4, 5})
	undefined := map[string]float64{
		"one pair":              pairsOf(t, []float64{1}, []float64{2}).Pearson(nil),
		"no pair":               pairsOf(t, nil, nil).Kendall(nil),
		"a constant":            pairsOf(t, []float64{0.1, 0.1, 0.1}, []float64{1, 2, 3}).Pearson(nil),
		"constant ranks":        pairsOf(t, []float64{1, 2, 3}, []float64{7, 7, 7}).Spearman(nil),
		"too few weights":       p.Pearson([]int32{1, 1}),
		"a negative weight":     p.Spearman([]int32{1, -1, 3}),
		"too large weights":     p.Kendall([]int32{math.MaxInt32, math.MaxInt32, 1}),
		"one pair drawn thrice": p.Pearson([]int32{0, 3, 0}),
		"quantile of nothing":   Quantile(nil, 0.5),
		"quantile beyond":       Quantile([]float64{1}, 1.5),
		"quantile NaN":          Quantile([]float64{1}, nan),
	}
	for what, v := range undefined {
		if !math.IsNaN(v) {
			t.Errorf("%s: %v, want NaN", what, v)
		}
	}
	if r := pairsOf(t, []float64{-1e300, 1e300, 0}, []float64{1e-300, 3e-300, 2e-300}).Pearson(nil); !alike(r, 1) {
		t.Errorf("Pearson of very large and very small numbers: %v, want 1", r)
	}
	fails := map[string]func() error{
		"lengths":         func() error { _, err := NewPairs([]float64{1}, nil); return err },
		"NaN":             func() error { _, err := NewPairs([]float64{1}, []float64{nan}); return err },
		"infinite":        func() error { _, err := NewPairs([]float64{inf}, []float64{1}); return err },
		"AUC lengths":     func() error { _, err := AUC([]float64{1}, nil); return err },
		"AUC NaN":         func() error { _, err := AUC([]float64{nan}, []bool{true}); return err },
		"ragged":          func() error { _, err := Kappa([][]int64{{1, 2}, {3}}); return err },
		"negative count":  func() error { _, err := QuadraticKappa([][]int64{{-1}}); return err },
		"ECE lengths":     func() error { _, err := CalibrationError([]float64{1}, nil, 3); return err },
		"ECE bins":        func() error { _, err := CalibrationError(nil, nil, 0); return err },
		"ECE probability": func() error { _, err := CalibrationError([]float64{1.1}, []bool{true}, 3); return err },
		"ECE NaN":         func() error { _, err := CalibrationError([]float64{nan}, []bool{true}, 3); return err },
		"level":           func() error { _, err := Bootstrap(t.Context(), 3, 1, Resampling{Level: 1}, nil); return err },
		"records":         func() error { _, err := Bootstrap(t.Context(), -1, 1, Resampling{Level: 0.5}, nil); return err },
	}
	for what, f := range fails {
		if f() == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestBootstrap(t *testing.T) {
	const n = 400
	values := make([]float64, n) // variance 1/12
	for i := range values {
		values[i] = (float64(i) + 0.5) / n
	}
	measure := func(w []int32, out []float64) {
		total, sum := int32(0), 0.0
		for i, times := range w {
			total += times
			sum += float64(times) * values[i]
		}
		out[0], out[1], out[2] = sum/n, float64(total), math.NaN()
	}
	o := Resampling{Resamples: 2000, Seed: 3, Level: 0.95}
	got, err := Bootstrap(t.Context(), n, 3, o, measure)
	if err != nil {
		t.Fatal(err)
	}
	// The interval of a mean is nearly that of the normal distribution.
	half := 1.96 * math.Sqrt(1.0/12/n)
	if m := got[0]; math.Abs(m.Low-(0.5-half)) > 0.1*half || math.Abs(m.High-(0.5+half)) > 0.1*half || m.Undefined != 0 {
		t.Errorf("the mean lies in %+v, want about 0.5 ± %.4f", m, half)
	}
	if (got[1] != Interval{Low: n, High: n}) {
		t.Errorf("%+v records were drawn, want %d", got[1], n)
	}
	if u := got[2]; !math.IsNaN(u.Low) || !math.IsNaN(u.High) || u.Undefined != o.Resamples {
		t.Errorf("an undefined figure has %+v", u)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	again, err := Bootstrap(t.Context(), n, 2, o, func(w []int32, out []float64) {
		var all [3]float64
		measure(w, all[:])
		copy(out, all[:])
	})
	if err != nil || !reflect.DeepEqual(again, got[:2]) {
		t.Errorf("on one core %+v (%v), want %+v", again, err, got[:2])
	}
	o.Seed++
	if other, err := Bootstrap(t.Context(), n, 3, o, measure); err != nil || other[0] == got[0] {
		t.Errorf("another seed gives the same interval %+v (%v)", other[0], err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Bootstrap(ended, n, 3, o, measure); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	if none, err := Bootstrap(t.Context(), 0, 1, o, measure); err != nil || !math.IsNaN(none[0].Low) {
		t.Errorf("of no records: %+v, %v", none, err)
	}
}
