// Package verdict decides from ratings which records to keep. It is pure: the
// same candidates get the same verdicts, in whatever order they come.
package verdict

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"

	"winnow/grader/rating"
	"winnow/grader/record"
)

// Decision says what happens to a record.
type Decision string

// A record without a rating is for review, and no other.
const (
	Keep   Decision = "keep"
	Drop   Decision = "drop"
	Review Decision = "review"
)

// Verdict is a decision and, for people, its reason.
type Verdict struct {
	Decision Decision
	Reason   string
}

// Candidate is a record to decide on, with what its journal has of it.
type Candidate struct {
	Key    record.Key
	Index  int // of the record in its source, from 0
	Status record.Status
	Reason string         // why there is no rating
	Rating *rating.Rating // nil unless Status is record.OK
}

// DefaultMin is the least rating to keep where a rule names neither a limit
// nor a budget: that of the AlpaGasus paper on its scale of 0 to 5.
const DefaultMin = 4.5

// Rule says which rated records to keep. What is nil is not asked for; a rule
// that asks for nothing keeps ratings of DefaultMin and more.
type Rule struct {
	// Min is the least expected value to keep. With MinProb it is the value
	// that the rating must reach instead; DefaultMin if nil.
	Min *float64

	// MinProb is the least probability, given that the answer is on the scale,
	// that the rating is Min or more.
	MinProb *float64

	// Top is how many records to keep at most: the best of those that pass Min
	// and MinProb, or of all rated ones if neither is given.
	Top *int

	// TopPercent is Top as a percentage of the rated records, whether or not
	// they pass, rounded down.
	TopPercent *float64
}

// Validate reports what contradicts itself or can keep no record of a scale.
func (r Rule) Validate(scale rating.Scale) error {
	if err := scale.Validate(); err != nil {
		return err
	}
	switch {
	case r.Top != nil && r.TopPercent != nil:
		return fmt.Errorf("the rule keeps the top %d and the top %s %%: give one of the two", *r.Top, number(*r.TopPercent))
	case r.Top != nil && *r.Top < 0:
		return fmt.Errorf("the rule keeps the top %d: give 0 or more", *r.Top)
	case r.TopPercent != nil && !(*r.TopPercent > 0 && *r.TopPercent <= 100):
		return fmt.Errorf("the rule keeps the top %s %%: give more than 0 and at most 100", number(*r.TopPercent))
	case r.MinProb != nil && !(*r.MinProb > 0 && *r.MinProb <= 1):
		return fmt.Errorf("the rule asks for a probability of %s: give more than 0 and at most 1", number(*r.MinProb))
	}
	if highest := scale.Values[len(scale.Values)-1]; r.limited() && !(r.min() <= highest) {
		return fmt.Errorf("the rule asks for a rating of %s, but the scale's highest is %s: give a minimum on the scale", number(r.min()), number(highest))
	}
	return nil
}

// limited says whether a rating has a limit to pass.
func (r Rule) limited() bool {
	return r.Min != nil || r.MinProb != nil || r.Top == nil && r.TopPercent == nil
}

func (r Rule) min() float64 {
	if r.Min == nil {
		return DefaultMin
	}
	return *r.Min
}

// budget returns how many records to keep at most; -1 if there is no budget.
func (r Rule) budget(rated int) int {
	switch {
	case r.Top != nil:
		return max(0, *r.Top)
	case r.TopPercent != nil:
		// In decimals, as it was given: 0.57 % of 10000 is 57, not 56.99….
		percent, ok := new(big.Rat).SetString(number(*r.TopPercent))
		if !ok || percent.Sign() < 0 { // NaN, infinite or negative; Validate says so
			return 0
		}
		n := percent.Mul(percent, big.NewRat(int64(rated), 100))
		floor := new(big.Int).Quo(n.Num(), n.Denom())
		if !floor.IsInt64() || floor.Int64() > int64(rated) {
			return rated
		}
		return int(floor.Int64())
	}
	return -1
}

