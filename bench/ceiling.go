package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"winnow/grader/engine"
	"winnow/internal/osthread"
	"winnow/llama"
)

// RawRate measures llama_decode alone: repeats full batches of one sequence of
// random tokens, in tokens per second.
func RawRate(ctx context.Context, m *llama.Model, batch, threads, repeats int) (mid float64, err error) {
	c, err := newCeiling(m, engine.Options{Batch: batch, Threads: threads, Lanes: 1})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if _, err := c.rate(ctx, 1); err != nil { // warm-up
		return 0, err
	}
	rates := make([]float64, repeats)
	for i := range rates {
		if rates[i], err = c.rate(ctx, 1); err != nil {
			return 0, err
		}
	}
	mid, _ = median(rates)
	return mid, nil
}

// ceiling is what grading is measured against: the contexts that an engine has,
// all of which decode full batches of one sequence at once.
type ceiling []*raw

func newCeiling(m *llama.Model, o engine.Options) (c ceiling, err error) {
	for range o.Lanes {
		r, err := newRaw(m, o.Batch, o.Threads, !o.NoFlashAttention)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c = append(c, r)
	}
	return c, nil
}

// rate decodes n batches with each context and returns tokens per second.
func (c ceiling) rate(ctx context.Context, n int) (float64, error) {
	var wg sync.WaitGroup
	errs := make([]error, len(c))
	start := time.Now()
	for i, r := range c {
		wg.Go(func() { errs[i] = r.decode(ctx, n) })
	}
	wg.Wait()
	took := time.Since(start)
	return float64(len(c)*n*c[0].batch.Len()) / took.Seconds(), errors.Join(errs...)
}

func (c ceiling) close() error {
	var errs []error
	for _, r := range c {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}

// raw decodes full batches of one sequence, as llama-bench does for pp. Like a
// grading context it has an OS thread of its own: OpenMP makes new threads for
// every one that it is called from.
type raw struct {
	thread *osthread.Thread // owns what follows
	ctx    *llama.Context
	batch  *llama.Batch
}

func newRaw(m *llama.Model, batch, threads int, flash bool) (*raw, error) {
	r := &raw{thread: osthread.Start()}
	err := r.thread.Do(context.Background(), func() (err error) {
		r.ctx, err = llama.NewContext(m, llama.ContextOptions{Ctx: batch, Batch: batch, Threads: threads, FlashAttention: flash})
		if err != nil {
			return err
		}
		return r.fill(batch, int32(m.Vocab().Size()))
	})
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// fill makes the batch of n random tokens.
func (r *raw) fill(n int, vocabulary int32) (err error) {
	if r.batch, err = llama.NewBatch(n, 1); err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		if err := r.batch.Add(random.Int32N(vocabulary), i, []llama.SeqID{0}, i == n-1); err != nil {
			return err
		}
	}
	return nil
}

// decode decodes the batch n times.
func (r *raw) decode(ctx context.Context, n int) error {
	return r.thread.Do(ctx, func() error {
		for range n {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := r.ctx.Clear(); err != nil {
				return err
			}
			if err := r.ctx.Decode(r.batch); err != nil {
				return err
			}
			if _, err := r.ctx.Logits(r.batch.Len() - 1); err != nil { // waits for the device
				return err
			}
		}
		return nil
	})
}

func (r *raw) close() error {
	err := r.thread.Do(context.Background(), func() error {
		var errs []error
		if r.batch != nil {
			errs = append(errs, r.batch.Close())
		}
		if r.ctx != nil {
			errs = append(errs, r.ctx.Close())
		}
		return errors.Join(errs...)
	})
	r.thread.Stop()
	return err
}
