package grader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"winnow/grader/gold"
	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
)

// saidOf is made ratings by content key.
type saidOf struct {
	scale   rating.Scale
	entries map[record.Key]journal.Entry
}

func (s saidOf) Lookup(key record.Key) (journal.Entry, bool) { e, ok := s.entries[key]; return e, ok }
func (s saidOf) Scale() rating.Scale                         { return s.scale }
func (s saidOf) Criteria() []string                          { return nil }

// judgeOf makes a judge with these criteria that has said nothing yet.
func judgeOf(scale rating.Scale, criteria ...string) Judged {
	m := newFake().Manifest()
	m.Scale, m.Rubrics = journal.Scale(scale), nil
	for _, name := range criteria {
		m.Rubrics = append(m.Rubrics, journal.Rubric{Name: name, SHA256: "11ee"})
	}
	return Judged{saidOf{scale, map[record.Key]journal.Entry{}}, m}
}

// says adds an entry with these ratings, each a mass on the scale's two ends.
func (j Judged) says(key record.Key, values ...float64) journal.Entry {
	s := j.Scale()
	e := journal.Entry{Key: key, Status: record.OK}
	low, high := s.Values[0], s.Values[len(s.Values)-1]
	for _, v := range values {
		p := make([]float64, len(s.Values))
		p[len(p)-1] = (v - low) / (high - low)
		p[0] = 1 - p[len(p)-1]
		e.Ratings = append(e.Ratings, rating.Rating{Value: v, Probs: p, Mode: s.Strings[0]})
	}
	j.Ratings.(saidOf).entries[key] = e
	return e
}

// has adds an entry as it is.
func (j Judged) has(e journal.Entry) { j.Ratings.(saidOf).entries[e.Key] = e }

func keyOf(n int) record.Key { return record.Key{byte(n >> 8), byte(n), 7} }

func keepLabels(keep ...bool) (list gold.Labels) {
	for i, k := range keep {
		l := gold.Label{Key: keyOf(i), Index: i, Keep: k, Binary: true}
		if k {
			l.Score = 1
		}
		list = append(list, l)
	}
	return list
}

// is fails unless an estimate has this value, in its interval if it has one.
func is(t *testing.T, what string, e *Estimate, want float64) {
	t.Helper()
	if e == nil {
		t.Errorf("%s is missing, want %v", what, want)
		return
	}
	if !figureIs(e.Value, want) || e.Low > e.High {
		t.Errorf("%s is %+v, want %v", what, *e, want)
	}
}

