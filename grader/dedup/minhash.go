package dedup

import (
	"math"

	"winnow/kernels"
)

// permutations is how many of them a signature has at most.
const permutations = 128

// seed is fixed for ever: with another one, other pairs near the threshold would
// be overlooked.
const seed = 0x77696e6e6f77 // "winnow"

// family are the permutations; nothing writes to it. Shingles are well mixed
// hashes, as it wants them.
var family = kernels.NewMinHashFamily(seed, permutations)

// sureRecall is the least probability of finding a duplicate a little above the
// threshold.
const sureRecall = 0.99

// split divides the permutations for a threshold: as many rows as leave the step of
// the curve, (1/bands)^(1/rows), at or below the threshold and find a duplicate 0.05
// above it (half way to 1, if that is less) with sureRecall. More rows mean fewer
// candidates.
func split(threshold float64) (bands, rows int) {
	above := threshold + min(0.05, (1-threshold)/2)
	for rows := permutations; rows > 1; rows-- {
		bands := permutations / rows
		if math.Pow(1/float64(bands), 1/float64(rows)) <= threshold && recall(above, bands, rows) >= sureRecall {
			return bands, rows
		}
	}
	return permutations, 1
}

// recall is the probability that two sets of a similarity share a band.
func recall(similarity float64, bands, rows int) float64 {
	return 1 - math.Pow(1-math.Pow(similarity, float64(rows)), float64(bands))
}

// similar returns the similarity of two sorted sets if it reaches the threshold.
// It stops as soon as it cannot.
func similar(a, b []uint64, threshold float64) (s float64, ok bool) {
	total := len(a) + len(b)
	need := sharedAtLeast(total, threshold)
	spareA, spareB := len(a)-need, len(b)-need
	shared := 0
	for i, k := 0, 0; spareA >= 0 && spareB >= 0; {
		switch {
		case i == len(a) || k == len(b):
			return jaccard(shared, total), shared >= need
		case a[i] == b[k]:
			shared++
			i++
			k++
		case a[i] < b[k]:
			i++
			spareA--
		default:
			k++
			spareB--
		}
	}
	return 0, false
}

// jaccard is the similarity of two sets of total elements together, of which they
// share some.
func jaccard(shared, total int) float64 { return float64(shared) / float64(total-shared) }

// sharedAtLeast returns how many elements two sets must share for a threshold.
func sharedAtLeast(total int, threshold float64) int {
	n := int(threshold / (1 + threshold) * float64(total)) // up to rounding
	for n > 0 && jaccard(n-1, total) >= threshold {
		n--
	}
	for n < total && jaccard(n, total) < threshold {
		n++
	}
	return n
}
