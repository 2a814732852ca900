package htmlreport

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"winnow/grader/metric"
	"winnow/grader/rating"
	"winnow/grader/record"
)

// number is a number spelled for JSON.
type number = json.Number

// rough is x with three digits after the point; null if it is undefined.
func rough(x float64) metric.Figure { return metric.Figure(math.Round(x*1000) / 1000) }

func characters(s string) int { return utf8.RuneCountInString(s) }

// series is the ratings of one criterion, or the least of all criteria's.
type series struct {
	Name   string        `json:"name"`
	Mean   metric.Figure `json:"mean"`
	Counts []int         `json:"h"` // pairs of h
	Length []bin         `json:"length"`
	Kinds  []group       `json:"kinds"`
	Fields []group       `json:"fields"`
	Ribbon []shares      `json:"ribbon"` // of each tenth of the scale
	Lowest [][]int       `json:"lowest"` // pairs for each criterion, of the records that it rates lowest

	h counts
}

func (s *series) fill(g grid, values []float64, ribbons []ribbon) {
	s.h, s.Mean = make(counts, g.n+1), metric.Figure(meanOf(values))
	for _, v := range values {
		s.h[g.below(v)]++
	}
	s.Counts = s.h.pairs()
	for i := range ribbons {
		s.Ribbon = append(s.Ribbon, ribbons[i].shares())
	}
}

func meanOf(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// quartiles are the quantiles 0.1, 0.25, 0.5, 0.75 and 0.9, which sort values.
func quartiles(values []float64) (q [5]metric.Figure) {
	slices.Sort(values)
	for i, at := range [5]float64{0.1, 0.25, 0.5, 0.75, 0.9} {
		q[i] = rough(metric.Quantile(values, at))
	}
	return q
}

// lowestCounts splits the least ratings by the criterion that gave them.
func lowestCounts(g grid, values []float64, least []int, criteria int) [][]int {
	of := make([]counts, criteria)
	for k := range of {
		of[k] = make(counts, g.n+1)
	}
	for i, v := range values {
		of[least[i]][g.below(v)]++
	}
	list := make([][]int, criteria)
	for k := range of {
		list[k] = of[k].pairs()
	}
	return list
}

// bin is the ratings of records of about one length.
type bin struct {
	From    float64          `json:"from"`
	To      float64          `json:"to"`
	Records int              `json:"n"`
	Q       [5]metric.Figure `json:"q"`
}

// lengthBinsWanted is how many bins there are, unless many lengths are equal.
const lengthBinsWanted = 12

// byLength returns places in the order of lengths.
func byLength(lengths []float64) []int {
	order := make([]int, len(lengths))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(lengths[a], lengths[b]) })
	return order
}

// lengthBins sorts ratings into bins with about as many records each. Records of equal
// length share a bin.
func lengthBins(order []int, lengths, values []float64) []bin {
	list := []bin{}
	edge := func(k int) int {
		at := k * len(order) / lengthBinsWanted
		for at > 0 && at < len(order) && lengths[order[at]] == lengths[order[at-1]] {
			at++
		}
		return at
	}
	for k := range lengthBinsWanted {
		part := order[edge(k):max(edge(k), edge(k+1))]
		if len(part) == 0 {
			continue
		}
		of := make([]float64, len(part))
		for i, at := range part {
			of[i] = values[at]
		}
		list = append(list, bin{lengths[part[0]], lengths[part[len(part)-1]], len(part), quartiles(of)})
	}
	return list
}

// ribbon sums distributions over the scale.
type ribbon struct {
	n   int
	sum []float64 // of the scale's ratings, then off the scale
}

const tenths = 10

func newRibbons(ratings int) []ribbon {
	list := make([]ribbon, tenths)
	for i := range list {
		list[i].sum = make([]float64, ratings+1)
	}
	return list
}

// tenth says in which tenth of the scale a rating lies.
func tenth(scale []float64, v float64) int {
	lowest, highest := scale[0], scale[len(scale)-1]
	return min(max(int((v-lowest)/(highest-lowest)*tenths), 0), tenths-1)
}

func (b *ribbon) add(r *rating.Rating) {
	b.n++
	for i, p := range r.Probs {
		b.sum[i] += p
	}
	b.sum[len(b.sum)-1] += r.OffScale
}

