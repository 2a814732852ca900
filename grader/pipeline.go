package grader

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"winnow/grader/journal"
	"winnow/grader/record"
)

// batchesInFlight bounds the batches between packing and the journal.
const batchesInFlight = 64

// pipeline is the state of one Grade. Its stages run side by side:
//
//	read → encode and pack (several) → dispatch → rate (a lane each) → write
//
// Windows and batches come from pools that bound what is in flight, and go back
// to them. The writer sees everything in the order of the source, whatever
// finished first: an error travels along with the window or batch it belongs to,
// so that all before it is written.
type pipeline struct {
	reader   windowReader
	engine   Engine
	out      Ledger
	o        GradeOptions
	capacity Capacity
	began    time.Time

	windows chan *window // pool
	batches chan *batch  // pool
	encode  chan *window // to the encoders
	ordered chan *window // the same windows, to the dispatcher
	lanes   chan *batch
	settle  chan item
	quit    chan struct{}         // closed when the writer has returned
	failure atomic.Pointer[error] // of the engine; nothing is rated after it
	stages  sync.WaitGroup

	done    Progress // the writer's, as is what follows
	pending []journal.Entry
	spent   []*batch // whose memory pending points to
}

// item is something for the writer, in order: a window whose records that need
// no model are settled, one of its batches, or its end.
type item struct {
	window *window
	batch  *batch
	end    bool
}

// batch is one Rate.
type batch struct {
	window   *window
	at       []int // the window's prompts in it
	prompts  []*Prompt
	outcomes []Outcome
	tokens   int
	work     Work
	err      error
	rated    chan struct{}
}

func newPipeline(src Source, e Engine, out Ledger, known Known, o GradeOptions) *pipeline {
	encoders := min(runtime.GOMAXPROCS(0), 8)
	p := &pipeline{
		reader: windowReader{src: src, known: known, limit: o.Limit, most: o.window, seen: map[record.Key]uint32{}},
		engine: e, out: out, o: o, capacity: e.Capacity(), began: time.Now(),
		windows: make(chan *window, encoders+2),
		batches: make(chan *batch, batchesInFlight),
		encode:  make(chan *window),
		ordered: make(chan *window, encoders+2),
		settle:  make(chan item, batchesInFlight),
		quit:    make(chan struct{}),
	}
	if p.reader.most == 0 {
		p.reader.most = windowRecords
	}
	p.capacity.Lanes = max(1, p.capacity.Lanes)
	p.lanes = make(chan *batch, p.capacity.Lanes)
	for range cap(p.windows) {
		p.windows <- &window{}
	}
	for range cap(p.batches) {
		p.batches <- &batch{rated: make(chan struct{}, 1)}
	}
	return p
}

// start starts all stages but the writer.
func (p *pipeline) start(ctx context.Context) {
	p.stages.Go(func() { p.read(ctx) })
	for range cap(p.windows) - 2 {
		p.stages.Go(func() {
			for w := range p.encode {
				w.encode(p.engine)
				w.pack(p.capacity)
				close(w.ready)
			}
		})
	}
	p.stages.Go(func() { p.dispatch() })
	for range p.capacity.Lanes {
		p.stages.Go(func() {
			for b := range p.lanes {
				p.rate(ctx, b)
				b.rated <- struct{}{}
			}
		})
	}
}

// stop ends the stages. It returns when the engine is no longer in use.
func (p *pipeline) stop() {
	close(p.quit)
	p.stages.Wait()
}

// read fills windows until the source ends.
func (p *pipeline) read(ctx context.Context) {
	defer close(p.encode)
	defer close(p.ordered)
	for more := true; more; {
		var w *window
		select {
		case w = <-p.windows:
		case <-p.quit:
			return
		}
		more = p.reader.fill(w)
		if err := ctx.Err(); err != nil {
			w.reset()
			w.err, more = err, false
		}
		// Every window goes to both, in the same order.
		if !w.idle() {
			select {
			case p.encode <- w:
			case <-p.quit:
				return
			}
		} else {
			close(w.ready)
		}
		select {
		case p.ordered <- w:
		case <-p.quit:
			return
		}
	}
}

// dispatch hands each window's batches to the lanes, and everything to the
// writer, in order.
func (p *pipeline) dispatch() {
	defer close(p.lanes)
	defer close(p.settle)
	for w := range p.ordered {
		select {
		case <-w.ready:
		case <-p.quit:
			return
		}
		if !p.send(item{window: w}) {
			return
		}
		for _, at := range w.batches {
			if !w.anyMissing(at) {
				continue
			}
			var b *batch
			select {
			case b = <-p.batches:
			case <-p.quit:
				return
			}
			b.fill(w, at)
			select {
			case p.lanes <- b:
			case <-p.quit:
				return
			}
			if !p.send(item{window: w, batch: b}) {
				return
			}
		}
		if !p.send(item{window: w, end: true}) {
			return
		}
	}
}

func (p *pipeline) send(i item) bool {
	select {
	case p.settle <- i:
		return true
	case <-p.quit:
		return false
	}
}

