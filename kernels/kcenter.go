package kernels

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// KCenterInput is a set of points and what is known of them.
//
// The points are the rows of a matrix, row-major without gaps: Rows holds them as
// float32 or Half as the bits of IEEE binary16; the other one is nil. Values must be
// finite.
type KCenterInput struct {
	Rows []float32
	Half []uint16
	Dim  int // columns, at least 1

	// Weights has one for each row, or is nil where all weigh 1. A weight is from
	// KCenterMinWeight to KCenterMaxWeight.
	Weights []float32

	// Selected are rows that have been picked before, in that order. They are not
	// picked again.
	Selected []int32
}

// The limits of a weight: its square is an ordinary float32.
const (
	KCenterMinWeight = 1e-18
	KCenterMaxWeight = 1e18
)

// KCenterOptions says how many rows to pick.
type KCenterOptions struct {
	K int // fewer are picked if there are fewer left

	// Progress is told now and then how many have been picked, from the goroutine
	// that called; nil for no one.
	Progress func(done int)

	// Kernel is which of the device's kernels does the work: KCenterFused if empty.
	// All pick the same. It is there for measuring.
	Kernel KCenterKernel
}

// KCenterPicks is the result, in the order of picking.
type KCenterPicks struct {
	Rows []int32

	// Radii has for each pick its weight times its distance to the nearest row that
	// was picked before it, which is the greatest there was: with all that was
	// picked before, no row was farther away. It never rises. +Inf for a first pick
	// of all, which has none before it.
	Radii []float32

	// Distances is how many distances were computed; a sweep over all rows after
	// each pick computes rows × picks.
	Distances int64
}

// KCenter picks rows greedily, each the one that is farthest from all picked before
// it: a set that covers all rows with radii at most twice those of the best set of
// that size (T. Gonzalez, Clustering to minimize the maximum intercluster distance,
// 1985; with weights M. Dyer and A. Frieze, A simple heuristic for the p-centre
// problem, 1985, by a factor that depends on them). d is the device that does it,
// nil for the CPU.
//
// # What is picked
//
// The score of row i is wᵢ² · minⱼ ‖xᵢ - xⱼ‖² over the rows j picked before it, so
// a weight scales the distance: twice the weight is worth twice the distance. For
// rows of length 1, ‖x-y‖² is 2 - 2·cos(x,y), and the order is that of the cosine.
// The row with the greatest score is picked; of several the one with the lowest
// index. When nothing has been picked, it is the row with the greatest weight, again
// the first of several: row 0 if there are no weights.
//
// # In single precision, exactly
//
// Scores are computed in float32 in one way. Column j of x-y is squared and added
// to lane j mod 32 by a fused multiplication and addition, lanes are added by halves
// (16 and 16, 8 and 8, …), and the minimum is multiplied by wᵢ², rounded once. The CPU
// and the device, on any number of threads, pick the same rows with the same radii,
// bit for bit, and picking 100 and then 100 more gives what picking 200 gives. Against
// KCenterReference, in float64, a pick may differ where two scores are within
// rounding of one another.
//
// Scores beyond float32's range tie: values up to 1e15 with weights about 1 are far
// from that.
//
// # How it is done on a CPU
//
// A sweep over all rows after each pick reads the whole matrix once a pick. But a row's
// last known score is an upper bound of its score, as further picks only lower it. So
// a row whose bound is below a floor need not be looked at until the floor sinks to
// it. Each round puts the floor where a few percent of the rows are above it.
// These rows are compared with the picks that they have not seen, in the order of
// picking, until they sink below the floor; a group of rows shares each pass
// over the picks, so that both stay in the caches. What is left has exact scores, and
// the best of it is better than all below the floor: picks are made among these few rows
// while there are any. No bound is approximate, so the picks are those of the sweep.
// It computes fewer distances than the sweep, and takes memory for the picks and for the
// rows above the floor as float32; and a few bytes a row.
//
// Work is shared among GOMAXPROCS threads. See kcenter.cu for the device.
func KCenter(ctx context.Context, d *Device, in KCenterInput, o KCenterOptions) (KCenterPicks, error) {
	job, err := newKCenterJob(in, o)
	if err != nil {
		return KCenterPicks{}, fmt.Errorf("k-center: %w", err)
	}
	if d != nil {
		err = job.onDevice(ctx, d)
	} else {
		err = job.onCPU(ctx)
	}
	if err != nil {
		return KCenterPicks{}, fmt.Errorf("k-center of %d rows with %d columns: %w", job.n, job.dim, err)
	}
	return job.picks, nil
}

