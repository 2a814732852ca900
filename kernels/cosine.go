package kernels

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
)

// All pairs of rows whose cosine similarity reaches a threshold, in a fixed order,
// without a matrix of all similarities.
//
// Rows are vectors of Dim float32, row-major. They are brought to length 1 here; a
// row of zeros has similarity 0 to everything. The similarity of a pair is the dot
// product of the two rows of length 1 (rounded to float32), added in float64 in one
// fixed order, rounded to float32 and cut at 1. It is at least the threshold or it
// is not, and so the pairs, their values and their order are the same bits on every
// run, with any number of threads, on the CPU and on a GPU. Against exact
// arithmetic a value is off by at most 1.5e-7: two equal rows may have 0.99999994,
// so a threshold that is to find copies is a little below 1.
//
// n rows are n²/2 pairs and n² × Dim operations if each is computed. On the CPU
// nearly all are rejected in bytes, most of them after a part of their dimensions;
// on a GPU by its tensor cores in fp16. Both err on the safe side, and what they
// leave over is computed as defined above. Memory: on the CPU rows × (4 Dim + 2.3 Dim)
// bytes beside the input, and the pairs of a few hundred rows at a time.
//
// The fast path is at its best when few pairs are near the threshold. Where a large
// part of all pairs is, each of them costs a dot product in float64.

// CosineInput is one set of rows, or two.
type CosineInput struct {
	Rows    []float32 // n × Dim, row-major; finite
	Against []float32 // m × Dim: if not nil, each of Rows is compared with each of these, and not among themselves
	Dim     int       // elements a row, 1 to 16384
}

// CosineOptions says what is looked for. The zero value of all but Threshold will do.
type CosineOptions struct {
	Threshold float32 // least similarity of a pair, in (0, 1]
	// MaxPairs is how many pairs there may be; more are an error, not a shorter
	// answer. 0 is 1<<25 for CosinePairs, which is 400 MB, and no limit for CosineEach.
	MaxPairs int
	Threads  int // on the CPU: GOMAXPROCS if 0
	Rung     int // which of a Device's kernels, 1 to CosineRungs, for measuring; 0 is the one to use
	// Progress, if not nil, is told from time to time how many of all pairs are compared.
	Progress func(done, total int64)
}

// CosinePair is two rows and their similarity. I < J, unless J counts in Against.
type CosinePair struct {
	I, J       int32
	Similarity float32 // in [-1, 1]
}

// CosineRungs is the number of kernels from the simplest to the shipped one, the last.
const CosineRungs = 3

// ErrTooManyPairs is the error of a search that finds more than MaxPairs.
var ErrTooManyPairs = errors.New("too many pairs reach the threshold")

const (
	cosineMaxDim   = 16384
	cosineMaxPairs = 1 << 25
)