// Decide returns a verdict for each candidate, in the candidates' order. The
// ratings must be on the scale; one that is not is for review.
//
// For a budget the higher expected value is the better one. Of equal ones that
// with more probability on the highest rating is the better, then on the next;
// then the smaller key, then the smaller index.
func (r Rule) Decide(scale rating.Scale, candidates []Candidate) []Verdict {
	verdicts := make([]Verdict, len(candidates))
	var passed []int
	rated := 0
	for i, c := range candidates {
		if reason := unrated(scale, c); reason != "" {
			verdicts[i] = Verdict{Review, reason}
			continue
		}
		rated++
		ok, reason := r.pass(scale, c.Rating)
		if !ok {
			verdicts[i] = Verdict{Drop, reason}
			continue
		}
		verdicts[i] = Verdict{Keep, reason}
		passed = append(passed, i)
	}
	budget := r.budget(rated)
	if budget < 0 {
		return verdicts
	}
	slices.SortFunc(passed, func(i, j int) int { return compare(candidates[i], candidates[j]) })
	for rank, i := range passed {
		v := &verdicts[i]
		if rank >= budget {
			v.Decision = Drop
		}
		if v.Reason != "" {
			v.Reason += ", "
		}
		v.Reason += fmt.Sprintf("rank %d of %d, budget %d", rank+1, len(passed), budget)
	}
	return verdicts
}

// unrated returns why a candidate has no rating that can be compared, or "".
func unrated(scale rating.Scale, c Candidate) string {
	switch {
	case c.Status != record.OK && c.Reason != "":
		return string(c.Status) + ": " + c.Reason
	case c.Status != record.OK:
		return string(c.Status)
	case c.Rating == nil:
		return "the status is ok, but there is no rating"
	case len(c.Rating.Probs) != len(scale.Values):
		return fmt.Sprintf("the rating has %d probabilities, the scale %d ratings", len(c.Rating.Probs), len(scale.Values))
	case math.IsNaN(c.Rating.Value):
		return "the rating is no number"
	}
	sum := 0.0
	for _, p := range c.Rating.Probs {
		sum += p.P
	}
	if !(sum > 0) || math.IsInf(sum, 1) {
		return "the rating's probabilities are none"
	}
	return ""
}

// pass says whether a rating passes the rule's limit, and by what comparison;
// "" if there is no limit.
func (r Rule) pass(scale rating.Scale, x *rating.Rating) (bool, string) {
	what, value, limit := "rating", x.Value, r.min()
	switch {
	case !r.limited():
		return true, ""
	case r.MinProb != nil:
		what = "P(rating >= " + number(limit) + ")"
		value, limit = x.Probs.AtLeast(scale.Values, limit), *r.MinProb
	}
	ok := value >= limit // false for NaN
	sign := " < "
	if ok {
		sign = " >= "
	}
	return ok, what + " " + shown(value, limit) + sign + number(limit)
}

// shown returns a value with two digits after the point, or with as many more
// as keep it on its side of the limit.
func shown(value, limit float64) string {
	for digits := 2; digits <= 9; digits++ {
		s := strconv.FormatFloat(value, 'f', digits, 64)
		if x, err := strconv.ParseFloat(s, 64); err == nil && (x >= limit) == (value >= limit) {
			return s
		}
	}
	return number(value)
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// compare is negative if a is the better one.
func compare(a, b Candidate) int {
	if c := cmp.Compare(b.Rating.Value, a.Rating.Value); c != 0 {
		return c
	}
	for i := len(a.Rating.Probs) - 1; i >= 0; i-- {
		if c := cmp.Compare(b.Rating.Probs[i].P, a.Rating.Probs[i].P); c != 0 {
			return c
		}
	}
	if c := bytes.Compare(a.Key[:], b.Key[:]); c != 0 {
		return c
	}
	return cmp.Compare(a.Index, b.Index)
}
