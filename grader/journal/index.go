package journal

import (
	"iter"
	"slices"

	"winnow/grader/rating"
	"winnow/grader/record"
)

// Index holds the entries of a journal in about 200 bytes each, for a scale of
// 11 ratings. It must not be read while Append adds to it.
type Index struct {
	Torn int // bytes of an unfinished last line, which is left out

	scale   rating.Scale
	rows    slab[row]
	numbers slab[float64] // of the rated entries; as in flat
	byKey   map[record.Key]int32
	texts   []string // statuses and reasons, each once
	byText  map[string]int32
}

type row struct {
	key                record.Key
	index, tokens, cut int32
	status, reason     int32 // positions in texts
	numbers            int32 // position in numbers, if there is a rating
	mode               int32 // position in the scale; -1 without a rating
}

func newIndex(scale rating.Scale) *Index {
	return &Index{
		scale:   scale,
		rows:    slab[row]{width: 1},
		numbers: slab[float64]{width: numbersBefore + len(scale.Strings)},
		byKey:   map[record.Key]int32{},
		byText:  map[string]int32{},
	}
}

// Scale returns the scale of the ratings. It must not be changed.
func (x *Index) Scale() rating.Scale { return x.scale }

// Len returns the number of entries.
func (x *Index) Len() int { return x.rows.n }

// Has says whether the record with this key has an entry, rated or not.
func (x *Index) Has(key record.Key) bool {
	_, ok := x.byKey[key]
	return ok
}

// Lookup returns the entry of the record with this key.
func (x *Index) Lookup(key record.Key) (Entry, bool) {
	i, ok := x.byKey[key]
	if !ok {
		return Entry{}, false
	}
	return x.entry(int(i)), true
}

// All returns the entries in the order of the file.
func (x *Index) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for i := range x.rows.n {
			if !yield(x.entry(i)) {
				return
			}
		}
	}
}

// Keys returns the keys of the entries in the order of the file.
func (x *Index) Keys() iter.Seq[record.Key] {
	return func(yield func(record.Key) bool) {
		for i := range x.rows.n {
			if !yield(x.rows.at(i)[0].key) {
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
	if r.mode < 0 {
		return e
	}
	numbers := x.numbers.at(int(r.numbers))
	e.Rating = &rating.Rating{
		Value: numbers[0], OffScale: numbers[1], Entropy: numbers[2],
		Mode:  x.scale.Strings[r.mode],
		Probs: make(rating.Probs, len(x.scale.Strings)),
	}
	for i, s := range x.scale.Strings {
		e.Rating.Probs[i] = rating.Prob{String: s, P: numbers[numbersBefore+i]}
	}
	return e
}

// add copies what f borrows. The caller has checked that its key is new.
func (x *Index) add(f flat) {
	x.byKey[f.key] = int32(x.rows.n)
	r := row{
		key: f.key, index: f.index, tokens: f.tokens, cut: f.cut,
		status: x.text(f.status), reason: x.text(f.reason), mode: f.mode,
	}
	if f.mode >= 0 {
		r.numbers = int32(x.numbers.n)
		copy(x.numbers.add(), f.numbers)
	}
	x.rows.add()[0] = r
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
