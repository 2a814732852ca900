package gold

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"winnow/grader/record"
)

// Label is what is known of one record.
type Label struct {
	Key    record.Key // zero if the data has no record of this Index
	Index  int        // as the label's file gives it; -1 if it gives none
	Score  float64    // of a Binary label 0 or 1
	Keep   bool       // whether it is worth keeping; without LabelOptions.Min only of Binary labels
	Binary bool       // true of all labels of a file, or of none
}

// Labels are labels of different records, in the order of their file.
type Labels []Label

// Binary reports whether the labels say keep or drop and nothing finer.
func (l Labels) Binary() bool { return len(l) > 0 && l[0].Binary }

// LabelOptions says how labels are read.
type LabelOptions struct {
	Field string   // the member that is the label; empty if there is only one that can be
	Min   *float64 // what scores this and more is worth keeping; nil for Binary labels
	Open  func() (record.Source, error)
}

// names of members that say of which record a label is.
const (
	keyName   = "key"
	indexName = "index"
)

// found is a label with its place.
type found struct {
	Label
	where  string
	isBool bool
}

// ReadLabels reads a file of labels. The label is a boolean, 0 or 1, or a number on any
// scale; objects whose label is missing or null are passed over. A record is named by
// "key", its content key in 32 hexadecimal digits, or by its texts (instruction, input,
// and output or response), or else by "index", its position from 0 in the data, which
// Open must then open. Labels of one record must agree, and count once. Labels whose
// index the data does not have keep a zero Key, which is that of no record.
func ReadLabels(path string, o LabelOptions) (Labels, error) {
	if o.Field == "" {
		field, err := onlyCandidate(path)
		if err != nil {
			return nil, err
		}
		o.Field = field
	}
	var list []found
	byIndex := false
	err := objects(path, func(obj object) error {
		l, ok, err := labelOf(obj, o.Field)
		if err != nil || !ok {
			return err
		}
		if len(list) > 0 && list[0].isBool != l.isBool {
			return obj.at("the label %q is %s, but %s has one of another type: want booleans or numbers throughout", o.Field, obj.describe(o.Field), list[0].where)
		}
		if l.Key == (record.Key{}) {
			byIndex = true
			if o.Open == nil {
				return obj.at("the label names its record by %q alone: the data is needed too, with --data", indexName)
			}
		}
		list = append(list, l)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("reading gold: no object of %s has the label %q", path, o.Field)
	}
	if byIndex {
		if err := join(list, o.Open); err != nil {
			return nil, err
		}
	}
	return distinct(list, o.Min)
}

// labelOf returns an object's label; not ok if it has none.
func labelOf(o object, field string) (l found, ok bool, err error) {
	l.where, l.Index = o.rec.Where(), -1
	switch raw := string(o.value[field]); raw {
	case "", "null":
		return l, false, nil
	case "true", "false":
		l.isBool = true
		if raw == "true" {
			l.Score = 1
		}
	default:
		if l.Score, ok = o.number(field); !ok {
			return l, false, o.at("the label %q is %s, want true, false or a number", field, o.describe(field))
		}
	}
	if o.has(indexName) {
		x, ok := o.number(indexName)
		if !ok || x != float64(int32(x)) || x < 0 {
			return l, false, o.at("%q is %s, want a position from 0", indexName, o.describe(indexName))
		}
		l.Index = int(x)
	}
	if o.has(keyName) {
		text, _ := o.text(keyName)
		if err := l.Key.UnmarshalText([]byte(text)); err != nil || l.Key == (record.Key{}) {
			return l, false, o.at("%q is %s, want the 32 hexadecimal digits of a record's key", keyName, o.describe(keyName))
		}
		return l, true, nil
	}
	if rec := textsOf(o); rec != nil {
		l.Key = rec.Key
		return l, true, nil
	}
	if l.Index < 0 {
		return l, false, o.at("the label names no record: want %q, the record's texts (instruction and output) or %q", keyName, indexName)
	}
	return l, true, nil
}

// textsOf returns the record whose texts an object has; nil if it has none.
func textsOf(o object) *record.Record {
	if o.whole {
		return o.rec
	}
	instruction, ok := o.text("instruction")
	if !ok {
		return nil
	}
	for _, name := range []string{"output", "response"} {
		if response, ok := o.text(name); ok {
			input, _ := o.text("input")
			rec := record.Made(o.rec.Index, instruction, input, response)
			rec.File, rec.Line, rec.Raw = o.rec.File, o.rec.Line, o.rec.Raw
			if blank(response) {
				rec.Fault = &record.Fault{Status: record.EmptyResponse, Reason: fmt.Sprintf("%q is empty or only white space", name)}
			}
			return rec
		}
	}
	return nil
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

// Texts returns the records whose texts a file of labels has, in order, for labels that
// stand in the data itself. It is empty if the labels have no texts.
func Texts(path string) (list []*record.Record, err error) {
	err = objects(path, func(o object) error {
		if rec := textsOf(o); rec != nil {
			list = append(list, rec)
		}
		return nil
	})
	return list, err
}

// onlyCandidate returns the one member that can be the label: a boolean or a number
// wherever it is there, and no name of a record.
func onlyCandidate(path string) (string, error) {
	var names []string // in the order of the file
	can := map[string]bool{}
	err := objects(path, func(o object) error {
		for _, name := range o.names {
			switch name {
			case keyName, indexName, "idx", "id":
				continue
			}
			raw := string(o.value[name])
			if raw == "null" {
				continue
			}
			_, isNumber := o.number(name)
			if _, known := can[name]; !known {
				names, can[name] = append(names, name), true
			}
			can[name] = can[name] && (isNumber || raw == "true" || raw == "false")
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !can[name] })
	switch len(names) {
	case 0:
		return "", fmt.Errorf("reading gold: %s has no label: no member of its objects is a boolean or a number throughout", path)
	case 1:
		return names[0], nil
	}
	return "", fmt.Errorf("reading gold: %s has several members that can be the label, %s: name one with --label", path, strings.Join(names, ", "))
}

// join gives labels that have only an index the key of the record that stands there.
func join(list []found, open func() (record.Source, error)) (err error) {
	at := map[int][]int{} // positions in list
	for i, l := range list {
		if l.Key == (record.Key{}) {
			at[l.Index] = append(at[l.Index], i)
		}
	}
	src, err := open()
	if err != nil {
		return fmt.Errorf("joining labels to the data: %w", err)
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	for len(at) > 0 {
		rec, err := src.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("joining labels to the data: %w", err)
		}
		for _, i := range at[rec.Index] {
			if rec.Turns > 1 {
				return fmt.Errorf("joining labels to the data: %s is of record %d, at %s, which is a conversation of %d turns: want the %q of a turn", list[i].where, rec.Index, rec.Where(), rec.Turns, keyName)
			}
			list[i].Key = rec.Key
		}
		delete(at, rec.Index)
	}
	return nil
}

// distinct leaves one label a record.
func distinct(list []found, least *float64) (Labels, error) {
	binary := !slices.ContainsFunc(list, func(l found) bool { return l.Score != 0 && l.Score != 1 })
	type name struct {
		key   record.Key
		index int // of labels without a key
	}
	seen := map[name]found{}
	out := make(Labels, 0, len(list))
	for _, l := range list {
		n := name{l.Key, -1}
		if l.Key == (record.Key{}) {
			n.index = l.Index
		}
		if earlier, ok := seen[n]; ok {
			if earlier.Score != l.Score {
				return nil, fmt.Errorf("reading gold: %s: the label is %g, but %g at %s, which is of the same record: leave one of them out", l.where, l.Score, earlier.Score, earlier.where)
			}
			continue
		}
		seen[n] = l
		l.Binary = binary
		l.Keep = binary && l.Score == 1
		if least != nil {
			l.Keep = l.Score >= *least
		}
		out = append(out, l.Label)
	}
	return out, nil
}
