package grader

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"winnow/grader/metric"
	"winnow/grader/record"
)

// CardOptions says what a card is of.
type CardOptions struct {
	Data  func() (record.Source, error) // opens what was rated
	Kept  func() (record.Source, error) // opens what was kept of it
	Turns Turns                         // how a conversation's rating comes of its turns'; MinTurn if empty
}

// Card holds the figures of a dataset card: what a set of records was before some were kept,
// and what the kept ones are. A conversation is one record; its lengths are those of all
// its turns.
type Card struct {
	Files       []CardFile            `json:"files"` // of the data, in order
	KeptFiles   []CardFile            `json:"kept_files"`
	Scores      CardFile              `json:"scores"` // left to the caller; its records are entries
	Records     int                   `json:"records"`
	Kept        int                   `json:"kept"`
	Dropped     int                   `json:"dropped"`      // rated, and not kept
	Unrated     map[record.Status]int `json:"unrated"`      // neither rated nor kept, by status
	KeptUnrated map[record.Status]int `json:"kept_unrated"` // kept without a rating
	Copies      int                   `json:"copies"`       // dropped ones with the texts of a kept one
	Truncated   int                   `json:"truncated"`    // records rated with the middle of the response left out
	Cut         CardCut               `json:"cut"`
	Ratings     []CardRow             `json:"ratings"` // the one that counts, then each of several criteria, then the off-scale mass
	Signals     []CardRow             `json:"signals"` // the calibrated probability, if there is one, and each signal
	Lengths     []CardRow             `json:"lengths"`
	Verbs       []CardVerb            `json:"verbs"`
}

// CardFile is a file. NewCard leaves the hash to the caller.
type CardFile struct {
	Name    string `json:"name"`
	SHA256  string `json:"sha256"`
	Records int    `json:"records"`
}

// CardCut is what can be told of the rule from what was kept.
type CardCut struct {
	LeastKept       Figure `json:"least_kept"`       // rating
	GreatestDropped Figure `json:"greatest_dropped"` // rating, without Copies
	Above           int    `json:"dropped_above"`    // dropped ones rated as high as LeastKept or higher, without Copies

	// Min is the shortest number from which on all are kept and below which all are
	// dropped; nil if there is none.
	Min *float64 `json:"min"`
}

// CardRow is a number before and after.
type CardRow struct {
	Name   string `json:"name"`
	Before Spread `json:"before"`
	After  Spread `json:"after"`
}

// Spread says how the numbers of some records lie. Without any, all but Records is
// undefined.
type Spread struct {
	Records int    `json:"records"` // that have the number, and have it finite
	Mean    Figure `json:"mean"`
	Median  Figure `json:"median"`
	P10     Figure `json:"p10"`
	P90     Figure `json:"p90"`
}

// CardVerb is how many instructions begin with a verb.
type CardVerb struct {
	Verb   string `json:"verb"`
	Before int    `json:"before"`
	After  int    `json:"after"`
}

// NewCard reads the kept records and the data, joined by content key. A kept record that the
// data lacks is an error that names the first one.
func NewCard(j Judged, o CardOptions) (*Card, error) {
	b := cardBuilder{judged: j, left: map[record.Key]int{}, verbs: map[string]*CardVerb{},
		card: &Card{Unrated: map[record.Status]int{}, KeptUnrated: map[record.Status]int{}}}
	if _, err := each(o.Kept, 0, func(turns []*record.Record) error {
		b.left[record.ConversationKey(turns)]++
		b.card.Kept++
		b.card.KeptFiles = counted(b.card.KeptFiles, turns[0])
		return nil
	}); err != nil {
		return nil, err
	}
	b.columns()
	if _, err := each(o.Data, 0, func(turns []*record.Record) error {
		c := newCandidate(j, turns, o.Turns)
		b.add(&c)
		return nil
	}); err != nil {
		return nil, err
	}
	if b.taken < b.card.Kept {
		_, err := each(o.Kept, 0, func(turns []*record.Record) error {
			if b.left[record.ConversationKey(turns)] > 0 {
				return fmt.Errorf("%s: record %d of the kept ones is not in the data, or not so often: give the data that it was kept of", turns[0].Where(), turns[0].Index)
			}
			return nil
		})
		if err == nil {
			err = errors.New("the kept records changed while they were read: run again when nothing writes to the file")
		}
		return nil, err
	}
	return b.finish(), nil
}

