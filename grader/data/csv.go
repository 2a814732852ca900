package data

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"winnow/grader/record"
)

// csvSource is the source of a CSV or TSV file (RFC 4180): a header, then a row a
// record. A cell with a separator, a quote or a line break is quoted, and a quote
// in it doubled. Lines end with LF or CRLF; empty ones are not rows.
type csvSource struct {
	name   string
	in     *bufio.Reader
	fields record.Fields
	max    int // bytes of a record
	of     *columns
	index  int // of the next record
	line   int // of the next byte
	bare   bool
	buf    []byte // the row that was read
	cells  []cell
	err    error // of the last Next; sticky
}

// columns is what all rows of a table share.
type columns struct {
	comma  byte
	names  []string
	texts  [3]int // where instruction, input and response are; -1 for no input
	lead   string // before the header: a byte order mark, empty lines
	header string
	end    string // of the header's line, with the empty lines behind it
	bare   bool   // the table's last row has no line end; known when all is read
}

// maxGap bounds the empty lines that are kept from between two rows.
const maxGap = 64 << 10

// newCSV reads the header from in, whose buffer must hold headBytes.
func newCSV(in *bufio.Reader, name string, comma byte, o record.Options) (*csvSource, error) {
	d := record.DefaultFields()
	t := &csvSource{
		name: name, in: in, line: 1, of: &columns{comma: comma},
		max: o.MaxBytes,
		fields: record.Fields{
			Instruction: cmp.Or(o.Fields.Instruction, d.Instruction),
			Input:       cmp.Or(o.Fields.Input, d.Input),
			Response:    cmp.Or(o.Fields.Response, d.Response),
		},
	}
	if t.max <= 0 {
		t.max = record.DefaultMaxBytes
	}
	head, _ := in.Peek(headBytes) // an error comes again
	if what := record.Foreign(head); what != "" {
		return nil, &record.SourceError{Name: name, Msg: "the file is no table but " + what}
	}
	if bytes.HasPrefix(head, []byte(bom)) {
		t.of.lead = bom
		_, _ = in.Discard(len(bom)) // they are in the buffer
	}
	t.of.lead += t.blank()
	line := t.line
	header, end, err := t.row()
	if errors.Is(err, io.EOF) {
		return nil, &record.SourceError{Name: name, Msg: "the file is empty; want a header with the columns' names, then a row a record"}
	}
	if err != nil {
		return nil, err
	}
	t.of.header, t.of.end = string(header), end
	if err := t.head(line); err != nil {
		return nil, err
	}
	return t, nil
}

// head takes the columns from the header.
func (t *csvSource) head(line int) error {
	of := t.of
	bad := func(format string, args ...any) error {
		return &record.SourceError{Name: t.name, Line: line, Msg: fmt.Sprintf(format, args...)}
	}
	header := []byte(of.header)
	cells, why := of.split(header, nil)
	if why != "" {
		return bad("the header is no row of a table: %s", why)
	}
	if !utf8.Valid(header) {
		return bad("the header is not valid UTF-8; convert the file to UTF-8")
	}
	for _, c := range cells {
		of.names = append(of.names, c.text(header))
	}
	for i, want := range [...]struct {
		what, name string
		need       bool
	}{
		{"instruction", t.fields.Instruction, true}, {"input", t.fields.Input, false}, {"output", t.fields.Response, true},
	} {
		of.texts[i] = -1
		for k, name := range of.names {
			switch {
			case name != want.name:
			case of.texts[i] >= 0:
				return bad("the header has the column %q twice; its columns are %s: rename one", name, of.list())
			default:
				of.texts[i] = k
			}
		}
		if want.need && of.texts[i] < 0 {
			return bad("the header has no column %q; its columns are %s%s", want.name, of.list(), of.hint(want.what))
		}
	}
	return nil
}

// list names the columns for people.
func (c *columns) list() string {
	const most, longest = 20, 60
	var b strings.Builder
	for i, name := range c.names {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(c.names)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		if r := []rune(name); len(r) > longest {
			name = string(r[:longest]) + "…"
		}
		fmt.Fprintf(&b, "%q", name)
	}
	return b.String()
}

