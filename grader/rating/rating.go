// Package rating turns a grader's log-probabilities into ratings. It is pure:
// numbers in, numbers out.
//
// A rating is the whole distribution over a rubric's scale. For every rating
// string s of the scale, P(s) is the probability that the grader's answer
// begins with s and with no longer string of the scale ("4" means: begins with
// "4" but not with "4.5"). These events exclude one another, so what is missing
// to 1 is the off-scale mass: the probability of answers that are no rating.
package rating

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Scale is the allowed rating strings and what each is worth.
type Scale struct {
	Strings []string
	Values  []float64 // same length; strictly increasing
}

// Validate reports what makes the scale unusable.
func (s Scale) Validate() error {
	if len(s.Strings) < 2 {
		return fmt.Errorf("a scale needs at least 2 ratings, this one has %d", len(s.Strings))
	}
	if len(s.Strings) != len(s.Values) {
		return fmt.Errorf("a scale needs one value for each rating, this one has %d ratings and %d values", len(s.Strings), len(s.Values))
	}
	seen := make(map[string]bool, len(s.Strings))
	for i, str := range s.Strings {
		if str == "" || seen[str] {
			return fmt.Errorf("rating %d of the scale, %q, is empty or stands there twice", i+1, str)
		}
		seen[str] = true
		if v := s.Values[i]; math.IsNaN(v) || math.IsInf(v, 0) || i > 0 && !(v > s.Values[i-1]) {
			return fmt.Errorf("the scale's values must be finite and increase; value %d is %v", i+1, v)
		}
	}
	return nil
}

// AtLeast returns the probability that the rating's value is min or more,
// given that the answer is on the scale; p are the probabilities of the
// scale's strings, one for each. It is 0 if they are all 0.
func (s Scale) AtLeast(p []float64, min float64) float64 {
	var over, sum float64
	for i, x := range p {
		sum += x
		if s.Values[i] >= min {
			over += x
		}
	}
	if sum == 0 {
		return 0
	}
	return over / sum
}

// Rating is the grader's answer for one record and one criterion.
type Rating struct {
	Value    float64   // expected value, given that the answer is on the scale
	Mode     string    // the most probable rating string; the lower one on a tie
	Probs    []float64 // of the scale's strings, in its order; with OffScale they sum to 1
	OffScale float64   // probability that the answer is none of the scale's strings
	Entropy  float64   // of the distribution given that the answer is on the scale, in nats
}

// Set makes r the rating with these probabilities of the scale's strings, which
// it copies into the memory of r.Probs if there is room. It fails, and leaves r
// as it was, if they are no sub-probability distribution or all zero.
func (r *Rating) Set(s Scale, p []float64) error {
	if len(p) != len(s.Strings) {
		return fmt.Errorf("%d probabilities for a scale of %d ratings", len(p), len(s.Strings))
	}
	const slack = 1e-4 // float32 log-sum-exp over a large vocabulary
	sum, mode := 0.0, 0
	for i, x := range p {
		if !(x >= 0 && x <= 1+slack) { // also catches NaN
			return fmt.Errorf("P(%q) = %v is no probability", s.Strings[i], x)
		}
		sum += x
		if x > p[mode] {
			mode = i
		}
	}
	if !(sum <= 1+slack) {
		return fmt.Errorf("the probabilities of the scale sum to %v", sum)
	}
	if sum == 0 {
		return errors.New("no probability on the scale at all")
	}
	value, entropy := 0.0, 0.0
	for i, x := range p {
		q := x / sum
		value += q * s.Values[i]
		if q > 0 {
			entropy -= q * math.Log(q)
		}
	}
	*r = Rating{
		Value: value, Mode: s.Strings[mode], Probs: append(r.Probs[:0], p...),
		OffScale: math.Max(0, 1-sum), Entropy: entropy,
	}
	return nil
}

// AppendNumber appends x in the shortest form that keeps single precision:
// more digits than the model has.
func AppendNumber(b []byte, x float64) []byte {
	return strconv.AppendFloat(b, x, 'g', -1, 32)
}