// sample is the numbers of a row, before and after.
type sample struct {
	name          string
	of            func(*candidate) float64 // NaN where there is none
	before, after []float64
}

// cardBuilder takes the records of the data.
type cardBuilder struct {
	judged                    Judged
	card                      *Card
	left                      map[record.Key]int // kept records that have not been met in the data; also at 0
	taken                     int                // that have been
	kept, dropped             []float64          // ratings; of dropped ones without copies
	ratings, signals, lengths []sample
	verbs                     map[string]*CardVerb
}

// columns says what is measured.
func (b *cardBuilder) columns() {
	for _, r := range b.judged.readings() {
		s := sample{name: r.name, of: func(c *candidate) float64 {
			if len(c.entry.Ratings) == 0 {
				return math.NaN()
			}
			return r.of(c.entry)
		}}
		if r.onScale {
			b.ratings = append(b.ratings, s)
		} else {
			b.signals = append(b.signals, s)
		}
	}
	b.ratings = append(b.ratings, sample{name: "off-scale mass", of: func(c *candidate) float64 {
		most := math.NaN()
		for i := range c.entry.Ratings {
			if x := c.entry.Ratings[i].OffScale; i == 0 || x > most {
				most = x
			}
		}
		return most
	}})
	texts := []struct {
		name string
		of   func(*record.Record) string
	}{
		{"instruction", func(r *record.Record) string { return r.Instruction }},
		{"input, where there is one", func(r *record.Record) string {
			if r.Turns > 1 {
				return "" // what was said before
			}
			return r.Input
		}},
		{"response", func(r *record.Record) string { return r.Response }},
	}
	for _, unit := range []struct {
		name string
		of   func(string) int
	}{{"characters", utf8.RuneCountInString}, {"words", func(s string) int { return len(strings.Fields(s)) }}} {
		for i, t := range texts {
			b.lengths = append(b.lengths, sample{name: t.name + ", " + unit.name, of: func(c *candidate) float64 {
				sum, some := 0, i != 1
				for _, turn := range c.turns {
					if turn.Fault != nil {
						return math.NaN()
					}
					text := t.of(turn)
					some = some || text != ""
					sum += unit.of(text)
				}
				if !some {
					return math.NaN()
				}
				return float64(sum)
			}})
		}
	}
}

func (b *cardBuilder) add(c *candidate) {
	out, first := b.card, c.turns[0]
	out.Files = counted(out.Files, first)
	out.Records++
	key := record.ConversationKey(c.turns)
	left, known := b.left[key]
	kept, rated := left > 0, len(c.entry.Ratings) > 0
	if kept {
		b.left[key]--
		b.taken++
	}
	switch {
	case kept && !rated:
		out.KeptUnrated[c.entry.Status]++
	case kept:
		b.kept = append(b.kept, c.entry.Value())
	case !rated:
		out.Unrated[c.entry.Status]++
	default:
		out.Dropped++
		if known {
			out.Copies++
		} else {
			b.dropped = append(b.dropped, c.entry.Value())
		}
	}
	if c.entry.Cut > 0 {
		out.Truncated++
	}
	for _, list := range [][]sample{b.ratings, b.signals, b.lengths} {
		for i := range list {
			x := list[i].of(c)
			if math.IsNaN(x) || math.IsInf(x, 0) {
				continue
			}
			list[i].before = append(list[i].before, x)
			if kept {
				list[i].after = append(list[i].after, x)
			}
		}
	}
	if first.Fault != nil {
		return
	}
	name := firstVerb(first.Instruction)
	verb := b.verbs[name]
	if verb == nil {
		verb = &CardVerb{Verb: name}
		b.verbs[name] = verb
	}
	verb.Before++
	if kept {
		verb.After++
	}
}

