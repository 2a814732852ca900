package main

import (
	"errors"
	"slices"

	"winnow/internal/kernelcases"
	"winnow/kernels"
)

// minHashSubjects are the cases of kernels.MinHash. Their operations are of 64-bit
// integers: a multiplication, an addition and a minimum for each value and
// permutation.
func minHashSubjects() (list []subject) {
	for _, c := range kernelcases.MinHash() {
		if c.Measure {
			list = append(list, subject{op: "minhash", name: c.Name, make: func(*kernels.Device) (*job, error) { return minHashJob(c), nil }})
		}
	}
	return list
}

func minHashJob(c kernelcases.MinHashCase) *job {
	values, offsets := c.Data()
	in := kernels.MinHashInput{Values: values, Offsets: offsets}
	family, bands := kernels.NewMinHashFamily(c.Seed, c.Permutations), kernels.MinHashBands{Bands: c.Bands, Rows: c.Rows}
	j := &job{
		shape: map[string]any{"sets": c.Sets, "values": len(values), "permutations": c.Permutations, "bands": c.Bands, "rows": c.Rows},
		digest: func(result any) uint64 {
			d := newDigester()
			for _, x := range result.([]uint64) {
				d.add(x)
			}
			return d.sum
		},
		check: func(f form, got, first any) (string, error) {
			if !slices.Equal(got.([]uint64), first.([]uint64)) {
				return "", errors.New("differs from the reference")
			}
			return "equal to the reference", nil
		},
	}
	j.bytes, j.operations = c.Cost(len(values))
	fast := func(threads int) func() (any, error) {
		dst := make([]uint64, c.Sets*c.Width())
		return func() (any, error) {
			return dst, kernels.MinHash(dst, in, family, bands, threads)
		}
	}
	j.forms = []form{
		{name: "reference", threads: 1, run: func() (any, error) {
			dst := make([]uint64, c.Sets*c.Width())
			return dst, kernels.MinHashReference(dst, in, family, bands)
		}},
		{name: "fast", threads: 1, run: fast(1)},
		{name: "fast", run: fast(0)},
	}
	if c.Bands == 0 {
		j.dump = func(d *dumper, result any) error {
			mul, add := make([]uint64, c.Permutations), make([]uint64, c.Permutations)
			for i := range mul {
				mul[i], add[i] = family.Permutation(i)
			}
			return errors.Join(
				array(d, "values", values, len(values)),
				array(d, "offsets", offsets, len(offsets)),
				array(d, "mul", mul, len(mul)),
				array(d, "add", add, len(add)),
				array(d, "signatures", result.([]uint64), c.Sets, c.Permutations))
		}
	}
	return j
}
