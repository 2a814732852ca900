package kernels

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"winnow/internal/kernelcases"
)

// On the device the pairs are the CPU's, bit for bit, by each kernel, and when
// memory for rows or candidates is short.
func TestCosineOnDevice(t *testing.T) {
	d := openEmulated(t)
	for _, c := range append(cosineTestCases(), kernelcases.Cosine{Name: "blocks", Rows: 300, Dim: 40, Threshold: 0.7, Copies: 3, Seed: 9}) {
		if c.Rows*max(c.Rows, c.Against) > 300*333 && d.Info().Emulated {
			continue // an emulated block is slow
		}
		in, o := cosineCase(c)
		want, err := CosinePairs(t.Context(), nil, in, o)
		if err != nil {
			t.Fatal(err)
		}
		for rung := range CosineRungs + 1 {
			if rung > 0 && rung < CosineRungs && c.Rows > 70 && d.Info().Emulated {
				continue
			}
			o := o
			o.Rung = rung
			got, err := CosinePairs(t.Context(), d, in, o)
			if err != nil {
				t.Fatalf("%s %dx%d, kernel %d: %v", c.Name, c.Rows, c.Dim, rung, err)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s %dx%d, kernel %d: %d pairs, on the CPU %d", c.Name, c.Rows, c.Dim, rung, len(got), len(want))
			}
		}
		all := max(c.Rows, c.Against)
		short := cosineLimits{chunk: (all + 2) / 3, band: all/5 + 1, stretch: all/4 + 1, capacity: all/4 + 1, staging: all/7 + 1}
		var got []CosinePair
		err = cosineOnDevice(t.Context(), d, in, o, &short, func(pairs []CosinePair) error {
			got = append(got, pairs...)
			return nil
		})
		if err != nil {
			t.Fatalf("%s %dx%d with %+v: %v", c.Name, c.Rows, c.Dim, short, err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s %dx%d with %+v: %d pairs, on the CPU %d", c.Name, c.Rows, c.Dim, short, len(got), len(want))
		}
		if c.Against > 0 {
			continue
		}
		kept, err := CosineGreedy(t.Context(), nil, in, nil, o)
		if err != nil {
			t.Fatal(err)
		}
		onDevice, err := CosineGreedy(t.Context(), d, in, nil, o)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(onDevice.Kept, kept.Kept) || !slices.Equal(onDevice.Of, kept.Of) {
			t.Fatalf("%s %dx%d: kept %d rows, on the CPU %d", c.Name, c.Rows, c.Dim, len(onDevice.Kept), len(kept.Kept))
		}
	}
}

func TestCosineOnDeviceErrors(t *testing.T) {
	d := openEmulated(t)
	nan := float32(math.NaN())
	in := CosineInput{Rows: []float32{1, 0, 0, 1, 1, 1, nan, 0}, Dim: 2}
	var row *RowError
	if _, err := CosinePairs(t.Context(), d, in, CosineOptions{Threshold: 0.5}); !errors.As(err, &row) || row.Row != 3 {
		t.Errorf("a NaN in row 3: %v", err)
	}
	in.Rows, in.Against = in.Rows[:6], in.Rows[6:]
	if _, err := CosinePairs(t.Context(), d, in, CosineOptions{Threshold: 0.5}); !errors.As(err, &row) || row.Row != 0 || !row.Against {
		t.Errorf("a NaN in row 0 of the others: %v", err)
	}
	in.Against = nil
	if _, err := CosinePairs(t.Context(), d, in, CosineOptions{Threshold: 0.5, MaxPairs: 1}); !errors.Is(err, ErrTooManyPairs) {
		t.Errorf("two pairs of at most one: %v", err)
	}
	stop := errors.New("enough")
	if err := CosineEach(t.Context(), d, in, CosineOptions{Threshold: 0.5}, func([]CosinePair) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the caller's own error came back as %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := CosinePairs(ctx, d, in, CosineOptions{Threshold: 0.5}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled, and the error is %v", err)
	}
	if _, err := newCosineLimits(100_000, 0, 384, 64<<20); !errors.Is(err, ErrNoMemory) {
		t.Errorf("a GPU with 64 MiB free: %v", err)
	}
	if pairs, err := CosinePairs(t.Context(), d, in, CosineOptions{Threshold: 0.5}); err != nil || len(pairs) != 2 {
		t.Errorf("the device after all that: %v, %v", pairs, err)
	}
}

// Rows beyond the memory go in chunks, and all that is asked for fits.
func TestCosineLimits(t *testing.T) {
	const free, dim = 2 << 30, 768
	for _, rows := range []int{1, 1000, 300_000, 3_000_000} {
		for _, others := range []int{0, 1, 500_000} {
			l, err := newCosineLimits(rows, others, dim, free)
			if err != nil {
				t.Fatal(err)
			}
			sides := 2
			if others == 0 && l.chunk == rows {
				sides = 1
			}
			if need := sides*l.chunk*dim*6 + l.capacity*12 + l.staging*dim*4; need > free {
				t.Errorf("%d rows with %d: %+v needs %d bytes", rows, others, l, need)
			}
			if l.chunk < 1 || l.capacity < l.stretch || l.band*l.stretch > math.MaxInt32 {
				t.Errorf("%d rows with %d: %+v: a row's candidates may not fit, or a launch's pairs not be counted", rows, others, l)
			}
		}
	}
}
