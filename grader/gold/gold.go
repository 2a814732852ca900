// Package gold reads what people, or a stronger judge, say of records: labels of
// single records, and pairs of responses of which one is better. It is what a judge
// is measured by and corrected with.
//
// Files are a JSON list of objects or one object a line. NaN, which some programs
// write for what is missing, is read as null.
package gold

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"winnow/grader/record"
)

// Half returns which half of the gold a record belongs to, 0 or 1. It depends on the
// record's texts and the seed alone, so that what is learned on one half can be
// measured on the other by any other run.
func Half(key record.Key, seed uint64) int { return int(key.Lot(Part, seed) >> 63) }

// Part is the purpose of the lots that halves, and other shares, of the gold are drawn by.
const Part = "half"

// Kind is what a file of gold holds.
type Kind string

// The kinds.
const (
	Labelled Kind = "labels" // see ReadLabels
	Paired   Kind = "pairs"  // see ReadPairs
)

// Detect says by the first object of a file what it holds.
func Detect(path string) (Kind, error) {
	kind := Labelled
	err := objects(path, func(o object) error {
		if formatOf(o) != nil {
			kind = Paired
		}
		return io.EOF
	})
	return kind, err
}

// object is one object of a file.
type object struct {
	rec   *record.Record // its place; its texts if it is a record
	whole bool           // it is read as one record of one turn
	names []string       // of its members, in order; one that stands twice is named twice
	value map[string]json.RawMessage
}

// at begins an error's text with the object's place.
func (o object) at(format string, args ...any) error {
	return fmt.Errorf("%s: %w", o.rec.Where(), fmt.Errorf(format, args...))
}

// has reports whether the members are there, null or not.
func (o object) has(names ...string) bool {
	for _, name := range names {
		if _, ok := o.value[name]; !ok {
			return false
		}
	}
	return true
}

// text returns a member that is a string.
func (o object) text(name string) (text string, ok bool) {
	raw := o.value[name]
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return text, json.Unmarshal(raw, &text) == nil
}

// want is text for one that must be there.
func (o object) want(name string) (string, error) {
	text, ok := o.text(name)
	if !ok {
		return "", o.at("%q is %s, want a string", name, o.describe(name))
	}
	return text, nil
}

// number returns a member that is a finite number.
func (o object) number(name string) (x float64, ok bool) {
	raw := o.value[name]
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, false
	}
	return x, json.Unmarshal(raw, &x) == nil // what overflows is an error
}

// describe says what a member is, for people.
func (o object) describe(name string) string {
	const most = 40 // bytes
	raw, ok := o.value[name]
	switch {
	case !ok:
		return "missing"
	case len(raw) > most:
		return fmt.Sprintf("%s…", bytes.ToValidUTF8(raw[:most], nil))
	}
	return string(raw)
}

// objects hands out the objects of a file until visit returns an error; io.EOF ends
// it without one. A file without any is an error.
func objects(path string, visit func(object) error) (err error) {
	r, err := record.Open(path, record.Options{})
	if err != nil {
		return fmt.Errorf("reading gold: %w", err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for n := 0; ; n++ {
		rec, err := r.Next()
		switch {
		case errors.Is(err, io.EOF) && n == 0:
			return fmt.Errorf("reading gold: %s holds nothing; want labels or pairs", path)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading gold: %w", err)
		case rec.Turn > 0:
			continue
		}
		o, err := objectOf(rec)
		if err == nil {
			err = visit(o)
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("reading gold: %w", err)
		}
	}
}

// objectOf takes a record's bytes apart.
func objectOf(rec *record.Record) (object, error) {
	if unreadable(rec) {
		raw := withoutNaN(rec.Raw)
		rec = record.Parse(raw, rec.Index, rec.File, rec.Line, record.Fields{})[0]
	}
	o := object{rec: rec, whole: rec.Turns == 1 && rec.Fault == nil, value: map[string]json.RawMessage{}}
	if unreadable(rec) {
		return o, o.at("%s", rec.Fault.Reason)
	}
	d := json.NewDecoder(bytes.NewReader(rec.Raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return o, o.at("found %.20q, want an object", rec.Raw)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return o, o.at("%w", err)
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return o, o.at("%w", err)
		}
		text, _ := name.(string)
		o.names, o.value[text] = append(o.names, text), raw // of members that stand twice the last one counts, as in records
	}
	return o, nil
}

// unreadable reports whether the record's bytes are no JSON.
func unreadable(rec *record.Record) bool {
	return rec.Fault != nil && (rec.Fault.Status == record.BadJSON || rec.Fault.Status == record.InvalidUTF8)
}

// withoutNaN writes null for each NaN that stands where a value may.
func withoutNaN(raw []byte) []byte {
	out := make([]byte, 0, len(raw)+16)
	quoted := false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\' && i+1 < len(raw):
			out = append(out, c)
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && bytes.HasPrefix(raw[i:], []byte("NaN")):
			out = append(out, "null"...)
			i += len("NaN") - 1
			continue
		}
		out = append(out, raw[i])
	}
	return out
}