// shares is a mean distribution.
type shares struct {
	Records int             `json:"n"`
	P       []metric.Figure `json:"p"`
}

func (b *ribbon) shares() shares {
	s := shares{Records: b.n, P: []metric.Figure{}}
	if b.n == 0 {
		return s
	}
	for _, x := range b.sum {
		s.P = append(s.P, rough(x/float64(b.n)))
	}
	return s
}

// group is the ratings of records that have something in common.
type group struct {
	Records int              `json:"n"`
	Mean    metric.Figure    `json:"mean"`
	Q       [5]metric.Figure `json:"q"`
	Counts  []int            `json:"h"`

	h counts
}

// mostGroups is how many groups are shown; all other records are one more.
const mostGroups = 14

// otherName is the group of all records that are in no other.
const otherName = "(other)"

// labels gives each rated record the place of its label among the different ones.
type labels struct {
	of    []int
	names []string
	n     []int
	at    map[string]int
}

func newLabels() labels { return labels{at: map[string]int{}} }

func (l *labels) add(name string) {
	i, ok := l.at[name]
	if !ok {
		i = len(l.names)
		l.at[name] = i
		l.names, l.n = append(l.names, name), append(l.n, 0)
	}
	l.n[i]++
	l.of = append(l.of, i)
}

// shorten keeps the most frequent labels, makes one of all others, and returns the names.
func (l *labels) shorten() []string {
	order := make([]int, len(l.names))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(l.n[b], l.n[a]), cmp.Compare(l.names[a], l.names[b]))
	})
	to, names := make([]int, len(order)), []string{}
	for place, i := range order {
		if place >= mostGroups && len(order) > mostGroups+1 {
			to[i] = mostGroups
			continue
		}
		to[i] = place
		name := l.names[i]
		if name == "" {
			name = "(none)"
		}
		names = append(names, name)
	}
	if len(order) > mostGroups+1 {
		names = append(names, otherName)
	}
	for i := range l.of {
		l.of[i] = to[l.of[i]]
	}
	for name, i := range l.at {
		l.at[name] = to[i]
	}
	l.names = names
	return names
}

// groups sorts ratings by label.
func (l *labels) groups(g grid, values []float64) []group {
	of := make([][]float64, len(l.names))
	for i, v := range values {
		of[l.of[i]] = append(of[l.of[i]], v)
	}
	list := []group{}
	for _, values := range of {
		x := group{Records: len(values), Mean: rough(meanOf(values)), h: make(counts, g.n+1)}
		for _, v := range values {
			x.h[g.below(v)]++
		}
		x.Q, x.Counts = quartiles(values), x.h.pairs()
		list = append(list, x)
	}
	return list
}

// polite is what may stand before the word that says what is asked for.
var polite = []string{"please", "kindly", "can you", "could you", "would you", "will you", "i want you to", "i need you to", "your task is to"}

// kindOf returns the first word of the instruction, its verb as a rule, in lower case and
// without what is only polite.
func kindOf(rec *record.Record) string {
	text := rec.Instruction
	if strings.TrimSpace(text) == "" {
		text = rec.Input
	}
	other := func(r rune) bool { return !unicode.IsLetter(r) }
	text = strings.TrimLeftFunc(strings.ToLower(clip(text, 160)), other)
	for at := 0; at >= 0; {
		rest := ""
		at = slices.IndexFunc(polite, func(p string) bool {
			after, ok := strings.CutPrefix(text, p)
			rest = strings.TrimLeftFunc(after, other)
			return ok && rest != "" && len(rest) < len(after) // another word follows
		})
		if at >= 0 {
			text = rest
		}
	}
	if end := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && r != '\'' }); end >= 0 {
		text = text[:end]
	}
	return clip(text, 24)
}

// fieldValue returns the value that a record has under a name, as text; "" for none.
func fieldValue(rec *record.Record, name string) string {
	raw := rec.Raw
	if row, ok := rec.Row.(interface{ Object() ([]byte, error) }); ok {
		object, err := row.Object()
		if err != nil {
			return ""
		}
		raw = object
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return ""
	}
	value := bytes.TrimSpace(members[name])
	var text string
	switch {
	case len(value) == 0 || string(value) == "null":
		return ""
	case json.Unmarshal(value, &text) == nil:
		return clip(text, 48)
	}
	return clip(string(value), 48)
}
