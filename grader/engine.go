package grader

import (
	"context"
	"time"

	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
)

// Engine rates prompts with one model by one rubric or several.
type Engine interface {
	// Manifest returns the fingerprint of the judge.
	Manifest() journal.Manifest
	// Encode makes p the prompt of a record, reusing p's memory. What is wrong
	// with the record alone comes as a *record.Fault. It may be called
	// concurrently.
	Encode(rec *record.Record, p *Prompt) error
	// Capacity says how much fits one Rate.
	Capacity() Capacity
	// Rate rates a batch that fits Capacity and puts one outcome a prompt into
	// out, which has the batch's length, reusing the memory of the outcomes that
	// stand there. An error concerns the whole batch and leaves nothing rated.
	// Capacity.Lanes goroutines may call it at a time.
	Rate(ctx context.Context, batch []*Prompt, out []Outcome) (Work, error)
	// Close frees the model.
	Close() error
}

// Prompt is one record in the form that an Engine rates.
type Prompt struct {
	Tokens []int32 // the record's own, behind what all prompts share
	Size   int     // tokens that it takes of a batch
	Total  int     // tokens that the model sees for this record, shared ones included
	Cut    int     // tokens of the response that truncation removed; of one too large to encode whole, at least

	// What signals need; zero without any.
	Asked    int    // tokens of the instruction and the input
	From, To int    // where in Tokens the response stands
	Sides    []Side // what the model reads beside the prompt
}

// Side is a sequence of its own, with nothing of the prompt before it, that ends with
// the response. Its tokens count in the prompt's Size.
type Side struct {
	Tokens []int32
	From   int // where the response begins, at least 1
}

// Capacity is what one batch may hold, and how many are rated side by side.
type Capacity struct {
	Tokens  int // sum of sizes; with a prompt that is larger, whole multiples of it
	Most    int // sum of sizes in any case, but for a prompt alone; 0 if Tokens is the bound
	Prompts int
	Lanes   int // batches that may be rated at a time; 0 means 1
}

// Outcome is what became of one prompt: a rating for each criterion, in the
// order of the manifest's rubrics, or a fault.
type Outcome struct {
	Ratings []rating.Rating
	Signals []float64 // one for each of the manifest's signals; NaN where it is undefined
	Hidden  []float32 // as the manifest's Hidden says; nil if it has none
	Fault   *record.Fault
}

// Work is what one Rate spent its time on.
type Work struct {
	Layout time.Duration // filling the batch
	Decode time.Duration // the model
	Rows   time.Duration // from logits to ratings
}
