package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"winnow/grader/engine"
	"winnow/grader/record"
	"winnow/llama"
)

// best follows the rule by which Tune chooses: a later trial wins if it is faster
// than the winner so far by 2 %.
func best(trials []Trial) Trial {
	b := trials[0]
	for _, x := range trials[1:] {
		if x.RecordRate >= 1.02*b.RecordRate {
			b = x
		}
	}
	return b
}

func chosen(p *Profile) Trial {
	return Trial{Batch: p.Batch, Contexts: p.Contexts, Threads: p.Threads, FlashAttention: p.FlashAttention, Matmul: p.Matmul, RecordRate: p.RecordRate}
}

func TestTune(t *testing.T) {
	const cores = 1 // with more, the threads of a trial wait for other tests' threads
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
	recs, err := Synthetic(3, Lengths{Median: 5}, 1)
	if err != nil {
		t.Fatal(err)
	}
	var told []Trial
	p, err := Tune(t.Context(), options(t), recs, func(x Trial) { told = append(told, x) })
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range told {
		if !(x.RecordRate > 0) || math.IsInf(x.RecordRate, 0) {
			t.Errorf("%s: %v records per second", x, x.RecordRate)
		}
	}
	// The standard settings, and four sizes with and without flash attention; one
	// size may be too small to be tried.
	if n := len(told); n < 7 || n > 9 {
		t.Fatalf("%d trials: %v", n, told)
	}
	standard := Trial{Batch: engine.DefaultBatch, Contexts: 1, Threads: cores, FlashAttention: true, RecordRate: p.DefaultRate}
	if told[0] != standard {
		t.Errorf("the first trial is %+v, want the standard settings and DefaultRate, %+v", told[0], standard)
	}
	if want := best(told); chosen(p) != want {
		t.Errorf("chose %+v of %+v, want %+v", chosen(p), told, want)
	}
	if p.Device != "CPU" || p.Engine != llama.Version() || p.Model != "tiny.gguf" || p.Machine != machine() {
		t.Errorf("%+v: wrong words about what was measured", p)
	}
}

