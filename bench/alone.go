package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"winnow/grader"
	"winnow/grader/engine"
	"winnow/grader/journal"
	"winnow/grader/record"
)

// Difference is how far ratings of packed records are from those of the same
// records alone in their batch.
type Difference struct {
	Model          string  `json:"model"`
	Format         string  `json:"format"`
	Batch          int     `json:"batch_tokens"`
	FlashAttention bool    `json:"flash_attention"`
	Ratings        int     `json:"ratings"`        // compared
	BitIdentical   int     `json:"bit_identical"`  // of them
	P50            float64 `json:"p50_difference"` // of the expected rating
	P99            float64 `json:"p99_difference"`
	Max            float64 `json:"max_difference"`
}

// Alone grades records as a run does, and then each alone, and compares.
func Alone(ctx context.Context, e *engine.Engine, recs []*record.Record) (*Difference, error) {
	packed := values{}
	if _, err := grader.Grade(ctx, &slice{recs: recs}, e, packed, discard{}, grader.GradeOptions{MaxOffScale: 1}); err != nil {
		return nil, err
	}
	m, o := e.Manifest(), e.Options()
	d := &Difference{Model: m.Model.Name, Format: m.Model.Format, Batch: o.Batch, FlashAttention: !o.NoFlashAttention}
	var diffs []float64
	var p grader.Prompt
	out := make([]grader.Outcome, 1)
	for _, r := range recs {
		want, rated := packed[r.Key]
		if !rated {
			continue
		}
		if err := e.Encode(r, &p); err != nil {
			return nil, err
		}
		out[0].Fault = nil
		if _, err := e.Rate(ctx, []*grader.Prompt{&p}, out); err != nil {
			return nil, err
		}
		if out[0].Fault != nil {
			return nil, fmt.Errorf("record %d has a rating when it is packed and none alone: %w", r.Index, out[0].Fault)
		}
		for c, x := range out[0].Ratings {
			diffs = append(diffs, math.Abs(x.Value-want[c]))
			if x.Value == want[c] {
				d.BitIdentical++
			}
		}
	}
	if len(diffs) == 0 {
		return nil, errors.New("compare packed with alone: no record has a rating")
	}
	slices.Sort(diffs)
	at := func(q float64) float64 { return diffs[int(math.Ceil(q*float64(len(diffs))))-1] }
	d.Ratings, d.P50, d.P99, d.Max = len(diffs), at(0.5), at(0.99), at(1)
	return d, nil
}

// values is a ledger that keeps the expected ratings.
type values map[record.Key][]float64

func (v values) Append(entries []journal.Entry) error {
	for _, e := range entries {
		for _, r := range e.Ratings {
			v[e.Key] = append(v[e.Key], r.Value)
		}
	}
	return nil
}
