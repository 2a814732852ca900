package child

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"winnow/grader"
	"winnow/grader/record"
)

const (
	// aloneMost is how many processes a prompt ends alone until it is to blame.
	aloneMost = 2
	// rowMost is how many prompts in a row may be to blame before it is the engine.
	rowMost = 3
)

// pace remembers how slow rating was.
type pace struct {
	mu      sync.Mutex
	rated   bool
	slowest float64 // seconds a token
}

// took takes note of a batch that was rated.
func (p *pace) took(d time.Duration, tokens int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rated = true
	p.slowest = max(p.slowest, d.Seconds()/float64(max(1, tokens)))
}

// limit is how long a batch may take.
func (p *pace) limit(tokens int, l Limits) limit {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.rated {
		return limit{l.First, l.Cancel}
	}
	return limit{l.Rate + time.Duration(20*p.slowest*float64(tokens)*float64(time.Second)), l.Cancel}
}

// witness is a prompt that was rated once: while it still is, the engine works.
type witness struct {
	mu     sync.Mutex
	prompt *grader.Prompt
}

// keep copies the smallest prompt of the first batch that was rated.
func (w *witness) keep(batch []*grader.Prompt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.prompt != nil {
		return
	}
	least := batch[0]
	for _, p := range batch[1:] {
		if p.Size < least.Size {
			least = p
		}
	}
	p := *least
	p.Tokens = slices.Clone(least.Tokens)
	p.Sides = slices.Clone(least.Sides)
	for i := range p.Sides {
		p.Sides[i].Tokens = slices.Clone(p.Sides[i].Tokens)
	}
	w.prompt = &p
}

func (w *witness) get() *grader.Prompt {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.prompt
}

// Rate implements grader.Engine. On a CPU with flash attention the ratings are
// those of an engine that never failed, to the last bit.
func (e *Engine) Rate(ctx context.Context, batch []*grader.Prompt, out []grader.Outcome) (grader.Work, error) {
	if len(batch) == 0 || len(out) != len(batch) {
		return grader.Work{}, fmt.Errorf("%d prompts in a batch and %d outcomes, want 1 or more and as many", len(batch), len(out))
	}
	e.turn.RLock()
	w, err := e.attempt(ctx, batch, out)
	e.turn.RUnlock()
	if err == nil {
		e.witness.keep(batch)
		return w, nil
	}
	if !errors.As(err, new(*death)) {
		return w, err
	}
	e.turn.Lock()
	defer e.turn.Unlock()
	return e.bisect(ctx, batch, out)
}

// bisect rates a batch whose process died, with nothing else at work: whole, and
// if that ends the process again, each half by itself.
func (e *Engine) bisect(ctx context.Context, batch []*grader.Prompt, out []grader.Outcome) (w grader.Work, err error) {
	deaths := 1
	if len(batch) == 1 {
		deaths = aloneMost
	}
	d, err := e.alone(ctx, deaths, func() error {
		w, err = e.attempt(ctx, batch, out)
		return err
	})
	switch {
	case err != nil:
		return w, err
	case d == nil:
		e.witness.keep(batch)
		return w, nil
	case len(batch) == 1:
		out[0].Fault, err = e.blame(ctx, d, batch[0])
		return w, err
	}
	half := len(batch) / 2
	first, err := e.bisect(ctx, batch[:half], out[:half])
	if err != nil {
		return first, err
	}
	second, err := e.bisect(ctx, batch[half:], out[half:])
	return add(first, second), err
}

// alone does what ended a process until it succeeds or fails, or has ended so
// many processes, of which it returns the last one's death. A death for want of
// memory does not count while the next engine is a smaller one. The caller holds
// e.turn for writing, so nothing else is at work.
func (e *Engine) alone(ctx context.Context, most int, do func() error) (*death, error) {
	for deaths := 0; ; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		before, err := e.current()
		if err != nil {
			return nil, err
		}
		var d *death
		if err := do(); !errors.As(err, &d) {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		after, err := e.current()
		if err != nil {
			return nil, err
		}
		if after.facts.Capacity.Tokens < before.facts.Capacity.Tokens {
			continue
		}
		if deaths++; deaths == most {
			return d, nil
		}
	}
}

