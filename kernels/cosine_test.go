package kernels

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"winnow/internal/kernelcases"
)

// cosineTolerance is how far a similarity may be from exact arithmetic: rows are
// rounded to float32, and so is the result.
const cosineTolerance = 1.5e-7

func cosineCase(c kernelcases.Cosine) (CosineInput, CosineOptions) {
	rows, against := c.Data()
	return CosineInput{Rows: rows, Against: against, Dim: c.Dim}, CosineOptions{Threshold: c.Threshold}
}

func cosineTestCases() []kernelcases.Cosine {
	return slices.DeleteFunc(kernelcases.CosineCases(), func(c kernelcases.Cosine) bool { return c.Bench })
}

// checkCosine compares pairs with the reference: all of the reference's that are
// clearly above the threshold, none that is clearly below, in order.
func checkCosine(t *testing.T, in CosineInput, o CosineOptions, got []CosinePair) {
	t.Helper()
	lower := o
	lower.Threshold -= 2 * cosineTolerance
	want, err := CosineReference(in, lower)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(got, func(a, b CosinePair) int {
		if a.I != b.I {
			return int(a.I - b.I)
		}
		return int(a.J - b.J)
	}) {
		t.Fatal("the pairs are not in order")
	}
	g := 0
	for _, w := range want {
		if g < len(got) && got[g].I == w.I && got[g].J == w.J {
			if diff := math.Abs(float64(got[g].Similarity) - float64(w.Similarity)); !(diff <= 2*cosineTolerance) || !(got[g].Similarity >= o.Threshold) {
				t.Fatalf("%v, the reference has %v at threshold %g", got[g], w, o.Threshold)
			}
			g++
			continue
		}
		if !(w.Similarity < o.Threshold+2*cosineTolerance) {
			t.Fatalf("missing: %v", w)
		}
	}
	if g != len(got) {
		t.Fatalf("%d pairs, of which %v is not the reference's", len(got), got[g])
	}
}

func TestCosineAgainstReference(t *testing.T) {
	for _, c := range cosineTestCases() {
		t.Run(fmt.Sprintf("%s %dx%d", c.Name, c.Rows, c.Dim), func(t *testing.T) {
			in, o := cosineCase(c)
			got, err := CosinePairs(t.Context(), nil, in, o)
			if err != nil {
				t.Fatal(err)
			}
			checkCosine(t, in, o, got)
			for _, threads := range []int{1, 3} {
				o.Threads = threads
				again, err := CosinePairs(t.Context(), nil, in, o)
				if err != nil || !slices.Equal(got, again) {
					t.Fatalf("%d threads: other pairs, %v", threads, err)
				}
			}
		})
	}
}

// The values are those of the definition, bit for bit, and the bytes lose none.
func TestCosineFuzzed(t *testing.T) {
	d := openEmulated(t)
	r := rand.New(rand.NewPCG(7, 7))
	for n := range 120 {
		c := kernelcases.Cosine{
			Rows: 1 + r.IntN(300), Dim: 1 + r.IntN(400), Threshold: float32(0.05 + 0.94*r.Float64()),
			Seed: uint64(n), Decay: 2 * r.Float64() * float64(r.IntN(2)), Copies: r.IntN(5), Zeros: r.IntN(3) * 20,
		}
		if r.IntN(2) == 0 {
			c.Against = 1 + r.IntN(300)
		}
		in, o := cosineCase(c)
		if r.IntN(3) == 0 { // rows far from a common scale, and elements far outside it
			for i := range 10 {
				in.Rows[r.IntN(len(in.Rows))] *= float32(math.Pow(10, float64(3*i-15)))
			}
		}
		want := cosinePlain(t, in, o)
		if len(want) > 0 && r.IntN(2) == 0 { // the threshold is what a pair has, to the bit
			o.Threshold = want[r.IntN(len(want))].Similarity
			want = cosinePlain(t, in, o)
		}
		got, err := CosinePairs(t.Context(), nil, in, o)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v: %d pairs, by the definition %d", c, len(got), len(want))
		}
		if n%6 > 0 {
			continue
		}
		if got, err = CosinePairs(t.Context(), d, in, o); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v on the device: %d pairs, by the definition %d", c, len(got), len(want))
		}
	}
}

// cosinePlain is the definition in Go, pair by pair.
func cosinePlain(t *testing.T, in CosineInput, o CosineOptions) []CosinePair {
	t.Helper()
	left, right := cosineUnitPlain(t, in.Rows, in.Dim), cosineUnitPlain(t, in.Against, in.Dim)
	if in.Against == nil {
		right = left
	}
	var pairs []CosinePair
	for i := 0; i*in.Dim < len(left); i++ {
		j := i + 1
		if in.Against != nil {
			j = 0
		}
		for ; j*in.Dim < len(right); j++ {
			if v := cosineGo(left[i*in.Dim:][:in.Dim], right[j*in.Dim:][:in.Dim]); v >= o.Threshold {
				pairs = append(pairs, CosinePair{int32(i), int32(j), v})
			}
		}
	}
	return pairs
}

func cosineUnitPlain(t *testing.T, rows []float32, dim int) []float32 {
	t.Helper()
	unit, err := cosineUnitGo(rows, dim)
	if err != nil {
		t.Fatal(err)
	}
	return unit
}

func TestCosineGreedy(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, c := range cosineTestCases() {
		if c.Against > 0 {
			continue
		}
		in, o := cosineCase(c)
		order := make([]int32, c.Rows)
		for i, row := range r.Perm(c.Rows) {
			order[i] = int32(row)
		}
		for _, order := range [][]int32{nil, order} {
			want := greedyPlain(t, in, order, o)
			for _, threads := range []int{1, 2, 5} {
				o.Threads = threads
				got, err := CosineGreedy(t.Context(), nil, in, order, o)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got.Kept, want.Kept) || !slices.Equal(got.Of, want.Of) {
					t.Fatalf("%s %dx%d, %d threads: kept %d rows, one after the other %d", c.Name, c.Rows, c.Dim, threads, len(got.Kept), len(want.Kept))
				}
			}
		}
	}
}

