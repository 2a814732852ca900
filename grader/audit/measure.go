package audit

import (
	"cmp"
	"math"
	"slices"

	"winnow/grader/journal"
	"winnow/grader/metric"
)

// Shuffled is how the ratings of true responses stand to those of the same prompts
// with another record's response of about the same length.
type Shuffled struct {
	Pairs   int             `json:"pairs"`   // prompts with both ratings
	NoOther int             `json:"no_pair"` // prompts for which no other response fits
	AUC     metric.Estimate `json:"auc"`     // a true pair is rated higher than a shuffled one, of any prompts
	Wins    metric.Estimate `json:"wins"`    // of one prompt the true response is rated higher, ties counted half
	True    metric.Figure   `json:"mean_true"`
	Wrong   metric.Figure   `json:"mean_shuffled"`
	Result
}

func (a *auditor) shuffled() Shuffled {
	var s Shuffled
	var right, wrong []float64
	for i, e := range a.base {
		if a.plan.shuffled[i] == nil {
			s.NoOther++
			continue
		}
		if v, ok := a.rating(a.known, a.plan.shuffled[i]); ok && e != nil {
			right, wrong = append(right, e.Value()), append(wrong, v)
		}
	}
	s.Pairs = len(right)
	list := a.estimates(len(right), 2, func(w []int32, out []float64) {
		out[0], out[1] = pairedAUC(right, wrong, w), wins(right, wrong, w)
	})
	s.AUC, s.Wins, s.True, s.Wrong = list[0], list[1], mean(right), mean(wrong)
	s.Result = judgeShuffled(s)
	return s
}

// times is how often record i counts.
func times(w []int32, i int) int {
	if w == nil {
		return 1
	}
	return int(w[i])
}

// pairedAUC is the AUC of right against wrong, where pair i counts w[i] times.
func pairedAUC(right, wrong []float64, w []int32) float64 {
	scores, positive := make([]float64, 0, 2*len(right)), make([]bool, 0, 2*len(right))
	for i := range right {
		for range times(w, i) {
			scores, positive = append(scores, right[i], wrong[i]), append(positive, true, false)
		}
	}
	auc, err := metric.AUC(scores, positive)
	if err != nil {
		return math.NaN() // no rating is NaN
	}
	return auc
}

// wins is the share of pairs in which right is above wrong, ties counted half.
func wins(right, wrong []float64, w []int32) float64 {
	won, n := 0.0, 0
	for i := range right {
		t := times(w, i)
		n += t
		switch {
		case right[i] > wrong[i]:
			won += float64(t)
		case right[i] == wrong[i]:
			won += float64(t) / 2
		}
	}
	return won / float64(n) // NaN of none
}

// mean is NaN for an empty list.
func mean(v []float64) metric.Figure {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return metric.Figure(sum / float64(len(v)))
}

// Length is how ratings go with the length of responses.
type Length struct {
	Spearman metric.Estimate  `json:"spearman_chars"`  // of rating and log characters
	Tokens   *metric.Estimate `json:"spearman_tokens"` // of rating and log tokens; null if the scores file does not have them
	Bands    []Band           `json:"bands"`           // fifths of the records by length
	Result
}

// Band is the records whose responses are about as long.
type Band struct {
	Shortest int           `json:"shortest"` // characters
	Longest  int           `json:"longest"`
	Records  int           `json:"records"`
	Mean     metric.Figure `json:"mean_rating"`
}

// bandCount is how many bands there are.
const bandCount = 5

func (a *auditor) length() Length {
	type sized struct {
		chars int
		value float64
	}
	var list []sized
	var ratings, logChars []float64
	for i, e := range a.base {
		if e != nil {
			n := length(a.plan.sample.Records[i])
			list = append(list, sized{n, e.Value()})
			ratings, logChars = append(ratings, e.Value()), append(logChars, math.Log(float64(max(1, n))))
		}
	}
	l := Length{Spearman: a.spearman(logChars, ratings), Bands: []Band{}}
	if v, tokens := a.responseTokens(); len(tokens) > 0 {
		s := a.spearman(tokens, v)
		l.Tokens = &s
	}
	slices.SortFunc(list, func(a, b sized) int { return cmp.Or(cmp.Compare(a.chars, b.chars), cmp.Compare(a.value, b.value)) })
	for k := range bandCount {
		part := list[k*len(list)/bandCount : (k+1)*len(list)/bandCount]
		if len(part) == 0 {
			continue
		}
		var values []float64
		for _, s := range part {
			values = append(values, s.value)
		}
		l.Bands = append(l.Bands, Band{part[0].chars, part[len(part)-1].chars, len(part), mean(values)})
	}
	l.Result = judgeLength(l)
	return l
}

