// Package verdict decides from ratings which records to keep. It is pure: the
// same candidates get the same verdicts, in whatever order they come.
package verdict

import (
	"fmt"
	"math/big"

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
	Key     record.Key
	Index   int // of the record in its source, from 0
	Status  record.Status
	Reason  string          // why there is no rating
	Ratings []rating.Rating // one for each criterion, on the scale; none unless Status is record.OK

	// Parts says for each rating which part of the record it is of, such as "turn 2
	// of 3", for the reason; nil if each is of the whole record.
	Parts []string

	// What expressions can see beside the ratings.
	Signals                      []float64 // as Vocabulary.Signals; NaN where one is undefined
	Calibrated                   float64   // if Vocabulary.Calibrated
	Position                     int       // in the data, from 0; Index is that of the run that rated it
	Tokens                       int       // of the prompt
	Truncated                    bool      // whether tokens of the record were left out
	Turns                        int       // of a conversation; 0 or 1 of any other record
	Instruction, Input, Response string    // of the last turn
}

// DefaultMin is the least rating to keep where a rule names neither a limit
// nor a condition nor a budget: that of the AlpaGasus paper on its scale of 0 to 5.
const DefaultMin = 4.5

// Rule says which rated records to keep. What is nil is not asked for; a rule
// that asks for nothing keeps ratings of DefaultMin and more. Where there are
// several criteria, each has to reach a limit, and the least of a record's
// ratings is the one that competes for a budget.
//
// For a budget the higher expected value is the better one, or with By the higher
// value of that, undefined ones last. Of equal ones that with the higher expected value,
// then with more probability on the scale's highest rating is the better; then the
// smaller key, then the smaller index.
type Rule struct {
	// Min is the least expected value to keep. With MinProb it is the value
	// that the rating must reach instead; DefaultMin if nil.
	Min *float64

	// MinProb is the least probability, given that the answer is on the scale,
	// that the rating is Min or more.
	MinProb *float64

	// Where must hold for a record to be kept, beside Min and MinProb.
	Where *Condition

	// By orders a budget.
	By *Order

	// Top is how many records to keep at most: the best of those that pass Min,
	// MinProb and Where, or of all rated ones if none of them is given.
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
	case r.By != nil && !r.budgeted():
		return fmt.Errorf("the rule orders by %s, but keeps all that pass: give how many to keep as well", r.By)
	}
	if highest := scale.Values[len(scale.Values)-1]; r.limited() && !(r.min() <= highest) {
		return fmt.Errorf("the rule asks for a rating of %s, but the scale's highest is %s: give a minimum on the scale", number(r.min()), number(highest))
	}
	return nil
}

// limited says whether a rating has a limit to pass.
func (r Rule) limited() bool {
	return r.Min != nil || r.MinProb != nil || r.Where == nil && !r.budgeted()
}

// budgeted says whether the number of kept records has a limit.
func (r Rule) budgeted() bool { return r.Top != nil || r.TopPercent != nil }

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
