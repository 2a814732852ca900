//go:build cgo

package kernels

// #include "kcenter_fast.h"
import "C"

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

const (
	kcenterGroup = C.KCENTER_GROUP

	// One row in kcenterShare is above a round's floor. Fewer make more rounds, each
	// of which looks at all bounds; more are compared with picks earlier than they
	// need to be.
	kcenterShare = 64
)

// kcenterRun is a selection on the CPU. The C functions are told of rows, near,
// squares, seen and centres as kcenter_fast.h describes them.
type kcenterRun struct {
	*kcenterJob
	stride    int
	near      []float32
	seen      []int32
	centres   []float32 // count padded rows, and room for the picks to come
	count     int
	distances atomic.Int64

	list   []int32 // rows above the floor
	active []float32
	keys   []uint64
	work   [][]float32 // a group of rows for each thread
	random *rand.Rand
}

func newKCenterRun(job *kcenterJob) *kcenterRun {
	r := &kcenterRun{kcenterJob: job, stride: padded(job.dim), count: len(job.start), random: rand.New(rand.NewPCG(1, 2))}
	r.near, r.seen = make([]float32, job.n), make([]int32, job.n)
	for i := range r.near {
		r.near[i] = infinity()
	}
	for _, i := range job.start {
		r.near[i] = -1
	}
	r.centres = make([]float32, (r.count+job.missing())*r.stride)
	r.gather(job.start, r.centres)
	r.work = make([][]float32, runtime.GOMAXPROCS(0))
	for i := range r.work {
		r.work[i] = make([]float32, kcenterGroup*r.stride)
	}
	return r
}

// onCPU makes the picks of a job in the way that KCenter describes.
func (job *kcenterJob) onCPU(ctx context.Context) error {
	r := newKCenterRun(job)
	r.list, r.keys = make([]int32, job.n), make([]uint64, kcenterTurn)
	for job.missing() > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		floor := r.floor()
		listed, best := r.above(floor)
		if best>>32 == 0 {
			r.addEqual(r.near)
			break
		}
		if err := r.catchUp(ctx, listed, floor); err != nil {
			return err
		}
		if err := r.drain(ctx, listed, floor); err != nil {
			return err
		}
	}
	job.picks.Distances = r.distances.Load()
	job.told()
	return ctx.Err()
}

// floor returns a key that about one row's bound in kcenterShare is not below. Any
// key is right, as long as one row has a bound of that: it is that of a row drawn at
// random, the draw being the same on every run.
func (r *kcenterRun) floor() uint64 {
	sample := make([]uint64, 0, kcenterSample)
	take := func(i int) {
		if r.near[i] >= 0 {
			sample = append(sample, r.key(i, r.near[i]))
		}
	}
	for i := range min(r.n, kcenterSample) {
		if r.n > kcenterSample {
			i = r.random.IntN(r.n)
		}
		take(i)
	}
	for i := 0; len(sample) == 0 && i < r.n; i++ {
		take(i)
	}
	slices.Sort(sample)
	return sample[len(sample)-1-len(sample)/kcenterShare]
}

// above lists the rows whose bound is not below the floor, and returns the greatest
// bound.
func (r *kcenterRun) above(floor uint64) (listed []int32, best uint64) {
	n := C.winnow_kcenter_list(floats(r.near), floats(r.squares), C.int64_t(r.n), C.uint64_t(floor),
		ints(r.list), (*C.uint64_t)(&best))
	return r.list[:n], best
}

// catchUp compares the listed rows with the centres that they have not seen.
func (r *kcenterRun) catchUp(ctx context.Context, listed []int32, floor uint64) error {
	rows, half := r.matrix()
	groups := (len(listed) + kcenterGroup - 1) / kcenterGroup
	r.share(groups, func(work []float32, g int) {
		if ctx.Err() != nil {
			return
		}
		group := listed[g*kcenterGroup : min((g+1)*kcenterGroup, len(listed))]
		r.distances.Add(int64(C.winnow_kcenter_catch_up(rows, half, C.int64_t(r.dim), C.int64_t(r.stride), floats(r.near), floats(r.squares),
			ints(r.seen), floats(r.centres), C.int64_t(r.count), C.uint64_t(floor),
			ints(group), C.int64_t(len(group)), floats(work))))
	})
	return ctx.Err()
}

