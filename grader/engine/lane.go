package engine

import (
	"context"
	"errors"
	"math"
	"time"

	"winnow/grader"
	"winnow/grader/rating"
	"winnow/grader/record"
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
	edges  []float64 // for each prompt, the probabilities of all tries' nodes given their parents
	raters []*rating.Rater
}

// step is one token of a batch. Where there is an output, node says which node of
// the tail its row belongs to.
type step struct {
	token  int32
	pos    int
	seqs   []llama.SeqID
	output bool
	prompt int
	node   int
}

func newLane(e *Engine) (*lane, error) {
	l := &lane{e: e, thread: osthread.Start()}
	for _, t := range e.tail.tries {
		l.raters = append(l.raters, rating.NewRater(t))
	}
	err := l.thread.Do(context.Background(), func() error {
		var err error
		l.ctx, err = llama.NewContext(e.model, llama.ContextOptions{
			Ctx: e.cells, Batch: roundUp(e.o.Batch, rowsTogether), Threads: e.o.Threads, FlashAttention: !e.o.NoFlashAttention,
		})
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
	l.lay(batch)
	w.Layout = time.Since(start)
	if err := l.decode(len(batch), &w); err != nil {
		l.primed = false // whatever is left in the cache goes with the prefix
		return w, err
	}
	if err := l.ctx.RemoveSeq(llama.AllSeqs, len(l.e.prefix), -1); err != nil {
		return w, err
	}
	start = time.Now()
	for i := range out {
		l.outcome(l.edges[i*l.e.tail.edges:][:l.e.tail.edges], &out[i])
	}
	w.Rows += time.Since(start)
	return w, nil
}

// prime puts the prefix into the empty cache, under every sequence id.
func (l *lane) prime() error {
	if l.primed {
		return nil
	}
	if err := l.ctx.Clear(); err != nil {
		return err
	}
	l.steps = l.steps[:0]
	for i, tok := range l.e.prefix {
		l.steps = append(l.steps, step{token: tok, pos: i, seqs: l.e.all})
	}
	if err := l.decode(0, new(grader.Work)); err != nil {
		return err
	}
	l.primed = true
	return nil
}

// lay lays out a batch: each prompt's tokens under the ids of all its branches,
// then the nodes of the tail, each under the ids of the branches that pass it.
func (l *lane) lay(batch []*grader.Prompt) {
	t, begin := l.e.tail, len(l.e.prefix)
	l.steps = l.steps[:0]
	for i, p := range batch {
		ids := l.e.all[i*t.branches : (i+1)*t.branches]
		for k, tok := range p.Tokens {
			l.steps = append(l.steps, step{token: tok, pos: begin + k, seqs: ids, prompt: i})
		}
		l.steps[len(l.steps)-1].output = len(t.nodes[0].reads) > 0
		behind := begin + len(p.Tokens) - 1
		for n, node := range t.nodes[1:] {
			l.steps = append(l.steps, step{
				token: node.token, pos: behind + node.depth, seqs: ids[node.from:node.to],
				output: len(node.reads) > 0, prompt: i, node: n + 1,
			})
		}
	}
}

// decode runs the steps, in several passes if they are more than one takes, and
// fills the edges of each prompt.
func (l *lane) decode(prompts int, w *grader.Work) error {
	n := prompts * l.e.tail.edges
	if cap(l.edges) < n {
		l.edges = make([]float64, n)
	}
	l.edges = l.edges[:n]
	used := 0 // cells
	if l.primed {
		used = len(l.e.prefix)
	}
	at := used // where a batch is filled up: behind what its sequence has
	for steps := l.steps; len(steps) > 0; {
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
		if s.output {
			rows++
		}
	}
	rows = roundUp(rows, rowsTogether) - rows
	fill := min(room, roundUp(len(steps), rowsTogether)-len(steps))
	before := max(0, rows-fill) // of the rows, on tokens of the steps
	for _, s := range steps {
		more := !s.output && before > 0
		if more {
			before--
		}
		if err := l.batch.Add(s.token, s.pos, s.seqs, s.output || more); err != nil {
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
	if err := l.ctx.Decode(l.batch); err != nil {
		return err
	}
	decoded := time.Time{}
	for i, s := range steps {
		if !s.output {
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

// read takes from a row the probabilities that a step's node gives.
func (l *lane) read(row []float32, s step) {
	t := l.e.tail
	lse := llama.LogSumExp(row)
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
				out.Fault = &record.Fault{Status: record.BadLogits,
					Reason: "the model's logits are not finite: its file is damaged, or its weights overflow in this format"}
				return
			}
		}
		if err := l.raters[c].Rate(own, &out.Ratings[c]); err != nil {
			out.Fault = &record.Fault{Status: record.OffScale, Reason: err.Error()}
			return
		}
	}
}
