package child

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"winnow/grader"
	"winnow/grader/journal"
)

// Options says how the engine's process is started and how long it may take.
type Options struct {
	Model string // name of the model, for messages

	// Command returns a command whose process calls Serve with its files
	// RequestsFD and AnswersFD. It is called for each process; files, output and
	// the process's attributes are set by Start.
	Command func() *exec.Cmd

	// Engine is handed to the process's open function.
	Engine json.RawMessage

	// Smaller returns options of an engine that takes less memory than one with
	// the given options, whose Capacity has so many tokens, or false if there is
	// none. Ratings must not depend on it. It may be nil.
	Smaller func(engine json.RawMessage, tokens int) (json.RawMessage, bool)

	Limits Limits
	Log    *slog.Logger // gets what the process logs, and what happens to it; nil for slog's default

	relay *relay // of a group; nil for one of its own
}

// Limits bounds how long the process may take. Each is a default if it is 0.
type Limits struct {
	Load   time.Duration // to open the engine: 10 minutes
	First  time.Duration // to rate the first batch: 30 minutes
	Rate   time.Duration // to rate a later one: 30 seconds and 20 times what the slowest tokens so far would take
	Encode time.Duration // a record: 1 minute
	Cancel time.Duration // to finish a batch after the context is done: 4 seconds
	Close  time.Duration // to end when it is asked to: 5 seconds
}

func (l Limits) orDefault() Limits {
	return Limits{
		Load: cmp.Or(l.Load, 10*time.Minute), First: cmp.Or(l.First, 30*time.Minute), Rate: cmp.Or(l.Rate, 30*time.Second),
		Encode: cmp.Or(l.Encode, time.Minute), Cancel: cmp.Or(l.Cancel, 4*time.Second), Close: cmp.Or(l.Close, 5*time.Second),
	}
}

// Engine is an engine in a process of its own. It is a grader.Engine, and its
// methods may be called as that says.
//
// When the process dies, or does not answer, another one is started, which must
// have the same manifest. A batch that was lost is tried again whole, with nothing
// else at work; if the process dies again, each half of it by itself, down to
// single prompts. A prompt that ends two processes alone gets a fault of the status
// record.EngineFailed, as does a record that does so when it is encoded. First,
// though, a prompt that was rated before must still be rated; where there is none,
// three such records in a row are no fault of theirs. The engine is then broken,
// and the error, of which nothing is rated, is an *Error.
//
// When memory runs out, the next engine is a smaller one. Capacity stays: batches
// that it has no room for are rated in parts.
type Engine struct {
	ctx      context.Context
	o        Options
	facts    engineFacts // of the first process
	relay    *relay
	shut     chan struct{} // closed by Close
	closing  sync.Once
	watchers sync.WaitGroup

	turn sync.RWMutex // held for writing while something is tried alone

	restart sync.Mutex // guards what follows
	options json.RawMessage
	shrunk  bool  // options are smaller than what was asked for
	broken  error // why no process is started any more

	ready  atomic.Pointer[process] // the last one that was open
	newest atomic.Pointer[process] // the last one that was started
	maybe  atomic.Bool             // the last process died perhaps for want of memory, and nothing was rated since

	pace    pace
	witness witness
	row     int // records that were blamed since a prompt was rated; guarded by turn, held for writing
}

// Start starts a process and waits until its engine is open. An error of the
// engine comes as it is; a process that dies gives an *Error. When ctx is done,
// nothing is begun any more, and a little later the process is killed.
func Start(ctx context.Context, o Options) (*Engine, error) {
	o.Limits = o.Limits.orDefault()
	if o.Log == nil {
		o.Log = slog.Default()
	}
	e := &Engine{ctx: ctx, o: o, options: o.Engine, relay: cmp.Or(o.relay, newRelay(o.Log)), shut: make(chan struct{})}
	e.watchers.Go(e.watch)
	e.restart.Lock()
	p, err := e.load()
	e.restart.Unlock()
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	e.facts = p.facts
	e.ready.Store(p)
	if e.shrunk {
		o.Log.Warn("memory ran out: batches hold fewer tokens than was asked for", "now", p.facts.Capacity.Tokens)
	}
	return e, nil
}

// watch kills the process a little after the context is done.
func (e *Engine) watch() {
	select {
	case <-e.ctx.Done():
	case <-e.shut:
		return
	}
	select {
	case <-time.After(e.o.Limits.Cancel):
		if p := e.newest.Load(); p != nil {
			p.kill(interrupted, false)
		}
	case <-e.shut:
	}
}

// interrupted is why a process is killed that had no time to finish.
const interrupted = "was killed because the run was interrupted"