// hint says what to do about a column that is missing.
func (c *columns) hint(what string) string {
	if len(c.names) == 1 {
		name := c.names[0]
		switch {
		case c.comma == ',' && strings.Contains(name, "\t"):
			return ": they are separated by tabs, so give --format tsv"
		case c.comma == '\t' && strings.Contains(name, ","):
			return ": they are separated by commas, so give --format csv"
		case strings.Contains(name, ";"):
			return ": they are separated by semicolons; write the table anew with commas or tabs"
		}
	}
	return fmt.Sprintf(": name the right one with --map %s=COLUMN", what)
}

// columns implements columned: it names them all, unlike list.
func (t *csvSource) columns() string {
	quoted := make([]string, len(t.of.names))
	for i, name := range t.of.names {
		quoted[i] = strconv.Quote(name)
	}
	return strings.Join(quoted, ", ")
}

// Close implements record.Source.
func (t *csvSource) Close() error { return nil }

// Layout implements record.Source.
func (t *csvSource) Layout() record.Layout {
	of := *t.of
	of.bare = t.bare
	return &of
}

// Next implements record.Source.
func (t *csvSource) Next() (*record.Record, error) {
	if t.err != nil {
		return nil, t.err
	}
	line := t.line
	raw, end, err := t.row()
	if err != nil {
		t.err = err
		return nil, err
	}
	rec := t.record(bytes.Clone(raw), end, line)
	t.index++
	return rec, nil
}

// record makes a record of a row.
func (t *csvSource) record(raw []byte, end string, line int) *record.Record {
	var why string
	t.cells, why = t.of.split(raw, t.cells[:0])
	var rec *record.Record
	switch n := len(t.cells); {
	case why != "":
		rec = record.NewFaulty(raw, t.index, t.name, line, record.BadRow, why)
	case n != len(t.of.names):
		rec = record.NewFaulty(raw, t.index, t.name, line, record.BadRow, fmt.Sprintf("it has %d cells, but the header names %d columns", n, len(t.of.names)))
	case !utf8.Valid(raw):
		rec = record.NewFaulty(raw, t.index, t.name, line, record.InvalidUTF8, "the row is not valid UTF-8; convert the file to UTF-8")
	default:
		var texts [3]record.Text
		for i, at := range t.of.texts {
			if at >= 0 {
				texts[i] = record.Text{Value: t.cells[at].text(raw), State: record.Present}
			}
		}
		rec = record.New(raw, t.index, t.name, line, texts, t.fields, nil)
	}
	rec.Row = &row{t.of, raw, end}
	return rec
}

// row reads a row. It returns its bytes, which are valid until the next call, and
// its line end together with the empty lines that follow.
func (t *csvSource) row() (raw []byte, end string, err error) {
	damage := func(line int, format string, args ...any) error {
		return &record.SourceError{Name: t.name, Line: line, Msg: fmt.Sprintf(format, args...)}
	}
	s := scanner{comma: t.of.comma}
	t.buf = t.buf[:0]
	for {
		chunk, err := t.in.ReadSlice('\n')
		t.buf = append(t.buf, chunk...)
		s.scan(chunk)
		if len(t.buf) > t.max && len(t.buf)-lineEnd(t.buf) > t.max {
			advice := ""
			if s.state == inQuotes {
				advice = fmt.Sprintf("close the quote that is open since line %d, or ", t.line+s.opened)
			}
			return nil, "", damage(t.line, "the row that begins here is larger than %d bytes: %sraise --max-record-bytes", t.max, advice)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, "", &record.SourceError{Name: t.name, Line: t.line, Msg: "reading failed", Err: err}
		case err == nil && s.state == inQuotes:
			continue
		case s.state == inQuotes:
			return nil, "", damage(t.line+s.opened, "the quote that opens here is not closed before the file ends; repair or cut the file")
		case len(t.buf) == 0:
			return nil, "", io.EOF
		}
		n := len(t.buf) - lineEnd(t.buf)
		raw, end = t.buf[:n], string(t.buf[n:])
		t.line += s.lines
		t.bare = end == ""
		return raw, end + t.blank(), nil
	}
}

