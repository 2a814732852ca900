package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"winnow/internal/kernelcases"
	"winnow/kernels"
)

// cosineSubjects are the cases of kernels.CosinePairs. Operations and bytes are those
// of computing every pair: a form that rejects pairs early may have more than the
// machine's peak.
func cosineSubjects() (list []subject) {
	for _, c := range kernelcases.CosineCases() {
		if c.Bench {
			list = append(list, subject{op: "cosine", name: fmt.Sprintf("%s, %d columns, threshold %g", c.Name, c.Dim, c.Threshold), make: func(d *kernels.Device) (*job, error) {
				return cosineJob(c, d), nil
			}})
		}
	}
	return list
}

// cosineSampled is how many rows the reference compares with all others.
const cosineSampled = 100

func cosineJob(c kernelcases.Cosine, d *kernels.Device) *job {
	rows, against := c.Data()
	in, o := kernels.CosineInput{Rows: rows, Against: against, Dim: c.Dim}, kernels.CosineOptions{Threshold: c.Threshold}
	j := &job{
		shape: map[string]any{"rows": c.Rows, "against": c.Against, "columns": c.Dim, "threshold": c.Threshold},
		bytes: float64(c.Bytes()), operations: float64(c.FLOPs()), floats: true,
		note: "operations are those of all pairs",
		digest: func(result any) uint64 {
			d := newDigester()
			for _, p := range result.([]kernels.CosinePair) {
				d.add(uint64(p.I)<<32 | uint64(p.J))
				d.add(uint64(math.Float32bits(p.Similarity)))
			}
			return d.sum
		},
	}
	step := max(c.Rows/cosineSampled, 1)
	all := against
	if all == nil {
		all = rows
	}
	reference := form{name: "reference", threads: 1, once: true, part: 2 / float64(step), note: fmt.Sprintf("one row in %d with all others", step)}
	if c.Against > 0 {
		reference.part = 1 / float64(step)
	}
	reference.run = func() (any, error) {
		var some []float32
		for i := 0; i < c.Rows; i += step {
			some = append(some, rows[i*c.Dim:(i+1)*c.Dim]...)
		}
		pairs, err := kernels.CosineReference(kernels.CosineInput{Rows: some, Against: all, Dim: c.Dim}, o)
		for k := range pairs {
			pairs[k].I *= int32(step)
		}
		return pairs, err
	}
	run := func(d *kernels.Device, o kernels.CosineOptions) func() (any, error) {
		return func() (any, error) { return kernels.CosinePairs(context.Background(), d, in, o) }
	}
	j.forms = []form{reference, {name: "fast", threads: 1, run: run(nil, o)}, {name: "fast", run: run(nil, o)}}
	if d != nil {
		for rung := 1; rung <= kernels.CosineRungs; rung++ {
			on := o
			on.Rung = rung
			j.forms = append(j.forms, form{name: fmt.Sprintf("gpu kernel %d", rung), device: true, run: run(d, on)})
		}
	}
	var fast []kernels.CosinePair
	j.check = func(f form, got, first any) (string, error) {
		pairs := got.([]kernels.CosinePair)
		if f.name == "reference" {
			return fmt.Sprintf("is what the others are checked against: %d pairs", len(pairs)), nil
		}
		if fast == nil {
			fast = pairs
		} else if !slices.Equal(pairs, fast) {
			return "", errors.New("not the pairs of the first fast form, bit for bit")
		}
		return cosineAgrees(pairs, first.([]kernels.CosinePair), c, step)
	}
	if c.Against == 0 && c.Rows <= 50_000 {
		j.dump = func(d *dumper, result any) error { return dumpCosine(d, c, rows, result.([]kernels.CosinePair)) }
	}
	return j
}

// cosineAgrees compares pairs with the reference's, which have sampled rows as I and
// all rows as J. A pair whose similarity is the threshold, up to rounding, may be in
// one of them alone.
func cosineAgrees(got, want []kernels.CosinePair, c kernelcases.Cosine, step int) (string, error) {
	const tolerance = 5e-7
	sampled := map[[2]int32]float32{}
	for _, p := range got {
		if int(p.I)%step == 0 {
			sampled[[2]int32{p.I, p.J}] = p.Similarity
		}
		if c.Against == 0 && int(p.J)%step == 0 {
			sampled[[2]int32{p.J, p.I}] = p.Similarity
		}
	}
	n := 0
	for _, p := range want {
		if c.Against == 0 && p.I == p.J {
			continue
		}
		n++
		at := [2]int32{p.I, p.J}
		s, ok := sampled[at]
		delete(sampled, at)
		if !ok {
			s = c.Threshold
		}
		if !(math.Abs(float64(s-p.Similarity)) <= tolerance) {
			return "", fmt.Errorf("rows %d and %d have the similarity %v, in the reference %v; found: %t", p.I, p.J, s, p.Similarity, ok)
		}
	}
	for at, s := range sampled {
		if !(s-c.Threshold <= tolerance) {
			return "", fmt.Errorf("rows %d and %d of similarity %v are no pair of the reference", at[0], at[1], s)
		}
	}
	return fmt.Sprintf("%d pairs; the %d of the reference's sample within %.0e", len(got), n, tolerance), nil
}

func dumpCosine(d *dumper, c kernelcases.Cosine, rows []float32, pairs []kernels.CosinePair) error {
	first, second, similarity := make([]int32, len(pairs)), make([]int32, len(pairs)), make([]float32, len(pairs))
	for k, p := range pairs {
		first[k], second[k], similarity[k] = p.I, p.J, p.Similarity
	}
	d.param["threshold"] = c.Threshold
	return errors.Join(
		array(d, "rows", rows, c.Rows, c.Dim),
		array(d, "first", first, len(first)),
		array(d, "second", second, len(second)),
		array(d, "similarity", similarity, len(similarity)))
}
