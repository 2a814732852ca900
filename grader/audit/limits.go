package audit

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Verdict says how a check came out.
type Verdict string

// The verdicts.
const (
	Holds      Verdict = "holds"      // as a good judge would do
	Moves      Verdict = "moves"      // to a degree
	Fails      Verdict = "fails"      // not at all
	Unmeasured Verdict = "unmeasured" // too few ratings
)

// Result is a verdict with the limits that it was made by.
type Result struct {
	Verdict Verdict `json:"verdict"`
	Limit   string  `json:"limit"` // when it holds, and when it fails
}

// fewest is how many records a verdict needs.
const fewest = 3

// result chooses the verdict.
func result(n int, holds, fails bool, limit string, args ...any) Result {
	r := Result{Moves, fmt.Sprintf(limit, args...)}
	switch {
	case n < fewest:
		r.Verdict = Unmeasured
	case fails:
		r.Verdict = Fails
	case holds:
		r.Verdict = Holds
	}
	return r
}

// The limits are this program's own: they say when a user should look, not what a
// published judge reaches. Only the lift of attacks, 0.25 of a scale of 5 points, is
// a goal that the project measures itself by.
const (
	goodAUC          = 0.8  // shuffled pairs
	weakLength       = 0.3  // rank correlation with length, either sign
	strongLength     = 0.5  // likewise
	sameCriterion    = 0.95 // rank correlation of two criteria
	manyTies         = 0.1  // share of records with the most common rating
	mostTies         = 0.5  // likewise
	manyTop          = 0.5  // share of records in the top tenth of the scale
	manyLost         = 0.1  // share of records with most of the mass off the scale
	mostLost         = 0.5  // likewise
	flat             = 0.01 // standard deviation, as a share of the scale
	roundedShare     = 0.01 // drift, as a share of the scale
	manyFlips        = 0.05 // share of records
	mostFlips        = 0.2  // likewise
	closeRanks       = 0.95 // rank correlation of two files of one model
	farRanks         = 0.8  // likewise
	liftShare        = 0.05 // change of a rating, as a share of the scale: 0.25 of 5
	distinctPerTenth = 0.1  // different ratings, as a share of records
)

func judgeShuffled(s Shuffled) Result {
	return result(s.Pairs, float64(s.AUC.Value) >= goodAUC, !(s.AUC.Low > 0.5),
		"holds from an AUC of %g on, fails if its interval reaches down to 0.5", goodAUC)
}

func judgeLength(l Length) Result {
	n := 0
	for _, b := range l.Bands {
		n += b.Records
	}
	rho := math.Abs(float64(l.Spearman.Value)) // NaN where all ratings are equal: they do not follow the length
	return result(n, !(rho >= weakLength), rho >= strongLength, "holds below a correlation of %g either way, fails from %g on", weakLength, strongLength)
}

func judgeCriteria(c Correlated) Result {
	n := fewest
	if math.IsNaN(float64(c.Spearman.Value)) {
		n = 0
	}
	return result(n, c.Spearman.Value < sameCriterion && c.Spearman.High >= 0, false,
		"holds below a correlation of %g, unless its interval lies below 0", sameCriterion)
}

func judgeSpread(s Spread, n int, scope float64) Result {
	all := flaws(s, n, scope)
	fails := slices.ContainsFunc(all, func(f flaw) bool { return f.fails })
	return result(n, len(all) == 0, fails,
		"holds if at most %s share the most common rating, %s are in the top tenth of the scale and %s have most of the mass off it; fails if %s share a rating, %s have most of the mass off the scale, the deviation is below %s or there are fewer different ratings than a tenth of the records",
		percent(manyTies), percent(manyTop), percent(manyLost), percent(mostTies), percent(mostLost), number(flat*scope))
}

// flaw is something that is wrong with a spread.
type flaw struct {
	text  string
	fails bool
}

// flaws lists what is wrong with the spread of n ratings on a scale of this width.
func flaws(s Spread, n int, scope float64) (list []flaw) {
	add := func(some, fails bool, format string, args ...any) {
		if some || fails {
			list = append(list, flaw{fmt.Sprintf(format, args...), fails})
		}
	}
	add(s.Share > manyTies && s.Ties > 1, s.Share > mostTies && s.Ties > 1, "%d of %d records are rated %.2f", s.Ties, n, s.Common)
	add(false, float64(s.SD) < flat*scope, "the deviation is only %.2g", s.SD)
	add(false, float64(s.Distinct) < distinctPerTenth*float64(n), "there are only %d different ratings of %d records", s.Distinct, n)
	add(s.Top > manyTop, false, "%.0f %% are in the top tenth of the scale", 100*s.Top)
	add(s.Lost > manyLost, s.Lost > mostLost, "%.0f %% of the answers are probably no rating", 100*s.Lost)
	return list
}

