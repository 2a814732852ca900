package metric

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestWeightsAreRepetition holds that a record of weight 3 counts as three records.
func TestWeightsAreRepetition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y, w := drawPairs(t)
		var positive, manyPositive []bool
		var manyX, probs, manyProbs []float64
		for i, n := range w {
			positive = append(positive, y[i] > 0)
			probs = append(probs, 1/(1+math.Exp(-x[i])))
			for range n {
				manyX, manyPositive, manyProbs = append(manyX, x[i]), append(manyPositive, y[i] > 0), append(manyProbs, probs[i])
			}
		}
		r, err := NewRanking(x, positive)
		if err != nil {
			t.Fatal(err)
		}
		many, err := NewRanking(manyX, manyPositive)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := r.AUC(w), many.AUC(nil); a != b && !(math.IsNaN(a) && math.IsNaN(b)) {
			t.Fatalf("AUC with weights is %v, of as many records %v", a, b)
		}
		if a, b := r.AveragePrecision(w), many.AveragePrecision(nil); !alike(a, b) {
			t.Fatalf("average precision with weights is %v, of as many records %v", a, b)
		}
		e, err := NewReliability(probs, positive, 4)
		if err != nil {
			t.Fatal(err)
		}
		manyE, err := NewReliability(manyProbs, manyPositive, 4)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := e.Error(w), manyE.Error(nil); !alike(a, b) {
			t.Fatalf("calibration error with weights is %v, of as many records %v", a, b)
		}
	})
}

func TestWinsCountsPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y, w := drawPairs(t)
		var positive []bool
		for i := range x {
			positive = append(positive, y[i] > 0)
		}
		r, err := NewRanking(x, positive)
		if err != nil {
			t.Fatal(err)
		}
		var wins, pairs float64
		for i := range x {
			for k := range x {
				if !positive[i] || positive[k] {
					continue
				}
				n := float64(w[i]) * float64(w[k])
				pairs += n
				switch {
				case x[i] > x[k]:
					wins += n
				case x[i] == x[k]:
					wins += n / 2
				}
			}
		}
		if a, b := r.Wins(w); a != wins || b != pairs {
			t.Fatalf("%v wins of %v pairs, counted one by one %v of %v", a, b, wins, pairs)
		}
	})
}

func TestRankingUndefined(t *testing.T) {
	r, err := NewRanking([]float64{1, 2, math.Inf(1)}, []bool{true, false, true})
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewReliability([]float64{0.5, 1}, []bool{true, false}, 3)
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]float64{
		"few weights": r.AUC([]int32{1}), "negative weight": r.AUC([]int32{1, -1, 1}), "no positive": r.AUC([]int32{0, 1, 0}),
		"too many": r.AUC([]int32{math.MaxInt32, 1, 0}), "precision without a positive": r.AveragePrecision([]int32{0, 1, 0}),
		"error, few weights": e.Error([]int32{1}), "error, negative weight": e.Error([]int32{-1, 1}), "error of nothing": e.Error([]int32{0, 0}),
	} {
		if !math.IsNaN(x) {
			t.Errorf("%s: %v, want NaN", name, x)
		}
	}
	if x := r.AUC(nil); x != 0.5 {
		t.Errorf("AUC %v, want 0.5: infinite scores are the highest", x)
	}
	for name, err := range map[string]error{
		"lengths": func() error { _, err := NewRanking([]float64{1}, nil); return err }(),
		"NaN":     func() error { _, err := NewRanking([]float64{math.NaN()}, []bool{true}); return err }(),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
