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
	"bytes"
	"encoding/json"
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

// Rating is the grader's answer for one record.
type Rating struct {
	Value    float64 // expected value, given that the answer is on the scale
	Mode     string  // the most probable rating string; the lower one on a tie
	Probs    Probs   // in the scale's order; with OffScale they sum to 1
	OffScale float64 // probability that the answer is none of the scale's strings
	Entropy  float64 // of the distribution given that the answer is on the scale, in nats
}

// FromProbs makes a Rating of the probabilities of the scale's strings. It
// fails if they are no sub-probability distribution or all zero.
func FromProbs(s Scale, p []float64) (Rating, error) {
	if len(p) != len(s.Strings) {
		return Rating{}, fmt.Errorf("%d probabilities for a scale of %d ratings", len(p), len(s.Strings))
	}
	const slack = 1e-4 // float32 log-sum-exp over a large vocabulary
	sum := 0.0
	for i, x := range p {
		if !(x >= 0 && x <= 1+slack) { // also catches NaN
			return Rating{}, fmt.Errorf("P(%q) = %v is no probability", s.Strings[i], x)
		}
		sum += x
	}
	if !(sum <= 1+slack) {
		return Rating{}, fmt.Errorf("the probabilities of the scale sum to %v", sum)
	}
	if sum == 0 {
		return Rating{}, errors.New("no probability on the scale at all")
	}
	r := Rating{Probs: make(Probs, len(p)), OffScale: math.Max(0, 1-sum)}
	mode := 0
	for i, x := range p {
		r.Probs[i] = Prob{s.Strings[i], x}
		q := x / sum
		r.Value += q * s.Values[i]
		if q > 0 {
			r.Entropy -= q * math.Log(q)
		}
		if x > p[mode] {
			mode = i
		}
	}
	r.Mode = s.Strings[mode]
	return r, nil
}

// Prob is the probability of one rating string.
type Prob struct {
	String string
	P      float64
}

// Probs is a distribution over a scale. Its JSON form is an object in the
// scale's order, with single precision: more digits than the model has.
type Probs []Prob

// AtLeast returns the probability that the rating's value is min or more,
// given that the answer is on the scale; values are those of the scale.
func (p Probs) AtLeast(values []float64, min float64) float64 {
	var over, sum float64
	for i, x := range p {
		sum += x.P
		if values[i] >= min {
			over += x.P
		}
	}
	if sum == 0 {
		return 0
	}
	return over / sum
}

// MarshalJSON writes {"0":0.01,"0.5":0.02,…}.
func (p Probs) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, x := range p {
		if i > 0 {
			b = append(b, ',')
		}
		key, err := json.Marshal(x.String)
		if err != nil {
			return nil, err
		}
		b = append(append(b, key...), ':')
		b = AppendNumber(b, x.P)
	}
	return append(b, '}'), nil
}

// UnmarshalJSON reads the form of MarshalJSON and keeps its order.
func (p *Probs) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("probs: want an object, found %.20q", b)
	}
	*p = (*p)[:0]
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		var x float64
		if err := dec.Decode(&x); err != nil {
			return fmt.Errorf("probs: %v: %w", key, err)
		}
		*p = append(*p, Prob{key.(string), x})
	}
	return nil
}

// AppendNumber appends x in the shortest form that keeps single precision.
func AppendNumber(b []byte, x float64) []byte {
	return strconv.AppendFloat(b, x, 'g', -1, 32)
}
