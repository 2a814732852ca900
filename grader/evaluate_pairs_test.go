package grader

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"winnow/grader/gold"
	"winnow/grader/rating"
	"winnow/grader/record"
)

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
	if wide, err := EvaluatePairs(t.Context(), pairs, j, EvaluateOptions{Tie: 2}); err != nil {
		t.Error(err)
	} else {
		is(t, "tie rate with a band that ends at a difference", wide.Readings[0].TieRate, 0.75)
	}
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
