package dedup

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"winnow/kernels"
)

// hashBands fills in a hash for each band of a set's signature.
func hashBands(t *testing.T, out, set []uint64, rows int) {
	t.Helper()
	in := kernels.MinHashInput{Values: set, Offsets: []int64{0, int64(len(set))}}
	if err := kernels.MinHash(out, in, family, kernels.MinHashBands{Bands: len(out), Rows: rows}, 1); err != nil {
		t.Fatal(err)
	}
}

// Signatures are fixed for ever: a pair that was found stays found.
func TestSignatureIsFixed(t *testing.T) {
	var w worker
	set := w.shingles([3]string{"Name a colour.", "", "Blue, as the sky over the sea 海 < ∞."})
	got := make([]uint64, 2)
	hashBands(t, got, set, 8)
	if want := []uint64{0xdd393119efe280e7, 0xe600ffc93a1ecf79}; !slices.Equal(got, want) {
		t.Errorf("bands %#x of %d shingles, want %#x", got, len(set), want)
	}
}

func TestSplit(t *testing.T) {
	for _, tc := range []struct {
		threshold   float64
		bands, rows int
	}{{0.3, 64, 2}, {0.5, 42, 3}, {0.7, 25, 5}, {0.8, 16, 8}, {0.9, 8, 16}, {0.95, 6, 21}, {1, 1, 128}} {
		if bands, rows := split(tc.threshold); bands != tc.bands || rows != tc.rows {
			t.Errorf("threshold %v: %d bands of %d rows, want %d of %d", tc.threshold, bands, rows, tc.bands, tc.rows)
		}
	}
	for threshold := MinThreshold; threshold <= 1; threshold += 0.001 {
		bands, rows := split(threshold)
		above := threshold + min(0.05, (1-threshold)/2)
		if bands*rows > permutations || bands < 1 || rows < 1 {
			t.Fatalf("threshold %v: %d bands of %d rows are not %d permutations", threshold, bands, rows, permutations)
		}
		if step := math.Pow(1/float64(bands), 1/float64(rows)); step > threshold || !(recall(above, bands, rows) >= 0.99) {
			t.Fatalf("threshold %v: step %v, recall %v at %v", threshold, step, recall(above, bands, rows), above)
		}
	}
}

// What the documentation says of the default threshold.
func TestRecallAsDocumented(t *testing.T) {
	for s, want := range map[float64]float64{0.8: 0.947, 0.85: 0.994, 0.9: 0.9999} {
		p, bands, rows := Options{}.Recall(s)
		if math.Abs(p-want) > 0.0005 || bands != 16 || rows != 8 {
			t.Errorf("similarity %v: recall %v with %d bands of %d rows, want %v with 16 of 8", s, p, bands, rows, want)
		}
	}
}

// setsOf returns two random sets that share some of their elements.
func setsOf(random *rand.Rand, shared, each int) (a, b []uint64) {
	for range shared {
		x := random.Uint64()
		a, b = append(a, x), append(b, x)
	}
	for range each - shared {
		a, b = append(a, random.Uint64()), append(b, random.Uint64())
	}
	slices.Sort(a)
	slices.Sort(b)
	return a, b
}

// Pairs share a band as often as the formula says, within four standard
// deviations.
func TestCurve(t *testing.T) {
	const pairs = 1500
	random := rand.New(rand.NewPCG(3, 4))
	for _, tc := range []struct {
		threshold    float64
		shared, each int
	}{{0.8, 170, 185}, {0.8, 120, 160}, {0.5, 110, 155}, {0.5, 20, 110}, {0.9, 38, 39}, {0.8, 3, 4}} {
		b, rows := split(tc.threshold)
		want := recall(jaccard(tc.shared, 2*tc.each), b, rows)
		found := 0
		x, y := make([]uint64, b), make([]uint64, b)
		for range pairs {
			one, other := setsOf(random, tc.shared, tc.each)
			hashBands(t, x, one, rows)
			hashBands(t, y, other, rows)
			for i := range x {
				if x[i] == y[i] {
					found++
					break
				}
			}
		}
		off := 4*math.Sqrt(want*(1-want)/pairs) + 1.0/pairs
		if got := float64(found) / pairs; !(math.Abs(got-want) <= off) {
			t.Errorf("threshold %v, similarity %.3f: %.4f of the pairs share a band, want %.4f ± %.4f", tc.threshold, jaccard(tc.shared, 2*tc.each), got, want, off)
		}
	}
}

// Each permutation has the same first element in both sets as often as they are
// alike, and one says nothing of another.
func TestPermutations(t *testing.T) {
	const pairs, want = 400, 0.6
	random := rand.New(rand.NewPCG(5, 6))
	sum, squares := 0.0, 0.0
	for range pairs {
		a, b := setsOf(random, 75, 100)
		same := 0.0
		signatures := make([]uint64, 2*permutations)
		in := kernels.MinHashInput{Values: slices.Concat(a, b), Offsets: []int64{0, int64(len(a)), int64(len(a) + len(b))}}
		if err := kernels.MinHash(signatures, in, family, kernels.MinHashBands{}, 1); err != nil {
			t.Fatal(err)
		}
		for i, x := range signatures[:permutations] {
			if x == signatures[permutations+i] {
				same++
			}
		}
		same /= permutations
		sum += same
		squares += (same - want) * (same - want)
	}
	if mean := sum / pairs; !(math.Abs(mean-want) < 0.01) {
		t.Errorf("an estimate is %v on average, want %v", mean, want)
	}
	// The variance of independent ones, with a half more as there are 400 samples.
	if variance := squares / pairs; !(variance < 1.5*want*(1-want)/permutations) {
		t.Errorf("estimates have a variance of %v, want %v", variance, want*(1-want)/permutations)
	}
}

// Stopping early never changes the answer.
func TestSimilarStopsRight(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	reached := 0
	for range 20_000 {
		var a, b []uint64
		for x := range uint64(1 + random.IntN(30)) {
			if in := random.IntN(6); in != 0 {
				a = append(a, x)
			} else if len(b) == 0 {
				b = append(b, x)
			}
			if random.IntN(6) != 0 {
				b = append(b, x)
			}
		}
		b = slices.Compact(b)
		if len(a) == 0 || len(b) == 0 {
			continue
		}
		shared := 0
		for _, x := range a {
			if slices.Contains(b, x) {
				shared++
			}
		}
		want := float64(shared) / float64(len(a)+len(b)-shared)
		for _, threshold := range []float64{want, 0.3, 0.5, 2.0 / 3, 0.8, 1, math.Nextafter(want, 2)} {
			if threshold == 0 {
				continue
			}
			s, ok := similar(a, b, threshold)
			if ok != (want >= threshold) || ok && s != want {
				t.Fatalf("%v and %v: similarity %v, reaches %v: %t; want %v", a, b, s, threshold, ok, want)
			}
			if ok {
				reached++
			}
		}
	}
	if reached < 10_000 {
		t.Errorf("%d thresholds were reached, want 10000 for the test to mean something", reached)
	}
}