// kcenterJob is a checked input, and the picks that are made.
type kcenterJob struct {
	KCenterInput
	KCenterOptions
	n, dim  int
	squares []float32 // of the weights, or nil
	start   []int32   // Selected, and the first pick if there was none
	picks   KCenterPicks
}

func newKCenterJob(in KCenterInput, o KCenterOptions) (*kcenterJob, error) {
	n, err := in.check()
	if err != nil {
		return nil, err
	}
	if o.K < 0 {
		return nil, fmt.Errorf("%d picks: a number from 0 on was expected", o.K)
	}
	if !slices.Contains(append(KCenterKernels(), ""), o.Kernel) {
		return nil, fmt.Errorf("no kernel %q: there are %q", o.Kernel, KCenterKernels())
	}
	job := &kcenterJob{KCenterInput: in, KCenterOptions: o, n: n, dim: in.Dim}
	k := job.missing()
	job.picks.Rows = make([]int32, 0, k)
	job.picks.Radii = make([]float32, 0, k)
	job.start = slices.Clone(in.Selected)
	if in.Weights != nil {
		job.squares = make([]float32, n)
		for i, w := range in.Weights {
			job.squares[i] = w * w
		}
	}
	if len(job.start) == 0 && k > 0 {
		first := firstPick(in.Weights)
		job.start = append(job.start, first)
		job.picks.Rows = append(job.picks.Rows, first)
		job.picks.Radii = append(job.picks.Radii, infinity())
	}
	return job, nil
}

// firstPick returns the first of the rows with the greatest weight.
func firstPick(weights []float32) int32 {
	best := 0
	for i, w := range weights {
		if w > weights[best] {
			best = i
		}
	}
	return int32(best)
}

// check returns the number of rows.
func (in KCenterInput) check() (n int, err error) {
	size := max(len(in.Rows), len(in.Half))
	switch {
	case in.Dim < 1:
		return 0, fmt.Errorf("%d columns: at least one was expected", in.Dim)
	case len(in.Rows) > 0 && len(in.Half) > 0:
		return 0, fmt.Errorf("rows both as float32 and as float16: one of the two was expected")
	case size%in.Dim != 0:
		return 0, fmt.Errorf("%d values are not a whole number of rows of %d columns", size, in.Dim)
	}
	n = size / in.Dim
	if n > math.MaxInt32 {
		return 0, fmt.Errorf("%d rows: at most %d were expected", n, math.MaxInt32)
	}
	for i, x := range in.Rows {
		if math.Float32bits(x)&0x7f80_0000 == 0x7f80_0000 {
			return 0, fmt.Errorf("row %d, column %d is %v: a finite number was expected", i/in.Dim, i%in.Dim, x)
		}
	}
	for i, x := range in.Half {
		if x&0x7c00 == 0x7c00 {
			return 0, fmt.Errorf("row %d, column %d has the bits %#04x: a finite float16 was expected", i/in.Dim, i%in.Dim, x)
		}
	}
	if in.Weights != nil && len(in.Weights) != n {
		return 0, fmt.Errorf("%d weights for %d rows", len(in.Weights), n)
	}
	for i, w := range in.Weights {
		if !(w >= KCenterMinWeight && w <= KCenterMaxWeight) {
			return 0, fmt.Errorf("the weight of row %d is %v: a number from %g to %g was expected", i, w, KCenterMinWeight, KCenterMaxWeight)
		}
	}
	picked := make(map[int32]bool, len(in.Selected))
	for _, i := range in.Selected {
		switch {
		case i < 0 || int(i) >= n:
			return 0, fmt.Errorf("row %d was selected before, but there are %d rows", i, n)
		case picked[i]:
			return 0, fmt.Errorf("row %d was selected before twice", i)
		}
		picked[i] = true
	}
	return n, nil
}

