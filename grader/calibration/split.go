package calibration

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"

	"winnow/grader/record"
)

// Split reports whether a record is held out where this share of records is. It
// depends on the record's texts and the seed alone. Half of the records held out are
// the second half of gold.Half.
func Split(key record.Key, seed uint64, share float64) bool {
	sum := hash(key, seed)
	// The bit that gold.Half looks at leads.
	at := uint64(sum[0]&1)<<63 | binary.LittleEndian.Uint64(sum[1:9])>>1
	return float64(at) >= (1-share)*math.Exp2(64)
}

func hash(key record.Key, seed uint64) [sha256.Size]byte {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], seed)
	return sha256.Sum256(append(n[:], key[:]...))
}

// folds gives each example a fold, 0 to n-1, by its key: each fold has as many of
// each class, but for one.
func folds(examples []Example, n int, seed uint64) []int {
	order := make([]int, len(examples))
	sums := make([][sha256.Size]byte, len(examples))
	for i := range order {
		order[i] = i
		sums[i] = hash(examples[i].Key, seed)
	}
	class := func(i int) int {
		if examples[i].Keep {
			return 1
		}
		return 0
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(class(a), class(b)), bytes.Compare(sums[a][9:], sums[b][9:]))
	})
	out := make([]int, len(examples))
	for place, i := range order {
		out[i] = place % n
	}
	return out
}