// blame makes a fault of a record that ends processes, unless it is the engine
// that is broken. That is so if it does not rate what it has rated before. Where
// nothing was rated yet, it must rate the first token of the prompt in question,
// if there is one, and the next records must not have the same fate. The caller
// holds e.turn for writing.
func (e *Engine) blame(ctx context.Context, d *death, prompt *grader.Prompt) (*record.Fault, error) {
	known, broken := e.witness.get(), false
	if known == nil {
		e.row++
		broken = e.row >= rowMost
		if prompt != nil {
			known = firstToken(prompt)
		}
	}
	if known != nil && !broken {
		var out [1]grader.Outcome
		last, err := e.alone(ctx, rowMost, func() error {
			_, err := e.attempt(ctx, []*grader.Prompt{known}, out[:])
			return err
		})
		if err != nil {
			return nil, err
		}
		if last != nil {
			broken, d = true, last
		}
	}
	if broken {
		err := &Error{Model: e.o.Model, Doing: "rating", Death: fmt.Sprintf("%v, whatever it rates", d)}
		e.restart.Lock()
		e.broken = err
		e.restart.Unlock()
		return nil, err
	}
	fault := &record.Fault{Status: record.EngineFailed, Reason: fmt.Sprintf("with this record alone, %v", d)}
	e.o.Log.Warn("a record ends the engine's process and is left out", "reason", fault.Reason)
	return fault, nil
}

// firstToken is a prompt of the first token of another one, with nothing beside it and
// no response.
func firstToken(p *grader.Prompt) *grader.Prompt {
	over := len(p.Tokens) - 1
	for _, side := range p.Sides {
		over += len(side.Tokens)
	}
	return &grader.Prompt{Tokens: p.Tokens[:1], Size: p.Size - over, Total: p.Total - over}
}

// attempt rates a batch once, in parts if the engine has become smaller.
func (e *Engine) attempt(ctx context.Context, batch []*grader.Prompt, out []grader.Outcome) (w grader.Work, err error) {
	if err := ctx.Err(); err != nil {
		return w, err
	}
	p, err := e.current()
	if err != nil {
		return w, err
	}
	room := p.facts.Capacity
	whole := room.Tokens >= e.facts.Capacity.Tokens
	for from := 0; from < len(batch); {
		to := len(batch)
		if !whole {
			to = from + fits(batch[from:], room)
		}
		part, err := e.once(ctx, p, batch[from:to], out[from:to])
		if err != nil {
			return w, err
		}
		w, from = add(w, part), to
	}
	e.maybe.Store(false)
	return w, nil
}

// fits returns how many prompts of a batch, at least one, have room.
func fits(batch []*grader.Prompt, room grader.Capacity) int {
	n, size := 1, batch[0].Size
	for n < len(batch) && n < room.Prompts && size+batch[n].Size <= room.Tokens {
		size += batch[n].Size
		n++
	}
	return n
}

// once asks a process to rate.
func (e *Engine) once(ctx context.Context, p *process, batch []*grader.Prompt, out []grader.Outcome) (grader.Work, error) {
	tokens := 0
	for i, prompt := range batch {
		out[i].Fault = nil
		tokens += prompt.Size
	}
	start := time.Now()
	w, err := p.rate(ctx, batch, out, e.pace.limit(tokens, e.o.Limits))
	if err == nil {
		e.pace.took(time.Since(start), tokens)
		return w, nil
	}
	if ctxErr := cancelled(ctx, e.ctx); ctxErr != nil {
		return w, ctxErr
	}
	return w, err
}

// cancelled returns the error of the first context that is done, or nil.
func cancelled(contexts ...context.Context) error {
	for _, ctx := range contexts {
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func add(a, b grader.Work) grader.Work {
	return grader.Work{Layout: a.Layout + b.Layout, Decode: a.Decode + b.Decode, Rows: a.Rows + b.Rows}
}

// Encode implements grader.Engine. When the context of Start is done, it fails.
func (e *Engine) Encode(rec *record.Record, p *grader.Prompt) error {
	if n := textBytes(rec); n > mostRequest {
		return &record.Fault{Status: record.TooLong, Reason: fmt.Sprintf("its texts have %d bytes, the most is %d", n, mostRequest)}
	}
	e.turn.RLock()
	err := e.encode(rec, p)
	e.turn.RUnlock()
	if err == nil || !errors.As(err, new(*death)) {
		return err
	}
	e.turn.Lock()
	defer e.turn.Unlock()
	d, err := e.alone(e.ctx, aloneMost, func() error { return e.encode(rec, p) })
	if d == nil {
		return err
	}
	fault, err := e.blame(e.ctx, d, nil)
	if err != nil {
		return err
	}
	return fault
}

func (e *Engine) encode(rec *record.Record, to *grader.Prompt) error {
	if err := e.ctx.Err(); err != nil {
		return err
	}
	p, err := e.current()
	if err != nil {
		return err
	}
	fault, err := p.encode(e.ctx, rec, to, limit{e.o.Limits.Encode, e.o.Limits.Cancel})
	switch {
	case err != nil && e.ctx.Err() != nil:
		return e.ctx.Err()
	case err != nil:
		return err
	case fault != nil:
		return fault
	}
	return nil
}
