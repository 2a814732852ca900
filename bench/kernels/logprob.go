package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	"winnow/internal/kernelcases"
	"winnow/kernels"
)

// logProbSubjects are the cases of kernels.LogProb, which also asks for the
// probabilities of a rating's tokens.
func logProbSubjects() (list []subject) {
	for _, c := range kernelcases.LogProb() {
		if c.Measure {
			list = append(list, subject{op: "logprob", name: c.Name, make: func(d *kernels.Device) (*job, error) { return logProbJob(c, d), nil }})
		}
	}
	return list
}

func logProbJob(c kernelcases.LogProbCase, d *kernels.Device) *job {
	logits, targets, tokens, starts, values := c.Data()
	shape := kernels.LogProbShape{Rows: c.Rows, Vocab: c.Vocab, Stride: c.Stride}
	q := kernels.LogProbQuery{Targets: targets, Tokens: tokens, Starts: starts, Values: values}
	j := &job{
		shape: map[string]any{"rows": c.Rows, "vocabulary": c.Vocab, "tokens": c.Tokens}, floats: true,
		digest: func(result any) uint64 {
			d, out := newDigester(), result.(*kernels.LogProbs)
			d.doubles(out.LogSumExp)
			d.doubles(out.LogProb)
			d.doubles(out.Probs)
			return d.sum
		},
		check: func(f form, got, first any) (string, error) {
			if f.name == "reference" {
				return "is what the others are checked against", nil
			}
			return logProbAgrees(got.(*kernels.LogProbs), first.(*kernels.LogProbs))
		},
	}
	j.bytes, j.operations = c.Cost()
	run := func(d *kernels.Device, q kernels.LogProbQuery) func() (any, error) {
		out := new(kernels.LogProbs)
		return func() (any, error) { return out, kernels.LogProb(context.Background(), d, logits, shape, q, out) }
	}
	j.forms = []form{
		{name: "reference", threads: 1, run: func() (any, error) {
			out := new(kernels.LogProbs)
			return out, kernels.LogProbReference(logits, shape, q, out)
		}},
		{name: "plain Go", threads: 1, run: func() (any, error) { return plainLogProb(logits, c, targets), nil }, note: "log-sum-exp and target alone, float32 logits, math.Exp"},
		{name: "fast", threads: 1, run: run(nil, q)},
		{name: "fast", run: run(nil, q)},
	}
	if d != nil {
		for rung := 1; rung <= kernels.LogProbRungs; rung++ {
			on := q
			on.Rung = rung
			j.forms = append(j.forms, form{name: fmt.Sprintf("gpu kernel %d", rung), device: true, run: run(d, on), note: "best_s has the copy of the rows to the GPU in it, kernel_s has not"})
		}
	}
	if c.Rows > 1 {
		j.dump = func(d *dumper, result any) error {
			return dumpLogProb(d, c, logits, targets, result.(*kernels.LogProbs))
		}
	}
	return j
}

// plainLogProb is what one writes who has no library: two loops over a row.
func plainLogProb(logits []float32, c kernelcases.LogProbCase, targets []int32) *kernels.LogProbs {
	out := &kernels.LogProbs{LogSumExp: make([]float64, c.Rows), LogProb: make([]float64, c.Rows)}
	for r := range c.Rows {
		row := logits[r*c.Stride:][:c.Vocab]
		top := row[0]
		for _, x := range row {
			top = max(top, x)
		}
		sum := 0.0
		for _, x := range row {
			sum += math.Exp(float64(x - top))
		}
		out.LogSumExp[r], out.LogProb[r] = float64(top)+math.Log(sum), math.NaN()
		if t := targets[r]; t >= 0 {
			out.LogProb[r] = float64(row[t]) - out.LogSumExp[r]
		}
	}
	return out
}

// logProbAgrees compares what both have.
func logProbAgrees(got, want *kernels.LogProbs) (string, error) {
	worst := 0.0
	for name, pair := range map[string][2][]float64{
		"log-sum-exp": {got.LogSumExp, want.LogSumExp}, "log-probability": {got.LogProb, want.LogProb},
		"probability": {got.Probs, want.Probs}, "expectation": {got.Expected, want.Expected}, "mass off the scale": {got.OffScale, want.OffScale},
	} {
		if len(pair[0]) == 0 && (name == "probability" || name == "expectation" || name == "mass off the scale") {
			continue // the plain form has none
		}
		if len(pair[0]) != len(pair[1]) {
			return "", fmt.Errorf("%s: %d numbers, want %d", name, len(pair[0]), len(pair[1]))
		}
		for i, x := range pair[0] {
			y := pair[1][i]
			if x == y || math.IsNaN(x) && math.IsNaN(y) { // no target; infinite
				continue
			}
			off := math.Abs(x-y) / max(math.Abs(y), 1)
			if !(off <= 2e-6) {
				return "", fmt.Errorf("%s %d is %v, in the reference %v", name, i, x, y)
			}
			worst = max(worst, off)
		}
	}
	return fmt.Sprintf("within %.1e of the reference", worst), nil
}

// dumpLogProb writes the rows and the log-probability of each row's target, NaN
// where it has none.
func dumpLogProb(d *dumper, c kernelcases.LogProbCase, logits []float32, targets []int32, out *kernels.LogProbs) error {
	if c.Stride != c.Vocab {
		return errors.New("rows with gaps are no array of NumPy's")
	}
	return errors.Join(
		array(d, "logits", logits, c.Rows, c.Vocab),
		array(d, "targets", targets, c.Rows),
		array(d, "logprobs", out.LogProb, c.Rows))
}
