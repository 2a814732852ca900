package kernelcases

import "math/rand/v2"

// MinHashCase is a number of sets whose signatures are made.
type MinHashCase struct {
	Name         string
	Sets         int
	Size         int // values of a set on average; sets have between none and twice as many, if Uneven
	Uneven       bool
	Permutations int
	Bands, Rows  int // none: the signature itself
	Seed         uint64
	Measure      bool // for measuring, too large for a test
}

// MinHash returns the cases. Records of Alpaca have 65 words on average, hence
// as many shingles.
func MinHash() (list []MinHashCase) {
	for _, sets := range []int{0, 1, 31, 32, 33, 257, 1023} {
		list = append(list,
			MinHashCase{Name: "even", Sets: sets, Size: 7, Permutations: 128, Seed: 1},
			MinHashCase{Name: "uneven", Sets: sets, Size: 20, Uneven: true, Permutations: 128, Bands: 16, Rows: 8, Seed: 2})
	}
	for _, permutations := range []int{0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 1023} {
		list = append(list,
			MinHashCase{Name: "signature", Sets: 40, Size: 5, Uneven: true, Permutations: permutations, Seed: 3},
			MinHashCase{Name: "one band", Sets: 20, Size: 5, Uneven: true, Permutations: permutations, Bands: 1, Rows: permutations, Seed: 4},
			MinHashCase{Name: "bands of one", Sets: 20, Size: 5, Uneven: true, Permutations: permutations, Bands: permutations, Rows: 1, Seed: 5})
	}
	return append(list,
		MinHashCase{Name: "52k sets of 65, 128 permutations", Sets: 52_000, Size: 65, Uneven: true, Permutations: 128, Seed: 6, Measure: true},
		MinHashCase{Name: "52k sets of 65, 16 bands of 8", Sets: 52_000, Size: 65, Uneven: true, Permutations: 128, Bands: 16, Rows: 8, Seed: 6, Measure: true})
}

// Data returns the case's sets: set i is values[offsets[i]:offsets[i+1]].
func (c MinHashCase) Data() (values []uint64, offsets []int64) {
	random := rand.New(rand.NewPCG(c.Seed, 0))
	offsets = make([]int64, 1, c.Sets+1)
	for range c.Sets {
		size := c.Size
		if c.Uneven {
			size = random.IntN(2*c.Size + 1)
		}
		for range size {
			values = append(values, random.Uint64())
		}
		offsets = append(offsets, int64(len(values)))
	}
	return values, offsets
}

// Width returns how many numbers a set has in the result.
func (c MinHashCase) Width() int {
	if c.Bands > 0 {
		return c.Bands
	}
	return c.Permutations
}

// Cost returns what the case takes at least for so many values: bytes read and
// written once, and a multiplication, an addition and a minimum for each value and
// permutation.
func (c MinHashCase) Cost(values int) (bytes, operations float64) {
	return 8 * (float64(values) + float64(c.Sets+1) + float64(c.Sets*c.Width())), 3 * float64(values) * float64(c.Permutations)
}
