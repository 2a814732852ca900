package bench

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"winnow/grader"
	"winnow/grader/engine"
	"winnow/grader/journal"
	"winnow/grader/record"
	"winnow/llama"
)

// Throughput is the result of one run. Rates are medians over the repeats, and
// the spread is (largest − smallest) ÷ median.
type Throughput struct {
	Version       string  `json:"winnow"`  // of the program; set by the caller
	Machine       string  `json:"machine"` // processor, usable cores, widest instruction set that the engine uses
	Model         string  `json:"model"`
	Format        string  `json:"format"`
	Rubric        string  `json:"rubric"`
	Device        string  `json:"device"`
	Engine        string  `json:"engine"`
	Threads       int     `json:"threads"`
	Batch         int     `json:"batch_tokens"`
	Records       int     `json:"records"`
	Tokens        int     `json:"tokens"` // decoded for all records: their own and the scale's, without the shared prefix
	Repeats       int     `json:"repeats"`
	RawRate       float64 `json:"raw_tokens_per_s"`     // llama_decode over full batches of one sequence
	RawSpread     float64 `json:"raw_spread"`           //
	GradingRate   float64 `json:"grading_tokens_per_s"` // of Tokens, from records to entries
	GradingSpread float64 `json:"grading_spread"`       //
	Efficiency    float64 `json:"efficiency"`           // GradingRate ÷ RawRate
	RecordRate    float64 `json:"records_per_s"`        //
}

// Measure grades recs and runs the raw rate, in turns, so that both meet the
// same disturbances. The first turn warms up and does not count.
func Measure(ctx context.Context, e *engine.Engine, recs []*record.Record, repeats int) (*Throughput, error) {
	if len(recs) == 0 || repeats < 1 {
		return nil, fmt.Errorf("measure %d records %d times: want at least one of each", len(recs), repeats)
	}
	o, m := e.Options(), e.Manifest()
	t := &Throughput{Machine: machine(), Model: m.Model.Name, Format: m.Model.Format, Rubric: m.Rubrics[0].Name, Device: m.Runtime.Device, Engine: m.Runtime.Engine,
		Threads: o.Threads, Batch: o.Batch, Records: len(recs), Repeats: repeats}
	raw, err := newRaw(e.Model(), o.Batch, o.Threads, !o.NoFlashAttention)
	if err != nil {
		return nil, err
	}
	defer raw.close()
	var rawRates, gradingRates []float64
	for i := range repeats + 1 {
		done, err := grader.Grade(ctx, &slice{recs: recs}, e, discard{}, discard{}, grader.GradeOptions{MaxOffScale: 1})
		if err != nil {
			return nil, err
		}
		// As many raw tokens as grading decoded, so that neither is timed longer.
		rate, err := raw.rate(ctx, done.Tokens/o.Batch+1)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			continue
		}
		t.Tokens = done.Tokens
		rawRates = append(rawRates, rate)
		gradingRates = append(gradingRates, float64(done.Tokens)/done.Took.Seconds())
	}
	t.RawRate, t.RawSpread = median(rawRates)
	t.GradingRate, t.GradingSpread = median(gradingRates)
	t.Efficiency = t.GradingRate / t.RawRate
	t.RecordRate = t.GradingRate / float64(t.Tokens) * float64(len(recs))
	return t, nil
}

// machine describes what computes in a few words.
func machine() string {
	s := "unknown processor"
	for _, d := range llama.Devices() {
		if d.Name == "CPU" {
			s = d.Description
		}
	}
	s += fmt.Sprintf(", %d cores", runtime.GOMAXPROCS(0))
	if f := engine.Features(); len(f) > 0 {
		for _, x := range slices.Backward(f) {
			if x.Build {
				return s + ", " + x.Name
			}
		}
	}
	return s
}

// RawRate measures llama_decode alone: repeats full batches of one sequence of
// random tokens, in tokens per second.
func RawRate(ctx context.Context, m *llama.Model, batch, threads, repeats int) (float64, error) {
	raw, err := newRaw(m, batch, threads, true)
	if err != nil {
		return 0, err
	}
	defer raw.close()
	if _, err := raw.rate(ctx, 1); err != nil { // warm-up
		return 0, err
	}
	rates := make([]float64, repeats)
	for i := range rates {
		if rates[i], err = raw.rate(ctx, 1); err != nil {
			return 0, err
		}
	}
	mid, _ := median(rates)
	return mid, nil
}

// raw decodes full batches of one sequence, as llama-bench does for pp.
type raw struct {
	ctx   *llama.Context
	batch *llama.Batch
}

func newRaw(m *llama.Model, batch, threads int, flash bool) (*raw, error) {
	c, err := llama.NewContext(m, llama.ContextOptions{Ctx: batch, Batch: batch, Threads: threads, FlashAttention: flash})
	if err != nil {
		return nil, err
	}
	b, err := llama.NewBatch(batch, 1)
	if err != nil {
		return nil, fmt.Errorf("%w (context: %w)", err, c.Close())
	}
	r := &raw{c, b}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range batch {
		if err := b.Add(random.Int32N(int32(m.Vocab().Size())), i, []llama.SeqID{0}, i == batch-1); err != nil {
			r.close()
			return nil, err
		}
	}
	return r, nil
}

// rate decodes n batches and returns tokens per second.
func (r *raw) rate(ctx context.Context, n int) (float64, error) {
	start := time.Now()
	for range n {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := r.ctx.Clear(); err != nil {
			return 0, err
		}
		if err := r.ctx.Decode(r.batch); err != nil {
			return 0, err
		}
		if _, err := r.ctx.Logits(r.batch.Len() - 1); err != nil { // waits for the device
			return 0, err
		}
	}
	return float64(n*r.batch.Len()) / time.Since(start).Seconds(), nil
}

func (r *raw) close() {
	_ = r.batch.Close() // both only fail when misused
	_ = r.ctx.Close()
}

// slice is a source of records that are in memory.
type slice struct {
	recs []*record.Record
	at   int
}

func (s *slice) Next() (*record.Record, error) {
	if s.at == len(s.recs) {
		return nil, io.EOF
	}
	s.at++
	return s.recs[s.at-1], nil
}

// discard is a ledger that forgets and knows nothing.
type discard struct{}

func (discard) Append([]journal.Entry) error { return nil }
func (discard) Has(record.Key) bool          { return false }
