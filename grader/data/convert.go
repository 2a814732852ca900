package data

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"winnow/grader/record"
)

// jsonRow is the Row of a record whose Raw is no JSON. Object returns it as a
// JSON object with the columns in their order.
type jsonRow interface{ Object() ([]byte, error) }

// ConvertTo returns a layout that writes records of any source in a format: json,
// jsonl, csv, tsv or parquet.
//
// JSON keeps members, their order and their bytes. A table has a column for each
// key that any of the records has, in the order in which the keys come up, and
// holds nested values as JSON text. In CSV and TSV a missing value and null are
// empty cells. A column of Parquet is text, int64, double or boolean if all its
// values are, else text with each value as JSON. Tables go through a temporary
// file, in the folder that $TMPDIR names.
func ConvertTo(format string) (record.Layout, error) {
	f, err := ParseFormat(format)
	if err == nil && f == "" {
		err = fmt.Errorf("no format: want %s", formatNames)
	}
	return convertLayout{f}, err
}

type convertLayout struct{ format Format }

// NewWriter implements record.Layout.
func (l convertLayout) NewWriter(w io.Writer, notes bool) (record.Writer, error) {
	if l.format == JSON || l.format == JSONL {
		inner, err := record.Shape{Array: l.format == JSON}.NewWriter(w, notes)
		if err != nil {
			return nil, err
		}
		return &jsonWriter{Writer: inner, lines: l.format == JSONL}, nil
	}
	return newSpoolWriter(w, l.format, notes)
}

// jsonWriter hands records on as the JSON that they are.
type jsonWriter struct {
	record.Writer
	lines bool // one a line
}

// Write implements record.Writer.
func (w *jsonWriter) Write(rec *record.Record) error {
	rec, err := w.converted(rec)
	if err != nil {
		return err
	}
	return w.Writer.Write(rec)
}

// WriteNote implements record.Writer.
func (w *jsonWriter) WriteNote(rec *record.Record, note any) error {
	rec, err := w.converted(rec)
	if err != nil {
		return err
	}
	return w.Writer.WriteNote(rec, note)
}

func (w *jsonWriter) converted(rec *record.Record) (*record.Record, error) {
	raw := rec.Raw
	if row, ok := rec.Row.(jsonRow); ok {
		object, err := row.Object()
		switch {
		case err == nil:
			raw = object
		case rec.Fault == nil:
			return nil, fmt.Errorf("%s: %w", rec.Where(), err)
		} // a row that is none is wrapped as it is, with its note
	}
	if w.lines && bytes.IndexByte(raw, '\n') >= 0 {
		var line bytes.Buffer
		if json.Compact(&line, raw) == nil { // what is no JSON is wrapped with its note
			raw = line.Bytes()
		}
	}
	out := *rec
	out.Raw = raw
	return &out, nil
}