// Correlated is how two criteria agree.
type Correlated struct {
	A        string          `json:"a"`
	B        string          `json:"b"`
	Spearman metric.Estimate `json:"spearman"`
	Result
}

func (a *auditor) criteria() (list []Correlated) {
	names := a.m.Criteria()
	columns := make([][]float64, len(names))
	for _, e := range a.base {
		if e == nil {
			continue
		}
		for k := range columns {
			columns[k] = append(columns[k], e.Ratings[k].Value)
		}
	}
	for i := range names {
		for k := i + 1; k < len(names); k++ {
			c := Correlated{A: names[i], B: names[k], Spearman: a.spearman(columns[i], columns[k])}
			c.Result = judgeCriteria(c)
			list = append(list, c)
		}
	}
	return list
}

// Spread is how well ratings tell records apart at all.
type Spread struct {
	Mean     metric.Figure `json:"mean"`
	SD       metric.Figure `json:"sd"`              // in units of the scale
	Top      metric.Figure `json:"top_share"`       // of records, rated within the top tenth of the scale
	Common   float64       `json:"common_rating"`   // the most common rating, to two digits
	Ties     int           `json:"common_records"`  // with it
	Share    metric.Figure `json:"common_share"`    // of records
	Entropy  metric.Figure `json:"entropy"`         // of the histogram over the scale's values, in nats
	Evenness metric.Figure `json:"evenness"`        // Entropy as a share of what is possible
	OffScale metric.Figure `json:"mean_off_scale"`  // mass; of several criteria the greatest one's
	Lost     metric.Figure `json:"off_scale_share"` // of records with more than half of the mass off the scale
	Distinct int           `json:"distinct"`        // different ratings, to the last bit
	Result
}

func (a *auditor) spread() Spread {
	values, scale := a.values(), a.m.Scale.Values
	n := float64(len(values))
	s := Spread{Mean: mean(values), Distinct: len(slices.Compact(slices.Sorted(slices.Values(values))))}
	rounded, histogram := map[float64]int{}, make([]float64, len(scale))
	var squares, top, lost float64
	for _, v := range values {
		squares += (v - float64(s.Mean)) * (v - float64(s.Mean))
		if v >= scale[len(scale)-1]-a.scope/10 {
			top++
		}
		rounded[math.Round(v*100)/100]++
		histogram[nearest(scale, v)]++
	}
	for v, k := range rounded {
		if k > s.Ties || k == s.Ties && v < s.Common {
			s.Common, s.Ties = v, k
		}
	}
	entropy := 0.0
	for _, k := range histogram {
		if k > 0 {
			entropy -= k / n * math.Log(k/n)
		}
	}
	var off []float64
	for _, e := range a.base {
		if e == nil {
			continue
		}
		most := greatestOffScale(e)
		if off = append(off, most); most > 0.5 {
			lost++
		}
	}
	s.SD, s.Top, s.Share = metric.Figure(math.Sqrt(squares/n)), metric.Figure(top/n), metric.Figure(float64(s.Ties)/n)
	s.OffScale, s.Lost = mean(off), metric.Figure(lost/n)
	s.Entropy, s.Evenness = metric.Figure(math.NaN()), metric.Figure(math.NaN())
	if n > 0 {
		s.Entropy, s.Evenness = metric.Figure(entropy), metric.Figure(entropy/math.Log(float64(len(scale))))
	}
	s.Result = judgeSpread(s, len(values), a.scope)
	return s
}

// nearest returns the position of the scale's value next to v, of two the lower one.
func nearest(scale []float64, v float64) int {
	best := 0
	for i := range scale {
		if math.Abs(scale[i]-v) < math.Abs(scale[best]-v) {
			best = i
		}
	}
	return best
}

func greatestOffScale(e *journal.Entry) float64 {
	most := 0.0
	for i := range e.Ratings {
		most = max(most, e.Ratings[i].OffScale)
	}
	return most
}