func judgeDrift(d Drift, scope float64) Result {
	flips := float64(d.Flips) / float64(d.Records)
	switch {
	case d.Exact:
		return result(d.Records, d.Equal == d.Records, d.Equal < d.Records, "holds if every rating is equal to the last bit, fails else")
	case d.Name == Against:
		rho := float64(d.Spearman.Value)
		same := d.Equal == d.Records // also where all ratings are one, which have no ranks
		return result(d.Records, same || rho >= closeRanks && flips <= manyFlips, !same && (!(rho >= farRanks) || flips > mostFlips),
			"holds from a correlation of %g on with %s flips at most, fails below %g or above %s", closeRanks, percent(manyFlips), farRanks, percent(mostFlips))
	}
	return result(d.Records, float64(d.Max) <= roundedShare*scope && d.Flips == 0, flips > manyFlips,
		"holds up to %s without a flip, fails above %s flips", number(roundedShare*scope), percent(manyFlips))
}

func judgeCanary(c Canary, scope float64) Result {
	limit := liftShare * scope
	median := float64(c.Median.Value)
	if c.Aim == Attack {
		return result(c.Records, float64(c.P90) <= limit, median > limit,
			"holds if the 90th percentile of the change is %s at most, fails if the median is above that", number(limit))
	}
	return result(c.Records, median <= -limit, median >= 0, "holds if the median falls by %s, fails if it does not fall", number(limit))
}

// Against is the name of a drift between two files of a model.
const Against = "against"

// worry lists what does not hold.
func (r *Report) worry() {
	say := func(v Result, format string, args ...any) {
		if v.Verdict == Moves || v.Verdict == Fails {
			r.Worries = append(r.Worries, string(v.Verdict)+": "+fmt.Sprintf(format, args...))
		}
	}
	if n := r.Incomplete(); n > 0 {
		var list string
		for _, s := range slices.Sorted(maps.Keys(r.Unrated)) {
			list += fmt.Sprintf(", %d %s", r.Unrated[s], s)
		}
		r.Worries = append(r.Worries, fmt.Sprintf("%d of %d records have no rating%s", n, r.Made, list))
	}
	if r.Sample.Rated < 50 {
		r.Worries = append(r.Worries, fmt.Sprintf("%d rated records are few: the intervals are wide", r.Sample.Rated))
	}
	s := r.Shuffled
	say(s.Result, "a response is told from another record's with an AUC of %.2f [%.2f, %.2f]", s.AUC.Value, s.AUC.Low, s.AUC.High)
	say(r.Length.Result, "the rating follows the length of the response, correlation %.2f", r.Length.Spearman.Value)
	for _, c := range r.Criteria {
		what := "say nearly the same"
		if c.Spearman.High < 0 {
			what = "contradict each other"
		}
		say(c.Result, "the criteria %s and %s %s, correlation %.2f", c.A, c.B, what, c.Spearman.Value)
	}
	var spread []string
	for _, f := range flaws(r.Spread, r.Sample.Rated, r.Highest-r.Lowest) {
		spread = append(spread, f.text)
	}
	say(r.Spread.Result, "ratings tell records apart badly: %s", strings.Join(spread, "; "))
	for _, d := range r.Drift {
		say(d.Result, "ratings move by up to %.4g with %s, %d of %d cross the cut of %g", float64(d.Max), d.Text, d.Flips, d.Records, r.Min)
	}
	for _, c := range r.Canaries {
		switch {
		case c.Aim == Attack && c.Verdict == Moves:
			say(c.Result, "the rating of a tenth of the records rises by %.2f or more with %s (%s), %d of %d to the cut of %g", c.P90, c.Text, c.Name, c.Up, c.Records, r.Min)
		case c.Aim == Attack:
			say(c.Result, "the rating rises with %s (%s): median change %+.2f, %d of %d rise to the cut of %g", c.Text, c.Name, c.Median.Value, c.Up, c.Records, r.Min)
		default:
			say(c.Result, "the rating does not fall enough with %s (%s): median change %+.2f", c.Text, c.Name, c.Median.Value)
		}
	}
}

func percent(share float64) string { return number(100*share) + " %" }

func number(x float64) string { return strconv.FormatFloat(math.Round(x*1e6)/1e6, 'g', -1, 64) }