// CosinePairs returns all pairs of rows whose similarity is at least o.Threshold,
// by I and then by J. d is the GPU to use, nil for the CPU.
func CosinePairs(ctx context.Context, d *Device, in CosineInput, o CosineOptions) ([]CosinePair, error) {
	if o.MaxPairs <= 0 {
		o.MaxPairs = cosineMaxPairs
	}
	var all []CosinePair
	err := CosineEach(ctx, d, in, o, func(pairs []CosinePair) error {
		all = append(all, pairs...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// CosineEach is CosinePairs for results of any size: each is called in the calling
// goroutine with the pairs of some rows, then of the next ones, all in order. The
// slice is each's to keep. each must not use d. Its error ends the search and is
// returned.
func CosineEach(ctx context.Context, d *Device, in CosineInput, o CosineOptions, each func(pairs []CosinePair) error) error {
	rows, against, err := in.check(o)
	if err != nil {
		return err
	}
	if rows == 0 || against == 0 || (in.Against == nil && rows == 1) {
		return ctx.Err()
	}
	found := 0
	counted := func(pairs []CosinePair) error {
		if found += len(pairs); o.MaxPairs > 0 && found > o.MaxPairs {
			return o.tooMany()
		}
		return each(pairs)
	}
	if d != nil {
		return cosineDevice(ctx, d, in, o, counted)
	}
	c, err := newCosineCPU(ctx, in, o)
	if err != nil {
		return err
	}
	defer c.close()
	return c.each(ctx, o, counted)
}

func (o CosineOptions) tooMany() error {
	return fmt.Errorf("cosine: %w %g: more than %d; raise the threshold or the limit", ErrTooManyPairs, o.Threshold, o.MaxPairs)
}

// check returns the numbers of rows of both sets (of the one, twice).
func (in CosineInput) check(o CosineOptions) (rows, against int, err error) {
	switch {
	case in.Dim < 1 || in.Dim > cosineMaxDim:
		return 0, 0, fmt.Errorf("cosine: rows of %d elements: expected 1 to %d", in.Dim, cosineMaxDim)
	case len(in.Rows)%in.Dim != 0:
		return 0, 0, fmt.Errorf("cosine: %d elements are no whole number of rows of %d", len(in.Rows), in.Dim)
	case len(in.Against)%in.Dim != 0:
		return 0, 0, fmt.Errorf("cosine: %d elements to compare with are no whole number of rows of %d", len(in.Against), in.Dim)
	case o.Rung < 0 || o.Rung > CosineRungs:
		return 0, 0, fmt.Errorf("cosine: kernel %d: there are 1 to %d, and 0 for the last", o.Rung, CosineRungs)
	case !(o.Threshold > 0 && o.Threshold <= 1):
		return 0, 0, fmt.Errorf("cosine: threshold %g: expected more than 0 and at most 1", o.Threshold)
	}
	rows, against = len(in.Rows)/in.Dim, len(in.Against)/in.Dim
	if in.Against == nil {
		against = rows
	}
	if most := math.MaxInt32 - 1024; rows > most || against > most {
		return 0, 0, fmt.Errorf("cosine: %d and %d rows: expected at most %d", rows, against, most)
	}
	return rows, against, nil
}

// pairs is how many comparisons the first n rows take part in as I.
func (in CosineInput) pairs(n int) int64 {
	if in.Against != nil {
		return int64(n) * int64(len(in.Against)/in.Dim)
	}
	rows := int64(len(in.Rows) / in.Dim)
	return int64(n)*rows - int64(n)*(int64(n)+1)/2
}

func (o CosineOptions) threads() int {
	if o.Threads > 0 {
		return o.Threads
	}
	return runtime.GOMAXPROCS(0)
}

func (o CosineOptions) progress(done, total int64) {
	if o.Progress != nil {
		o.Progress(done, total)
	}
}

// CosineReference is CosinePairs in float64 throughout, pair by pair.
func CosineReference(in CosineInput, o CosineOptions) ([]CosinePair, error) {
	rows, against, err := in.check(o)
	if err != nil {
		return nil, err
	}
	left := cosineUnit64(in.Rows, in.Dim)
	right := left
	if in.Against != nil {
		right = cosineUnit64(in.Against, in.Dim)
	}
	var pairs []CosinePair
	for i := range rows {
		j := 0
		if in.Against == nil {
			j = i + 1
		}
		for ; j < against; j++ {
			var sum float64
			for k := range in.Dim {
				sum += left[i*in.Dim+k] * right[j*in.Dim+k]
			}
			if sum = min(sum, 1); sum >= float64(o.Threshold) {
				pairs = append(pairs, CosinePair{int32(i), int32(j), float32(sum)})
			}
		}
	}
	return pairs, nil
}

func cosineUnit64(rows []float32, dim int) []float64 {
	unit := make([]float64, len(rows))
	for i := 0; i < len(rows); i += dim {
		var square float64
		for _, x := range rows[i : i+dim] {
			square += float64(x) * float64(x)
		}
		if square == 0 {
			continue
		}
		for k, x := range rows[i : i+dim] {
			unit[i+k] = float64(x) / math.Sqrt(square)
		}
	}
	return unit
}

// CosineKept is what CosineGreedy decided.
type CosineKept struct {
	Kept []int32 // rows that are kept, in the order in which they were looked at
	Of   []int32 // for each row -1 if it is kept, else the kept row that it is too similar to: the first of them in the order
}

// CosineGreedy looks at the rows in the given order, best first, and keeps each one
// that is not within o.Threshold of a row already kept (the diversity filter of
// DEITA, arXiv:2312.15685). order has each row's number once; nil is the order of
// the rows. in.Against must be nil: to go on from rows already chosen, put them first.
//
// Pairs are never gathered: beside the rows it takes a few bytes a row. It costs
// what CosinePairs costs, less what is spared on rows that are dropped.
func CosineGreedy(ctx context.Context, d *Device, in CosineInput, order []int32, o CosineOptions) (CosineKept, error) {
	if in.Against != nil {
		return CosineKept{}, errors.New("cosine: a greedy choice is among one set of rows: Against must be nil")
	}
	rows, _, err := in.check(o)
	if err != nil {
		return CosineKept{}, err
	}
	ranked := in
	if order != nil {
		if err := checkOrder(order, rows); err != nil {
			return CosineKept{}, err
		}
		ranked.Rows = make([]float32, len(in.Rows))
		for at, row := range order {
			copy(ranked.Rows[at*in.Dim:(at+1)*in.Dim], in.Rows[int(row)*in.Dim:])
		}
	}
	of := slices.Repeat([]int32{-1}, rows) // by rank
	o.MaxPairs = 0                         // nothing is gathered
	switch {
	case rows < 2:
	case d != nil:
		err = cosineDevice(ctx, d, ranked, o, func(pairs []CosinePair) error {
			for _, p := range pairs {
				if of[p.I] < 0 && of[p.J] < 0 {
					of[p.J] = p.I
				}
			}
			return nil
		})
	default:
		var c *cosineCPU
		if c, err = newCosineCPU(ctx, ranked, o); err == nil {
			defer c.close()
			err = c.greedy(ctx, o, of)
		}
	}
	if err != nil {
		return CosineKept{}, named(err, order)
	}
	if err := ctx.Err(); err != nil {
		return CosineKept{}, err
	}
	kept := CosineKept{Of: make([]int32, rows)}
	row := func(rank int32) int32 {
		if order == nil || rank < 0 {
			return rank
		}
		return order[rank]
	}
	for rank, to := range of {
		kept.Of[row(int32(rank))] = row(to)
		if to < 0 {
			kept.Kept = append(kept.Kept, row(int32(rank)))
		}
	}
	return kept, nil
}

func checkOrder(order []int32, rows int) error {
	if len(order) != rows {
		return fmt.Errorf("cosine: an order of %d rows for %d rows", len(order), rows)
	}
	seen := make([]bool, rows)
	for at, row := range order {
		if row < 0 || int(row) >= rows || seen[row] {
			return fmt.Errorf("cosine: place %d of the order has row %d: expected each of 0 to %d once", at, row, rows-1)
		}
		seen[row] = true
	}
	return nil
}

// RowError is a row that has no direction: one of its elements is infinite or NaN.
type RowError struct {
	Row     int
	Against bool // the row is one of CosineInput.Against
}

func (e *RowError) Error() string {
	if e.Against {
		return fmt.Sprintf("cosine: row %d of those to compare with has an element that is not finite", e.Row)
	}
	return fmt.Sprintf("cosine: row %d has an element that is not finite", e.Row)
}

// named turns a rank in err into the row that stands there.
func named(err error, order []int32) error {
	var row *RowError
	if order != nil && errors.As(err, &row) {
		return &RowError{Row: int(order[row.Row])}
	}
	return err
}

// cosineByRow sorts pairs of the rows from first on by I, keeping the order of the
// pairs of one row.
func cosineByRow(pairs []CosinePair, first, rows int) []CosinePair {
	at := make([]int, rows+1)
	for _, p := range pairs {
		at[int(p.I)-first+1]++
	}
	for r := range rows {
		at[r+1] += at[r]
	}
	sorted := make([]CosinePair, len(pairs))
	for _, p := range pairs {
		sorted[at[int(p.I)-first]] = p
		at[int(p.I)-first]++
	}
	return sorted
}
