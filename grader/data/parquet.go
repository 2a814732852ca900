package data

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"winnow/grader/record"
)

// parquetBatch is how many rows are read at once. They share the pages that
// they stand in, so that more of them take little more memory.
const parquetBatch = 16

// parquetSource reads a Parquet file row by row. It holds one page of each
// column, whatever the size of a row group.
type parquetSource struct {
	name   string // for people
	fields record.Fields
	max    int
	file   io.ReaderAt
	meta   *format.FileMetaData
	layout *parquetLayout
	groups []parquet.RowGroup
	json   rowWriter
	pages  pageChecker

	group     int          // the next one
	rows      parquet.Rows // of the group before it; nil if that is read
	left      int64        // of these, by the footer
	ended     bool         // these have no more behind the batch
	batch     [parquetBatch]parquet.Row
	have, pos int

	index int // of the next row
	turns []*record.Record
	err   error // of the last Next; sticky
}

// openParquet opens a Parquet file of so many bytes, which records and errors call
// name. A row's JSON object has the columns in their
// order; the kept file has the rows as they are. In JSON stand
//
//   - numbers as numbers; NaN and the infinities as strings
//   - text as a string, JSON columns as the JSON they hold
//   - bytes without a type as a string if they are UTF-8, else, like those of
//     fixed length, in base64; UUIDs with their hyphens
//   - dates, times and timestamps as RFC 3339 writes them, with Z where they
//     are adjusted to UTC; decimals as strings of their exact digits
//   - lists as arrays, groups and maps as objects
func openParquet(file io.ReaderAt, size int64, name string, o Options) (record.Source, error) {
	p := &parquetSource{name: name, fields: o.Record.Fields, max: o.Record.MaxBytes, file: file}
	if p.max <= 0 {
		p.max = record.DefaultMaxBytes
	}
	if err := p.open(size); err != nil {
		return nil, &record.SourceError{Name: name, Msg: "it cannot be read as Parquet", Err: err}
	}
	return p, nil
}

func (p *parquetSource) open(size int64) (err error) {
	if p.meta, err = readFooter(p.file, size); err != nil {
		return err
	}
	root, err := schemaOf(p.meta.Schema)
	if err != nil {
		return err
	}
	for i := range p.meta.RowGroups {
		if n := len(p.meta.RowGroups[i].Columns); n != root.leaves {
			return fmt.Errorf("the footer is damaged: row group %d has %d columns, the schema %d", i+1, n, root.leaves)
		}
	}
	p.json = rowWriter{root: root, max: p.max}
	return contained(func() error {
		f, err := parquet.OpenFile(p.file, size,
			parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(16<<10))
		if err != nil {
			return err
		}
		p.groups = f.RowGroups()
		p.layout = newParquetLayout(p.meta, f.Root(), root)
		return nil
	})
}

// columns names the columns with their types. Files in which they are the same can
// be written as one.
func (p *parquetSource) columns() string { return *p.layout.schema }

// Layout implements record.Source.
func (p *parquetSource) Layout() record.Layout { return p.layout }

// Close implements record.Source.
func (p *parquetSource) Close() error {
	if p.file == nil {
		return nil
	}
	p.pages.close()
	err := p.endGroup()
	p.file = nil
	if p.err == nil {
		p.err = &record.SourceError{Name: p.name, Msg: "reading failed", Err: os.ErrClosed}
	}
	if err != nil {
		return fmt.Errorf("closing records: %s: %w", p.name, err)
	}
	return nil
}

// Next implements record.Source.
func (p *parquetSource) Next() (*record.Record, error) {
	if len(p.turns) == 0 {
		if p.err == nil {
			p.err = p.next()
		}
		if p.err != nil {
			return nil, p.err
		}
	}
	rec := p.turns[0]
	p.turns = p.turns[1:]
	return rec, nil
}

// next reads the next row's records.
func (p *parquetSource) next() error {
	for p.pos == p.have {
		if err := p.fill(); err != nil {
			return err
		}
	}
	row := p.batch[p.pos]
	p.pos++
	var raw []byte
	var kept *parquetRow
	err := contained(func() error {
		b, err := p.json.object(row)
		raw = bytes.Clone(b)
		if err == nil {
			kept = &parquetRow{schema: p.layout.schema, row: row.Clone()}
		}
		return err
	})
	switch {
	case errors.Is(err, errRowTooLarge):
		return &record.SourceError{Name: p.name, Line: p.index + 1, Msg: fmt.Sprintf("row %d is larger than %d bytes as JSON; raise --max-record-bytes", p.index+1, p.max)}
	case err != nil:
		return p.damaged(err)
	}
	p.turns = record.Parse(raw, p.index, p.name, p.index+1, p.fields)
	for _, rec := range p.turns {
		rec.Row = kept
	}
	p.index++
	return nil
}

// damaged says that the next row, and what is behind it, cannot be read.
func (p *parquetSource) damaged(err error) error {
	return &record.SourceError{Name: p.name, Line: p.index + 1, Err: err,
		Msg: fmt.Sprintf("row %d cannot be decoded, and nothing behind it is certain; write the file again from its source", p.index+1)}
}

// fill reads the next batch of rows. At the end it compares their number with
// the footer's.
func (p *parquetSource) fill() error {
	if p.rows == nil {
		if p.group == len(p.groups) {
			if int64(p.index) != p.meta.NumRows {
				return p.damaged(fmt.Errorf("the footer promises %d rows, the file has %d", p.meta.NumRows, p.index))
			}
			return io.EOF
		}
		if err := p.beginGroup(); err != nil {
			return p.damaged(err)
		}
	}
	p.pos, p.have = 0, 0
	if !p.ended {
		err := contained(func() (err error) {
			p.have, err = p.rows.ReadRows(p.batch[:])
			return err
		})
		p.ended = errors.Is(err, io.EOF)
		switch {
		case err != nil && !p.ended:
			p.have = 0
			return p.damaged(err)
		case p.have == 0 && !p.ended:
			return p.damaged(io.ErrNoProgress)
		}
		if p.left -= int64(p.have); p.left < 0 {
			return p.damaged(fmt.Errorf("row group %d has more rows than the %d that the footer promises", p.group, p.meta.RowGroups[p.group-1].NumRows))
		}
	}
	if p.ended && p.have == 0 {
		if p.left > 0 {
			return p.damaged(fmt.Errorf("row group %d ends %d rows before the %d that the footer promises", p.group, p.left, p.meta.RowGroups[p.group-1].NumRows))
		}
		if err := p.endGroup(); err != nil {
			return p.damaged(err)
		}
	}
	return nil
}

func (p *parquetSource) beginGroup() error {
	g := &p.meta.RowGroups[p.group]
	for i := range g.Columns {
		if err := p.pages.check(p.file, &g.Columns[i].MetaData); err != nil {
			return fmt.Errorf("row group %d, column %d: %w", p.group+1, i+1, err)
		}
	}
	p.left, p.ended = g.NumRows, false
	return contained(func() error {
		p.rows = p.groups[p.group].Rows()
		p.group++
		return nil
	})
}

func (p *parquetSource) endGroup() error {
	if p.rows == nil {
		return nil
	}
	rows := p.rows
	p.rows = nil
	return contained(rows.Close)
}

// contained calls the Parquet library, which panics on some damaged files, and
// makes an error of that. An address that the damage points to outside of all
// memory becomes one too.
func contained(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decoding failed: %v", r)
		}
	}()
	return f()
}
