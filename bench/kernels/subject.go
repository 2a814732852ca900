package main

import (
	"hash/fnv"
	"math"
	"slices"

	"winnow/kernels"
)

// subject is a case of an operation.
type subject struct {
	op, name string
	// make prepares the case: its data and the forms that compute it. Without a
	// device, d is nil.
	make func(d *kernels.Device) (*job, error)
}

// job is a case with its data.
type job struct {
	shape             map[string]any
	bytes, operations float64 // what one run takes at least; see op's case
	floats            bool    // the operations are of float32
	forms             []form  // the one that the others are checked against first
	note              string
	// digest tells results apart.
	digest func(result any) uint64
	// check compares a form's result with that of the first form, and says in a few
	// words what was compared.
	check func(f form, got, first any) (how string, err error)
	// dump writes data and result for peers; nil if there are none.
	dump func(d *dumper, result any) error
}

// form is one way to compute a case.
type form struct {
	name    string
	threads int  // 0: as many as there are
	device  bool // runs on the device
	once    bool // too slow to repeat
	run     func() (any, error)
	// part of the job's bytes and operations that this form does, if not all; its
	// note says why.
	part float64
	note string
}

// subjects returns all cases, one file an operation.
func subjects() []subject {
	return slices.Concat(kCenterSubjects(), cosineSubjects(), logProbSubjects(), minHashSubjects())
}

// digester is a hash over numbers.
type digester struct{ sum uint64 }

func newDigester() *digester { return &digester{sum: fnv.New64a().Sum64()} }

// add is FNV-1a over 64-bit numbers instead of bytes, with the high half mixed in.
func (d *digester) add(x uint64) {
	d.sum = (d.sum ^ x) * 1099511628211
	d.sum ^= d.sum >> 32
}

func (d *digester) floats(x []float32) {
	for _, v := range x {
		d.add(uint64(math.Float32bits(v)))
	}
}

func (d *digester) doubles(x []float64) {
	for _, v := range x {
		d.add(math.Float64bits(v))
	}
}

func (d *digester) ints(x []int32) {
	for _, v := range x {
		d.add(uint64(uint32(v)))
	}
}
