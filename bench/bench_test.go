package bench

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"winnow/grader"
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

// options are those of a tiny model by the default rubric.
func options(t *testing.T) engine.Options {
	t.Helper()
	rubrics, err := rubric.LoadAll("")
	if err != nil {
		t.Fatal(err)
	}
	return engine.Options{Model: writeTiny(t, tinygguf.Options{}), Rubrics: rubrics}
}

func open(t *testing.T, contexts int) *engine.Engine {
	t.Helper()
	o := options(t)
	o.Threads, o.Batch, o.Lanes = 1, 256, contexts
	e, err := engine.Open(o)
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

func fewRecords() []*record.Record {
	return []*record.Record{
		{Key: record.Key{1}, Instruction: "Add 2 and 3.", Response: "5"},
		{Key: record.Key{2}, Instruction: "Name a colour.", Response: "Blue."},
		{Key: record.Key{3}, Instruction: "Write about the world.", Response: "The world is large and the day is long."},
	}
}

func TestMeasure(t *testing.T) {
	e := open(t, 1)
	recs := fewRecords()
	want := 0
	for _, r := range recs {
		var p grader.Prompt
		if err := e.Encode(r, &p); err != nil {
			t.Fatal(err)
		}
		want += p.Size
	}
	got, err := Measure(context.Background(), e, recs, MeasureOptions{Repeats: 3, PeakFLOPRate: 1e12})
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
	if !(got.Fill > 0 && got.Fill <= 1) || !(got.FLOPRate > 0) || !(got.RawFLOPRate > 0) || math.Abs(got.PeakShare-got.FLOPRate/1e12) > 1e-9 || got.PeakRSS == 0 || !(got.Projected > 0) {
		t.Errorf("%+v: want a fill up to 1, operations, memory and a projection", got)
	}
	if s := got.Stages; !(s["decode"] > 0 && s["decode"] <= 1.01) || !(s["rows"] > 0) || !(s["encode"] > 0) || len(s) != 7 {
		t.Errorf("stages %v", s)
	}
	if r := got.GradingRate * 3 / float64(want); math.Abs(got.RecordRate-r) > 1e-9*r {
		t.Errorf("%v records per second, want %v", got.RecordRate, r)
	}
	if !slices.Equal(got.Rubrics, []string{"alpagasus-accuracy"}) || got.Contexts != 1 || !got.FlashAttention || got.Machine == "" {
		t.Errorf("rubrics %q, %d contexts, flash attention %v, machine %q", got.Rubrics, got.Contexts, got.FlashAttention, got.Machine)
	}
	if _, err := json.Marshal(got); err != nil {
		t.Error(err)
	}
	checkMemory(t, got)
	checkEnergy(t, got)
}

// checkMemory checks that there are figures where there is something to count.
func checkMemory(t *testing.T, got *Throughput) {
	t.Helper()
	if got.PeakRSS < 1<<20 || got.PeakRSS > 1<<40 {
		t.Errorf("%d bytes resident, want some MiB", got.PeakRSS)
	}
	if gpu := slices.ContainsFunc(llama.Devices(), func(d llama.Device) bool { return d.GPU }); !gpu && got.DeviceMemory > 0 {
		t.Errorf("%d bytes of a device, but there is no GPU", got.DeviceMemory)
	}
}

// checkEnergy checks that every meter tells its joules or why it cannot, and that
// something is said where there is no meter.
func checkEnergy(t *testing.T, got *Throughput) {
	t.Helper()
	if len(got.Energy)+len(got.NoEnergy) == 0 {
		t.Error("no energy, and no word why")
	}
	joules, known := 0.0, len(got.Energy) > 0
	for _, e := range got.Energy {
		if e.Meter == "" || (e.Joules > 0) == (e.Unknown != "") {
			t.Errorf("%+v, want a meter with joules or the reason why not", e)
		}
		joules += e.Joules
		known = known && e.Unknown == ""
	}
	if !known {
		joules = 0
	}
	if want := joules / float64(got.Records*got.Repeats); math.Abs(got.JoulesPerRecord-want) > 1e-9*want {
		t.Errorf("%v J a record, want %v", got.JoulesPerRecord, want)
	}
}

func TestMeasureContexts(t *testing.T) {
	recs, err := Synthetic(12, Lengths{Median: 20}, 1)
	if err != nil {
		t.Fatal(err)
	}
	e := open(t, 2)
	got, err := Measure(t.Context(), e, recs, MeasureOptions{Repeats: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got.Contexts != 2 || got.Threads != 1 || got.Records != 12 || got.PeakShare != 0 {
		t.Errorf("%+v, want 12 records in 2 contexts of 1 thread, and no share of an unknown peak", got)
	}
	if !(got.RawRate > 0) || !(got.GradingRate > 0) || !(got.Fill > 0 && got.Fill <= 1) {
		t.Errorf("raw %v, grading %v tokens per second, fill %v", got.RawRate, got.GradingRate, got.Fill)
	}
}

func TestCeiling(t *testing.T) {
	m := open(t, 1).Model()
	for _, contexts := range []int{1, 2} {
		c, err := newCeiling(m, engine.Options{Batch: 128, Threads: 1, Lanes: contexts})
		if err != nil {
			t.Fatal(err)
		}
		const batches = 3
		start := time.Now()
		rate, err := c.rate(t.Context(), batches)
		took := time.Since(start)
		if err != nil {
			t.Fatal(err)
		}
		// All contexts' tokens count, in a time that was not longer than took.
		if least := float64(contexts*batches*128) / took.Seconds(); !(rate >= least) || math.IsInf(rate, 0) {
			t.Errorf("%d contexts: %v tokens per second, want at least %v", contexts, rate, least)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.rate(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("%d contexts, cancelled: %v", contexts, err)
		}
		if err := c.close(); err != nil {
			t.Errorf("close %d contexts: %v", contexts, err)
		}
	}
	if c, err := newCeiling(m, engine.Options{Batch: 128, Lanes: 2}); err == nil {
		t.Errorf("no threads: %d contexts and no error", len(c))
	}
}

func TestMeasureErrors(t *testing.T) {
	e := open(t, 1)
	rec := []*record.Record{{Instruction: "a", Response: "b"}}
	ctx := context.Background()
	if _, err := Measure(ctx, e, nil, MeasureOptions{Repeats: 1}); err == nil {
		t.Error("no records: no error")
	}
	if _, err := Measure(ctx, e, rec, MeasureOptions{}); err == nil {
		t.Error("no repeats: no error")
	}
	faulty := []*record.Record{{Fault: &record.Fault{Status: record.BadJSON, Reason: "no JSON"}}}
	if _, err := Measure(ctx, e, faulty, MeasureOptions{Repeats: 1}); err == nil || !strings.Contains(err.Error(), "none of 1 records can be graded") {
		t.Errorf("nothing to grade: %v", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Measure(ctx, e, rec, MeasureOptions{Repeats: 1}); !errors.Is(err, context.Canceled) {
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