// add appends a pick by its key; see kcenter_math.h.
func (job *kcenterJob) add(key uint64) {
	job.picks.Rows = append(job.picks.Rows, int32(^uint32(key)))
	score := math.Float32frombits(uint32(key >> 32))
	job.picks.Radii = append(job.picks.Radii, float32(math.Sqrt(float64(score))))
}

// addEqual makes the picks that are left when all rows score 0, which is in the
// order of their indices. near is negative for those that are picked already.
func (job *kcenterJob) addEqual(near []float32) {
	for i := 0; job.missing() > 0; i++ {
		if near[i] >= 0 {
			job.add(uint64(^uint32(i)))
		}
	}
}

// missing returns how many picks are still to be made.
func (job *kcenterJob) missing() int {
	return min(job.K, job.n-len(job.Selected)) - len(job.picks.Rows)
}

// told reports progress.
func (job *kcenterJob) told() {
	if job.Progress != nil {
		job.Progress(len(job.picks.Rows))
	}
}

// KCenterReference is KCenter in float64 in its plainest form: after each pick it
// computes the distance of every row to it. It is what the others are tested
// against. It costs rows × picks × columns.
func KCenterReference(in KCenterInput, k int) (rows []int32, radii []float64, err error) {
	n, err := in.check()
	if err != nil {
		return nil, nil, fmt.Errorf("k-center: %w", err)
	}
	near := make([]float64, n)
	for i := range near {
		near[i] = math.Inf(1)
	}
	for _, i := range in.Selected {
		in.approach(near, int(i))
	}
	k = min(k, n-len(in.Selected))
	for len(rows) < k {
		best, radius := -1, math.Inf(-1)
		if len(in.Selected)+len(rows) == 0 {
			best, radius = int(firstPick(in.Weights)), math.Inf(1)
		}
		for i := range near {
			if r := in.weight(i) * near[i]; r > radius {
				best, radius = i, r
			}
		}
		rows, radii = append(rows, int32(best)), append(radii, radius)
		in.approach(near, best)
	}
	return rows, radii, nil
}

// approach lowers each row's least distance to that to a centre, whose own becomes
// negative.
func (in KCenterInput) approach(near []float64, centre int) {
	for i := range near {
		near[i] = min(near[i], in.distance(i, centre))
	}
	near[centre] = math.Inf(-1)
}

func (in KCenterInput) weight(i int) float64 {
	if in.Weights == nil {
		return 1
	}
	return float64(in.Weights[i])
}

// distance returns the distance of two rows in float64.
func (in KCenterInput) distance(i, j int) float64 {
	sum := 0.0
	for c := range in.Dim {
		t := in.at(i, c) - in.at(j, c)
		sum += t * t
	}
	return math.Sqrt(sum)
}

func (in KCenterInput) at(i, c int) float64 {
	if len(in.Half) > 0 {
		return float64(halfValue(in.Half[i*in.Dim+c]))
	}
	return float64(in.Rows[i*in.Dim+c])
}

// KCenterSweep is KCenter on the CPU in the form that reads the whole matrix after
// each pick, as fast as that form goes. It picks the same; it is there to measure
// what KCenter saves.
func KCenterSweep(ctx context.Context, in KCenterInput, o KCenterOptions) (KCenterPicks, error) {
	job, err := newKCenterJob(in, o)
	if err != nil {
		return KCenterPicks{}, fmt.Errorf("k-center: %w", err)
	}
	if err := job.sweepOnCPU(ctx); err != nil {
		return KCenterPicks{}, fmt.Errorf("k-center of %d rows with %d columns: %w", job.n, job.dim, err)
	}
	return job.picks, nil
}
