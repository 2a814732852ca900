package metric

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Ranking is scores of records of two classes, sorted for figures of all of them or of
// resamples. It does not change, so several goroutines may use it at once.
type Ranking struct {
	positive []bool
	order    []int32 // of the records, by score from the highest down
	last     []bool  // of each place in order: the next score is lower
}

// NewRanking sorts the scores. They may be infinite but not NaN. The lists are not
// kept.
func NewRanking(scores []float64, positive []bool) (*Ranking, error) {
	if len(scores) != len(positive) {
		return nil, fmt.Errorf("ranking of %d scores and %d classes: want as many of each", len(scores), len(positive))
	}
	if len(scores) > math.MaxInt32 {
		return nil, fmt.Errorf("ranking of %d scores: want at most %d", len(scores), math.MaxInt32)
	}
	r := &Ranking{positive: slices.Clone(positive), order: make([]int32, len(scores)), last: make([]bool, len(scores))}
	for i, s := range scores {
		if math.IsNaN(s) {
			return nil, fmt.Errorf("ranking: score %d is NaN", i)
		}
		r.order[i] = int32(i)
	}
	slices.SortFunc(r.order, func(a, b int32) int { return cmp.Compare(scores[b], scores[a]) })
	for k := range r.order {
		r.last[k] = k+1 == len(r.order) || scores[r.order[k]] != scores[r.order[k+1]]
	}
	return r, nil
}

// sums returns how often each class stands, where record i stands w[i] times, once
// each if w is nil. Of a w that does not fit, as Pairs.Pearson says, both are 0.
func (r *Ranking) sums(w []int32) (positives, negatives float64) {
	if w != nil && len(w) != len(r.order) {
		return 0, 0
	}
	for i, p := range r.positive {
		t := times(w, i)
		switch {
		case t < 0:
			return 0, 0
		case p:
			positives += float64(t)
		default:
			negatives += float64(t)
		}
	}
	if positives+negatives > math.MaxInt32 {
		return 0, 0
	}
	return positives, negatives
}

// groups hands out, from the highest score down, how many positives and negatives
// have the same one.
func (r *Ranking) groups(w []int32, visit func(p, n float64)) {
	var p, n float64
	for k, i := range r.order {
		if t := float64(times(w, int(i))); r.positive[i] {
			p += t
		} else {
			n += t
		}
		if r.last[k] {
			visit(p, n)
			p, n = 0, 0
		}
	}
}

// Wins returns how many pairs of a positive and a negative there are, and in how many
// of them the positive's score is higher, ties counted half. Wins of several rankings
// may be added, for an AUC of pairs within each of them. For w see Pairs.Pearson.
func (r *Ranking) Wins(w []int32) (wins, pairs float64) {
	positives, negatives := r.sums(w)
	if positives == 0 || negatives == 0 {
		return 0, 0
	}
	var twice, above float64 // whole numbers, which are exact far beyond 2³¹ records; positives so far
	r.groups(w, func(p, n float64) {
		twice += n * (2*above + p)
		above += p
	})
	return twice / 2, positives * negatives
}

// AUC returns the probability that a positive has a higher score than a negative,
// ties counted half (H. Mann, D. Whitney, 1947): the area under the ROC curve, in
// [0, 1]. It is NaN unless there are both classes. For w see Pairs.Pearson.
func (r *Ranking) AUC(w []int32) float64 {
	wins, pairs := r.Wins(w)
	return wins / pairs // 0/0 is NaN
}

// AveragePrecision returns the mean, over the positives, of the share of positives
// among all records with as high a score or a higher one, in [0, 1]. A score that
// tells nothing has about the share of positives. It is NaN unless there is a
// positive. For w see Pairs.Pearson.
func (r *Ranking) AveragePrecision(w []int32) float64 {
	positives, _ := r.sums(w)
	if positives == 0 {
		return math.NaN()
	}
	var sum, above, seen float64
	r.groups(w, func(p, n float64) {
		above += p
		if seen += p + n; p > 0 {
			sum += p * above / seen
		}
	})
	return sum / positives
}

// AUC is Ranking.AUC of all scores.
func AUC(scores []float64, positive []bool) (float64, error) {
	r, err := NewRanking(scores, positive)
	if err != nil {
		return 0, fmt.Errorf("AUC: %w", err)
	}
	return r.AUC(nil), nil
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

// Reliability is probabilities with what came true, put into bins for the calibration
// error of all of them or of resamples. It does not change, so several goroutines may
// use it at once.
type Reliability struct {
	excess []float64 // probability less outcome
	bin    []int32
	bins   int
}

// NewReliability puts probabilities into bins of equal width. Bin k of n holds what is
// above k/n and at most (k+1)/n; the first one has 0 too. The lists are not kept.
func NewReliability(probs []float64, outcomes []bool, bins int) (*Reliability, error) {
	switch {
	case len(probs) != len(outcomes):
		return nil, fmt.Errorf("calibration error of %d probabilities and %d outcomes: want as many of each", len(probs), len(outcomes))
	case bins < 1:
		return nil, fmt.Errorf("calibration error: %d bins, want at least 1", bins)
	}
	r := &Reliability{excess: make([]float64, len(probs)), bin: make([]int32, len(probs)), bins: min(bins, math.MaxInt32)}
	for i, p := range probs {
		if !(p >= 0 && p <= 1) {
			return nil, fmt.Errorf("calibration error: probability %d is %g, want 0 to 1", i, p)
		}
		r.bin[i] = int32(max(0, min(r.bins-1, int(math.Ceil(p*float64(r.bins)))-1)))
		r.excess[i] = p
		if outcomes[i] {
			r.excess[i]--
		}
	}
	return r, nil
}

// Error returns the expected calibration error, in [0, 1]: over the bins, the mean of
// the distance between the mean probability of a bin and the share of its outcomes
// that came true, weighted by the bin's records (M. Pakdaman Naeini and others, 2015).
// Empty bins count for nothing. It is NaN of nothing. For w see Pairs.Pearson.
func (r *Reliability) Error(w []int32) float64 {
	if w != nil && len(w) != len(r.bin) {
		return math.NaN()
	}
	sums, total := make([]float64, r.bins), 0.0
	for i, k := range r.bin {
		t := times(w, i)
		if t < 0 {
			return math.NaN()
		}
		sums[k] += float64(t) * r.excess[i]
		total += float64(t)
	}
	distance := 0.0
	for _, s := range sums {
		distance += math.Abs(s)
	}
	return distance / total
}

// CalibrationError is Reliability.Error of all probabilities.
func CalibrationError(probs []float64, outcomes []bool, bins int) (float64, error) {
	r, err := NewReliability(probs, outcomes, bins)
	if err != nil {
		return 0, err
	}
	return r.Error(nil), nil
}
