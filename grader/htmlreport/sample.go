package htmlreport

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"winnow/grader/journal"
	"winnow/grader/record"
)

// Characters of a record that the page shows.
const (
	instructionChars = 140
	responseChars    = 220
	reasonChars      = 140
)

// sampleSeed makes samples of the same records equal.
const sampleSeed = 1

// sampler keeps the entries whose lots are the least: which, does not depend on their
// order or on what else is in the data.
type sampler struct {
	most   int
	limit  uint64 // greatest lot that can still be kept
	full   bool
	drawn  []drawn
	offers int
}

type drawn struct {
	lot   uint64
	order int
	entry journal.Entry

	length                        float64
	kind, field                   string
	instruction, input, responded string
}

func (s *sampler) add(e *journal.Entry, rec *record.Record, length float64, kind, field string) {
	if s.most == 0 {
		return
	}
	s.offers++
	d := drawn{lot: e.Key.Lot("report", sampleSeed), order: s.offers, entry: *e, length: length, kind: kind, field: field}
	if s.full && d.lot > s.limit {
		return
	}
	if rec != nil {
		d.instruction, d.input, d.responded = excerpt(rec.Instruction, instructionChars), excerpt(rec.Input, instructionChars), excerpt(rec.Response, responseChars)
	}
	if s.drawn = append(s.drawn, d); len(s.drawn) >= 2*s.most {
		s.trim()
	}
}

func (s *sampler) trim() {
	slices.SortFunc(s.drawn, func(a, b drawn) int { return cmp.Or(cmp.Compare(a.lot, b.lot), cmp.Compare(a.order, b.order)) })
	if len(s.drawn) >= s.most {
		clear(s.drawn[s.most:]) // for the garbage collector
		s.drawn = s.drawn[:s.most]
		s.full, s.limit = true, s.drawn[s.most-1].lot
	}
}

// row is a record of the table. In JSON it is a list, in this order.
type row struct {
	Index    int
	Values   []number // of each criterion, rounded down; none without a rating
	Probs    [][]int  // in hundredths, of each criterion
	Length   int
	Kind     int
	Field    int
	Status   string // "" if there is a rating
	Reason   string
	Question string
	Input    string
	Response string
}

func (r row) list() []any {
	return []any{r.Index, r.Values, r.Probs, r.Length, r.Kind, r.Field, r.Status, r.Reason, r.Question, r.Input, r.Response}
}

// rows returns the sample in the order of the data.
func (s *sampler) rows(r *Report, criteria int) []row {
	if s.most == 0 {
		return nil
	}
	s.trim()
	slices.SortFunc(s.drawn, func(a, b drawn) int { return cmp.Compare(a.order, b.order) })
	place := func(names []string, label string) int {
		if label == "" {
			label = "(none)"
		}
		if at := slices.Index(names, label); at >= 0 {
			return at
		}
		return slices.Index(names, otherName)
	}
	list := make([]row, len(s.drawn))
	for i := range s.drawn {
		d := &s.drawn[i]
		x := row{
			Index: d.entry.Index, Values: []number{}, Probs: [][]int{}, Length: int(d.length),
			Kind: place(r.kinds, d.kind), Field: place(r.fields, d.field),
			Question: d.instruction, Input: d.input, Response: d.responded,
		}
		if len(d.entry.Ratings) == criteria {
			for k := range d.entry.Ratings {
				rated := &d.entry.Ratings[k]
				x.Values = append(x.Values, r.grid.rounded(rated.Value))
				probs := make([]int, len(rated.Probs))
				for n, p := range rated.Probs {
					probs[n] = int(math.Round(100 * p))
				}
				x.Probs = append(x.Probs, probs)
			}
		} else {
			x.Status, x.Reason = string(d.entry.Status), clip(d.entry.Reason, reasonChars)
		}
		list[i] = x
	}
	return list
}

// excerpt is clip of a text that takes no more than three bytes a character on the page,
// where < takes six: the page stays small whatever records say.
func excerpt(s string, n int) string {
	s = clip(s, n)
	room := 3 * n
	for i, r := range s {
		switch {
		case strings.ContainsRune("<>&\u2028\u2029", r):
			room -= len(`\u003c`)
		case r == '"' || r == '\\':
			room -= 2
		default:
			room -= utf8.RuneLen(r)
		}
		if room < 0 {
			return s[:i] + "…"
		}
	}
	return s
}

// clip returns at most n characters of s on one line, without control characters.
func clip(s string, n int) string {
	if most := 8 * n; len(s) > most { // no need to look at all of a long text
		s = strings.ToValidUTF8(s[:most], "")
	}
	var b strings.Builder
	gap := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			gap = b.Len() > 0
			continue
		case unicode.IsControl(r):
			r = unicode.ReplacementChar
		}
		if gap {
			b.WriteByte(' ')
			gap = false
			n--
		}
		if n--; n < 0 {
			return b.String() + "…"
		}
		b.WriteRune(r)
	}
	return b.String()
}
