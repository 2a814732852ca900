package verdict

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"winnow/grader/rating"
	"winnow/grader/record"
)

// Selection applies a rule to candidates that come twice: all are added first,
// then each gets its verdict, because a budget depends on all of them. It keeps
// about 20 bytes of a candidate, and 48 more of one that competes for a budget.
// It is for one goroutine.
type Selection struct {
	rule     Rule
	scale    rating.Scale
	criteria []string
	where    *evaluation // nil without a condition
	by       *evaluation // nil if expected values order a budget
	err      error       // the first one of an expression
	rows     []row
	rivals   []rival // those that pass the limit, if there is a budget
	rated    int
	budget   int // -1 if there is none
	ranked   bool
}

// row is what is kept of each candidate.
type row struct {
	key  record.Key
	rank int32 // from 1; 0 if it does not compete for a budget, withdrawn if it is out of the race
}

const withdrawn = -1

// rival is what a budget needs of a candidate: of all its criteria the least.
type rival struct {
	by         float64 // what orders before the next two; 0 for all without such an order
	value, top float64 // expected value; probability of the scale's highest rating
	index      int     // in its source
	row        int32
}

// Select returns an empty Selection by the rule for ratings on this scale, one
// for each criterion.
func (r Rule) Select(scale rating.Scale, criteria []string) *Selection {
	s := &Selection{rule: r, scale: scale, criteria: criteria}
	if r.Where != nil {
		s.where = r.Where.evaluation()
	}
	if r.By != nil {
		s.by = r.By.evaluation()
	}
	return s
}

// Err returns the first error of the rule's expressions, such as a division by zero.
// With one the verdicts mean nothing.
func (s *Selection) Err() error { return s.err }

// Len returns the number of candidates added.
func (s *Selection) Len() int { return len(s.rows) }

// Key returns the key of the nth candidate added, from 0.
func (s *Selection) Key(n int) record.Key { return s.rows[n].key }

// Add takes the next candidate and reports whether it is rated. It keeps nothing
// that the candidate refers to. After the first Verdict nothing may be added.
func (s *Selection) Add(c Candidate) (rated bool) {
	if s.ranked {
		panic("verdict: a candidate is added after the first verdict")
	}
	s.rows = append(s.rows, row{key: c.Key})
	if s.unrated(c) != "" {
		return false
	}
	s.rated++
	if s.rule.budgeted() && s.passes(c) {
		v := rival{value: math.Inf(1), top: math.Inf(1), index: c.Index, row: int32(len(s.rows) - 1)}
		if s.by != nil {
			v.by = s.order(c)
		}
		for _, x := range c.Ratings {
			v.value, v.top = min(v.value, x.Value), min(v.top, x.Probs[len(x.Probs)-1])
		}
		s.rivals = append(s.rivals, v)
	}
	return true
}

// Passes reports whether a candidate is rated and passes the limits and the condition of
// the rule, whatever its budget.
func (s *Selection) Passes(c Candidate) bool { return s.unrated(c) == "" && s.passes(c) }

// passes is Passes of a rated candidate.
func (s *Selection) passes(c Candidate) bool {
	_, value, limit := s.measure(c)
	return value >= limit && s.holds(c)
}

// Worth returns what a budget orders rated candidates by before all else: By, or the
// least expected value.
func (s *Selection) Worth(c Candidate) float64 {
	switch {
	case s.unrated(c) != "":
		return math.NaN()
	case s.by != nil:
		return s.order(c)
	}
	_, value := s.least(c, s.expected)
	return value
}

// holds reports whether the condition holds for a rated candidate, if there is one.
func (s *Selection) holds(c Candidate) bool {
	if s.where == nil {
		return true
	}
	ok, err := s.where.holds(s.scale, &c)
	s.fail(err)
	return ok
}

// order returns the value of By.
func (s *Selection) order(c Candidate) float64 {
	x, err := s.by.number(s.scale, &c)
	s.fail(err)
	return x
}

func (s *Selection) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// Withdraw drops the nth candidate added, from 0, which is rated: it takes no place of
// a budget, and a share of the rated ones is one of the others. After the first
// Verdict none may be withdrawn.
func (s *Selection) Withdraw(n int) {
	if s.ranked {
		panic("verdict: a candidate is withdrawn after the first verdict")
	}
	if s.rows[n].rank != withdrawn {
		s.rows[n].rank = withdrawn
		s.rated--
	}
}