// fill makes b the batch of a window's prompts at the given places.
func (b *batch) fill(w *window, at []int) {
	b.window, b.at, b.tokens, b.err = w, at, 0, nil
	b.prompts = b.prompts[:0]
	for _, i := range at {
		b.prompts = append(b.prompts, &w.prompts[i])
		b.tokens += w.prompts[i].Size
	}
	if n := len(at); cap(b.outcomes) < n {
		b.outcomes = append(b.outcomes[:cap(b.outcomes)], make([]Outcome, n-cap(b.outcomes))...)
	}
	b.outcomes = b.outcomes[:len(at)]
}

func (p *pipeline) rate(ctx context.Context, b *batch) {
	if b.err = ctx.Err(); b.err != nil {
		return
	}
	if err := p.failure.Load(); err != nil {
		b.err = *err
		return
	}
	for i := range b.outcomes {
		b.outcomes[i].Fault = nil
	}
	if b.work, b.err = p.engine.Rate(ctx, b.prompts, b.outcomes); b.err != nil {
		first, last := b.window.recs[b.at[0]], b.window.recs[b.at[len(b.at)-1]]
		b.err = fmt.Errorf("rate records %d to %d: %w", first.Index, last.Index, b.err)
		p.failure.CompareAndSwap(nil, &b.err)
	}
}

// write appends what comes out of the other stages. Entries are held back only
// while more are ready at once, so that one fsync serves them all.
func (p *pipeline) write() error {
	for {
		var i item
		var ok bool
		select {
		case i, ok = <-p.settle:
		default:
			if err := p.flush(); err != nil {
				return err
			}
			i, ok = <-p.settle
		}
		switch {
		case !ok:
			return p.flush()
		case i.batch != nil:
			if err := p.settleBatch(i.batch); err != nil {
				return err
			}
		case i.end:
			if i.window.err != nil {
				return errors.Join(p.flush(), i.window.err)
			}
			p.windows <- i.window
		default:
			p.settleWindow(i.window)
		}
	}
}

// settleWindow takes the records that need no model.
func (p *pipeline) settleWindow(w *window) {
	p.done.Stages.Read += w.readTime
	p.done.Stages.Encode += w.encodeTime
	p.done.Stages.Pack += w.packTime
	p.done.Done += w.settled
	for i, r := range w.recs {
		if f := w.faults[i]; f != nil && w.missing[i] {
			p.pending = append(p.pending, journal.Entry{Key: r.Key, Index: r.Index, Status: f.Status, Reason: f.Reason})
		}
	}
}

// settleBatch takes the outcomes of a batch when it is rated.
func (p *pipeline) settleBatch(b *batch) error {
	select {
	case <-b.rated:
	default:
		if err := p.flush(); err != nil {
			return err
		}
		<-b.rated
	}
	if b.err != nil {
		return errors.Join(p.flush(), b.err)
	}
	p.done.Tokens += b.tokens
	p.done.Passes += max(1, (b.tokens+p.capacity.Tokens-1)/p.capacity.Tokens)
	p.done.Stages.Layout += b.work.Layout
	p.done.Stages.Decode += b.work.Decode
	p.done.Stages.Rows += b.work.Rows
	w := b.window
	for i, at := range b.at {
		if w.missing[at] {
			e, err := p.entry(w.recs[at], &w.prompts[at], &b.outcomes[i])
			if err != nil {
				return errors.Join(p.flush(), err)
			}
			p.pending = append(p.pending, e)
		}
	}
	if p.spent = append(p.spent, b); len(p.spent) >= batchesInFlight/2 {
		return p.flush()
	}
	return nil
}

// entry is the journal's line for one outcome, whose memory it shares.
func (p *pipeline) entry(r *record.Record, prompt *Prompt, out *Outcome) (journal.Entry, error) {
	e := journal.Entry{Key: r.Key, Index: r.Index, Tokens: prompt.Total, Cut: prompt.Cut}
	if out.Fault != nil {
		e.Status, e.Reason = out.Fault.Status, out.Fault.Reason
		return e, nil
	}
	for c, rated := range out.Ratings {
		if !(rated.OffScale <= p.o.MaxOffScale) {
			e.Status = record.OffScale
			e.Reason = fmt.Sprintf("%.4f of the probability is on answers that are no rating, more than %g", rated.OffScale, p.o.MaxOffScale)
			if len(out.Ratings) > 1 {
				e.Reason = p.engine.Manifest().Rubrics[c].Name + ": " + e.Reason
			}
			return e, nil
		}
	}
	e.Status, e.Ratings, e.Signals, e.Hidden = record.OK, out.Ratings, out.Signals, out.Hidden
	if p.o.Calibration != nil {
		var err error
		if e.Calibrated, err = p.o.Calibration.Probability(&e); err != nil {
			return e, fmt.Errorf("%s: calibrate record %d: %w", r.Where(), r.Index, err)
		}
	}
	if p.o.DropHidden {
		e.Hidden = nil
	}
	return e, nil
}

// flush appends what is pending and tells of progress.
func (p *pipeline) flush() error {
	if len(p.pending) > 0 {
		start := time.Now()
		if err := p.out.Append(p.pending); err != nil {
			return err
		}
		p.done.Stages.Write += time.Since(start)
		p.done.Rated += len(p.pending)
		p.done.Done += len(p.pending)
		p.pending = p.pending[:0]
	}
	for _, b := range p.spent {
		p.batches <- b
	}
	p.spent = p.spent[:0]
	p.done.Took = time.Since(p.began)
	if p.o.Progress != nil {
		p.o.Progress(p.done)
	}
	return nil
}
