package kernels

import (
	"fmt"
	"math"
	"slices"
)

// Ratings are made of the rows that LogProb goes through anyway, in the same pass: the
// probability of each of a scale's tokens, their mass, and the expected value. See
// LogProbQuery.Tokens and Values, LogProbs.Probs, OffScale and Expected. Method: exact
// probabilities of single tokens, the expectation over them as in G-Eval (Liu et al.,
// 2023); strings of several tokens are a trie, whose nodes are rows with Starts.

// checkScale reports tokens of which no probabilities can be had.
func checkScale(s LogProbShape, q LogProbQuery) error {
	if q.Values != nil && len(q.Values) != len(q.Tokens) {
		return fmt.Errorf("ratings: %d values for %d tokens", len(q.Values), len(q.Tokens))
	}
	for i, v := range q.Values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("ratings: value %d is %v, want a finite number", i, v)
		}
	}
	for i, t := range q.Tokens {
		if t < 0 || int(t) >= s.Vocab {
			return fmt.Errorf("ratings: token %d of the query is %d, want 0 to %d", i, t, s.Vocab-1)
		}
	}
	if len(q.Tokens) > math.MaxInt32 {
		return fmt.Errorf("ratings: %d tokens, want at most %d", len(q.Tokens), math.MaxInt32)
	}
	if q.Starts == nil {
		if len(q.Tokens) > 0 && s.Rows > math.MaxInt/8/len(q.Tokens) {
			return fmt.Errorf("ratings: %d rows with %d tokens: no memory is that large", s.Rows, len(q.Tokens))
		}
		return checkDistinct(q.Tokens, -1)
	}
	if len(q.Starts) != s.Rows+1 || q.Starts[0] != 0 || int(q.Starts[s.Rows]) != len(q.Tokens) {
		return fmt.Errorf("ratings: %d starts for %d rows and %d tokens: want one more than rows, the first 0, the last the number of tokens", len(q.Starts), s.Rows, len(q.Tokens))
	}
	for r := range s.Rows {
		from, to := q.Starts[r], q.Starts[r+1]
		if to < from || int(to) > len(q.Tokens) {
			return fmt.Errorf("ratings: row %d has tokens %d to %d of %d: starts must not fall", r, from, to, len(q.Tokens))
		}
		if err := checkDistinct(q.Tokens[from:to], r); err != nil {
			return err
		}
	}
	return nil
}

// checkDistinct reports a token that stands twice among those of a row, or of all
// rows (-1): its probability would count twice.
func checkDistinct(tokens []int32, row int) error {
	twice := func(token int32) error {
		where := "the scale"
		if row >= 0 {
			where = fmt.Sprintf("row %d", row)
		}
		return fmt.Errorf("ratings: token %d stands twice in %s", token, where)
	}
	if len(tokens) > 32 {
		tokens = slices.Sorted(slices.Values(tokens))
		for i := 1; i < len(tokens); i++ {
			if tokens[i] == tokens[i-1] {
				return twice(tokens[i])
			}
		}
		return nil
	}
	for i, t := range tokens {
		if slices.Contains(tokens[:i], t) {
			return twice(t)
		}
	}
	return nil
}

// prepareScale makes room for ratings.
func (o *LogProbs) prepareScale(s LogProbShape, q LogProbQuery) {
	probs, rated, expected := len(q.Tokens), 0, 0
	if q.Starts == nil {
		probs *= s.Rows
	}
	if q.Tokens != nil {
		rated = s.Rows
		if q.Values != nil {
			expected = s.Rows
		}
	}
	o.Probs = resized(o.Probs, probs)
	o.OffScale = resized(o.OffScale, rated)
	o.Expected = resized(o.Expected, expected)
}

// scale returns which of q.Tokens row r is asked for and where their probabilities
// begin.
func (q LogProbQuery) scale(r int) (from, to, at int) {
	if q.Starts == nil {
		return 0, len(q.Tokens), r * len(q.Tokens)
	}
	return int(q.Starts[r]), int(q.Starts[r+1]), int(q.Starts[r])
}

// rate makes the rating of row r, whose sum stands.
func (o *LogProbs) rate(q LogProbQuery, r int, pick picker) {
	from, to, at := q.scale(r)
	probs := o.Probs[at : at+to-from]
	mass, mean := 0.0, 0.0
	for i := range to - from {
		probs[i] = math.NaN()
		if o.Status[r] == RowOK {
			probs[i] = math.Exp(float64(pick(r, from+i))-float64(o.tops[r])) / o.sums[r]
		}
		mass += probs[i]
		if q.Values != nil {
			mean += probs[i] * q.Values[from+i]
		}
	}
	if o.Status[r] != RowOK {
		mass = math.NaN() // also of no tokens
	}
	o.OffScale[r] = max(0, 1-mass)
	if q.Values != nil {
		o.Expected[r] = mean / mass // 0/0 is NaN
	}
}
