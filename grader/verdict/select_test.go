package verdict

import (
	"math"
	"slices"
	"testing"

	"winnow/grader/record"
)

// With several criteria the least of a record's ratings counts, and the reason
// names it.
func TestSeveralCriteria(t *testing.T) {
	criteria := []string{"accuracy", "helpfulness"}
	both := func(index int, accuracy, helpfulness float64) Candidate {
		c := rated(index, accuracy, even...)
		c.Ratings = append(c.Ratings, ratingOf(helpfulness, even...))
		return c
	}
	probs := func(index int, accuracy, helpfulness []float64) Candidate {
		c := both(index, 3, 2)
		c.Ratings[0].Probs, c.Ratings[1].Probs = accuracy, helpfulness
		return c
	}
	high, low := []float64{0.1, 0, 0, 0.3}, []float64{0.3, 0.1, 0, 0.4}
	for name, tc := range map[string]struct {
		rule Rule
		in   []Candidate
		want []string
	}{
		"default": {Rule{}, []Candidate{both(0, 4.62, 4.5), both(1, 5, 3.1), both(2, 4.4999, 5), both(3, 2, 2)},
			[]string{"keep: helpfulness rated 4.50, at least 4.5", "drop: helpfulness rated 3.10, below 4.5", "drop: accuracy rated 4.4999, below 4.5", "drop: accuracy rated 2.00, below 4.5"}},
		"min-prob": {Rule{MinProb: ptr(0.7)}, []Candidate{probs(0, high, high), probs(1, high, low), probs(2, low, high)},
			[]string{"keep: P(accuracy >= 4.5) 0.75, at least 0.7", "drop: P(helpfulness >= 4.5) 0.50, below 0.7", "drop: P(accuracy >= 4.5) 0.50, below 0.7"}},
		"top": {Rule{Top: ptr(2)}, []Candidate{both(0, 5, 1), both(1, 2, 3), both(2, 3, 2.5)},
			[]string{"drop: helpfulness rated 1.00, rank 3 of 3, budget 2", "keep: accuracy rated 2.00, rank 2 of 3, budget 2", "keep: helpfulness rated 2.50, rank 1 of 3, budget 2"}},
		"top and min": {Rule{Top: ptr(1), Min: ptr(2.0)}, []Candidate{both(0, 5, 1), both(1, 2, 3), both(2, 3, 2.5)},
			[]string{"drop: helpfulness rated 1.00, below 2", "drop: accuracy rated 2.00, at least 2, rank 2 of 2, budget 1", "keep: helpfulness rated 2.50, at least 2, rank 1 of 2, budget 1"}},
		"percent and min-prob": {Rule{TopPercent: ptr(50.0), MinProb: ptr(0.5)}, []Candidate{probs(0, low, high), probs(1, high, high)},
			[]string{"keep: P(accuracy >= 4.5) 0.50, at least 0.5, helpfulness rated 2.00, rank 1 of 2, budget 1", "drop: P(accuracy >= 4.5) 0.75, at least 0.5, helpfulness rated 2.00, rank 2 of 2, budget 1"}},
		"tie": {Rule{Top: ptr(1)}, []Candidate{probs(0, low, []float64{0.9, 0, 0, 0.1}), probs(1, []float64{0.8, 0, 0, 0.2}, low)},
			[]string{"drop: helpfulness rated 2.00, rank 2 of 2, budget 1", "keep: helpfulness rated 2.00, rank 1 of 2, budget 1"}},
		"off the scale": {Rule{}, []Candidate{{Status: record.OffScale, Reason: "helpfulness: 0.99 off the scale"}},
			[]string{"review: off_scale: helpfulness: 0.99 off the scale"}},
		"NaN":        {Rule{Min: ptr(0.0)}, []Candidate{both(0, 5, math.NaN()), both(1, math.NaN(), 5)}, []string{"review: helpfulness: the rating is no number", "review: accuracy: the rating is no number"}},
		"no probs":   {Rule{Top: ptr(9)}, []Candidate{probs(0, even, make([]float64, 4))}, []string{"review: helpfulness: the rating's probabilities are none"}},
		"few probs":  {Rule{Top: ptr(9)}, []Candidate{probs(0, even, even[:3])}, []string{"review: helpfulness: the rating has 3 probabilities, the scale 4 ratings"}},
		"one rating": {Rule{Top: ptr(9)}, []Candidate{rated(0, 5, even...)}, []string{"review: the number of ratings is 1, that of criteria 2"}},
		"none":       {Rule{Top: ptr(9)}, []Candidate{{Status: record.OK}}, []string{"review: the status is ok, but there is no rating"}},
	} {
		if got := told(decide(tc.rule, criteria, tc.in)); !slices.Equal(got, tc.want) {
			t.Errorf("%s:\n%q\nwant\n%q", name, got, tc.want)
		}
	}
}

