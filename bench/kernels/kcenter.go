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

// kCenterSubjects are the cases of kernels.KCenter. Bytes and operations are those of
// a sweep over all rows after each pick: a form that leaves rows out may read less
// than that, and so exceed the machine's peak.
func kCenterSubjects() (list []subject) {
	for _, c := range kernelcases.KCenter() {
		if c.Measure {
			list = append(list, subject{op: "kcenter", name: fmt.Sprintf("%s, %d of %d rows of %d", c.Name, c.Picks, c.Rows, c.Dim), make: func(d *kernels.Device) (*job, error) {
				return kCenterJob(c, d), nil
			}})
		}
	}
	return list
}

// kCenterReferencePicks is how many picks the reference makes.
const kCenterReferencePicks = 40

func kCenterJob(c kernelcases.KCenterCase, d *kernels.Device) *job {
	rows, half, weights := c.Data()
	in := kernels.KCenterInput{Rows: rows, Half: half, Dim: c.Dim, Weights: weights}
	o := kernels.KCenterOptions{K: c.Picks}
	j := &job{
		shape: map[string]any{"rows": c.Rows, "columns": c.Dim, "picks": c.Picks, "half": c.Half, "clusters": c.Clusters, "weighted": c.Weighted},
		note:  "bytes and operations are those of a sweep after each pick", floats: true,
		digest: func(result any) uint64 {
			d, picks := newDigester(), result.(kernels.KCenterPicks)
			d.ints(picks.Rows)
			d.floats(picks.Radii)
			return d.sum
		},
	}
	j.bytes, j.operations = c.SweepCost()
	few := min(c.Picks, kCenterReferencePicks)
	reference := form{name: "reference", threads: 1, once: true, part: float64(few) / float64(c.Picks), note: fmt.Sprintf("%d picks", few)}
	reference.run = func() (any, error) {
		picks, radii, err := kernels.KCenterReference(in, few)
		result := kernels.KCenterPicks{Rows: picks}
		for _, r := range radii {
			result.Radii = append(result.Radii, float32(r))
		}
		return result, err
	}
	run := func(d *kernels.Device, o kernels.KCenterOptions) func() (any, error) {
		return func() (any, error) { return kernels.KCenter(context.Background(), d, in, o) }
	}
	j.forms = []form{
		reference,
		{name: "sweep", once: true, run: func() (any, error) { return kernels.KCenterSweep(context.Background(), in, o) }},
		{name: "fast", threads: 1, run: run(nil, o)},
		{name: "fast", run: run(nil, o)},
	}
	if d != nil {
		for _, kernel := range kernels.KCenterKernels() {
			rung := o
			rung.Kernel = kernel
			j.forms = append(j.forms, form{name: "gpu " + string(kernel), device: true, run: run(d, rung)})
		}
	}
	var sweep *kernels.KCenterPicks
	j.check = func(f form, got, first any) (string, error) {
		picks, want := got.(kernels.KCenterPicks), first.(kernels.KCenterPicks)
		if f.name == "reference" {
			return "is what the others are checked against", nil
		}
		if err := kCenterAgrees(picks.Radii, want.Radii); err != nil {
			return "", err
		}
		how := fmt.Sprintf("first %d radii within 1e-5 of the reference", len(want.Radii))
		if sweep == nil {
			sweep = &picks
			return how, nil
		}
		if !slices.Equal(picks.Rows, sweep.Rows) || !slices.Equal(picks.Radii, sweep.Radii) {
			return "", errors.New("not the picks of the sweep, bit for bit")
		}
		return fmt.Sprintf("the sweep's picks and radii, bit for bit; %s; %.1f %% of its distances", how, 100*float64(picks.Distances)/float64(sweep.Distances)), nil
	}
	if !c.Half && !c.Weighted {
		j.dump = func(d *dumper, result any) error {
			picks := result.(kernels.KCenterPicks)
			return errors.Join(
				array(d, "rows", rows, c.Rows, c.Dim),
				array(d, "picks", picks.Rows, len(picks.Rows)),
				array(d, "radii", picks.Radii, len(picks.Radii)))
		}
	}
	return j
}

// kCenterAgrees compares radii: picks may differ where two are within rounding.
func kCenterAgrees(got, want []float32) error {
	if len(got) < len(want) {
		return fmt.Errorf("%d picks, want at least %d", len(got), len(want))
	}
	for i := 1; i < len(want); i++ {
		if !(math.Abs(float64(got[i]-want[i])) <= 1e-5*float64(want[i])) {
			return fmt.Errorf("pick %d has the radius %v, in the reference %v", i, got[i], want[i])
		}
	}
	return nil
}
