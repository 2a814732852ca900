package grader

import (
	"math"

	"winnow/grader/rating"
)

// Preference says which of two responses a judge prefers, from its answers about the
// pair in both orders: each response has stood first once, so a judge's liking for a
// place cancels out. The zero Preference is a tie.
type Preference struct {
	// LogOdds that the first response is the better one, the mean of both orders:
	// in nats as Prefer makes it, in points of the scale as PreferScores does.
	LogOdds float64
	Bias    float64 // half the difference between the orders: what the first place is worth, in the unit of LogOdds
	P       float64 // the logistic function of LogOdds; with the one of the mirrored preference it sums to exactly 1

	Consistent bool // both orders name the same response, or both a tie
}

// leastProb stands for a probability of 0: the least number above it that a scores
// file, with single precision, can hold.
const leastProb = math.SmallestNonzeroFloat32

// Prefer makes a preference of ratings on a scale of two strings, of which the first
// names the response that stands first. r is the answer about the pair as it is,
// swapped the one about the pair with its responses in the other order; each is taken
// as the judge gave it. What is off the scale does not count.
//
// It is antisymmetric to the last bit: Prefer(swapped, r) has the negated LogOdds and
// the same Bias. With ratings on scales of any other size, which PreferScores is for,
// its numbers are NaN.
func Prefer(r, swapped rating.Rating) Preference {
	return prefer(firstPlace(r), firstPlace(swapped))
}

// firstPlace returns the log-odds of the first rating string.
func firstPlace(r rating.Rating) float64 {
	if len(r.Probs) != 2 {
		return math.NaN()
	}
	return math.Log(max(r.Probs[0], leastProb)) - math.Log(max(r.Probs[1], leastProb))
}

// PreferScores makes a preference of scores, one rating for each place: one and two
// are those of the responses that stand first and second in the pair as it is,
// swappedOne and swappedTwo those of the first and second place in the other order, so
// swappedTwo is about the same response as one. What counts in each order is by how
// much the expected value of the first exceeds that of the second.
//
// LogOdds and Bias are then in points of the scale, and P grows with the difference
// but is no probability. It is antisymmetric as Prefer is.
func PreferScores(one, two, swappedOne, swappedTwo rating.Rating) Preference {
	return prefer(one.Value-two.Value, swappedOne.Value-swappedTwo.Value)
}

// prefer takes by how much the first place is preferred in each order.
func prefer(asItIs, swapped float64) Preference {
	p := Preference{LogOdds: (asItIs - swapped) / 2, Bias: (asItIs + swapped) / 2}
	p.P = logistic(p.LogOdds)
	p.Consistent = asItIs > 0 && swapped < 0 || asItIs < 0 && swapped > 0 || asItIs == 0 && swapped == 0
	return p
}

// logistic is computed from the side of 0 where it is small, so that the values at x
// and -x sum to exactly 1.
func logistic(x float64) float64 {
	if x > 0 {
		return 1 - logistic(-x)
	}
	e := math.Exp(x)
	return e / (1 + e)
}

// Winner is the better one of two responses, if there is one.
type Winner int

// The winners.
const (
	Tie Winner = iota
	First
	Second
)

// String returns "tie", "first" or "second".
func (w Winner) String() string {
	switch w {
	case First:
		return "first"
	case Second:
		return "second"
	}
	return "tie"
}

// Decide names the better response. LogOdds of at most band, in its unit and to either
// side, are a tie.
func (p Preference) Decide(band float64) Winner {
	switch {
	case p.LogOdds > band:
		return First
	case p.LogOdds < -band:
		return Second
	}
	return Tie
}