// drain makes picks among the listed rows whose score is not below the floor, until
// there are none.
func (r *kcenterRun) drain(ctx context.Context, listed []int32, floor uint64) error {
	still := listed[:0]
	for _, i := range listed {
		if int(r.seen[i]) == r.count {
			still = append(still, i)
		}
	}
	if need := len(still) * r.stride; need > len(r.active) {
		r.active = make([]float32, need)
	}
	r.gather(still, r.active)
	left := C.int64_t(len(still))
	for left > 0 && r.missing() > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		var distances C.int64_t
		made := C.winnow_kcenter_drain(C.int64_t(r.stride), floats(r.near), floats(r.squares), ints(r.seen),
			floats(r.centres), C.int64_t(r.count), C.uint64_t(floor), C.int64_t(min(kcenterTurn, r.missing())),
			ints(still), &left, floats(r.active), (*C.uint64_t)(unsafe.SliceData(r.keys)), &distances)
		for _, key := range r.keys[:made] {
			r.add(key)
		}
		r.count += int(made)
		r.distances.Add(int64(distances))
		if made == 0 {
			return nil // all sank below the floor while they caught up
		}
		r.told()
	}
	return nil
}

// sweepOnCPU makes the picks of a job by a sweep over all rows after each.
func (job *kcenterJob) sweepOnCPU(ctx context.Context) error {
	const part = 1024 // rows
	r := newKCenterRun(job)
	rows, half := r.matrix()
	best := make([]uint64, (r.n+part-1)/part)
	for next := 0; job.missing() > 0; next++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		centre := r.centres[next*r.stride:][:r.stride]
		r.share(len(best), func(work []float32, p int) {
			best[p] = uint64(C.winnow_kcenter_sweep(rows, half, C.int64_t(r.dim), C.int64_t(r.stride), floats(r.near), floats(r.squares),
				C.int64_t(p*part), C.int64_t(min((p+1)*part, r.n)), floats(centre), floats(work)))
		})
		r.distances.Add(int64(r.n))
		if next+1 < r.count {
			continue // rows selected before come first
		}
		key := slices.Max(best)
		job.add(key)
		pick := job.picks.Rows[len(job.picks.Rows)-1]
		r.near[pick] = -1
		r.gather([]int32{pick}, r.centres[r.count*r.stride:])
		r.count++
		if next%kcenterTurn == 0 {
			job.told()
		}
	}
	job.picks.Distances = r.distances.Load()
	job.told()
	return ctx.Err()
}

// share has the threads do n jobs between them, each with its own work space.
func (r *kcenterRun) share(n int, do func(work []float32, i int)) {
	if n == 1 {
		do(r.work[0], 0)
		return
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for _, work := range r.work[:min(n, len(r.work))] {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(work, i)
			}
		})
	}
	all.Wait()
}

// gather writes rows as padded floats.
func (r *kcenterRun) gather(list []int32, to []float32) {
	rows, half := r.matrix()
	C.winnow_kcenter_rows(rows, half, C.int64_t(r.dim), C.int64_t(r.stride), ints(list), C.int64_t(len(list)), floats(to))
}

func (r *kcenterRun) matrix() (rows unsafe.Pointer, half C.int) {
	if len(r.Half) > 0 {
		return unsafe.Pointer(unsafe.SliceData(r.Half)), 1
	}
	return unsafe.Pointer(unsafe.SliceData(r.Rows)), 0
}

func floats(s []float32) *C.float { return (*C.float)(unsafe.SliceData(s)) }
func ints(s []int32) *C.int32_t   { return (*C.int32_t)(unsafe.SliceData(s)) }