// greedyPlain is the rule as it is said: row after row against those kept.
func greedyPlain(t *testing.T, in CosineInput, order []int32, o CosineOptions) CosineKept {
	t.Helper()
	unit := cosineUnitPlain(t, in.Rows, in.Dim)
	rows := len(unit) / in.Dim
	kept := CosineKept{Of: make([]int32, rows)}
	for at := range rows {
		row := int32(at)
		if order != nil {
			row = order[at]
		}
		kept.Of[row] = -1
		for _, k := range kept.Kept {
			if cosineGo(unit[int(k)*in.Dim:][:in.Dim], unit[int(row)*in.Dim:][:in.Dim]) >= o.Threshold {
				kept.Of[row] = k
				break
			}
		}
		if kept.Of[row] < 0 {
			kept.Kept = append(kept.Kept, row)
		}
	}
	return kept
}

func TestCosineErrors(t *testing.T) {
	good := CosineInput{Rows: []float32{1, 0, 0, 1, 1, 1}, Dim: 2}
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for name, c := range map[string]struct {
		in CosineInput
		o  CosineOptions
	}{
		"kernel 9":        {good, CosineOptions{Threshold: 0.5, Rung: 9}},
		"threshold 0":     {good, CosineOptions{}},
		"threshold NaN":   {good, CosineOptions{Threshold: nan}},
		"threshold 1.5":   {good, CosineOptions{Threshold: 1.5}},
		"dim 0":           {CosineInput{Rows: good.Rows}, CosineOptions{Threshold: 0.5}},
		"dim too large":   {CosineInput{Rows: good.Rows, Dim: 1 << 20}, CosineOptions{Threshold: 0.5}},
		"half a row":      {CosineInput{Rows: good.Rows[:5], Dim: 2}, CosineOptions{Threshold: 0.5}},
		"half a row of b": {CosineInput{Rows: good.Rows, Against: good.Rows[:5], Dim: 2}, CosineOptions{Threshold: 0.5}},
		"NaN":             {CosineInput{Rows: []float32{1, 2, nan, 4}, Dim: 2}, CosineOptions{Threshold: 0.5}},
		"infinity in b":   {CosineInput{Rows: good.Rows, Against: []float32{1, inf}, Dim: 2}, CosineOptions{Threshold: 0.5}},
	} {
		if pairs, err := CosinePairs(t.Context(), nil, c.in, c.o); err == nil {
			t.Errorf("%s: %v and no error", name, pairs)
		}
	}
	var row *RowError
	_, err := CosineGreedy(t.Context(), nil, CosineInput{Rows: []float32{1, 2, 3, 4, nan, 6}, Dim: 2}, []int32{2, 0, 1}, CosineOptions{Threshold: 0.5})
	if !errors.As(err, &row) || row.Row != 2 {
		t.Errorf("a NaN in row 2: %v", err)
	}
	for _, order := range [][]int32{{0, 1}, {0, 1, 1}, {0, 1, 3}, {0, -1, 2}} {
		if _, err := CosineGreedy(t.Context(), nil, good, order, CosineOptions{Threshold: 0.5}); err == nil {
			t.Errorf("order %v is taken", order)
		}
	}
	if _, err := CosinePairs(t.Context(), nil, good, CosineOptions{Threshold: 0.5, MaxPairs: 1}); !errors.Is(err, ErrTooManyPairs) {
		t.Errorf("two pairs of at most one: %v", err)
	}
	if pairs, err := CosinePairs(t.Context(), nil, good, CosineOptions{Threshold: 0.5, MaxPairs: 2}); err != nil || len(pairs) != 2 {
		t.Errorf("two pairs of at most two: %v %v", pairs, err)
	}
}

func TestCosineEnds(t *testing.T) {
	in, o := cosineCase(kernelcases.Cosine{Rows: 20_000, Dim: 512, Threshold: 0.9, Seed: 1})
	ctx, cancel := context.WithCancel(t.Context())
	var last, total int64
	o.Progress = func(done, all int64) {
		if done < last {
			t.Errorf("progress went back from %d to %d", last, done)
		}
		last, total = done, all
		cancel()
	}
	start := time.Now()
	if _, err := CosinePairs(ctx, nil, in, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled, and the error is %v", err)
	}
	if last >= total || total != 20_000*19_999/2 {
		t.Errorf("%d of %d after a cancel in the first band", last, total)
	}
	stop := errors.New("enough")
	o.Progress = nil
	o.Threshold = 0.3
	if err := CosineEach(t.Context(), nil, in, o, func([]CosinePair) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the caller's own error came back as %v", err)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("ending took %v", took)
	}
	if _, err := CosineGreedy(ctx, nil, in, nil, o); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled choice: %v", err)
	}
}

func BenchmarkCosine(b *testing.B) {
	for _, c := range kernelcases.CosineCases() {
		if !c.Bench {
			continue
		}
		b.Run(fmt.Sprintf("%s %dx%d t=%g", c.Name, c.Rows, c.Dim, c.Threshold), func(b *testing.B) {
			in, o := cosineCase(c)
			b.ResetTimer()
			pairs := 0
			for range b.N {
				got, err := CosinePairs(b.Context(), nil, in, o)
				if err != nil {
					b.Fatal(err)
				}
				pairs = len(got)
			}
			b.ReportMetric(float64(pairs), "pairs")
			b.ReportMetric(float64(c.FLOPs())*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
