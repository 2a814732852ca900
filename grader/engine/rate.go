package engine

import (
	"context"
	"fmt"
	"math"

	"winnow/grader"
	"winnow/grader/record"
	"winnow/llama"
)

// step is one token of a batch. row says where its output goes: the prompt and
// the trie's node whose children's probabilities it gives.
type step struct {
	token  int32
	pos    int
	seqs   []llama.SeqID
	output bool
	prompt int
	node   int
}

// Rate implements grader.Engine.
func (e *Engine) Rate(ctx context.Context, batch []grader.Prompt) ([]grader.Outcome, error) {
	capacity := e.Capacity()
	if len(batch) == 0 || len(batch) > capacity.Prompts {
		return nil, fmt.Errorf("%d prompts in a batch, want 1 to %d", len(batch), capacity.Prompts)
	}
	var out []grader.Outcome
	err := e.thread.Do(ctx, func() error {
		if err := e.prime(); err != nil {
			return err
		}
		edges, err := e.decode(e.steps(batch), len(batch))
		if err != nil {
			e.primed = false // whatever is left in the cache goes with the prefix
			return err
		}
		if err := e.ctx.RemoveSeq(llama.AllSeqs, len(e.prefix), -1); err != nil {
			return err
		}
		for _, edge := range edges {
			out = append(out, e.outcome(edge))
		}
		return nil
	})
	return out, err
}

// prime puts the prefix into the empty cache, under every sequence id.
func (e *Engine) prime() error {
	if e.primed {
		return nil
	}
	if err := e.ctx.Clear(); err != nil {
		return err
	}
	steps := make([]step, len(e.prefix))
	for i, tok := range e.prefix {
		steps[i] = step{token: tok, pos: i, seqs: e.all}
	}
	if _, err := e.decode(steps, 0); err != nil {
		return err
	}
	e.primed = true
	return nil
}

// steps lays out a batch: each prompt's tokens under the ids of all its
// branches, then the inner nodes of the trie, each under the ids of the
// branches that pass it.
func (e *Engine) steps(batch []grader.Prompt) []step {
	var steps []step
	for i, p := range batch {
		ids := e.all[i*e.width() : (i+1)*e.width()]
		for k, tok := range p.Tokens {
			last := k == len(p.Tokens)-1
			steps = append(steps, step{token: tok, pos: len(e.prefix) + k, seqs: ids, output: last, prompt: i})
		}
		behind := len(e.prefix) + len(p.Tokens) - 1
		for n, node := range e.trie.Nodes {
			if n == 0 || !node.Inner() {
				continue
			}
			var seqs []llama.SeqID
			for b, path := range e.branches {
				if node.Depth <= len(path) && path[node.Depth-1] == n {
					seqs = append(seqs, ids[b])
				}
			}
			steps = append(steps, step{token: node.Token, pos: behind + node.Depth, seqs: seqs, output: true, prompt: i, node: n})
		}
	}
	return steps
}

// decode runs the steps, in several passes if they are more than one takes, and
// returns for each prompt the probability of every trie node given its parent.
func (e *Engine) decode(steps []step, prompts int) ([][]float64, error) {
	edges := make([][]float64, prompts)
	for i := range edges {
		edges[i] = make([]float64, len(e.trie.Nodes))
	}
	for len(steps) > 0 {
		n := min(len(steps), e.batch.Cap())
		if len(steps) == n+1 {
			n-- // see lone
		}
		pass := steps[:n]
		steps = steps[n:]
		e.batch.Reset()
		extra := lone(pass)
		for i, s := range pass {
			if err := e.batch.Add(s.token, s.pos, s.seqs, s.output || i == extra); err != nil {
				return nil, err
			}
		}
		if err := e.ctx.Decode(e.batch); err != nil {
			return nil, err
		}
		for i, s := range pass {
			if !s.output {
				continue
			}
			row, err := e.ctx.Logits(i)
			if err != nil {
				return nil, err
			}
			lse := logSumExp(row)
			for _, c := range e.trie.Nodes[s.node].Children {
				edges[s.prompt][c] = math.Exp(float64(row[e.trie.Nodes[c].Token]) - lse)
			}
		}
	}
	return edges, nil
}

// lone returns the index of a second step to ask an output of where a pass has
// but one, or -1. A row alone goes through a kernel of its own and is rounded
// differently: a rating would depend on what shares its batch.
func lone(pass []step) int {
	outputs, other := 0, -1
	for i, s := range pass {
		if s.output {
			outputs++
		} else {
			other = i
		}
	}
	if outputs != 1 {
		return -1
	}
	return other
}

func (e *Engine) outcome(edge []float64) grader.Outcome {
	for _, p := range edge {
		if math.IsNaN(p) || math.IsInf(p, 0) {
			return grader.Outcome{Fault: &record.Fault{Status: record.BadLogits,
				Reason: "the model's logits are not finite: its file is damaged, or its weights overflow in this format"}}
		}
	}
	r, err := e.trie.Rate(edge)
	if err != nil {
		return grader.Outcome{Fault: &record.Fault{Status: record.OffScale, Reason: err.Error()}}
	}
	return grader.Outcome{Rating: r}
}
