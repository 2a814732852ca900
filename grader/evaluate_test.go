package grader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

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

// pairOf makes the nth pair, whose responses differ in length by the given number.
func pairOf(n int, better gold.Preference, longer int) gold.Pair {
	return gold.Pair{Index: n, Instruction: fmt.Sprint("Q", n), A: strings.Repeat("é", 10+longer), B: strings.Repeat("b", 10), Better: better}
}

func TestEvaluatePairs(t *testing.T) {
	j := judgeOf(testScale(), "one")
	pairs := []gold.Pair{pairOf(0, gold.A, 1), pairOf(1, gold.A, -1), pairOf(2, gold.B, 1), pairOf(3, gold.B, 0), pairOf(4, gold.Tie, 1), pairOf(5, gold.A, 1)}
	for i, v := range [][2]float64{{3, 1}, {2, 2}, {1, 1.2}, {4, 1}, {2, 2.1}} {
		recs := gold.Single(pairs[i : i+1])
		j.says(recs[0].Key, v[0])
		j.says(recs[1].Key, v[1])
	}
	j.says(gold.Single(pairs[5:])[0].Key, 3) // the other one has no rating
	got, err := EvaluatePairs(t.Context(), pairs, j, EvaluateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Pairs != 6 || got.Rated != 5 || got.Unrated[record.NotGraded] != 1 || got.Ties != 1 || got.First != 2 || got.Pairwise || got.Orders != nil || len(got.Readings) != 2 {
		t.Errorf("%+v", got)
	}
	r := got.Readings[0]
	is(t, "accuracy", r.Accuracy, 2.5/4)
	is(t, "strict accuracy", r.Strict, 0.5)
	is(t, "tie rate", r.TieRate, 0.25)
	is(t, "AUC", r.AUC, 2.0/4)
	is(t, "agreement", r.Agreement, 2.0/5)
	length := got.Readings[1]
	if length.Name != lengthName {
		t.Errorf("reading %q", length.Name)
	}
	is(t, "accuracy of the longer", length.Accuracy, 1.5/4)
	if got, err = EvaluatePairs(t.Context(), pairs, j, EvaluateOptions{Tie: 0.25}); err != nil {
		t.Fatal(err)
	}
	is(t, "tie rate with a band", got.Readings[0].TieRate, 0.5)
	is(t, "agreement with a band", got.Readings[0].Agreement, 2.0/5)
	is(t, "ties of the length, which have no band", got.Readings[1].TieRate, 0.25)
}

// inPairs makes a judge that says of each pair with which probability the response that
// stands first is better, in both orders.
func inPairs(pairs []gold.Pair, first, swapped func(i int) float64) Judged {
	j := judgeOf(rating.Scale{Strings: []string{"1", "2"}, Values: []float64{1, 2}}, "which")
	for i, rec := range gold.BothOrders(pairs) {
		p := first
		if i%2 == 1 {
			p = swapped
		}
		j.says(rec.Key, 2-p(i/2))
	}
	return j
}

func TestEvaluatePairwise(t *testing.T) {
	pairs := []gold.Pair{pairOf(0, gold.A, 0), pairOf(1, gold.A, 0), pairOf(2, gold.A, 0), pairOf(3, gold.B, 0)}
	always := func(int) float64 { return 0.75 }
	got, err := EvaluatePairs(t.Context(), pairs, inPairs(pairs, always, always), EvaluateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o := got.Orders
	if !got.Pairwise || o == nil || o.Unit != "nats" {
		t.Fatalf("%+v", got)
	}
	is(t, "accuracy", got.Readings[0].Accuracy, 0.5)
	is(t, "tie rate", got.Readings[0].TieRate, 1)
	is(t, "accuracy as they are", o.First, 0.75)
	is(t, "accuracy swapped", o.Second, 0.25)
	is(t, "right in both", o.Both, 0)
	is(t, "consistency", o.Consistent, 0)
	is(t, "first place", o.FirstPlace, 1)
	is(t, "bias", o.Bias, math.Log(3))

	sure := []float64{0.9, 0.8, 0.3, 0.1}
	got, err = EvaluatePairs(t.Context(), pairs, inPairs(pairs, func(i int) float64 { return sure[i] }, func(i int) float64 { return 1 - sure[i] }), EvaluateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o = got.Orders
	is(t, "accuracy", got.Readings[0].Accuracy, 0.75)
	is(t, "AUC", got.Readings[0].AUC, 1)
	is(t, "accuracy as they are", o.First, 0.75)
	is(t, "accuracy swapped", o.Second, 0.75)
	is(t, "right in both", o.Both, 0.75)
	is(t, "consistency", o.Consistent, 1)
	is(t, "first place", o.FirstPlace, 0.5)
	if !(math.Abs(float64(o.Bias.Value)) < 1e-12) {
		t.Errorf("bias %v", o.Bias.Value)
	}

	scores := judgeOf(testScale(), "of the first", "of the second")
	for i, rec := range gold.BothOrders(pairs) {
		scores.says(rec.Key, 3, float64(2*(i%2))) // 3 against 0 as it is, 3 against 2 swapped
	}
	if got, err = EvaluatePairs(t.Context(), pairs, scores, EvaluateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got.Orders.Unit != "points" {
		t.Errorf("unit %q", got.Orders.Unit)
	}
	is(t, "accuracy of scores", got.Readings[0].Accuracy, 0.75)
	is(t, "bias of scores", got.Orders.Bias, 2)

	neither := judgeOf(testScale(), "one")
	neither.says(gold.BothOrders(pairs)[0].Key, 1)
	if _, err := EvaluatePairs(t.Context(), pairs, neither, EvaluateOptions{}); err == nil || !strings.Contains(err.Error(), "want one criterion") {
		t.Errorf("error %v", err)
	}
}

// Naming the responses the other way round changes nothing but what depends on names.
func TestEvaluatePairsMirrored(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(rt, "n")
		var pairs, mirrored []gold.Pair
		var first, swapped []float64
		j := judgeOf(testScale(), "one")
		for i := range n {
			p := pairOf(i, gold.Preference(rapid.IntRange(0, 2).Draw(rt, "better")), rapid.IntRange(-3, 3).Draw(rt, "longer"))
			q := p
			q.A, q.B, q.Better = p.B, p.A, [...]gold.Preference{gold.Tie, gold.B, gold.A}[p.Better]
			pairs, mirrored = append(pairs, p), append(mirrored, q)
			for _, rec := range gold.Single(pairs[i : i+1]) {
				j.says(rec.Key, float64(rapid.IntRange(0, 5).Draw(rt, "rating")))
			}
			first = append(first, float64(rapid.IntRange(1, 7).Draw(rt, "first"))/8)
			swapped = append(swapped, float64(rapid.IntRange(1, 7).Draw(rt, "swapped"))/8)
		}
		both := inPairs(pairs, func(i int) float64 { return first[i] }, func(i int) float64 { return swapped[i] })
		for _, judge := range []Judged{j, both} {
			a, err := EvaluatePairs(t.Context(), pairs, judge, EvaluateOptions{Resamples: 2})
			b, err2 := EvaluatePairs(t.Context(), mirrored, judge, EvaluateOptions{Resamples: 2})
			if err := errors.Join(err, err2); err != nil {
				rt.Fatal(err)
			}
			for k, r := range a.Readings {
				s := b.Readings[k]
				for what, e := range map[string][2]*Estimate{
					"accuracy": {r.Accuracy, s.Accuracy}, "strict": {r.Strict, s.Strict}, "ties": {r.TieRate, s.TieRate}, "AUC": {r.AUC, s.AUC}, "kappa": {r.Kappa, s.Kappa}, "agreement": {r.Agreement, s.Agreement},
				} {
					if !figureIs(e[0].Value, float64(e[1].Value)) {
						rt.Fatalf("%s of %s is %v, mirrored %v", what, r.Name, e[0].Value, e[1].Value)
					}
				}
			}
			if a.Orders == nil {
				continue
			}
			if !figureIs(a.Orders.First.Value, float64(b.Orders.Second.Value)) || !figureIs(a.Orders.Bias.Value, float64(b.Orders.Bias.Value)) || !figureIs(a.Orders.FirstPlace.Value, float64(b.Orders.FirstPlace.Value)) {
				rt.Fatalf("orders %+v, mirrored %+v", a.Orders, b.Orders)
			}
		}
	})
}
