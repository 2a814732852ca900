package data

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"winnow/grader/record"
)

// row is what the layout of a table knows of a record.
type row struct {
	of  *columns
	raw []byte
	end string // of its line, with the empty lines behind it
}

// Object returns the row as a JSON object with a string for each column, in their
// order.
func (r *row) Object() ([]byte, error) {
	cells, why := r.of.split(r.raw, nil)
	if why == "" && len(cells) != len(r.of.names) {
		why = fmt.Sprintf("it has %d cells, but the header names %d columns", len(cells), len(r.of.names))
	}
	if why == "" && !utf8.Valid(r.raw) {
		why = "it is not valid UTF-8"
	}
	if why != "" {
		return nil, errors.New("making an object of a row: " + why)
	}
	b := []byte{'{'}
	for i, c := range cells {
		name, err := record.MarshalPlain(r.of.names[i])
		text, textErr := record.MarshalPlain(c.text(r.raw))
		if err = errors.Join(err, textErr); err != nil {
			return nil, fmt.Errorf("making an object of a row: %w", err)
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, name...), ':'), text...)
	}
	return append(b, '}'), nil
}

// noteColumns hold the members verdict, reason, status and rating of a note; the
// last one holds its other members as a JSON object, if there are any.
var noteColumns = [...]string{
	record.NoteMember + "_verdict", record.NoteMember + "_reason", record.NoteMember + "_status", record.NoteMember + "_rating", record.NoteMember,
}

// NewWriter implements record.Layout. Rows keep their bytes. With notes, a table
// has five more columns at its end: winnow_verdict, winnow_reason, winnow_status,
// winnow_rating, and winnow for what else a note has. If they are there already,
// with older notes, they are replaced.
func (c *columns) NewWriter(w io.Writer, notes bool) (record.Writer, error) {
	t := &tableWriter{w: bufio.NewWriterSize(w, 64<<10), of: c, notes: notes, own: len(c.names), owed: c.end}
	header := c.header
	if notes {
		if n := len(c.names) - len(noteColumns); n > 0 && slices.Equal(c.names[n:], noteColumns[:]) {
			t.own = n
		}
		cells, _ := c.split([]byte(header), nil) // the header is sound
		header = header[:cells[t.own-1].to]
		for _, name := range noteColumns {
			header += string(c.comma) + name
		}
	}
	for _, s := range []string{c.lead, header} {
		if _, err := t.w.WriteString(s); err != nil {
			return nil, fmt.Errorf("writing the header: %w", err)
		}
	}
	return t, nil
}

// tableWriter writes rows of a table. The line end of a row is written when
// something follows it.
type tableWriter struct {
	w      *bufio.Writer
	of     *columns
	notes  bool
	own    int    // columns that are not those of notes
	owed   string // the end of the last line
	n      int
	closed bool
}

// Write implements record.Writer.
func (w *tableWriter) Write(rec *record.Record) error {
	r, err := w.row(rec)
	if err != nil {
		return err
	}
	return w.write(rec, r.raw, r.end)
}

// row returns the record's row.
func (w *tableWriter) row(rec *record.Record) (*row, error) {
	r, ok := rec.Row.(*row)
	switch {
	case !ok:
		return nil, fmt.Errorf("writing the record at %s: it is from no table of text; convert it with --to", rec.Where())
	case w.closed:
		return nil, fmt.Errorf("writing the record at %s: the writer is closed", rec.Where())
	}
	return r, nil
}

func (w *tableWriter) write(rec *record.Record, raw []byte, end string) error {
	_, err := w.w.WriteString(w.lineEnd())
	if err == nil {
		_, err = w.w.Write(raw)
	}
	if err != nil {
		return fmt.Errorf("writing the record at %s: %w", rec.Where(), err)
	}
	w.owed = end
	w.n++
	return nil
}

// lineEnd is what ends the last line if another one follows.
func (w *tableWriter) lineEnd() string {
	switch {
	case strings.Contains(w.owed, "\n"):
		return w.owed
	case strings.HasPrefix(w.of.end, "\r\n"):
		return "\r\n"
	}
	return "\n"
}

// WriteNote implements record.Writer. A record that is no row of the table
// becomes a row of empty cells, with its bytes in the last column as the member
// raw, or raw_base64 if they are not UTF-8.
func (w *tableWriter) WriteNote(rec *record.Record, note any) error {
	r, err := w.row(rec)
	if err != nil {
		return err
	}
	if !w.notes {
		return fmt.Errorf("writing the record at %s: the table has no columns for notes", rec.Where())
	}
	out, err := w.noted(r, note)
	if err != nil {
		return fmt.Errorf("writing the record at %s with its verdict: %w", rec.Where(), err)
	}
	return w.write(rec, out, r.end)
}

// noted returns a row with the columns of its note.
func (w *tableWriter) noted(r *row, note any) (out []byte, err error) {
	members, err := membersOf(note)
	if err != nil {
		return nil, err
	}
	cells, why := w.of.split(r.raw, nil)
	if why == "" && len(cells) == len(w.of.names) {
		out = append(out, r.raw[:cells[w.own-1].to]...)
	} else {
		out = append(out, bytes.Repeat([]byte{w.of.comma}, w.own-1)...)
		if utf8.Valid(r.raw) {
			members["raw"], err = record.MarshalPlain(string(r.raw))
		} else {
			members["raw_base64"], err = record.MarshalPlain(r.raw) // as base64
		}
		if err != nil {
			return nil, err
		}
	}
	for _, name := range noteColumns[:len(noteColumns)-1] {
		member := strings.TrimPrefix(name, record.NoteMember+"_")
		out = append(out, w.of.comma)
		out = append(out, quote(scalar(members[member]), w.of.comma)...)
		delete(members, member)
	}
	out = append(out, w.of.comma)
	if len(members) > 0 {
		rest, err := record.MarshalPlain(members)
		if err != nil {
			return nil, err
		}
		out = append(out, quote(string(rest), w.of.comma)...)
	}
	return out, nil
}

// membersOf returns the members of a note's JSON object.
func membersOf(note any) (map[string]json.RawMessage, error) {
	b, err := record.MarshalPlain(note)
	if err != nil {
		return nil, err
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(b, &members); err != nil {
		return nil, fmt.Errorf("the note is no object: %w", err)
	}
	return members, nil
}

// scalar returns a member as a cell has it: a string without quotes, null as
// nothing, all else as JSON.
func scalar(member json.RawMessage) string {
	var s string
	if len(member) == 0 || json.Unmarshal(member, &s) == nil {
		return s
	}
	return string(member)
}

// quote returns a cell with the given text, in quotes where it needs them.
func quote(text string, comma byte) string {
	if !strings.ContainsAny(text, "\"\r\n"+string(comma)) {
		return text
	}
	return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
}

// Close implements record.Writer.
func (w *tableWriter) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	end := w.owed
	if w.of.bare && w.n > 0 {
		end = ""
	}
	_, err := w.w.WriteString(end)
	if err == nil {
		err = w.w.Flush()
	}
	if err != nil {
		return fmt.Errorf("writing the end of the file: %w", err)
	}
	return nil
}