// counted counts a record for its file.
func counted(files []CardFile, rec *record.Record) []CardFile {
	if n := len(files); n == 0 || files[n-1].Name != rec.File {
		files = append(files, CardFile{Name: rec.File})
	}
	files[len(files)-1].Records++
	return files
}

func (b *cardBuilder) finish() *Card {
	rows := func(list []sample) []CardRow {
		out := []CardRow{} // as JSON a list, also of none
		for _, s := range list {
			out = append(out, CardRow{s.name, spreadOf(s.before), spreadOf(s.after)})
		}
		return out
	}
	c := b.card
	c.Ratings, c.Signals, c.Lengths = rows(b.ratings), rows(b.signals), rows(b.lengths)
	c.Verbs = frequent(b.verbs)
	least, greatest := math.NaN(), math.NaN()
	if len(b.kept) > 0 {
		least = slices.Min(b.kept)
	}
	if len(b.dropped) > 0 {
		greatest = slices.Max(b.dropped)
	}
	c.Cut = CardCut{LeastKept: Figure(least), GreatestDropped: Figure(greatest)}
	for _, x := range b.dropped {
		if x >= least {
			c.Cut.Above++
		}
	}
	if len(b.dropped) == 0 {
		greatest = math.Inf(-1)
	}
	if least > greatest && len(c.KeptUnrated) == 0 {
		x := between(greatest, least)
		c.Cut.Min = &x
	}
	return c
}

// between returns a number with the fewest digits that is above a and at most b.
func between(a, b float64) float64 {
	for digits := range 17 {
		x, err := strconv.ParseFloat(strconv.FormatFloat(math.Floor(b*math.Pow10(digits))/math.Pow10(digits), 'f', digits, 64), 64)
		if err == nil && x > a && x <= b {
			return x
		}
	}
	return b
}

func spreadOf(list []float64) Spread {
	slices.Sort(list)
	sum := 0.0
	for _, x := range list {
		sum += x
	}
	return Spread{
		Records: len(list), Mean: Figure(sum / float64(len(list))), // 0/0 is NaN
		Median: Figure(metric.Quantile(list, 0.5)), P10: Figure(metric.Quantile(list, 0.1)), P90: Figure(metric.Quantile(list, 0.9)),
	}
}

// frequentVerbs is how many of the most frequent verbs are listed, before and after.
const frequentVerbs = 10

// frequent returns the verbs that are among the most frequent before or after, the most
// frequent before first.
func frequent(verbs map[string]*CardVerb) []CardVerb {
	all := make([]CardVerb, 0, len(verbs))
	for _, v := range verbs {
		all = append(all, *v)
	}
	by := func(count func(CardVerb) int) func(a, b CardVerb) int {
		return func(a, b CardVerb) int {
			return cmp.Or(cmp.Compare(count(b), count(a)), cmp.Compare(b.Before, a.Before), cmp.Compare(a.Verb, b.Verb))
		}
	}
	listed := map[string]bool{}
	for _, count := range []func(CardVerb) int{func(v CardVerb) int { return v.Before }, func(v CardVerb) int { return v.After }} {
		slices.SortFunc(all, by(count))
		for _, v := range all[:min(frequentVerbs, len(all))] {
			listed[v.Verb] = count(v) > 0 || listed[v.Verb]
		}
	}
	slices.SortFunc(all, by(func(v CardVerb) int { return v.Before }))
	return slices.DeleteFunc(all, func(v CardVerb) bool { return !listed[v.Verb] })
}