// Where ratings are of parts of a record, the reason names the part that decides.
func TestParts(t *testing.T) {
	part := func(c Candidate, parts ...string) Candidate { c.Parts = parts; return c }
	both := rated(0, 4, even...)
	both.Ratings = append(both.Ratings, ratingOf(3, even...))
	for _, tc := range []struct {
		rule     Rule
		criteria []string
		c        Candidate
		want     string
	}{
		{Rule{}, []string{"accuracy"}, part(rated(0, 3, even...), "turn 2 of 3"), "drop: turn 2 of 3: rating 3.00 < 4.5"},
		{Rule{MinProb: ptr(0.1)}, []string{"accuracy"}, part(rated(0, 3, even...), "turn 2 of 3"), "keep: turn 2 of 3: P(rating >= 4.5) 0.25 >= 0.1"},
		{Rule{Top: ptr(1)}, []string{"accuracy"}, part(rated(0, 3, even...), "turn 2 of 3"), "keep: turn 2 of 3: rating 3.00, rank 1 of 1, budget 1"},
		{Rule{Top: ptr(1), Min: ptr(1.0)}, []string{"accuracy"}, part(rated(0, 3, even...), "turn 2 of 3"), "keep: turn 2 of 3: rating 3.00 >= 1, rank 1 of 1, budget 1"},
		{Rule{}, []string{"accuracy", "helpfulness"}, part(both, "turn 1 of 3", "turn 3 of 3"), "drop: turn 3 of 3: helpfulness rated 3.00, below 4.5"},
		{Rule{}, []string{"accuracy", "helpfulness"}, part(both, "turn 1 of 3"), "drop: helpfulness rated 3.00, below 4.5"},
		{Rule{}, []string{"accuracy"}, Candidate{Status: record.TooLong, Reason: "turn 2 of 3: 9000 tokens", Parts: []string{"x"}}, "review: too_long: turn 2 of 3: 9000 tokens"},
	} {
		if got := told(decide(tc.rule, tc.criteria, []Candidate{tc.c})); got[0] != tc.want {
			t.Errorf("%q, want %q", got[0], tc.want)
		}
	}
}

// A selection keeps no ratings: who adds candidates may use their memory again.
func TestSelectionKeepsNoRatings(t *testing.T) {
	values := []float64{3, 1, 4, 2}
	one := rated(0, 0, even...)
	s := Rule{Top: ptr(2)}.Select(scale(), []string{"accuracy"})
	at := func(i int) Candidate {
		one.Key, one.Index, one.Ratings[0].Value = record.Key{byte(i)}, i, values[i]
		return one
	}
	for i := range values {
		s.Add(at(i))
	}
	for i, want := range []Decision{Keep, Drop, Keep, Drop} {
		if v := s.Verdict(i, at(i)); v.Decision != want || s.Key(i) != (record.Key{byte(i)}) {
			t.Errorf("value %v: %v, key %s; want %s", values[i], v, s.Key(i), want)
		}
	}
	if s.Len() != len(values) {
		t.Errorf("%d candidates, want %d", s.Len(), len(values))
	}
	s = Rule{MinProb: ptr(0.5)}.Select(scale(), []string{"accuracy"})
	if n := testing.AllocsPerRun(1000, func() { s.Add(one) }); n != 0 {
		t.Errorf("adding a candidate takes %v allocations, want none but for growth", n)
	}
}

// A verdict holds for all that were added: nothing comes later.
func TestSelectionAddLate(t *testing.T) {
	s := Rule{Top: ptr(2)}.Select(scale(), []string{"accuracy"})
	c := rated(0, 3, even...)
	s.Add(c)
	s.Verdict(0, c)
	defer func() {
		if recover() == nil {
			t.Error("a candidate could be added after a verdict")
		}
	}()
	s.Add(c)
}

// A withdrawn candidate takes no place, and a share is one of those that are left.
func TestWithdraw(t *testing.T) {
	in := []Candidate{rated(0, 5, even...), rated(1, 1, even...), rated(2, 4, even...), rated(3, 3, even...), {Index: 4, Status: record.TooLong}}
	for name, tc := range map[string]struct {
		rule Rule
		want []string
	}{
		"top": {Rule{Top: ptr(2)}, []string{"drop: withdrawn", "drop: rank 3 of 3, budget 2", "keep: rank 1 of 3, budget 2", "keep: rank 2 of 3, budget 2", "review: too_long"}},
		"percent": {Rule{TopPercent: ptr(50.0), Min: ptr(2.0)},
			[]string{"drop: withdrawn", "drop: rating 1.00 < 2", "keep: rating 4.00 >= 2, rank 1 of 2, budget 1", "drop: rating 3.00 >= 2, rank 2 of 2, budget 1", "review: too_long"}},
		"limit": {Rule{Min: ptr(3.0)}, []string{"drop: withdrawn", "drop: rating 1.00 < 3", "keep: rating 4.00 >= 3", "keep: rating 3.00 >= 3", "review: too_long"}},
	} {
		s := tc.rule.Select(scale(), []string{"test"})
		for i, c := range in {
			if got := s.Add(c); got != (i < 4) {
				t.Errorf("%s: candidate %d is rated: %t", name, i, got)
			}
		}
		s.Withdraw(0)
		s.Withdraw(0) // a second time changes nothing
		var got []Verdict
		for i, c := range in {
			got = append(got, s.Verdict(i, c))
		}
		if !slices.Equal(told(got), tc.want) {
			t.Errorf("%s:\n%q\nwant\n%q", name, told(got), tc.want)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: a candidate could be withdrawn after a verdict", name)
				}
			}()
			s.Withdraw(1)
		}()
	}
}
