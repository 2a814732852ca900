package kernels

import (
	"context"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"winnow/internal/kernelcases"
)

// kcenterInput returns a case's input. Rows that were selected before are every
// third one.
func kcenterInput(c kernelcases.KCenterCase) (KCenterInput, KCenterOptions) {
	in := KCenterInput{Dim: c.Dim}
	in.Rows, in.Half, in.Weights = c.Data()
	for i := range c.Selected {
		in.Selected = append(in.Selected, int32(3*i))
	}
	return in, KCenterOptions{K: c.Picks}
}

// eachKCenter runs a test for every case that is one for tests.
func eachKCenter(t *testing.T, test func(t *testing.T, in KCenterInput, o KCenterOptions)) {
	for _, c := range kernelcases.KCenter() {
		if !c.Measure {
			t.Run(c.Title(), func(t *testing.T) {
				in, o := kcenterInput(c)
				test(t, in, o)
			})
		}
	}
}

// plainKCenter is the definition.
func plainKCenter(t *testing.T, in KCenterInput, o KCenterOptions) KCenterPicks {
	t.Helper()
	job, err := newKCenterJob(in, o)
	if err == nil {
		err = job.plain(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	return job.picks
}

func samePicks(t *testing.T, what string, got, want KCenterPicks) {
	t.Helper()
	if !slices.Equal(got.Rows, want.Rows) {
		t.Errorf("%s picks %v, not %v", what, got.Rows, want.Rows)
	}
	if !slices.Equal(got.Radii, want.Radii) {
		t.Errorf("%s has the radii %v, not %v", what, got.Radii, want.Radii)
	}
}

// The fast form and the sweep are the definition, bit for bit, on any number of
// threads.
func TestKCenterIsItsDefinition(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	eachKCenter(t, func(t *testing.T, in KCenterInput, o KCenterOptions) {
		want := plainKCenter(t, in, o)
		for _, threads := range []int{1, 2, 5} {
			runtime.GOMAXPROCS(threads)
			got, err := KCenter(context.Background(), nil, in, o)
			if err != nil {
				t.Fatal(err)
			}
			samePicks(t, "the fast form", got, want)
			got, err = KCenterSweep(context.Background(), in, o)
			if err != nil {
				t.Fatal(err)
			}
			samePicks(t, "the sweep", got, want)
		}
	})
}

// Every kernel picks what the definition picks, bit for bit.
func TestKCenterOnDevice(t *testing.T) {
	d := openEmulated(t)
	for _, kernel := range KCenterKernels() {
		t.Run(string(kernel), func(t *testing.T) {
			eachKCenter(t, func(t *testing.T, in KCenterInput, o KCenterOptions) {
				if !onGPU() { // every step takes the emulation its time
					in.Selected = in.Selected[:min(5, len(in.Selected))]
					o.K = min(o.K, 20_000/max(1, len(in.Rows)+len(in.Half))+2)
				}
				o.Kernel = kernel
				got, err := KCenter(context.Background(), d, in, o)
				if err != nil {
					t.Fatal(err)
				}
				samePicks(t, "the device", got, plainKCenter(t, in, o))
			})
		})
	}
}

// More rounds than the other cases have, more rows than a floor is drawn from, and
// at the end nothing but copies.
func TestKCenterRoundsOnDevice(t *testing.T) {
	d := openEmulated(t)
	for _, c := range []kernelcases.KCenterCase{
		{Name: "many rows", Rows: 1500, Dim: 8, Picks: 200, Clusters: 50, Weighted: true, Seed: 7},
		{Name: "all rows", Rows: 300, Dim: 40, Picks: 300, Clusters: 20, Half: true, Selected: 3, Seed: 8},
	} {
		in, o := kcenterInput(c)
		o.Kernel = KCenterBounds
		got, err := KCenter(context.Background(), d, in, o)
		if err != nil {
			t.Fatal(err)
		}
		samePicks(t, c.Title(), got, plainKCenter(t, in, o))
		if all := int64(c.Rows * (c.Picks + c.Selected)); got.Distances < int64(c.Rows) || got.Distances > all*11/10 {
			t.Errorf("%s: %d distances computed; a sweep computes %d", c.Title(), got.Distances, all)
		}
	}
}

// Against float64 each pick is, within twice the error of plain float32 sums, the
// farthest of all behind the picks before it, and its radius is its distance.
func TestKCenterAgainstReference(t *testing.T) {
	eachKCenter(t, func(t *testing.T, in KCenterInput, o KCenterOptions) {
		got, err := KCenter(context.Background(), nil, in, o)
		if err != nil {
			t.Fatal(err)
		}
		tol := 2 * plainError(in)
		n := max(len(in.Rows), len(in.Half)) / in.Dim
		near := make([]float64, n) // in float64, to all that was picked before
		for i := range near {
			near[i] = math.Inf(1)
		}
		for _, i := range in.Selected {
			in.approach(near, int(i))
		}
		for p, row := range got.Rows {
			farthest := 0.0
			for i := range near {
				farthest = max(farthest, in.weight(i)*near[i])
			}
			if mine := in.weight(int(row)) * near[row]; !(mine >= farthest*(1-tol)) {
				t.Fatalf("pick %d, row %d, is %v away; another one %v", p, row, mine, farthest)
			}
			radius := float64(got.Radii[p])
			if radius != farthest && !(math.Abs(radius-farthest) <= tol*farthest) {
				t.Fatalf("pick %d, row %d, has the radius %v, not %v within %v", p, row, radius, farthest, tol)
			}
			in.approach(near, int(row))
		}
	})
}

// plainError returns the greatest relative error of a weighted distance in float32,
// summed from the first column to the last.
func plainError(in KCenterInput) float64 {
	worst := 0x1p-23 // of a distance of one column
	n := max(len(in.Rows), len(in.Half)) / in.Dim
	random := rand.New(rand.NewPCG(1, 1))
	for range min(2000, n*n) {
		i, j := random.IntN(n), random.IntN(n)
		exact, sum := in.distance(i, j), float32(0)
		for c := range in.Dim {
			t := float32(in.at(i, c)) - float32(in.at(j, c))
			sum += float32(t * t)
		}
		w := in.weight(i)
		got := math.Sqrt(float64(sum * float32(w*w)))
		if exact > 0 {
			worst = max(worst, math.Abs(got-w*exact)/(w*exact))
		}
	}
	return worst
}

// Where no two scores are within rounding of one another, the reference picks the
// same.
func TestKCenterReferencePicks(t *testing.T) {
	in := KCenterInput{Rows: []float32{0, 1, 10, 4, 10, 0}, Dim: 1}
	for _, c := range []struct {
		weights  []float32
		selected []int32
		want     []int32
	}{
		// From 0: 10 away; then 4, in the middle; then 1; then copies, by index.
		{nil, nil, []int32{0, 2, 3, 1, 4, 5}},
		{nil, []int32{2}, []int32{0, 3, 1, 4, 5}},
		{[]float32{1, 1, 1, 1, 2, 2}, nil, []int32{4, 5, 3, 1, 0, 2}},
		{[]float32{1, 9, 1, 1, 1, 1}, []int32{0}, []int32{2, 1, 3, 4, 5}},
	} {
		in := in
		in.Weights, in.Selected = c.weights, c.selected
		rows, _, err := KCenterReference(in, 10)
		if err != nil || !slices.Equal(rows, c.want) {
			t.Errorf("weights %v, selected %v: the reference picks %v, %v; not %v", c.weights, c.selected, rows, err, c.want)
		}
		got, err := KCenter(context.Background(), nil, in, KCenterOptions{K: 10})
		if err != nil || !slices.Equal(got.Rows, c.want) {
			t.Errorf("weights %v, selected %v: picks %v, %v; not %v", c.weights, c.selected, got.Rows, err, c.want)
		}
	}
}

// Picking some and then more is picking all at once.
func TestKCenterGoesOn(t *testing.T) {
	eachKCenter(t, func(t *testing.T, in KCenterInput, o KCenterOptions) {
		all, err := KCenter(context.Background(), nil, in, o)
		if err != nil {
			t.Fatal(err)
		}
		part := o
		part.K = o.K / 2
		first, err := KCenter(context.Background(), nil, in, part)
		if err != nil {
			t.Fatal(err)
		}
		in.Selected = append(slices.Clone(in.Selected), first.Rows...)
		part.K = o.K - part.K
		second, err := KCenter(context.Background(), nil, in, part)
		if err != nil {
			t.Fatal(err)
		}
		samePicks(t, "twice", KCenterPicks{Rows: append(first.Rows, second.Rows...), Radii: append(first.Radii, second.Radii...)}, all)
	})
}

func FuzzKCenter(f *testing.F) {
	f.Add(uint64(1), uint16(100), uint8(5), uint16(50), uint8(0))
	f.Add(uint64(2), uint16(1300), uint8(3), uint16(700), uint8(7))
	f.Fuzz(func(t *testing.T, seed uint64, n uint16, dim uint8, k uint16, what uint8) {
		c := kernelcases.KCenterCase{Rows: int(n) % 1500, Dim: 1 + int(dim)%70, Picks: int(k) % 300,
			Clusters: int(what>>4) * 5, Half: what&1 != 0, Weighted: what&2 != 0, Seed: seed}
		if what&4 != 0 {
			c.Selected = c.Rows / 5
		}
		in, o := kcenterInput(c)
		if what&8 != 0 { // few distinct values: many ties
			for i, x := range in.Rows {
				in.Rows[i] = float32(math.Round(float64(x)))
			}
		}
		got, err := KCenter(context.Background(), nil, in, o)
		if err != nil {
			t.Fatal(err)
		}
		samePicks(t, "the fast form", got, plainKCenter(t, in, o))
	})
}

func TestKCenterErrors(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	four := []float32{1, 2, 3, 4}
	for _, c := range []struct {
		in   KCenterInput
		o    KCenterOptions
		want string
	}{
		{KCenterInput{Rows: four}, KCenterOptions{}, "0 columns"},
		{KCenterInput{Rows: four, Dim: 3}, KCenterOptions{}, "4 values are not a whole number of rows of 3 columns"},
		{KCenterInput{Rows: four, Half: []uint16{1, 2}, Dim: 2}, KCenterOptions{}, "both"},
		{KCenterInput{Rows: []float32{1, 2, nan, 4}, Dim: 2}, KCenterOptions{}, "row 1, column 0 is NaN"},
		{KCenterInput{Rows: []float32{1, -inf}, Dim: 1}, KCenterOptions{}, "row 1, column 0 is -Inf"},
		{KCenterInput{Half: []uint16{1, 0xfc00}, Dim: 2}, KCenterOptions{}, "row 0, column 1 has the bits 0xfc00"},
		{KCenterInput{Rows: four, Dim: 2, Weights: []float32{1}}, KCenterOptions{}, "1 weights for 2 rows"},
		{KCenterInput{Rows: four, Dim: 2, Weights: []float32{1, 0}}, KCenterOptions{}, "weight of row 1 is 0"},
		{KCenterInput{Rows: four, Dim: 2, Weights: []float32{nan, 1}}, KCenterOptions{}, "weight of row 0 is NaN"},
		{KCenterInput{Rows: four, Dim: 2, Weights: []float32{1, inf}}, KCenterOptions{}, "weight of row 1 is +Inf"},
		{KCenterInput{Rows: four, Dim: 2, Selected: []int32{2}}, KCenterOptions{}, "row 2 was selected before, but there are 2 rows"},
		{KCenterInput{Rows: four, Dim: 2, Selected: []int32{-1}}, KCenterOptions{}, "row -1"},
		{KCenterInput{Rows: four, Dim: 2, Selected: []int32{1, 1}}, KCenterOptions{}, "twice"},
		{KCenterInput{Rows: four, Dim: 2}, KCenterOptions{K: -1}, "-1 picks"},
		{KCenterInput{Rows: four, Dim: 2}, KCenterOptions{Kernel: "fast"}, `no kernel "fast"`},
	} {
		if _, err := KCenter(context.Background(), nil, c.in, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v %+v: %v; %q was expected", c.in, c.o, err, c.want)
		}
	}
}

func TestKCenterStopsAndTells(t *testing.T) {
	in, o := kcenterInput(kernelcases.KCenterCase{Rows: 700, Dim: 16, Picks: 600, Seed: 3})
	for _, d := range []*Device{nil, openEmulated(t)} {
		ctx, cancel := context.WithCancel(context.Background())
		told := 0
		o.Progress = func(done int) {
			if done < told || done > o.K {
				t.Errorf("progress went from %d to %d of %d", told, done, o.K)
			}
			if told = done; done > 0 {
				cancel()
			}
		}
		if _, err := KCenter(ctx, d, in, o); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled after %d picks: %v", told, err)
		}
		if told == 0 || told >= o.K {
			t.Errorf("%d of %d picks were made when it was cancelled", told, o.K)
		}
	}
}

// Numbers at the limits of float32 neither trip it nor make its forms differ.
func TestKCenterExtremes(t *testing.T) {
	d := openEmulated(t)
	for name, in := range map[string]KCenterInput{
		"huge":       {Rows: []float32{3e38, -3e38, 0, 1, 3e38, 1e30}, Dim: 1},
		"tiny":       {Rows: []float32{1e-45, 0, 1e-30, -1e-45, 1e-38, 2e-20}, Dim: 1},
		"weights":    {Rows: []float32{1, 2, 3, 4, 5, 6}, Dim: 1, Weights: []float32{1e-18, 1e18, 1, 1e-18, 1e18, 1}},
		"huge, both": {Rows: []float32{3e38, -3e38, 0, 1, 3e38, 1e30}, Dim: 2, Weights: []float32{1e-18, 1e18, 1}},
		"half":       {Half: []uint16{0x7bff, 0xfbff, 0, 0x8000, 1, 0x8001}, Dim: 1},
		"equal":      {Rows: make([]float32, 600), Dim: 2},
	} {
		o := KCenterOptions{K: 50}
		want := plainKCenter(t, in, o)
		got, err := KCenter(context.Background(), nil, in, o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		samePicks(t, name, got, want)
		for _, o.Kernel = range KCenterKernels() {
			if got, err = KCenter(context.Background(), d, in, o); err != nil {
				t.Fatalf("%s, %s: %v", name, o.Kernel, err)
			}
			samePicks(t, name+", "+string(o.Kernel), got, want)
		}
	}
}

// fma32 rounds once, also where rounding the exact sum to float64 first would tip it.
func TestFMA32(t *testing.T) {
	// 1 + 2^-24 is half way between two float32; a summand far below decides.
	for _, c := range []struct{ x, y, z, want float32 }{
		{1, 1, 0x1p-24, 1},
		{0x1p-12, 0x1p-12, 1, 1},
		{0x1.000002p-12, 0x1p-12, 1, 1 + 0x1p-23},
		{0x1.000002p0, 0x1p-60, 1 + 0x1p-23, 1 + 0x1p-23},
		{3, 5, -15, 0},
	} {
		if got := fma32(c.x, c.y, c.z); got != c.want {
			t.Errorf("fma32(%v, %v, %v) is %v, not %v", c.x, c.y, c.z, got, c.want)
		}
	}
	random := rand.New(rand.NewPCG(5, 5))
	for range 200_000 {
		x, z := float32(random.NormFloat64()), float32(math.Ldexp(random.NormFloat64(), random.IntN(80)-40))
		exact := exactFMA(x, x, z)
		if got := fma32(x, x, z); got != exact {
			t.Fatalf("fma32(%v, %v, %v) is %v, not %v", x, x, z, got, exact)
		}
	}
}

// exactFMA computes with as many bits as it takes.
func exactFMA(x, y, z float32) float32 {
	f := func(x float32) *big.Float { return new(big.Float).SetPrec(400).SetFloat64(float64(x)) }
	product := f(0).Mul(f(x), f(y))
	sum, _ := product.Add(product, f(z)).Float32()
	return sum
}