func TestTuneErrors(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	o := options(t)
	recs, err := Synthetic(2, Lengths{Median: 5}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Tune(t.Context(), o, nil, nil); err == nil {
		t.Error("no records: no error")
	}
	faulty := []*record.Record{{Fault: &record.Fault{Status: record.BadJSON, Reason: "no JSON"}}}
	if _, err := Tune(t.Context(), o, faulty, nil); err == nil || !strings.Contains(err.Error(), "none of 1 records can be graded") {
		t.Errorf("nothing to grade: %v", err)
	}
	absent := o
	absent.Model += ".absent"
	if _, err := Tune(t.Context(), absent, recs, nil); err == nil || !strings.Contains(err.Error(), absent.Model) {
		t.Errorf("no model: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	trials := 0
	_, err = Tune(ctx, o, recs, func(Trial) { trials++; cancel() })
	if !errors.Is(err, context.Canceled) || trials != 1 {
		t.Errorf("cancelled after the first trial: %d trials, %v", trials, err)
	}
	if _, err := Tune(ctx, o, recs, func(Trial) { trials++ }); !errors.Is(err, context.Canceled) || trials != 1 {
		t.Errorf("cancelled before: %d trials, %v", trials-1, err)
	}
}

func TestChooseDeterministic(t *testing.T) {
	var told []Trial
	tuner := paper(map[Trial]float64{{768, 1, 2, true, 0, ""}: 110, {768, 1, 2, false, 0, ""}: 200}, &told)
	tuner.o.Deterministic = true
	p, err := tuner.choose(2)
	if want := (Trial{768, 1, 2, true, 110, ""}); err != nil || chosen(p) != want {
		t.Errorf("chose %+v, %v; want %+v", p, err, want)
	}
	for _, x := range told {
		if !x.FlashAttention {
			t.Errorf("%s was tried, but no engine is deterministic with it", x)
		}
	}
}

// paper is a tuner that looks rates up instead of grading: 100 records per second,
// where rates says nothing else.
func paper(rates map[Trial]float64, told *[]Trial) *tuner {
	t := &tuner{told: func(x Trial) { *told = append(*told, x) }}
	t.measure = func(x Trial) (float64, error) {
		switch rate, ok := rates[x]; {
		case !ok:
			return 100, nil
		case rate < 0:
			return 0, fmt.Errorf("new context: %w", llama.ErrNoMemory)
		case rate == 0:
			return 0, io.ErrUnexpectedEOF
		default:
			return rate, nil
		}
	}
	return t
}

func TestChoose(t *testing.T) {
	const on, off, full = true, false, -1.0
	for _, c := range []struct {
		name   string
		gpu    bool
		cores  int
		prefix int
		rates  map[Trial]float64
		trials int
		want   Trial
	}{
		{"all alike", false, 2, 0, nil, 9, Trial{engine.DefaultBatch, 1, 2, on, 100, ""}},
		{"nearly alike", false, 2, 0, map[Trial]float64{{engine.DefaultBatch, 2, 1, on, 0, ""}: 101.9, {768, 1, 2, on, 0, ""}: 101.9}, 9, Trial{engine.DefaultBatch, 1, 2, on, 100, ""}},
		{"2 % faster", false, 2, 0, map[Trial]float64{{engine.DefaultBatch, 2, 1, on, 0, ""}: 102}, 9, Trial{engine.DefaultBatch, 2, 1, on, 102, ""}},
		{"sizes with the best contexts", false, 2, 0, map[Trial]float64{{engine.DefaultBatch, 2, 1, on, 0, ""}: 120, {768, 1, 2, on, 0, ""}: 500, {768, 2, 1, off, 0, ""}: 150}, 9, Trial{768, 2, 1, off, 150, ""}},
		{"half of the cores", false, 4, 0, map[Trial]float64{{engine.DefaultBatch, 1, 2, on, 0, ""}: 130}, 11, Trial{engine.DefaultBatch, 1, 2, on, 130, ""}},
		{"with a prefix", false, 1, 100, map[Trial]float64{{924, 1, 1, on, 0, ""}: 105}, 9, Trial{924, 1, 1, on, 105, ""}},
		{"no room beside the prefix", false, 1, 250, nil, 7, Trial{engine.DefaultBatch, 1, 1, on, 100, ""}},
		{"a GPU", true, 1, 0, map[Trial]float64{{4096, 1, 1, on, 0, "a"}: 400}, 12, Trial{4096, 1, 1, on, 400, "a"}},
		{"a GPU and kinds of products", true, 8, 0, map[Trial]float64{{engine.DefaultBatch, 2, 4, on, 0, ""}: 150, {2048, 2, 4, on, 0, "b"}: 300, {2048, 2, 4, off, 0, "b"}: 303}, 12, Trial{2048, 2, 4, on, 300, "b"}},
		{"a GPU without flash attention", true, 1, 0, map[Trial]float64{{512, 1, 1, off, 0, "a"}: 900, {512, 1, 1, on, 0, "a"}: 500}, 12, Trial{512, 1, 1, off, 900, "a"}},
		{"a small GPU", true, 1, 0, map[Trial]float64{{engine.DefaultBatch, 2, 1, on, 0, ""}: full, {2048, 1, 1, on, 0, "a"}: 300, {4096, 1, 1, on, 0, "a"}: full, {2048, 1, 1, off, 0, "a"}: full}, 9, Trial{2048, 1, 1, on, 300, "a"}},
	} {
		var told []Trial
		tuner := paper(c.rates, &told)
		tuner.gpu, tuner.prefix = c.gpu, c.prefix
		tuner.matmuls = []llama.Matmul{"a", "b"}
		p, err := tuner.choose(c.cores)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if chosen(p) != c.want || p.DefaultRate != 100 {
			t.Errorf("%s: chose %+v, the default has %v records per second; want %+v and 100", c.name, chosen(p), p.DefaultRate, c.want)
		}
		if len(told) != c.trials {
			t.Errorf("%s: %d trials, want %d: %v", c.name, len(told), c.trials, told)
		}
		for i, x := range told {
			if slices.Contains(told[:i], x) {
				t.Errorf("%s: %s was tried twice", c.name, x)
			}
		}
	}
}

func TestChooseErrors(t *testing.T) {
	standard := Trial{Batch: engine.DefaultBatch, Contexts: 1, Threads: 2, FlashAttention: true}
	for _, c := range []struct {
		name  string
		rates map[Trial]float64
		want  error
		named string
	}{
		{"the standard settings do not fit", map[Trial]float64{standard: -1}, llama.ErrNoMemory, standard.String()},
		{"the standard settings fail", map[Trial]float64{standard: 0}, io.ErrUnexpectedEOF, standard.String()},
		{"others fail", map[Trial]float64{{engine.DefaultBatch, 2, 1, true, 0, ""}: 0}, io.ErrUnexpectedEOF, "-ub 1024 -fa on --contexts 2 -t 1"},
		{"a size fails", map[Trial]float64{{256, 1, 2, false, 0, ""}: 0}, io.ErrUnexpectedEOF, "-ub 256 -fa off --contexts 1 -t 2"},
	} {
		var told []Trial
		p, err := paper(c.rates, &told).choose(2)
		if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.named) {
			t.Errorf("%s: %+v, %v; want the error %q of %s", c.name, p, err, c.want, c.named)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		prefix int
		want   []int
	}{
		{0, []int{256, 512, 768, 1024}},
		{1, []int{255, 511, 767, 1023}},
		{100, []int{156, 412, 668, 924}},
		{255, []int{1, 257, 513, 769}},
		{256, []int{256, 512, 768, 1024}},
		{600, []int{168, 424, 680, 936}},
	} {
		cpu := tuner{prefix: c.prefix}
		if got := cpu.sizes(); !slices.Equal(got, c.want) {
			t.Errorf("%d shared tokens: %v, want %v", c.prefix, got, c.want)
		}
		gpu := tuner{prefix: c.prefix, gpu: true}
		if got, want := gpu.sizes(), []int{512, 1024, 2048, 4096}; !slices.Equal(got, want) {
			t.Errorf("%d shared tokens, GPU: %v, want %v", c.prefix, got, want)
		}
	}
}

func TestShares(t *testing.T) {
	share := func(contexts, threads int) Trial { return Trial{Contexts: contexts, Threads: threads} }
	for _, c := range []struct {
		cores    int
		cpu, gpu []Trial
	}{
		{1, nil, []Trial{share(2, 1), share(3, 1)}},
		{2, []Trial{share(2, 1)}, []Trial{share(2, 1), share(3, 1)}},
		{3, []Trial{share(2, 1)}, []Trial{share(2, 1), share(3, 1)}},
		{4, []Trial{share(2, 2), share(4, 1), share(1, 2)}, []Trial{share(2, 2), share(3, 1)}},
		{16, []Trial{share(2, 8), share(4, 4), share(8, 2), share(1, 8)}, []Trial{share(2, 8), share(3, 5)}},
	} {
		cpu, gpu := tuner{}, tuner{gpu: true}
		if got := cpu.shares(c.cores); !slices.Equal(got, c.cpu) {
			t.Errorf("%d cores: %v, want %v", c.cores, got, c.cpu)
		}
		if got := gpu.shares(c.cores); !slices.Equal(got, c.gpu) {
			t.Errorf("%d cores and a GPU: %v, want %v", c.cores, got, c.gpu)
		}
	}
}
