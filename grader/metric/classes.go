package metric

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// AUC returns the probability that a positive has a higher score than a negative,
// ties counted half (H. Mann, D. Whitney, 1947): the area under the ROC curve, in
// [0, 1]. It is NaN unless there are both classes.
func AUC(scores []float64, positive []bool) (float64, error) {
	if len(scores) != len(positive) {
		return 0, fmt.Errorf("AUC of %d scores and %d classes: want as many of each", len(scores), len(positive))
	}
	order := make([]int, len(scores))
	for i, s := range scores {
		if math.IsNaN(s) {
			return 0, fmt.Errorf("AUC: score %d is NaN", i)
		}
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	var above, ties, positives, negatives float64 // pairs; then scores so far
	for i := 0; i < len(order); {
		var p, n float64
		for value := scores[order[i]]; i < len(order) && scores[order[i]] == value; i++ {
			if positive[order[i]] {
				p++
			} else {
				n++
			}
		}
		above += p * negatives
		ties += p * n
		positives += p
		negatives += n
	}
	if positives == 0 || negatives == 0 {
		return math.NaN(), nil
	}
	return (above + ties/2) / (positives * negatives), nil
}

// Kappa returns how much more often two raters agree than by chance, as a share of
// what is possible (J. Cohen, 1960): at most 1, 0 at chance level. counts[i][j] is
// how many records the first rater put into class i and the second into j. It is
// NaN if both always choose one and the same class.
func Kappa(counts [][]int64) (float64, error) {
	return kappa(counts, func(i, j int) float64 {
		if i == j {
			return 0
		}
		return 1
	})
}

// QuadraticKappa is Kappa for classes in order: a disagreement weighs the square of
// its distance (J. Cohen, "Weighted kappa", 1968).
func QuadraticKappa(counts [][]int64) (float64, error) {
	return kappa(counts, func(i, j int) float64 { return float64(i-j) * float64(i-j) })
}

func kappa(counts [][]int64, weight func(i, j int) float64) (float64, error) {
	rows, columns := make([]float64, len(counts)), make([]float64, len(counts))
	total := 0.0
	for i, row := range counts {
		if len(row) != len(counts) {
			return 0, fmt.Errorf("kappa: row %d has %d counts, want %d, one for each class", i, len(row), len(counts))
		}
		for j, n := range row {
			if n < 0 {
				return 0, fmt.Errorf("kappa: the count in row %d, column %d is %d", i, j, n)
			}
			rows[i] += float64(n)
			columns[j] += float64(n)
			total += float64(n)
		}
	}
	var observed, chance float64
	for i, row := range counts {
		for j, n := range row {
			observed += weight(i, j) * float64(n)
			chance += weight(i, j) * rows[i] * columns[j] / total
		}
	}
	if !(chance > 0) {
		return math.NaN(), nil
	}
	return 1 - observed/chance, nil
}

// CalibrationError returns the expected calibration error of probabilities, in
// [0, 1]: over bins of equal width, the mean of the distance between the mean
// probability of a bin and the share of its outcomes that came true, weighted by
// the bin's records (M. Pakdaman Naeini and others, 2015). Bin k of n holds what is
// above k/n and at most (k+1)/n; the first one has 0 too. Empty bins count for
// nothing.
func CalibrationError(probs []float64, outcomes []bool, bins int) (float64, error) {
	switch {
	case len(probs) != len(outcomes):
		return 0, fmt.Errorf("calibration error of %d probabilities and %d outcomes: want as many of each", len(probs), len(outcomes))
	case bins < 1:
		return 0, fmt.Errorf("calibration error: %d bins, want at least 1", bins)
	case len(probs) == 0:
		return math.NaN(), nil
	}
	sums := make([]float64, min(bins, math.MaxInt32)) // of probability less outcome
	for i, p := range probs {
		if !(p >= 0 && p <= 1) {
			return 0, fmt.Errorf("calibration error: probability %d is %g, want 0 to 1", i, p)
		}
		k := max(0, min(len(sums)-1, int(math.Ceil(p*float64(len(sums))))-1))
		sums[k] += p
		if outcomes[i] {
			sums[k]--
		}
	}
	total := 0.0
	for _, s := range sums {
		total += math.Abs(s)
	}
	return total / float64(len(probs)), nil
}
