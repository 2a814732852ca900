package grader

import (
	"context"

	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
)

// Engine rates prompts with one model and one rubric.
type Engine interface {
	// Manifest returns the fingerprint of the judge.
	Manifest() journal.Manifest
	// Encode turns a record into a prompt. What is wrong with the record alone
	// comes as a *record.Fault. It may be called concurrently.
	Encode(rec *record.Record) (Prompt, error)
	// Capacity says how much fits one Rate.
	Capacity() Capacity
	// Rate rates a batch that fits Capacity and returns one outcome a prompt, in
	// their order. An error concerns the whole batch and leaves nothing rated.
	// It is called by one goroutine at a time.
	Rate(ctx context.Context, batch []Prompt) ([]Outcome, error)
	// Close frees the model.
	Close() error
}

// Prompt is one record in the form that an Engine rates.
type Prompt struct {
	Tokens []int32 // the record's own, behind what all prompts share
	Size   int     // tokens that it takes of a batch
	Total  int     // tokens that the model sees for this record, shared ones included
	Cut    int     // tokens of the response that truncation removed; of one too large to encode whole, at least
}

// Capacity is what one batch may hold.
type Capacity struct {
	Tokens  int // sum of sizes; one prompt alone may be larger
	Prompts int
}

// Outcome is what became of one prompt: a rating or a fault.
type Outcome struct {
	Rating rating.Rating
	Fault  *record.Fault
}
