package data

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"winnow/grader/record"
)

// maxColumns bounds a table's columns: a file with more different keys than this
// is not a table.
const maxColumns = 10_000

// spoolWriter writes records as a table. Its columns are known when all records
// are: until then they are lines of JSON in a temporary file.
type spoolWriter struct {
	record.Writer
	w      io.Writer
	format Format
	notes  bool
	spool  *os.File
}

func newSpoolWriter(w io.Writer, format Format, notes bool) (*spoolWriter, error) {
	f, err := os.CreateTemp("", "winnow-table-")
	if err != nil {
		return nil, fmt.Errorf("making a temporary file for the table: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil { // it goes when the process does
		return nil, errors.Join(fmt.Errorf("making a temporary file for the table: %w", err), f.Close())
	}
	lines, err := record.Shape{}.NewWriter(spoolFile{f}, notes)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &spoolWriter{Writer: &jsonWriter{Writer: lines, lines: true}, w: w, format: format, notes: notes, spool: f}, nil
}

// spoolFile names the temporary file in errors, with what to do about it.
type spoolFile struct{ f *os.File }

func (s spoolFile) Write(b []byte) (int, error) {
	n, err := s.f.Write(b)
	if err != nil {
		err = fmt.Errorf("%w (a temporary file; $TMPDIR names a folder with more room)", err)
	}
	return n, err
}

// Close implements record.Writer: it writes the table.
func (s *spoolWriter) Close() error {
	if s.spool == nil {
		return nil
	}
	err := s.Writer.Close()
	if err == nil {
		err = s.table()
	}
	err = errors.Join(err, s.spool.Close())
	s.spool = nil
	return err
}

func (s *spoolWriter) table() error {
	found := newColumnsFound()
	if err := s.each(func(line []byte) error { return members(line, found.add) }); err != nil {
		return err
	}
	columns := found.columns(s.format, s.notes)
	table, err := beginTable(s.w, s.format, columns)
	if err != nil {
		return err
	}
	place := make(map[string]int, len(columns))
	for i, c := range columns {
		place[c.Name] = i
	}
	cells := make([]any, len(columns))
	if err := s.each(func(line []byte) error {
		clear(cells)
		if err := members(line, func(name string, raw []byte) error {
			i := place[name]
			cell, err := found.cell(name, columns[i].Type, raw)
			cells[i] = cell
			return err
		}); err != nil {
			return err
		}
		return table.Row(cells)
	}); err != nil {
		return err
	}
	return table.Close()
}

// each calls visit for each line of the temporary file.
func (s *spoolWriter) each(visit func(line []byte) error) error {
	if _, err := s.spool.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading the temporary file back: %w", err)
	}
	r := bufio.NewReaderSize(s.spool, 64<<10)
	var long []byte
	for {
		line, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			long = append(long, line...)
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return fmt.Errorf("reading the temporary file back: %w", err)
		}
		if len(long) > 0 {
			long = append(long, line...)
			line = long
		}
		if len(bytes.TrimSpace(line)) > 0 {
			if err := visit(line); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
		long = long[:0]
	}
}

// members visits the members of an object in their order. What is no object is
// one member with the name raw.
func members(line []byte, visit func(name string, raw []byte) error) error {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] != '{' || !json.Valid(line) {
		text, err := json.Marshal(string(line))
		if err != nil {
			return err
		}
		return visit("raw", text)
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		text, _ := name.(string) // a member's name always is one
		if err := visit(text, raw); err != nil {
			return err
		}
	}
	return nil
}
