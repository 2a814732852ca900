package calibration

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
)

// isotonic is a monotone step from value to probability, with straight lines between
// its knots (R. Barlow and others, "Statistical Inference under Order Restrictions",
// 1972: pool adjacent violators). It may fall as well as rise.
type isotonic struct {
	X      vector  `json:"x"` // increasing
	Y      vector  `json:"y"` // probabilities
	Margin float64 `json:"margin"`
}

func (s *isotonic) logit(row []float64) float64 {
	return logit(min(max(s.at(row[0]), s.Margin), 1-s.Margin))
}

// at is the probability at x; beyond the ends that of the end.
func (s *isotonic) at(x float64) float64 {
	k := sort.Search(len(s.X), func(i int) bool { return float64(s.X[i]) >= x })
	switch {
	case k == 0:
		return float64(s.Y[0])
	case k == len(s.X):
		return float64(s.Y[k-1])
	}
	x0, x1, y0, y1 := float64(s.X[k-1]), float64(s.X[k]), float64(s.Y[k-1]), float64(s.Y[k])
	return y0 + (y1-y0)*(x-x0)/(x1-x0)
}

func (s *isotonic) validate(width int) error {
	switch {
	case width != 1:
		return fmt.Errorf("an isotonic model of %d features, want 1", width)
	case len(s.X) == 0 || len(s.X) != len(s.Y):
		return fmt.Errorf("an isotonic model has %d knots and %d probabilities, want as many of each", len(s.X), len(s.Y))
	case !(s.Margin > 0 && s.Margin <= 0.5):
		return fmt.Errorf("an isotonic model has the margin %g, want more than 0 and at most 0.5", s.Margin)
	}
	for i := range s.X {
		if i > 0 && !(s.X[i] > s.X[i-1]) {
			return fmt.Errorf("knot %d of an isotonic model is not above the one before", i)
		}
		if !(s.Y[i] >= 0 && s.Y[i] <= 1) {
			return fmt.Errorf("probability %d of an isotonic model is %g", i, s.Y[i])
		}
	}
	return nil
}

func (s *isotonic) name() string { return "isotonic" }

// fitIsotonic fits the first column, in the direction whose squares are less.
func fitIsotonic(rows [][]float64, keep []bool) ([]learner, error) {
	x := make([]float64, len(rows))
	for i := range rows {
		x[i] = rows[i][0]
	}
	up, upLoss := pool(x, keep, true)
	down, downLoss := pool(x, keep, false)
	if downLoss < upLoss {
		up = down
	}
	// Half a record: certainty that no number of labels gives is not claimed.
	up.Margin = 0.5 / float64(len(rows)+1)
	return []learner{up}, nil
}

// pool returns the monotone fit and its sum of squares.
func pool(x []float64, keep []bool, rising bool) (*isotonic, float64) {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(x[a], x[b]) })
	type block struct{ low, high, sum, n float64 }
	mean := func(b block) float64 { return b.sum / b.n }
	var blocks []block
	for i := 0; i < len(order); {
		b := block{low: float64(float32(x[order[i]]))}
		b.high = b.low
		for ; i < len(order) && float64(float32(x[order[i]])) == b.low; i++ {
			b.n++
			if keep[order[i]] {
				b.sum++
			}
		}
		blocks = append(blocks, b)
		for k := len(blocks) - 1; k > 0; k-- {
			if c := cmp.Compare(mean(blocks[k-1]), mean(blocks[k])); rising && c < 0 || !rising && c > 0 {
				break
			}
			blocks[k-1] = block{blocks[k-1].low, blocks[k].high, blocks[k-1].sum + blocks[k].sum, blocks[k-1].n + blocks[k].n}
			blocks = blocks[:k]
		}
	}
	s, squares := &isotonic{}, 0.0
	for _, b := range blocks {
		y := mean(b)
		squares += b.sum * (1 - y) // = sum of (outcome - y)²
		s.X, s.Y = append(s.X, float32(b.low)), append(s.Y, float32(y))
		if b.high > b.low {
			s.X, s.Y = append(s.X, float32(b.high)), append(s.Y, float32(y))
		}
	}
	return s, squares
}