func TestEvaluateLabels(t *testing.T) {
	j := judgeOf(testScale(), "one")
	j.Manifest.Signals = []string{"nll", "ppl"}
	j.Manifest.Calibration = &journal.Calibration{Name: "c"}
	labels := keepLabels(true, false, true, false, true, false, true, false)
	for i, v := range []float64{5, 1, 4.5, 4.5, 2, 0} {
		e := j.says(keyOf(i), v)
		e.Calibrated = []float64{0.9, 0.1, 0.6, 0.4, 0.5, 0.2}[i]
		e.Signals = []float64{float64(-i), math.Inf(1)}
		if i == 5 {
			e.Signals = []float64{math.NaN(), math.NaN()}
		}
		j.has(e)
	}
	j.has(journal.Entry{Key: keyOf(6), Status: record.TooLong})
	chars := map[record.Key]int{keyOf(0): 10, keyOf(1): 20, keyOf(2): 30}
	got, err := EvaluateLabels(t.Context(), labels, chars, j, EvaluateOptions{Cut: 4.5, Probability: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	if got.Labels != 8 || got.Rated != 6 || got.Unrated[record.TooLong] != 1 || got.Unrated[record.NotGraded] != 1 || *got.Kept != 3 || !figureIs(*got.BaseRate, 0.5) || !got.Binary {
		t.Errorf("%+v", got)
	}
	var names []string
	for _, r := range got.Readings {
		names = append(names, fmt.Sprintf("%s %d", r.Name, r.Records))
		if r.Spearman != nil || r.Kendall != nil {
			t.Errorf("%s has rank correlations with binary labels", r.Name)
		}
	}
	if s := strings.Join(names, ", "); s != "rating 6, calibrated 6, nll 5, ppl 5, response length 3" {
		t.Errorf("readings %s", s)
	}
	is(t, "AUC of the rating", got.Readings[0].AUC, 7.5/9)
	is(t, "AUC of calibrated", got.Readings[1].AUC, 1)
	is(t, "AUC of nll", got.Readings[2].AUC, 3.0/6)
	is(t, "AUC of ppl", got.Readings[3].AUC, 0.5)
	is(t, "AUC of the length", got.Readings[4].AUC, 0.5)

	v := got.Verdicts[0]
	if len(got.Verdicts) != 2 || v.Both != 2 || v.OnlyJudge != 1 || v.OnlyGold != 1 || v.Neither != 2 {
		t.Errorf("verdicts %+v", got.Verdicts)
	}
	is(t, "precision", v.Precision, 2.0/3)
	is(t, "recall", v.Recall, 2.0/3)
	is(t, "kept share", v.Share, 0.5)
	is(t, "kappa", v.Kappa, 1.0/3)
	if v := got.Verdicts[1]; v.Name != "calibrated" || v.Both != 3 || v.OnlyJudge != 0 {
		t.Errorf("the verdict of calibrated is %+v", v)
	}
	is(t, "error of calibrated", got.Probabilities[1].Error, (0.1+0.1+0.4+0.4+0.5+0.2)/6)
	is(t, "mean of calibrated", got.Probabilities[1].Mean, 2.7/6)
	is(t, "mean of P(rating)", got.Probabilities[0].Mean, (5+1+4.5+4.5+2)/5/6)
	if name := got.Probabilities[0].Name; name != "P(rating ≥ 4.5)" {
		t.Errorf("name %q", name)
	}

	if wide, err := EvaluateLabels(t.Context(), labels, chars, j, EvaluateOptions{Cut: 1}); err != nil {
		t.Error(err)
	} else {
		is(t, "precision of a low cut", wide.Verdicts[0].Precision, 0.6)
		is(t, "recall of a low cut", wide.Verdicts[0].Recall, 1)
	}
	again, err := EvaluateLabels(t.Context(), labels, chars, j, EvaluateOptions{Cut: 4.5, Probability: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	a, err := json.Marshal(got)
	b, err2 := json.Marshal(again)
	if err := errors.Join(err, err2); err != nil || string(a) != string(b) {
		t.Errorf("two runs differ, or %v:\n%s\n%s", err, a, b)
	}
}

// A figure of the records that have a number gets their weights and no others.
func TestColumnWeights(t *testing.T) {
	c := newColumn(4, func(i int) float64 { return []float64{5, math.NaN(), 7, 8}[i] })
	var got [][]int32
	f := c.weights(func(w []int32) float64 { got = append(got, w); return 0 })
	f([]int32{1, 2, 3, 4})
	f(nil)
	if !reflect.DeepEqual(got, [][]int32{{1, 3, 4}, nil}) || !reflect.DeepEqual(c.finite(), []float64{5, 7, 8}) {
		t.Errorf("weights %v of %v", got, c)
	}
}

// A judge that rates by length alone is found out within bands of it.
func TestEvaluateByLengthAlone(t *testing.T) {
	j := judgeOf(testScale(), "one")
	chars := map[record.Key]int{}
	var keep []bool
	for i := range 100 {
		band := i / 20
		chars[keyOf(i)] = 10 + 10*band
		keep = append(keep, i%20 < 4*band)
		j.says(keyOf(i), float64(band)/2)
	}
	got, err := EvaluateLabels(t.Context(), keepLabels(keep...), chars, j, EvaluateOptions{Resamples: 100})
	if err != nil {
		t.Fatal(err)
	}
	if auc := got.Readings[0].AUC; !(auc.Value > 0.7) {
		t.Errorf("AUC over all records is %v", auc.Value)
	}
	if len(got.Bands.Bands) != 5 || got.Bands.Bands[1] != (LengthBand{20, 20, 20, 4}) {
		t.Fatalf("bands %+v", got.Bands.Bands)
	}
	for _, r := range got.Bands.Readings {
		is(t, r.Name+" within bands", r.Within, 0.5)
		is(t, r.Name+" in a band without a record to keep", r.AUC[0], math.NaN())
		is(t, r.Name+" in a band", r.AUC[3], 0.5)
	}
	for i := range 100 {
		chars[keyOf(i)] = 1
	}
	if got, err = EvaluateLabels(t.Context(), keepLabels(keep...), chars, j, EvaluateOptions{Resamples: 100}); err != nil {
		t.Fatal(err)
	}
	if len(got.Bands.Bands) != 1 || got.Bands.Bands[0].Records != 100 {
		t.Errorf("bands of one length are %+v", got.Bands.Bands)
	}
	is(t, "within one band", got.Bands.Readings[0].Within, float64(got.Readings[0].AUC.Value))
}

func TestEvaluateScores(t *testing.T) {
	j := judgeOf(testScale(), "one", "two")
	var labels gold.Labels
	for i, v := range []float64{0, 1, 2, 3} {
		labels = append(labels, gold.Label{Key: keyOf(i), Score: v * v, Keep: v >= 2})
		j.says(keyOf(i), v, 3-v)
	}
	for _, keep := range []bool{false, true} {
		got, err := EvaluateLabels(t.Context(), labels, nil, j, EvaluateOptions{Cut: 2, Keep: keep})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Readings) != 3 || got.Readings[2].Name != "criterion two" || got.Bands != nil {
			t.Fatalf("readings %+v", got.Readings)
		}
		is(t, "Spearman of one", got.Readings[1].Spearman, 1)
		is(t, "Kendall of two", got.Readings[2].Kendall, -1)
		is(t, "Spearman of the least", got.Readings[0].Spearman, 0)
		if keep {
			is(t, "AUC of one", got.Readings[1].AUC, 1)
			is(t, "AUC of two", got.Readings[2].AUC, 0)
			if len(got.Verdicts) != 1 || len(got.Probabilities) != 2 || got.Probabilities[1].Name != "P(criterion two ≥ 2)" {
				t.Errorf("verdicts %+v, probabilities %+v", got.Verdicts, got.Probabilities)
			}
		} else if got.Readings[1].AUC != nil || got.Verdicts != nil || got.Kept != nil {
			t.Errorf("without a cut of the scores: %+v", got)
		}
	}
}

func TestEvaluateNothing(t *testing.T) {
	j := judgeOf(testScale(), "one")
	got, err := EvaluateLabels(t.Context(), keepLabels(true, false), nil, j, EvaluateOptions{})
	if err != nil || got.Rated != 0 || got.Unrated[record.NotGraded] != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	is(t, "AUC of nothing", got.Readings[0].AUC, math.NaN())
	if _, err := json.Marshal(got); err != nil {
		t.Error(err)
	}
	pairs, err := EvaluatePairs(t.Context(), []gold.Pair{{Instruction: "Q", A: "a", B: "b"}}, j, EvaluateOptions{})
	if err != nil || pairs.Rated != 0 || pairs.Pairwise {
		t.Fatalf("%+v, %v", pairs, err)
	}
	if _, err := json.Marshal(pairs); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	j.says(keyOf(0), 1)
	if _, err := EvaluateLabels(ctx, keepLabels(true), nil, j, EvaluateOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
