package bench

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"winnow/grader/engine"
	"winnow/grader/record"
	"winnow/grader/rubric"
	"winnow/internal/tinygguf"
	"winnow/llama"
)

func writeTiny(t *testing.T, o tinygguf.Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(path, o); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T) *engine.Engine {
	t.Helper()
	r, err := rubric.Load("")
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open(engine.Options{Model: writeTiny(t, tinygguf.Options{}), Rubric: r, Threads: 1, Batch: 256})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestMeasure(t *testing.T) {
	e := open(t)
	recs := []*record.Record{
		{Key: record.Key{1}, Instruction: "Add 2 and 3.", Response: "5"},
		{Key: record.Key{2}, Instruction: "Name a colour.", Response: "Blue."},
		{Key: record.Key{3}, Instruction: "Write about the world.", Response: "The world is large and the day is long."},
	}
	want := 0
	for _, r := range recs {
		p, err := e.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		want += p.Size
	}
	got, err := Measure(context.Background(), e, recs, 3)
	if err != nil {
		t.Fatal(err)
	}
	if got.Tokens != want || got.Records != 3 || got.Repeats != 3 || got.Threads != 1 || got.Batch != 256 {
		t.Errorf("%+v, want 3 records of %d tokens, 3 repeats, 1 thread, batches of 256", got, want)
	}
	if got.Model != "tiny.gguf" || got.Format == "" || got.Device != "CPU" || got.Engine != llama.Version() {
		t.Errorf("model %q, format %q, device %q, engine %q", got.Model, got.Format, got.Device, got.Engine)
	}
	for name, x := range map[string]float64{"raw": got.RawRate, "grading": got.GradingRate, "records": got.RecordRate, "efficiency": got.Efficiency} {
		if !(x > 0) || math.IsInf(x, 0) {
			t.Errorf("%s rate %v, want a positive number", name, x)
		}
	}
	if !(got.RawSpread >= 0 && got.GradingSpread >= 0) {
		t.Errorf("spreads %v and %v, want none negative", got.RawSpread, got.GradingSpread)
	}
	if r := got.GradingRate / got.RawRate; math.Abs(got.Efficiency-r) > 1e-9*r {
		t.Errorf("efficiency %v, want grading ÷ raw = %v", got.Efficiency, r)
	}
	if r := got.GradingRate * 3 / float64(want); math.Abs(got.RecordRate-r) > 1e-9*r {
		t.Errorf("%v records per second, want %v", got.RecordRate, r)
	}
}

func TestMeasureErrors(t *testing.T) {
	e := open(t)
	rec := []*record.Record{{Instruction: "a", Response: "b"}}
	ctx := context.Background()
	if _, err := Measure(ctx, e, nil, 1); err == nil {
		t.Error("no records: no error")
	}
	if _, err := Measure(ctx, e, rec, 0); err == nil {
		t.Error("no repeats: no error")
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Measure(ctx, e, rec, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := RawRate(ctx, e.Model(), 64, 1, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("RawRate, cancelled: %v", err)
	}
}

func TestFastest(t *testing.T) {
	in := writeTiny(t, tinygguf.Options{Layers: 1})
	dir := t.TempDir()
	out := filepath.Join(dir, "fast.gguf")
	rates, err := Fastest(context.Background(), in, out, 1)
	if err != nil {
		t.Fatal(err)
	}
	var tried []string
	for _, r := range rates {
		if !(r.Rate > 0) || r.Rate > rates[0].Rate {
			t.Errorf("%s: %v tokens per second, the first has %v", r.Format, r.Rate, rates[0].Rate)
		}
		tried = append(tried, r.Format)
	}
	if slices.Sort(tried); !slices.Equal(tried, slices.Sorted(slices.Values(FastFormats))) {
		t.Errorf("formats %v, want %v", tried, FastFormats)
	}
	m, err := llama.LoadModel(out, llama.ModelOptions{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := m.Info()
	if err := errors.Join(err, m.Close()); err != nil {
		t.Fatal(err)
	}
	if info.Format != rates[0].Format {
		t.Errorf("%s was written, %s is the fastest", info.Format, rates[0].Format)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFastestErrors(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "fast.gguf")
	if _, err := Fastest(context.Background(), filepath.Join(dir, "none.gguf"), out, 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing model: %v", err)
	}
	if _, err := Fastest(context.Background(), writeTiny(t, tinygguf.Options{}), filepath.Join(dir, "none", "o"), 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Fastest(ctx, writeTiny(t, tinygguf.Options{}), out, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		x           []float64
		mid, spread float64
	}{
		{[]float64{4}, 4, 0},
		{[]float64{3, 1}, 2, 1},
		{[]float64{9, 1, 2}, 2, 4},
		{[]float64{4, 1, 3, 2}, 2.5, 1.2},
	} {
		x := slices.Clone(c.x)
		if mid, spread := median(x); mid != c.mid || spread != c.spread {
			t.Errorf("median(%v) = %v, %v, want %v, %v", c.x, mid, spread, c.mid, c.spread)
		}
		if !slices.Equal(x, c.x) {
			t.Errorf("median changed %v to %v", c.x, x)
		}
	}
}
