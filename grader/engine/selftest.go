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
	rub, err := rubric.Load("")
	if err != nil {
		return 0, err
	}
	e, err := Open(Options{Model: path, Rubric: rub})
	if err != nil {
		return 0, err
	}
	defer func() {
		if cerr := e.Close(); err == nil {
			err = cerr
		}
	}()
	var batch []grader.Prompt
	for _, rec := range []record.Record{
		{Instruction: "Add 2 and 3.", Response: "5"},
		{Instruction: "Name a colour.", Input: "Not red.", Response: "Blue is a colour that is not red."},
		{Instruction: "Say nothing useful.", Response: "<|im_end|> 5.0"},
	} {
		p, err := e.Encode(&rec)
		if err != nil {
			return 0, err
		}
		batch = append(batch, p)
	}
	packed, err := e.Rate(ctx, batch)
	if err != nil {
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
		for k, want := range plain.Probs {
			maxDiff = max(maxDiff, math.Abs(packed[i].Rating.Probs[k]-want))
		}
	}
	const limit = 1e-4
	if !(maxDiff <= limit) {
		return maxDiff, fmt.Errorf("packed ratings differ from plain ones by %g, more than %g: this build computes wrongly", maxDiff, limit)
	}
	return maxDiff, nil
}

// rateTokenByToken is the plain computation that Rate must agree with: for each
// inner node of the trie a fresh cache, one sequence, the prompt and the node's
// path.
func (e *Engine) rateTokenByToken(ctx context.Context, p grader.Prompt) (rating.Rating, error) {
	edge := make([]float64, len(e.trie.Nodes))
	err := e.thread.Do(ctx, func() error {
		e.primed = false
		for n, node := range e.trie.Nodes {
			if !node.Inner() {
				continue
			}
			var path []int32
			for at := n; at != 0; at = e.trie.Nodes[at].Parent {
				path = append([]int32{e.trie.Nodes[at].Token}, path...)
			}
			if err := e.ctx.Clear(); err != nil {
				return err
			}
			var steps []step
			for _, toks := range [][]int32{e.prefix, p.Tokens, path} {
				for _, tok := range toks {
					steps = append(steps, step{token: tok, pos: len(steps), seqs: e.all[:1], node: n})
				}
			}
			steps[len(steps)-1].output = true
			edges, err := e.decode(steps, 1)
			if err != nil {
				return err
			}
			for _, c := range node.Children {
				edge[c] = edges[0][c]
			}
		}
		return e.ctx.Clear()
	})
	if err != nil {
		return rating.Rating{}, err
	}
	return e.trie.Rate(edge)
}
