package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"winnow/grader"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/rubric"
	"winnow/internal/tinygguf"
)

// SelfTest runs the numerics on a tiny model that it writes into a temporary
// folder: packed ratings must equal those of a plain computation, one sequence
// and one token after the other. It returns the largest difference of a
// probability.
func SelfTest(ctx context.Context) (maxDiff float64, err error) {
	dir, err := os.MkdirTemp("", "winnow-selftest-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "tiny.gguf")
	if err := tinygguf.WriteFile(path, tinygguf.Options{}); err != nil {
		return 0, err
	}
	var rub []rubric.Rubric
	for _, name := range []string{"accuracy", "helpfulness"} {
		r, err := rubric.Load(name)
		if err != nil {
			return 0, err
		}
		rub = append(rub, r)
	}
	e, err := Open(Options{Model: path, Rubrics: rub})
	if err != nil {
		return 0, err
	}
	defer func() {
		if cerr := e.Close(); err == nil {
			err = cerr
		}
	}()
	var batch []*grader.Prompt
	for _, rec := range []record.Record{
		{Instruction: "Add 2 and 3.", Response: "5"},
		{Instruction: "Name a colour.", Input: "Not red.", Response: "Blue is a colour that is not red."},
		{Instruction: "Say nothing useful.", Response: "<|im_end|> 5.0"},
	} {
		var p grader.Prompt
		if err := e.Encode(&rec, &p); err != nil {
			return 0, err
		}
		batch = append(batch, &p)
	}
	packed := make([]grader.Outcome, len(batch))
	if _, err := e.Rate(ctx, batch, packed); err != nil {
		return 0, err
	}
	for i, p := range batch {
		if packed[i].Fault != nil {
			return 0, packed[i].Fault
		}
		plain, err := e.rateTokenByToken(ctx, p)
		if err != nil {
			return 0, err
		}
		for c, want := range plain {
			for k, p := range want.Probs {
				maxDiff = max(maxDiff, math.Abs(packed[i].Ratings[c].Probs[k]-p))
			}
		}
	}
	const limit = 1e-4
	if !(maxDiff <= limit) {
		return maxDiff, fmt.Errorf("packed ratings differ from plain ones by %g, more than %g: this build computes wrongly", maxDiff, limit)
	}
	return maxDiff, nil
}

// rateTokenByToken is the plain computation that Rate must agree with: for each
// node of the tail that is read, a fresh cache, one sequence, the prompt and the
// node's path.
func (e *Engine) rateTokenByToken(ctx context.Context, p *grader.Prompt) ([]rating.Rating, error) {
	l, err := e.take(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { e.free <- l }()
	var out grader.Outcome
	err = l.thread.Do(ctx, func() error {
		l.primed = false
		l.begin(1)
		edges := make([]float64, e.tail.edges)
		for n, node := range e.tail.nodes {
			if len(node.reads) == 0 {
				continue
			}
			if err := l.ctx.Clear(); err != nil {
				return err
			}
			l.steps = l.steps[:0]
			for _, toks := range [][]int32{e.prefix, p.Tokens, e.tail.path(n)} {
				for _, tok := range toks {
					l.steps = append(l.steps, step{token: tok, pos: len(l.steps), seqs: e.all[:1], node: n})
				}
			}
			l.steps[len(l.steps)-1].use = branches
			if err := l.decode(l.steps, new(grader.Work)); err != nil {
				return err
			}
			for _, r := range node.reads {
				for _, c := range e.tail.tries[r.criterion].Nodes[r.node].Children {
					at := e.tail.edgesAt[r.criterion] + c
					edges[at] = l.edges[at]
				}
			}
		}
		l.outcome(edges, &out)
		if out.Fault != nil {
			return out.Fault
		}
		return l.ctx.Clear()
	})
	return out.Ratings, err
}
