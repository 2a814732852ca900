package metric

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// tolerance of figures that other libraries computed in another order.
const tolerance = 1e-12

// same fails unless got is want, where nil stands for NaN.
func same(t *testing.T, what string, n int, got float64, want *float64) {
	t.Helper()
	switch {
	case want == nil && !math.IsNaN(got):
		t.Errorf("%s of case %d is %v, want NaN", what, n, got)
	case want != nil && !(math.Abs(got-*want) <= tolerance):
		t.Errorf("%s of case %d is %v, want %v", what, n, got, *want)
	}
}

func TestReference(t *testing.T) {
	var ref struct {
		Pairs []struct {
			X, Y                       []float64
			Pearson, Spearman, Kendall *float64
		}
		AUC []struct {
			Scores   []float64
			Positive []bool
			AUC      *float64
		}
		Kappa []struct {
			Counts           [][]int64
			Plain, Quadratic *float64
		}
		Calibration []struct {
			Probs    []float64
			Outcomes []bool
			Bins     int
			Error    *float64
		}
		Quantile []struct {
			Sorted []float64
			Q      float64
			Value  *float64
		}
		Ranking []struct {
			Scores            []float64
			Positive          []bool
			Weights           []int32
			AUC, Precision    *float64
			WeightedPrecision *float64 `json:"weighted_precision"`
		}
		Reliability []struct {
			Probs    []float64
			Outcomes []bool
			Bins     int
			Weights  []int32
			Error    *float64
		}
	}
	b, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &ref); err != nil {
		t.Fatal(err)
	}
	for what, n := range map[string]int{
		"pairs": len(ref.Pairs), "auc": len(ref.AUC), "kappa": len(ref.Kappa), "calibration": len(ref.Calibration), "quantile": len(ref.Quantile),
		"ranking": len(ref.Ranking), "reliability": len(ref.Reliability),
	} {
		if n != 50 {
			t.Errorf("%d cases of %s, want 50", n, what)
		}
	}
	must := func(x float64, err error) float64 {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for n, c := range ref.Pairs {
		p, err := NewPairs(c.X, c.Y)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "Pearson", n, p.Pearson(nil), c.Pearson)
		same(t, "Spearman", n, p.Spearman(nil), c.Spearman)
		same(t, "Kendall", n, p.Kendall(nil), c.Kendall)
	}
	for n, c := range ref.AUC {
		same(t, "AUC", n, must(AUC(c.Scores, c.Positive)), c.AUC)
	}
	for n, c := range ref.Kappa {
		same(t, "Kappa", n, must(Kappa(c.Counts)), c.Plain)
		same(t, "QuadraticKappa", n, must(QuadraticKappa(c.Counts)), c.Quadratic)
	}
	for n, c := range ref.Calibration {
		same(t, "CalibrationError", n, must(CalibrationError(c.Probs, c.Outcomes, c.Bins)), c.Error)
	}
	for n, c := range ref.Quantile {
		same(t, "Quantile", n, Quantile(c.Sorted, c.Q), c.Value)
	}
	for n, c := range ref.Ranking {
		r, err := NewRanking(c.Scores, c.Positive)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "AUC with weights", n, r.AUC(c.Weights), c.AUC)
		same(t, "AveragePrecision", n, r.AveragePrecision(nil), c.Precision)
		same(t, "AveragePrecision with weights", n, r.AveragePrecision(c.Weights), c.WeightedPrecision)
	}
	for n, c := range ref.Reliability {
		r, err := NewReliability(c.Probs, c.Outcomes, c.Bins)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "Reliability.Error", n, r.Error(c.Weights), c.Error)
	}
}
