package journal

import (
	"iter"
	"slices"

	"winnow/grader/rating"
	"winnow/grader/record"
)

// Index holds the entries of a journal with all their numbers but hidden states:
// with a scale of 11 ratings in about 200 bytes each, 120 more for each further
// criterion, and 8 more for each signal and for a calibrated probability.
// It may be read by several goroutines at once.
type Index struct {
	Torn int // bytes of an unfinished last line, which is left out

	scale    rating.Scale
	criteria []string
	signals  []string
	form     form
	rows     slab[row]
	numbers  slab[float64] // of the rated entries; as in flat
	modes    slab[int32]   // likewise
	byKey    map[record.Key]int32
	texts    []string // statuses and reasons, each once
	byText   map[string]int32
}

type row struct {
	key                record.Key
	index, tokens, cut int32
	status, reason     int32 // positions in texts
	rated              int32 // position in numbers and modes; -1 without a rating
}

// begin implements sink.
func (x *Index) begin(m Manifest) {
	f := newForm(m)
	*x = Index{
		scale:    rating.Scale(m.Scale),
		criteria: m.Criteria(),
		signals:  m.Signals,
		form:     f,
		rows:     slab[row]{width: 1},
		numbers:  slab[float64]{width: f.size()},
		modes:    slab[int32]{width: len(m.Rubrics)},
		byKey:    map[record.Key]int32{},
		byText:   map[string]int32{},
	}
}

// Scale returns the scale of the ratings. It must not be changed.
func (x *Index) Scale() rating.Scale { return x.scale }

// Criteria returns the names of the rubrics, one for each rating of a rated
// entry. They must not be changed.
func (x *Index) Criteria() []string { return x.criteria }

// Signals returns the names of the signals of a rated entry. They must not be
// changed.
func (x *Index) Signals() []string { return x.signals }

// Calibrated reports whether rated entries have a calibrated probability.
func (x *Index) Calibrated() bool { return x.form.calibrated }

// Len returns the number of entries.
func (x *Index) Len() int { return x.rows.n }

// Status returns the status of the record with this key, if it has an entry.
func (x *Index) Status(key record.Key) (record.Status, bool) {
	i, ok := x.byKey[key]
	if !ok {
		return "", false
	}
	return record.Status(x.texts[x.rows.at(int(i))[0].status]), true
}

// Lookup returns the entry of the record with this key, without its hidden state.
// The probabilities of its ratings and its signals are the Index's own and must not
// be changed.
func (x *Index) Lookup(key record.Key) (Entry, bool) {
	i, ok := x.byKey[key]
	if !ok {
		return Entry{}, false
	}
	return x.entry(int(i)), true
}

// All returns the entries in the order of the file, as Lookup does.
func (x *Index) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for i := range x.rows.n {
			if !yield(x.entry(i)) {
				return
			}
		}
	}
}

func (x *Index) entry(i int) Entry {
	r := &x.rows.at(i)[0]
	e := Entry{
		Key: r.key, Index: int(r.index),
		Status: record.Status(x.texts[r.status]), Reason: x.texts[r.reason],
		Tokens: int(r.tokens), Cut: int(r.cut),
	}
	if r.rated < 0 {
		return e
	}
	e.Ratings = make([]rating.Rating, 0, len(x.criteria))
	x.form.fill(&e, x.modes.at(int(r.rated)), x.numbers.at(int(r.rated)))
	return e
}

// add implements sink. It copies what f borrows.
func (x *Index) add(f flat) error {
	if _, ok := x.byKey[f.key]; ok {
		return errTwice(f.key)
	}
	x.byKey[f.key] = int32(x.rows.n)
	r := row{
		key: f.key, index: f.index, tokens: f.tokens, cut: f.cut,
		status: x.text(f.status), reason: x.text(f.reason), rated: -1,
	}
	if len(f.modes) > 0 {
		r.rated = int32(x.numbers.n)
		copy(x.numbers.add(), f.numbers)
		copy(x.modes.add(), f.modes)
	}
	x.rows.add()[0] = r
	return nil
}

func (x *Index) text(b []byte) int32 {
	i, ok := x.byText[string(b)]
	if !ok {
		i = int32(len(x.texts))
		x.texts = append(x.texts, string(b))
		x.byText[x.texts[i]] = i
	}
	return i
}

// slab is a growing list of rows of equal width that never moves a row: it
// needs no second copy of itself to grow.
type slab[T any] struct {
	width  int
	n      int
	blocks [][]T
}

const rowsPerBlock = 1 << 10

func (s *slab[T]) add() []T {
	if s.n%rowsPerBlock == 0 {
		s.blocks = append(s.blocks, make([]T, rowsPerBlock*s.width))
	}
	s.n++
	return s.at(s.n - 1)
}

func (s *slab[T]) at(i int) []T {
	start := i % rowsPerBlock * s.width
	return slices.Clip(s.blocks[i/rowsPerBlock][start:][:s.width])
}