// lineEnd returns how many bytes of b are its line end.
func lineEnd(b []byte) int {
	n := 0
	if bytes.HasSuffix(b, []byte{'\n'}) {
		n = 1
	}
	if bytes.HasSuffix(b[:len(b)-n], []byte{'\r'}) {
		n++
	}
	return n
}

// blank passes empty lines and returns them.
func (t *csvSource) blank() string {
	var lines []byte
	for {
		b, _ := t.in.Peek(2) // an error comes again
		n := 1
		switch {
		case bytes.HasPrefix(b, []byte("\r\n")):
			n = 2
		case !bytes.HasPrefix(b, []byte{'\n'}) && string(b) != "\r":
			return string(lines)
		}
		if len(lines) < maxGap {
			lines = append(lines, b[:n]...)
		}
		_, _ = t.in.Discard(n) // they are in the buffer
		t.line++
	}
}

// scanner finds out whether a line break ends a row.
type scanner struct {
	comma  byte
	state  byte
	lines  int // line breaks seen
	opened int // how many there were when the last quote opened
}

// The scanner's states.
const (
	atStart    = iota // of a cell
	inCell            // of one without quotes
	inQuotes          //
	afterQuote        // in a quoted cell: its end, or the first half of a doubled quote
)

// scan takes the next piece of a row, which holds at most one line break, at its
// end.
func (s *scanner) scan(b []byte) {
	for i := 0; i < len(b); i++ {
		switch c := b[i]; s.state {
		case atStart:
			switch c {
			case '"':
				s.state, s.opened = inQuotes, s.lines
			case s.comma, '\n':
			default:
				s.state = inCell
			}
		case inQuotes:
			n := bytes.IndexByte(b[i:], '"')
			if n < 0 {
				i = len(b)
				break
			}
			i += n
			s.state = afterQuote
		default:
			switch {
			case c == s.comma || c == '\n':
				s.state = atStart
			case c == '"' && s.state == afterQuote:
				s.state = inQuotes
			default:
				s.state = inCell
			}
		}
	}
	if bytes.HasSuffix(b, []byte{'\n'}) {
		s.lines++
	}
}

// cell is the place of one in its row, quotes included.
type cell struct {
	from, to int
	quoted   bool
}

// text returns what a cell of a sound row holds.
func (c cell) text(raw []byte) string {
	if !c.quoted {
		return string(raw[c.from:c.to])
	}
	return strings.ReplaceAll(string(raw[c.from+1:c.to-1]), `""`, `"`)
}

// split appends the row's cells. If it is not sound, why says what is wrong with
// it first.
func (c *columns) split(raw []byte, cells []cell) (_ []cell, why string) {
	fail := func(format string, args ...any) {
		if why == "" {
			why = fmt.Sprintf(format, args...)
		}
	}
	for i := 0; ; i++ { // past the separator
		x := cell{from: i}
		if x.quoted = i < len(raw) && raw[i] == '"'; x.quoted {
			for i++; ; i += 2 {
				n := bytes.IndexByte(raw[i:], '"')
				if n < 0 {
					fail("the quote of cell %d is not closed", len(cells)+1)
					i = len(raw)
					break
				}
				if i += n; i+1 == len(raw) || raw[i+1] != '"' {
					i++
					break
				}
			}
			if i < len(raw) && raw[i] != c.comma {
				fail("cell %d goes on behind its closing quote; a quote inside a cell must be doubled", len(cells)+1)
			}
		}
		n := bytes.IndexByte(raw[i:], c.comma)
		if n < 0 {
			n = len(raw) - i
		}
		if !x.quoted && bytes.IndexByte(raw[i:i+n], '"') >= 0 {
			fail("cell %d has a quote in its middle; such a cell must be quoted, and the quote doubled", len(cells)+1)
		}
		i += n
		x.to = i
		if cells = append(cells, x); i == len(raw) {
			return cells, why
		}
	}
}
