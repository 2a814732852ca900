package engine

import (
	"context"
	"errors"
	"math"
	"time"

	"winnow/grader"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/signal"
	"winnow/internal/osthread"
	"winnow/llama"
)

// lane is a context with all that rating a batch needs, used by one Rate at a
// time. Its memory is reused: a batch allocates nothing for each record.
type lane struct {
	e      *Engine
	thread *osthread.Thread // owns what follows
	ctx    *llama.Context
	batch  *llama.Batch
	primed bool // the prefix is in the cache
	steps  []step
	now    []step    // those of the pass that is computed
	edges  []float64 // for each prompt, the probabilities of all tries' nodes given their parents
	sums   sums
	raters []*rating.Rater
}

// step is one token of a batch.
type step struct {
	token  int32
	pos    int
	seqs   []llama.SeqID
	prompt int
	use    use
	node   int     // of the tail, whose probabilities the row gives
	next   int32   // the token whose loss the row gives
	in     passage // where that is
}

// use is what a token's row and its state are for.
type use uint8

const (
	branches use = 1 << iota // its row gives the probabilities behind a node
	predicts                 // its row gives the loss of the next token
	responds                 // its state is one of the response's
	ends                     // its state is the prompt's last

	hasRow = branches | predicts
)

func newLane(e *Engine) (*lane, error) {
	l := &lane{e: e, thread: osthread.Start()}
	for _, t := range e.tail.tries {
		l.raters = append(l.raters, rating.NewRater(t))
	}
	err := l.thread.Do(context.Background(), func() error {
		var err error
		o := llama.ContextOptions{
			Ctx: e.cells, Batch: roundUp(e.o.Batch, rowsTogether), Threads: e.o.Threads, FlashAttention: !e.o.NoFlashAttention,
		}
		if e.hidden() {
			o.States = &llama.StatesHook{Layer: e.layer, See: l.states}
		}
		l.ctx, err = llama.NewContext(e.model, o)
		if err != nil {
			return err
		}
		l.batch, err = llama.NewBatch(roundUp(e.o.Batch, rowsTogether), llama.MaxSeqs)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *lane) close() error {
	var errs []error
	err := l.thread.Do(context.Background(), func() error {
		if l.batch != nil {
			errs = append(errs, l.batch.Close())
		}
		if l.ctx != nil {
			errs = append(errs, l.ctx.Close())
		}
		return nil
	})
	if err != nil && !errors.Is(err, osthread.ErrStopped) {
		errs = append(errs, err)
	}
	l.thread.Stop()
	return errors.Join(errs...)
}

// rate rates a batch on the lane's thread.
func (l *lane) rate(batch []*grader.Prompt, out []grader.Outcome) (w grader.Work, err error) {
	if err := l.prime(); err != nil {
		return w, err
	}
	start := time.Now()
	l.begin(len(batch))
	l.lay(batch)
	w.Layout = time.Since(start)
	steps := l.steps
	for len(steps) > 0 {
		n := len(steps)
		if len(batch) == 1 && n > l.e.cells-len(l.e.prefix) {
			n = sequence(steps) // one at a time has room
		}
		if err := l.decode(steps[:n], &w); err != nil {
			l.primed = false // whatever is left in the cache goes with the prefix
			return w, err
		}
		if err := l.clear(steps[:n]); err != nil {
			return w, err
		}
		steps = steps[n:]
	}
	start = time.Now()
	for i := range out {
		l.outcome(l.edges[i*l.e.tail.edges:][:l.e.tail.edges], &out[i])
		if out[i].Fault == nil {
			l.signals(i, batch[i], &out[i])
		}
	}
	w.Rows += time.Since(start)
	return w, nil
}

// prime puts the prefix into the empty cache, under every sequence id that shares it.
func (l *lane) prime() error {
	if l.primed {
		return nil
	}
	if err := l.ctx.Clear(); err != nil {
		return err
	}
	l.steps = l.steps[:0]
	for i, tok := range l.e.prefix {
		l.steps = append(l.steps, step{token: tok, pos: i, seqs: l.e.sharing})
	}
	if err := l.decode(l.steps, new(grader.Work)); err != nil {
		return err
	}
	l.primed = true
	return nil
}

// lay lays out a batch: each prompt's tokens under the ids of all its branches,
// then the nodes of the tail, each under the ids of the branches that pass it, and
// the sequences beside it, each under an id of its own.
func (l *lane) lay(batch []*grader.Prompt) {
	t, begin := l.e.tail, len(l.e.prefix)
	loss := l.e.o.Signals.Has(signal.Loss)
	l.steps = l.steps[:0]
	for i, p := range batch {
		ids := l.e.all[i*l.e.seqs() : (i+1)*l.e.seqs()]
		first := len(l.steps)
		for k, tok := range p.Tokens {
			s := step{token: tok, pos: begin + k, seqs: ids[:t.branches], prompt: i}
			if k >= p.From && k < p.To {
				s.use |= responds
			}
			if loss && k+1 >= p.From && k+1 < p.To {
				s.use, s.next, s.in = s.use|predicts, p.Tokens[k+1], rated
			}
			l.steps = append(l.steps, s)
		}
		last := &l.steps[first+len(p.Tokens)-1]
		last.use |= ends
		if len(t.nodes[0].reads) > 0 {
			last.use |= branches
		}
		behind := begin + len(p.Tokens) - 1
		for n, node := range t.nodes[1:] {
			s := step{token: node.token, pos: behind + node.depth, seqs: ids[node.from:node.to], prompt: i, node: n + 1}
			if len(node.reads) > 0 {
				s.use = branches
			}
			l.steps = append(l.steps, s)
		}
		for j, side := range p.Sides {
			id := ids[t.branches+j:][:1]
			for k, tok := range side.Tokens {
				s := step{token: tok, pos: k, seqs: id, prompt: i}
				if k+1 >= side.From && k+1 < len(side.Tokens) {
					s.use, s.next, s.in = predicts, side.Tokens[k+1], l.e.sides.list[j]
				}
				l.steps = append(l.steps, s)
			}
		}
	}
}

// begin clears what the rows and states of so many prompts are gathered in.
func (l *lane) begin(prompts int) {
	n := prompts * l.e.tail.edges
	if cap(l.edges) < n {
		l.edges = make([]float64, n)
	}
	l.edges = l.edges[:n]
	l.sums.begin(prompts, l.e)
}

// clear frees the cells of steps that were decoded behind the prefix.
func (l *lane) clear(steps []step) error {
	if len(l.e.sides.list) > 0 {
		for _, s := range steps {
			if s.pos != 0 { // what stands beside a prompt begins at 0
				continue
			}
			if err := l.ctx.RemoveSeq(s.seqs[0], 0, -1); err != nil {
				return err
			}
		}
	}
	return l.ctx.RemoveSeq(llama.AllSeqs, len(l.e.prefix), -1)
}

// sequence returns how many steps of one prompt belong to the first sequence: the
// prompt with its tail, or one beside it.
func sequence(steps []step) int {
	for i, s := range steps[1:] {
		if s.pos == 0 {
			return i + 1
		}
	}
	return len(steps)
}

// decode runs the steps, in several passes if they are more than one takes, and
// gathers what their rows and states give.
func (l *lane) decode(steps []step, w *grader.Work) error {
	used := 0 // cells
	if l.primed {
		used = len(l.e.prefix)
	}
	at := used // where a batch is filled up: behind what its sequence has
	for len(steps) > 0 {
		n := min(len(steps), l.e.o.Batch)
		used += n
		if !l.primed {
			at = used
		}
		if err := l.pass(steps[:n], at, l.e.cells-used, w); err != nil {
			return err
		}
		steps = steps[n:]
	}
	return nil
}

// pass decodes the steps of one batch, filled up from position at on with as many
// tokens as the cache has cells for, and reads their rows.
func (l *lane) pass(steps []step, at, room int, w *grader.Work) error {
	start := time.Now()
	l.batch.Reset()
	rows := 0 // more than are read
	for _, s := range steps {
		if s.use&hasRow != 0 {
			rows++
		}
	}
	rows = roundUp(rows, rowsTogether) - rows
	fill := min(room, roundUp(len(steps), rowsTogether)-len(steps))
	before := max(0, rows-fill) // of the rows, on tokens of the steps
	for _, s := range steps {
		output := s.use&hasRow != 0
		more := !output && before > 0
		if more {
			before--
		}
		if err := l.batch.Add(s.token, s.pos, s.seqs, output || more); err != nil {
			return err
		}
	}
	for i := range fill {
		if err := l.batch.Add(steps[0].token, at+i, filling, i < rows); err != nil {
			return err
		}
	}
	laid := time.Now()
	w.Layout += laid.Sub(start)
	l.now = steps
	if err := l.ctx.Decode(l.batch); err != nil {
		return err
	}
	decoded := time.Time{}
	for i, s := range steps {
		if s.use&hasRow == 0 {
			continue
		}
		row, err := l.ctx.Logits(i) // the first call waits for the device
		if err != nil {
			return err
		}
		if decoded.IsZero() {
			decoded = time.Now()
		}
		l.read(row, s)
	}
	if decoded.IsZero() {
		decoded = time.Now()
	}
	w.Decode += decoded.Sub(laid)
	w.Rows += time.Since(decoded)
	if fill == 0 {
		return nil
	}
	return l.ctx.RemoveSeq(filling[0], at, -1)
}

// rowsTogether is how many rows of a batch ggml's CPU kernels for repacked 4-bit
// weights take at a time. What is left over goes through a kernel of its own, as a
// row alone does in any format, and is rounded differently: a rating would depend
// on how many tokens and rows share its batch. So batches are filled up, with
// tokens and with rows, to a multiple.
const rowsTogether = 4

// filling is the sequence of the tokens that fill up a batch. No prompt has it.
var filling = []llama.SeqID{maxBranches}

// maxBranches is the number of sequence ids that a batch's prompts share.
const maxBranches = llama.MaxSeqs - 1

// read takes from a row the loss of the next token and the probabilities that a
// step's node gives.
func (l *lane) read(row []float32, s step) {
	t := l.e.tail
	lse := llama.LogSumExp(row)
	if s.use&predicts != 0 {
		l.sums.add(s.prompt, s.in, lse-float64(row[s.next]))
	}
	if s.use&branches == 0 {
		return
	}
	edges := l.edges[s.prompt*t.edges:]
	for _, r := range t.nodes[s.node].reads {
		trie := t.tries[r.criterion]
		for _, c := range trie.Nodes[r.node].Children {
			edges[t.edgesAt[r.criterion]+c] = math.Exp(float64(row[trie.Nodes[c].Token]) - lse)
		}
	}
}

// outcome rates one prompt by all criteria.
func (l *lane) outcome(edges []float64, out *grader.Outcome) {
	t := l.e.tail
	if n := len(t.tries); cap(out.Ratings) < n {
		out.Ratings = make([]rating.Rating, n)
	}
	out.Ratings = out.Ratings[:len(t.tries)]
	for c, trie := range t.tries {
		own := edges[t.edgesAt[c]:][:len(trie.Nodes)]
		for _, p := range own[1:] { // the first is the root's and is not set
			if math.IsNaN(p) || math.IsInf(p, 0) {
				out.Fault = notFinite("logits")
				return
			}
		}
		if err := l.raters[c].Rate(own, &out.Ratings[c]); err != nil {
			out.Fault = &record.Fault{Status: record.OffScale, Reason: err.Error()}
			return
		}
	}
}

// notFinite is the fault of a record for which the model computes no numbers.
func notFinite(what string) *record.Fault {
	return &record.Fault{Status: record.BadLogits,
		Reason: "the model's " + what + " are not finite: its file is damaged, or its weights overflow in this format"}
}
