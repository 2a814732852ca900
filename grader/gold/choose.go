package gold

import (
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"winnow/grader/record"
)

// Half returns the labels of one half, 0 or 1; see the function of that name.
func (l Labels) Half(half int, seed uint64) Labels {
	out := Labels{}
	for _, label := range l {
		if Half(label.Key, seed) == half {
			out = append(out, label)
		}
	}
	return out
}

// HalfOfPairs returns the pairs of one half, 0 or 1, by their keys.
func HalfOfPairs(pairs []Pair, half int, seed uint64) []Pair {
	var out []Pair
	for _, p := range pairs {
		if Half(p.Key(), seed) == half {
			out = append(out, p)
		}
	}
	return out
}

// Single returns the two responses of each pair as records of their own.
func Single(pairs []Pair) []*record.Record {
	list := make([]*record.Record, 0, 2*len(pairs))
	for i, p := range pairs {
		list = append(list, record.Made(2*i, p.Instruction, p.Input, p.A), record.Made(2*i+1, p.Instruction, p.Input, p.B))
	}
	return checked(list)
}

// BothOrders returns each pair twice, as it is and with its responses swapped.
func BothOrders(pairs []Pair) []*record.Record {
	list := make([]*record.Record, 0, 2*len(pairs))
	for i, p := range pairs {
		list = append(list, record.MadePair(2*i, p.Instruction, p.Input, p.A, p.B), record.MadePair(2*i+1, p.Instruction, p.Input, p.B, p.A))
	}
	return checked(list)
}

// checked gives made records the faults that records of a file have.
func checked(list []*record.Record) []*record.Record {
	for _, rec := range list {
		switch {
		case blank(rec.Instruction) && blank(rec.Input):
			rec.Fault = &record.Fault{Status: record.NoInstruction, Reason: "the instruction has no text"}
		case blank(rec.Response) || rec.Pair && blank(rec.Other):
			rec.Fault = &record.Fault{Status: record.EmptyResponse, Reason: "a response is empty or only white space"}
		}
	}
	return list
}

// Only returns a source of the labelled records of another one, each once. A turn of a
// conversation comes alone.
func Only(src record.Source, labels Labels) record.Source {
	return &only{src, keysOf(labels)}
}

// keysOf returns the keys that records can have.
func keysOf(labels Labels) map[record.Key]bool {
	keys := make(map[record.Key]bool, len(labels))
	for _, l := range labels {
		if l.Key != (record.Key{}) {
			keys[l.Key] = true
		}
	}
	return keys
}

// only is a source of some records of another one.
type only struct {
	record.Source
	left map[record.Key]bool
}

// Next implements record.Source.
func (o *only) Next() (*record.Record, error) {
	for len(o.left) > 0 {
		rec, err := o.Source.Next()
		if err != nil {
			return nil, err
		}
		if !o.left[rec.Key] {
			continue
		}
		delete(o.left, rec.Key)
		if rec.Turns > 1 {
			alone := *rec
			alone.Turn, alone.Turns = 0, 1
			rec = &alone
		}
		return rec, nil
	}
	return nil, io.EOF
}

// Lengths returns how many characters the responses of the labelled records have, as
// far as the data has them.
func Lengths(open func() (record.Source, error), labels Labels) (_ map[record.Key]int, err error) {
	src, err := open()
	if err != nil {
		return nil, fmt.Errorf("reading the lengths of responses: %w", err)
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	chars := make(map[record.Key]int, len(labels))
	for some := Only(src, labels); ; {
		rec, err := some.Next()
		switch {
		case errors.Is(err, io.EOF):
			return chars, nil
		case err != nil:
			return nil, fmt.Errorf("reading the lengths of responses: %w", err)
		}
		chars[rec.Key] = utf8.RuneCountInString(rec.Response)
	}
}
