package cascade

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"winnow/grader/metric"
)

// inside counts the points that a band gives to large, and wrong those outside that
// small gets wrong.
func inside(points []Point, b Band) (in, wrong int) {
	for _, p := range points {
		switch {
		case b.Has(p.Probability):
			in++
		case (p.Probability >= 0.5) != p.Keep:
			wrong++
		}
	}
	return in, wrong
}

func TestPerfectSmallNeedsNoBand(t *testing.T) {
	var points []Point
	for i := range 100 {
		points = append(points, Point{0.01 + 0.001*float64(i), false}, Point{0.99 - 0.001*float64(i), true})
	}
	b := newFrontier(points).narrowest(1)
	if in, wrong := inside(points, b); in+wrong != 0 || b != (Band{0.5, 0.5}) {
		t.Errorf("band %v with %d inside and %d wrong, want none", b, in, wrong)
	}
	for _, p := range []float64{0, 0.4999, 0.5, 1} {
		if b.Has(p) {
			t.Errorf("the empty band has %g", p)
		}
	}
}

func TestUninformedSmallNeedsEverything(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var guesses, constant []Point
	for i := range 400 {
		guesses = append(guesses, Point{random.Float64(), random.IntN(2) == 0})
		constant = append(constant, Point{0.4, i%3 == 0})
	}
	if in, wrong := inside(guesses, newFrontier(guesses).narrowest(0.95)); in < 340 || wrong > 20 {
		t.Errorf("guesses: %d of 400 inside and %d wrong, want nearly all", in, wrong)
	}
	b := newFrontier(constant).narrowest(0.95)
	if !b.All() || !b.Has(0) || !b.Has(1) {
		t.Errorf("equal probabilities: band %v, want everything", b)
	}
	if got := newFrontier(constant).within(0.9); got != (Band{0.5, 0.5}) {
		t.Errorf("of equal probabilities, at most nine tenths: band %v, want nothing", got)
	}
}

func drawPoints(t *rapid.T) []Point {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Point {
		return Point{float64(rapid.IntRange(0, 20).Draw(t, "p")) / 20, rapid.Bool().Draw(t, "keep")}
	}), 1, 30).Draw(t, "points")
}

// A greater agreement never gives a narrower band, the agreement is reached, and no band
// with fewer points inside reaches it.
func TestNarrowestBand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points := drawPoints(t)
		low := rapid.Float64Range(0.5, 1).Draw(t, "low")
		high := rapid.Float64Range(low, 1).Draw(t, "high")
		f := newFrontier(points)
		n := float64(len(points))
		bands := []Band{f.narrowest(low), f.narrowest(high)}
		var ins []int
		for i, target := range []float64{low, high} {
			b := bands[i]
			in, wrong := inside(points, b)
			ins = append(ins, in)
			if float64(wrong) > n*(1-target)+1e-6 {
				t.Fatalf("band %v: %d of %g wrong, asked for %g", b, wrong, n, target)
			}
			if b.Low > 0.5 || b.High < 0.5 {
				t.Fatalf("band %v leaves out a half", b)
			}
			for from := 0; from <= 10; from++ { // by trying each
				for to := 10; to <= 21; to++ {
					try := Band{float64(from)/20 - 0.025, float64(to)/20 - 0.025}
					if from == 0 {
						try.Low = 0
					}
					if to == 21 {
						try.High = 1
					}
					if k, w := inside(points, try); k < in && float64(w) <= n*(1-target)-1e-6 {
						t.Fatalf("band %v has %d inside, %v has %d and is good enough", b, in, try, k)
					}
				}
			}
		}
		if ins[0] > ins[1] {
			t.Fatalf("agreement %g: %d inside; %g: %d inside", low, ins[0], high, ins[1])
		}
	})
}

func TestWithin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points := drawPoints(t)
		f := newFrontier(points)
		before := math.MaxInt
		for tenth := range 11 {
			share := float64(tenth) / 10
			b := f.within(share)
			in, wrong := inside(points, b)
			if float64(in) > share*float64(len(points))+1e-9 {
				t.Fatalf("band %v has %d of %d inside, at most a share of %g was asked for", b, in, len(points), share)
			}
			if wrong > before {
				t.Fatalf("share %g: %d wrong, a lesser share %d", share, wrong, before)
			}
			before = wrong
		}
	})
}

// The ends of the interval are the shares from which the observed one is z standard
// errors away.
func TestWilson(t *testing.T) {
	const z = 1.959963984540054
	for _, tc := range []struct{ of, n int }{{0, 10}, {10, 10}, {5, 10}, {1, 3}, {380, 400}, {1, 1}} {
		e := Wilson(tc.of, tc.n)
		share := float64(tc.of) / float64(tc.n)
		if float64(e.Value) != share || !(0 <= e.Low && e.Low <= e.Value && e.Value <= e.High && e.High <= 1) {
			t.Fatalf("%d of %d: %v", tc.of, tc.n, e)
		}
		for _, end := range []float64{float64(e.Low), float64(e.High)} {
			if d := math.Abs(share-end) - z*math.Sqrt(end*(1-end)/float64(tc.n)); math.Abs(d) > 1e-9 {
				t.Errorf("%d of %d: the end %g is off by %g", tc.of, tc.n, end, d)
			}
		}
	}
	if e := Wilson(0, 0); !math.IsNaN(float64(e.Value)) || !math.IsNaN(float64(e.Low)) || !math.IsNaN(float64(e.High)) {
		t.Errorf("of nothing: %v", e)
	}
}

func TestMeasure(t *testing.T) {
	points := []Point{{0.1, false}, {0.2, true}, {0.4, true}, {0.6, false}, {0.8, false}, {0.9, true}, {0.95, true}, {0.05, false}}
	m, err := Measure(context.Background(), points, Band{0.3, 0.7}, Bootstrap{Resamples: 50, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	want, err := metric.Kappa([][]int64{{3, 1}, {1, 3}}) // cascade's verdict by large's
	if err != nil {
		t.Fatal(err)
	}
	if m.Records != 8 || m.Inside != 2 || m.Wrong != 2 || m.Share != 0.25 || m.Agreement.Value != 0.75 ||
		math.Abs(float64(m.Kappa.Value)-want) > 1e-12 || m.Found != 0.75 || m.Right != 0.75 {
		t.Errorf("%+v, want a kappa of %g", m, want)
	}
	if !(m.Kappa.Low <= m.Kappa.Value && m.Kappa.Value <= m.Kappa.High) {
		t.Errorf("kappa %v", m.Kappa)
	}
}

func TestCrossedIsNotFlattered(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	flattered, plain := 0, 0
	for range 40 {
		var points []Point
		for range 60 {
			p := random.Float64()
			points = append(points, Point{p, random.Float64() < p})
		}
		_, wrong := inside(points, newFrontier(points).narrowest(0.9))
		flattered += wrong
		plain += crossed(points, 0.9).Wrong
	}
	if plain <= flattered {
		t.Errorf("%d wrong by bands chosen without the points, %d with: want more", plain, flattered)
	}
}
