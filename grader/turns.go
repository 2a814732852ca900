package grader

import (
	"fmt"
	"math"
	"strings"

	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/verdict"
)

// Turns says how the rating of a conversation of several turns comes of those of
// its turns. Its signals and its calibrated probability are those of one turn, or the
// mean of all. For each criterion:
type Turns string

const (
	// MinTurn takes the whole rating of the turn with the least expected value, of
	// equal ones the first: a conversation is as good as its worst turn. Signals and
	// probability are those of the turn whose least criterion is the lowest. It is the
	// default.
	MinTurn Turns = "min"
	// MeanTurn takes the mean of the turns' distributions, off-scale mass
	// included. What is computed of a distribution is computed of the mean. So is
	// each signal, undefined if that of any turn is, and the probability.
	MeanTurn Turns = "mean"
	// LastTurn takes the rating, signals and probability of the last turn, which alone
	// has to have a rating.
	LastTurn Turns = "last"
)

// AllTurns lists the functions, the default first.
func AllTurns() []Turns { return []Turns{MinTurn, MeanTurn, LastTurn} }

// ParseTurns reads the name of a function.
func ParseTurns(s string) (Turns, error) {
	var names []string
	for _, t := range AllTurns() {
		if s == string(t) {
			return t, nil
		}
		names = append(names, string(t))
	}
	return "", fmt.Errorf("%q: want one of %s", s, strings.Join(names, ", "))
}

// candidate is a record to decide on with all that is known of its turns.
type candidate struct {
	turns   []*record.Record // one of what is no conversation
	entries []journal.Entry  // of the turns, if there are several
	entry   journal.Entry    // of the record
	parts   []string         // for each of its ratings, which turns it is of; nil if there is but one
}

// newCandidate looks the turns up and combines their ratings. A record without a
// rating has the status of the first turn that is to blame.
func newCandidate(known Ratings, turns []*record.Record, how Turns) candidate {
	c := candidate{turns: turns}
	if len(turns) == 1 {
		c.entry = lookup(known, turns[0])
		return c
	}
	for _, t := range turns {
		c.entries = append(c.entries, lookup(known, t))
	}
	last := len(turns) - 1
	counted := c.entries
	if how == LastTurn {
		counted = counted[last:]
	}
	c.entry = journal.Entry{Key: record.ConversationKey(turns), Index: turns[0].Index, Status: record.OK}
	for i, e := range counted {
		c.entry.Tokens += e.Tokens
		c.entry.Cut += e.Cut
		if e.Status != record.OK && c.entry.Status == record.OK {
			at := i + len(turns) - len(counted)
			c.entry.Status, c.entry.Reason = e.Status, c.part(at)
			if e.Reason != "" {
				c.entry.Reason += ": " + e.Reason
			}
		}
	}
	if c.entry.Status != record.OK {
		return c
	}
	for criterion := range known.Criteria() {
		switch how {
		case MeanTurn:
			c.add(c.mean(known.Scale(), criterion), fmt.Sprintf("mean of %d turns", len(turns)))
		case LastTurn:
			c.add(c.rating(last, criterion), c.part(last))
		default:
			at := c.least(criterion)
			c.add(c.rating(at, criterion), c.part(at))
		}
	}
	switch how {
	case MeanTurn:
		c.measureMean()
	case LastTurn:
		c.measure(last)
	default:
		c.measure(c.worst())
	}
	return c
}

// measure takes the signals and the probability of a turn.
func (c *candidate) measure(turn int) {
	e := &c.entries[turn]
	c.entry.Signals, c.entry.Calibrated = e.Signals, e.Calibrated
}

// measureMean takes the means of the turns' signals and probabilities.
func (c *candidate) measureMean() {
	n := float64(len(c.entries))
	for i := range c.entries[0].Signals {
		sum := 0.0
		for _, e := range c.entries {
			if i >= len(e.Signals) {
				sum = math.NaN()
				break
			}
			sum += e.Signals[i]
		}
		c.entry.Signals = append(c.entry.Signals, sum/n)
	}
	for _, e := range c.entries {
		c.entry.Calibrated += e.Calibrated / n
	}
}

// worst returns the turn with the least value by any criterion.
func (c *candidate) worst() (at int) {
	least := math.Inf(1)
	for i, e := range c.entries {
		x := e.Value()
		if math.IsNaN(x) {
			return i
		}
		if x < least {
			at, least = i, x
		}
	}
	return at
}

func (c *candidate) add(r rating.Rating, part string) {
	c.entry.Ratings, c.parts = append(c.entry.Ratings, r), append(c.parts, part)
}

// part names a turn for people, who count from 1.
func (c *candidate) part(turn int) string {
	return fmt.Sprintf("turn %d of %d", turn+1, len(c.turns))
}

// rating returns a turn's rating by a criterion. One that a rated entry lacks is no
// number, which no rule keeps.
func (c *candidate) rating(turn, criterion int) rating.Rating {
	if list := c.entries[turn].Ratings; criterion < len(list) {
		return list[criterion]
	}
	return rating.Rating{Value: math.NaN()}
}

// least returns the turn that a criterion rates lowest.
func (c *candidate) least(criterion int) (at int) {
	least := math.Inf(1)
	for i := range c.turns {
		x := c.rating(i, criterion).Value
		if math.IsNaN(x) {
			return i
		}
		if x < least {
			at, least = i, x
		}
	}
	return at
}

// mean returns the mean of the turns' distributions. If one of them is none, it
// returns that one, for the verdict to say what is wrong with it.
func (c *candidate) mean(scale rating.Scale, criterion int) (mean rating.Rating) {
	sum := make([]float64, len(scale.Strings))
	for i := range c.turns {
		r := c.rating(i, criterion)
		if len(r.Probs) != len(sum) || math.IsNaN(r.Value) {
			return r
		}
		for k, p := range r.Probs {
			sum[k] += p
		}
	}
	for k := range sum {
		sum[k] /= float64(len(c.turns))
	}
	if err := mean.Set(scale, sum); err != nil {
		return rating.Rating{Value: math.NaN(), Probs: sum}
	}
	return mean
}

// judged is the candidate as package verdict sees it.
func (c *candidate) judged() verdict.Candidate {
	e, last := &c.entry, c.turns[len(c.turns)-1]
	return verdict.Candidate{
		Key: e.Key, Index: e.Index, Status: e.Status, Reason: e.Reason, Ratings: e.Ratings, Parts: c.parts,
		Signals: e.Signals, Calibrated: e.Calibrated, Tokens: e.Tokens, Truncated: e.Cut > 0,
		Position: c.turns[0].Index, Turns: len(c.turns), Instruction: last.Instruction, Input: last.Input, Response: last.Response,
	}
}
