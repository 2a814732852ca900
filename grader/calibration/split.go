package calibration

import (
	"cmp"
	"math"
	"slices"

	"winnow/grader/gold"
	"winnow/grader/record"
)

// Split reports whether a record is held out where this share of records is. It
// depends on the record's texts and the seed alone. Half of the records held out are
// the second half of gold.Half.
func Split(key record.Key, seed uint64, share float64) bool {
	return float64(key.Lot(gold.Part, seed)) >= (1-share)*math.Exp2(64)
}

// folds gives each example a fold, 0 to n-1, by its key: each fold has as many of
// each class, but for one.
func folds(examples []Example, n int, seed uint64) []int {
	order := make([]int, len(examples))
	lots := make([]uint64, len(examples))
	for i := range order {
		order[i] = i
		lots[i] = examples[i].Key.Lot("fold", seed)
	}
	class := func(i int) int {
		if examples[i].Keep {
			return 1
		}
		return 0
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(class(a), class(b)), cmp.Compare(lots[a], lots[b]))
	})
	out := make([]int, len(examples))
	for place, i := range order {
		out[i] = place % n
	}
	return out
}
