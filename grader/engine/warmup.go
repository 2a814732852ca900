package engine

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"winnow/grader"
)

// warmUp rates a batch of the largest shape in every context and clears it. On a
// GPU, kernels are loaded and memory is taken when they are first needed: the
// first records do not pay for it, and what does not fit is known at once.
func (e *Engine) warmUp(ctx context.Context) error {
	start := time.Now()
	batch := e.fullBatch()
	out := make([]grader.Outcome, len(batch))
	for _, l := range e.lanes {
		err := l.thread.Do(ctx, func() error {
			_, err := l.rate(batch, out) // whatever the ratings are
			return err
		})
		if err != nil {
			return fmt.Errorf("warm up with a batch of %d tokens: %w", e.o.Batch, err)
		}
	}
	slog.Debug("warmed up", "tokens", e.o.Batch, "prompts", len(batch), "contexts", len(e.lanes), "took", time.Since(start).Round(time.Millisecond))
	return nil
}

// fullBatch makes prompts that fill a batch to the last token, as short ones as
// records have, so that no batch has many more rows.
func (e *Engine) fullBatch() []*grader.Prompt {
	const short = 32 // tokens of a short record
	tail := e.tail.size()
	n := min(e.Capacity().Prompts, max(1, e.o.Batch/(tail+short)))
	var batch []*grader.Prompt
	for i := range n {
		size := e.o.Batch/n + min(1, max(0, e.o.Batch%n-i))  // they add up to the batch
		own := max(1, min(size, e.o.Ctx-len(e.prefix))-tail) // no record has more
		p := &grader.Prompt{Tokens: make([]int32, own), Size: own + tail, Total: len(e.prefix) + own + tail}
		if len(e.o.Signals) > 0 {
			p.To = own // a row for each token
		}
		for k := range p.Tokens {
			p.Tokens[k] = e.tail.tries[0].Nodes[1].Token // any of the model's
		}
		batch = append(batch, p)
	}
	return batch
}
