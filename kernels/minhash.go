package kernels

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// MinHashFamily are permutations of the 64-bit numbers. Nothing writes to one, so
// goroutines may share it.
type MinHashFamily struct {
	mul, add []uint64 // as many as are asked for, then zeros up to a multiple of minHashBlock
	n        int
}

// minHashBlock is a number of permutations that the fast forms' blocks divide.
const minHashBlock = 64

// NewMinHashFamily returns n permutations, none if n is negative. Those of a seed
// are fixed for ever; fewer of a seed are the first of more.
func NewMinHashFamily(seed uint64, n int) *MinHashFamily {
	n = max(n, 0)
	room := (n + minHashBlock - 1) / minHashBlock * minHashBlock
	f := &MinHashFamily{mul: make([]uint64, room), add: make([]uint64, room), n: n}
	next := func() uint64 {
		seed += 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio, the step of SplitMix64
		return mix64(seed)
	}
	for i := range n {
		f.mul[i] = next() | 1 // even ones are no permutation
		f.add[i] = next()
	}
	return f
}

// Len returns the number of permutations.
func (f *MinHashFamily) Len() int { return f.n }

// Permutation returns the numbers that make the ith permutation, from 0 to Len-1.
func (f *MinHashFamily) Permutation(i int) (mul, add uint64) { return f.mul[i], f.add[i] }

// mix64 spreads every bit of x over all others: the last step of the generator
// SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number
// generators", 2014).
func mix64(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// MinHashInput are sets, one behind the other: set i is
// Values[Offsets[i]:Offsets[i+1]].
type MinHashInput struct {
	Values  []uint64
	Offsets []int64 // ascending; one more than there are sets, or none for no set
}

// Sets returns the number of sets.
func (in MinHashInput) Sets() int { return max(len(in.Offsets)-1, 0) }

func (in MinHashInput) validate() error {
	before := int64(0)
	for i, at := range in.Offsets {
		if at < before || at > int64(len(in.Values)) {
			return fmt.Errorf("kernels: minhash: offset %d is %d: want %d to %d, the number of values", i, at, before, len(in.Values))
		}
		before = at
	}
	return nil
}

// MinHashBands says how a signature's rows are hashed together. The zero
// MinHashBands leaves them as they are.
type MinHashBands struct {
	Bands, Rows int // band b is rows b·Rows to (b+1)·Rows-1 of the signature
}

// width returns how many numbers a set has in the result, and of how many
// permutations they are made.
func (b MinHashBands) width(f *MinHashFamily) (width, used int, err error) {
	if b == (MinHashBands{}) {
		return f.n, f.n, nil
	}
	if b.Bands < 1 || b.Rows < 1 || b.Bands > f.n/b.Rows {
		return 0, 0, fmt.Errorf("kernels: minhash: %d bands of %d rows: want at least 1 of 1, and together at most %d permutations", b.Bands, b.Rows, f.n)
	}
	return b.Bands, b.Bands * b.Rows, nil
}

// minHashRun is how many sets a thread takes at once.
const minHashRun = 256

// MinHash makes MinHash signatures (A. Broder, "On the resemblance and containment
// of documents", 1997) or their bands (J. Leskovec, A. Rajaraman, J. Ullman, "Mining
// of Massive Datasets", section 3.4).
//
// # Method
//
// A permutation orders all 64-bit numbers: x comes where mul·x+add stands, modulo
// 2^64, mul being odd. A set's signature is for each permutation where the first of its
// elements comes, the least mul·x+add. Two sets have the same first element with a
// probability that is their Jaccard similarity, provided that the elements are well
// mixed hashes: the low bits of mul·x+add depend on the low bits of x alone. A band is
// a hash over some consecutive rows of the signature, so that sets with one band in
// common are found by sorting.
//
// # Shapes
//
// dst takes n × f.Len() numbers, a signature for each of the n sets in row-major
// order; with bands it takes n × b.Bands hashes. An empty set's signature is all
// ones. Order and repetition of values within a set do not matter. The error is for
// offsets that do not fit the values, bands that do not fit the family, and a dst of
// another length; nothing is computed then.
//
// # Determinism
//
// All is arithmetic modulo 2^64. The fast form and MinHashReference give the same
// numbers on any machine with any number of threads, and so they stay: the family of
// a seed is fixed, and signatures may be stored.
//
// # Cost
//
// A multiplication, an addition and a minimum for each value and permutation. A set
// streams from the first cache past blocks of permutations that stay in registers, on
// so many threads, on GOMAXPROCS of them if threads is 0. AVX-512 multiplies 8 64-bit
// numbers at once; AVX2 makes each product of three 32-bit ones. There is no form for
// a GPU: what makes the values, which is reading words, hashing and sorting, takes the
// processor several times as long as this.
func MinHash(dst []uint64, in MinHashInput, f *MinHashFamily, b MinHashBands, threads int) error {
	width, used, err := minHashCheck(dst, in, f, b)
	if err != nil {
		return err
	}
	n := in.Sets()
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	threads = min(threads, (n+minHashRun-1)/minHashRun)
	var next atomic.Int64
	work := func() {
		for {
			last := int(next.Add(minHashRun))
			first := last - minHashRun
			if first >= n {
				return
			}
			last = min(last, n)
			minHashRange(dst[first*width:last*width], in.Values, in.Offsets[first:last+1], f, used, b)
		}
	}
	var others sync.WaitGroup
	for range threads - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	return nil
}

// MinHashReference is MinHash by the plainest code, one permutation after the other.
// It is what the fast form is tested against.
func MinHashReference(dst []uint64, in MinHashInput, f *MinHashFamily, b MinHashBands) error {
	_, used, err := minHashCheck(dst, in, f, b)
	if err == nil && in.Sets() > 0 {
		minHashReference(dst, in.Values, in.Offsets, f, used, b)
	}
	return err
}

func minHashCheck(dst []uint64, in MinHashInput, f *MinHashFamily, b MinHashBands) (width, used int, err error) {
	if err := in.validate(); err != nil {
		return 0, 0, err
	}
	if width, used, err = b.width(f); err != nil {
		return 0, 0, err
	}
	if n := in.Sets(); len(dst) != n*width {
		return 0, 0, fmt.Errorf("kernels: minhash: room for %d numbers: want %d, %d for each of %d sets", len(dst), n*width, width, n)
	}
	return width, used, nil
}

// minHashReference fills dst for the sets between offsets, with the first used
// permutations.
func minHashReference(dst, values []uint64, offsets []int64, f *MinHashFamily, used int, b MinHashBands) {
	signature := make([]uint64, used)
	for i := range len(offsets) - 1 {
		set := values[offsets[i]:offsets[i+1]]
		for p := range signature {
			least := ^uint64(0)
			for _, x := range set {
				least = min(least, x*f.mul[p]+f.add[p])
			}
			signature[p] = least
		}
		if b.Bands == 0 {
			copy(dst[i*used:], signature)
			continue
		}
		for k := range b.Bands {
			h := uint64(b.Rows)
			for _, least := range signature[k*b.Rows : (k+1)*b.Rows] {
				h = mix64(h ^ least)
			}
			dst[i*b.Bands+k] = h
		}
	}
}
