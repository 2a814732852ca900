package data

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"winnow/grader/record"
)

// rowGroupBytes is how much of unpacked data goes into one row group that is
// written: what is in memory before it goes out.
const rowGroupBytes = 32 << 20

// arrowSchema is the key under which Arrow keeps its view of a file's columns.
// It describes a file column by column, so it must not stand in a file that has
// one more.
const arrowSchema = "ARROW:schema"

// parquetLayout writes rows in the schema, with the metadata and the compression
// of the file that they were read from. Encodings and row groups are winnow's
// own.
type parquetLayout struct {
	schema *string // names the schema; rows of another one are refused
	meta   *format.FileMetaData
	root   *parquet.Column
	fields []*field // of the root
	leaves int
}

// parquetRow is what a record of a Parquet file holds for the layout.
type parquetRow struct {
	schema *string
	row    parquet.Row
}

func newParquetLayout(meta *format.FileMetaData, root *parquet.Column, fields *field) *parquetLayout {
	schema := describe(meta.Schema)
	return &parquetLayout{schema: &schema, meta: meta, root: root, fields: fields.fields, leaves: fields.leaves}
}

// noteColumn returns the leaf that takes notes, and whether the schema has it
// already.
func (l *parquetLayout) noteColumn() (leaf int, there bool, err error) {
	for _, f := range l.fields {
		if f.name != record.NoteMember {
			continue
		}
		if len(f.fields) > 0 || f.kind != asText || f.repetition != format.Optional {
			return 0, false, fmt.Errorf("the column %q is there and is no optional column of text: rename it, or convert with --to", f.name)
		}
		return f.leaf, true, nil
	}
	return l.leaves, false, nil
}

// NewWriter implements record.Layout. With notes the schema has one more
// column, optional text of the note's JSON, unless it has that already.
func (l *parquetLayout) NewWriter(w io.Writer, notes bool) (record.Writer, error) {
	p := &parquetWriter{schema: l.schema, notes: notes}
	var more []parquet.Field
	if notes {
		var err error
		if p.leaf, p.replace, err = l.noteColumn(); err != nil {
			return nil, err
		}
		if !p.replace {
			more = []parquet.Field{newColumn(record.NoteMember, parquet.Optional(parquet.String()))}
		}
	}
	err := contained(func() error {
		p.w = parquet.NewGenericWriter[any](w, rewritten(l.meta, l.root, more), parquet.DataPageVersion(1))
		for _, kv := range l.meta.KeyValueMetadata {
			if len(more) == 0 || kv.Key != arrowSchema {
				p.w.SetKeyValueMetadata(kv.Key, kv.Value)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("beginning a Parquet file: %w", err)
	}
	return p, nil
}

// parquetWriter implements record.Writer.
type parquetWriter struct {
	w       *parquet.GenericWriter[any]
	schema  *string
	notes   bool
	leaf    int // of the notes
	replace bool
	row     parquet.Row
	size    int // of the row group so far
	closed  bool
}

// Write implements record.Writer.
func (p *parquetWriter) Write(rec *record.Record) error { return p.write(rec, nil) }

// WriteNote implements record.Writer.
func (p *parquetWriter) WriteNote(rec *record.Record, note any) error {
	if !p.notes {
		return fmt.Errorf("%s: the file that is written has no column for notes", rec.Where())
	}
	b, err := json.Marshal(note)
	if err != nil {
		return fmt.Errorf("%s: %w", rec.Where(), err)
	}
	return p.write(rec, b)
}

func (p *parquetWriter) write(rec *record.Record, note []byte) error {
	from, ok := rec.Row.(*parquetRow)
	switch {
	case p.closed:
		return fmt.Errorf("%s: %w", rec.Where(), errTableClosed)
	case !ok || from.schema != p.schema && *from.schema != *p.schema:
		return fmt.Errorf("%s: the record does not have the columns of the Parquet file that is written; convert with --to", rec.Where())
	}
	row := from.row
	if p.notes {
		v := parquet.NullValue().Level(0, 0, p.leaf)
		if note != nil {
			v = parquet.ByteArrayValue(note).Level(0, 1, p.leaf)
		}
		row = append(p.row[:0], row...)
		if i := slices.IndexFunc(row, func(v parquet.Value) bool { return v.Column() == p.leaf }); p.replace && i >= 0 {
			row[i] = v
		} else {
			row = append(row, v)
		}
		p.row = row
	}
	if err := contained(func() error { return p.add(row) }); err != nil {
		return fmt.Errorf("writing %s: %w", rec.Where(), err)
	}
	return nil
}

func (p *parquetWriter) add(row parquet.Row) error {
	if _, err := p.w.WriteRows([]parquet.Row{row}); err != nil {
		return err
	}
	if p.size += rowBytes(row); p.size < rowGroupBytes {
		return nil
	}
	p.size = 0
	return p.w.Flush()
}

// rowBytes is about what a row takes in memory until it is written.
func rowBytes(row parquet.Row) int {
	n := 0
	for i := range row {
		n += 16
		if k := row[i].Kind(); k == parquet.ByteArray || k == parquet.FixedLenByteArray {
			n += len(row[i].ByteArray())
		}
	}
	return n
}

// Close implements record.Writer.
func (p *parquetWriter) Close() error {
	if p.closed {
		return nil
	}
	p.closed = true
	if err := contained(p.w.Close); err != nil {
		return fmt.Errorf("writing the end of the file: %w", err)
	}
	return nil
}

var errTableClosed = errors.New("the writer is closed")