// Verdict returns the verdict on c, the nth candidate added, from 0, with the
// ratings that it had then.
func (s *Selection) Verdict(n int, c Candidate) Verdict {
	s.rank()
	if reason := s.unrated(c); reason != "" {
		return Verdict{Review, reason}
	}
	if s.rows[n].rank == withdrawn {
		return Verdict{Drop, "withdrawn"}
	}
	at, value, limit := s.measure(c)
	ok := value >= limit // false for NaN
	reason := s.compared(c, at, value, limit)
	if ok && s.where != nil {
		ok = s.holds(c)
		reason = join(reason, s.where.told())
	}
	switch {
	case !ok:
		return Verdict{Drop, reason}
	case s.budget < 0:
		return Verdict{Keep, reason}
	}
	if s.by != nil {
		x := s.order(c)
		reason = join(reason, "by "+s.by.text+": "+s.by.show(x))
	} else if (len(s.criteria) > 1 || c.Parts != nil) && (!s.rule.limited() || s.rule.MinProb != nil) {
		at, value := s.least(c, s.expected)
		what := "rating "
		if len(s.criteria) > 1 {
			what = s.criteria[at] + " rated "
		}
		reason = join(reason, c.part(at)+what+strconv.FormatFloat(value, 'f', 2, 64))
	}
	rank := int(s.rows[n].rank)
	reason = join(reason, fmt.Sprintf("rank %d of %d, budget %d", rank, len(s.rivals), s.budget))
	if rank > s.budget {
		return Verdict{Drop, reason}
	}
	return Verdict{Keep, reason}
}

// rank gives each rival its place.
func (s *Selection) rank() {
	if s.ranked {
		return
	}
	s.ranked = true
	s.rivals = slices.DeleteFunc(s.rivals, func(v rival) bool { return s.rows[v.row].rank == withdrawn })
	s.budget = s.rule.budget(s.rated)
	slices.SortFunc(s.rivals, func(a, b rival) int {
		if c := cmp.Compare(b.by, a.by); c != 0 { // NaN is less than all others
			return c
		}
		if c := cmp.Compare(b.value, a.value); c != 0 {
			return c
		}
		if c := cmp.Compare(b.top, a.top); c != 0 {
			return c
		}
		x, y := s.Key(int(a.row)), s.Key(int(b.row))
		if c := bytes.Compare(x[:], y[:]); c != 0 {
			return c
		}
		return cmp.Compare(a.index, b.index)
	})
	for place, v := range s.rivals {
		s.rows[v.row].rank = int32(place + 1)
	}
}

// unrated returns why a candidate has no ratings that can be compared, or "".
func (s *Selection) unrated(c Candidate) string {
	switch {
	case c.Status != record.OK && c.Reason != "":
		return string(c.Status) + ": " + c.Reason
	case c.Status != record.OK:
		return string(c.Status)
	case len(c.Ratings) == 0:
		return "the status is ok, but there is no rating"
	case len(c.Ratings) != len(s.criteria):
		return fmt.Sprintf("the number of ratings is %d, that of criteria %d", len(c.Ratings), len(s.criteria))
	}
	for i := range c.Ratings {
		if fault := unsound(s.scale, &c.Ratings[i]); fault != "" && len(s.criteria) > 1 {
			return s.criteria[i] + ": " + fault
		} else if fault != "" {
			return fault
		}
	}
	return ""
}

// unsound returns why a rating cannot be compared with others, or "".
func unsound(scale rating.Scale, x *rating.Rating) string {
	if len(x.Probs) != len(scale.Values) {
		return fmt.Sprintf("the rating has %d probabilities, the scale %d ratings", len(x.Probs), len(scale.Values))
	}
	if math.IsNaN(x.Value) {
		return "the rating is no number"
	}
	sum := 0.0
	for _, p := range x.Probs {
		sum += p
	}
	if !(sum > 0) || math.IsInf(sum, 1) {
		return "the rating's probabilities are none"
	}
	return ""
}

// least returns the first criterion for which of is least, and that value.
func (s *Selection) least(c Candidate, of func(*rating.Rating) float64) (at int, value float64) {
	for i := range c.Ratings {
		if x := of(&c.Ratings[i]); i == 0 || x < value {
			at, value = i, x
		}
	}
	return at, value
}

func (s *Selection) expected(x *rating.Rating) float64 { return x.Value }

func (s *Selection) enough(x *rating.Rating) float64 { return s.scale.AtLeast(x.Probs, s.rule.min()) }

// measure returns the criterion that decides whether a candidate passes the
// rule's limit, what it has and what it needs.
func (s *Selection) measure(c Candidate) (at int, value, limit float64) {
	switch {
	case !s.rule.limited():
		return 0, 0, 0
	case s.rule.MinProb != nil:
		at, value = s.least(c, s.enough)
		return at, value, *s.rule.MinProb
	}
	at, value = s.least(c, s.expected)
	return at, value, s.rule.min()
}

// part returns what stands before a statement about a rating.
func (c Candidate) part(at int) string {
	if at >= len(c.Parts) {
		return ""
	}
	return c.Parts[at] + ": "
}

// compared tells people what measure found of c; "" if there is no limit.
func (s *Selection) compared(c Candidate, at int, value, limit float64) string {
	if !s.rule.limited() {
		return ""
	}
	ok, several := value >= limit, len(s.criteria) > 1
	name, what, sign := "rating", "rating", " < "
	if several {
		name = s.criteria[at]
		what, sign = name+" rated", ", below "
	}
	if s.rule.MinProb != nil {
		what = "P(" + name + " >= " + number(s.rule.min()) + ")"
	}
	switch {
	case ok && several:
		sign = ", at least "
	case ok:
		sign = " >= "
	}
	return c.part(at) + what + " " + shown(value, limit) + sign + number(limit)
}

// join puts two parts of a reason together.
func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", " + b
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