// load starts processes, smaller ones if memory is short, until one is open. One
// that somebody else kills is no reason to give up. The caller holds e.restart.
func (e *Engine) load() (*process, error) {
	for try := 1; ; try++ {
		if err := e.ctx.Err(); err != nil {
			return nil, err
		}
		p, err := launch(e.o.Command(), e.relay)
		if err != nil {
			return nil, err
		}
		e.newest.Store(p)
		if err = p.open(e.ctx, e.options, e.o.Limits.Load); err == nil {
			return p, nil
		}
		var d *death
		if !errors.As(err, &d) {
			p.kill("was ended: its engine cannot be opened", false)
			<-p.dead
			return nil, err
		}
		if err := e.ctx.Err(); err != nil {
			return nil, err
		}
		again := d.memory == possible && !e.maybe.Load() || d.sent && try < loads
		if !e.shrink(d, 0) && !again {
			return nil, e.fails(d, "loading it")
		}
	}
}

// current returns an open process, and starts one if there is none.
func (e *Engine) current() (*process, error) {
	if p := e.ready.Load(); p.alive() {
		return p, nil
	}
	e.restart.Lock()
	defer e.restart.Unlock()
	old := e.ready.Load()
	switch {
	case e.broken != nil:
		return nil, e.broken
	case old.alive(): // somebody was faster
		return old, nil
	case e.ctx.Err() != nil:
		return nil, e.ctx.Err()
	}
	p, err := e.replace(old)
	if err != nil {
		if e.ctx.Err() == nil {
			e.broken = err
		}
		return nil, err
	}
	e.ready.Store(p)
	return p, nil
}

// replace starts the process that follows one that is dead.
func (e *Engine) replace(old *process) (*process, error) {
	d, before := old.death, old.facts.Capacity.Tokens
	e.o.Log.Warn("the engine's process died; another one is started", "cause", d.cause, "last_words", d.words)
	if !e.shrink(d, before) && d.memory == certain {
		return nil, e.fails(d, "rating")
	}
	p, err := e.load()
	for try := 1; try < loads && errors.As(err, new(*Error)); try++ {
		select {
		case <-time.After(time.Duration(try) * time.Second):
		case <-e.ctx.Done():
			return nil, e.ctx.Err()
		}
		p, err = e.load()
	}
	switch {
	case err == nil:
	case errors.As(err, new(*Error)) || e.ctx.Err() != nil:
		return nil, err
	default: // its device may be gone
		return nil, &Error{Model: e.o.Model, Doing: "starting it again", Death: err.Error()}
	}
	if diffs := e.facts.Manifest.Differences(p.facts.Manifest); len(diffs) > 0 {
		p.kill("was ended: it is another judge", false)
		<-p.dead
		return nil, &Error{Model: e.o.Model, Doing: "starting it again", Death: "it is not what it was: " + strings.Join(diffs, "; ")}
	}
	if now := p.facts.Capacity.Tokens; now < before {
		e.o.Log.Warn("memory ran out: batches hold fewer tokens from now on", "before", before, "now", now)
	}
	return p, nil
}

// loads is how often a model that was loaded before may fail to load, and how often
// others may kill a process that loads one.
const loads = 3

// shrink makes the options smaller if a process died for want of memory: at once
// if that is certain, the second time if it is possible. tokens is what the
// process's capacity was, 0 if it was not open.
func (e *Engine) shrink(d *death, tokens int) bool {
	before := e.maybe.Swap(d.memory == possible)
	if d.memory == unlikely || d.memory == possible && !before || e.o.Smaller == nil {
		return false
	}
	options, ok := e.o.Smaller(e.options, tokens)
	if ok {
		e.options, e.shrunk = options, true
	}
	return ok
}

// fails is the error of a model whose process died.
func (e *Engine) fails(d *death, doing string) *Error {
	text := d.Error()
	if d.memory == certain {
		text += "; memory ran out with the smallest batch too: use a smaller model or format, or a shorter context (-c)"
	}
	return &Error{Model: e.o.Model, Doing: doing, Death: text}
}

// Manifest implements grader.Engine.
func (e *Engine) Manifest() journal.Manifest { return e.facts.Manifest }

// Capacity implements grader.Engine. It is that of the first process, also when
// memory has run out since.
func (e *Engine) Capacity() grader.Capacity { return e.facts.Capacity }

// PID returns the id of the process that is at work, or of the last one.
func (e *Engine) PID() int { return e.newest.Load().cmd.Process.Pid }

// Close asks the process to end, and ends it if it does not within the limit. It
// leaves no process behind. It must not be called while another method runs, and
// may be called twice.
func (e *Engine) Close() (err error) {
	e.closing.Do(func() {
		close(e.shut)
		e.watchers.Wait()
		e.restart.Lock()
		defer e.restart.Unlock()
		e.broken = fmt.Errorf("model %s: the engine is closed", e.o.Model)
		p := e.newest.Load()
		if p == nil {
			return
		}
		if e.ctx.Err() != nil {
			p.kill(interrupted, false)
			<-p.dead
			return
		}
		err = p.close(e.o.Limits.Close)
	})
	return err
}
