package data

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Type is the type of a table's column.
type Type byte

// The types of columns, each with the Go type of its cells.
const (
	Text    Type = iota // string
	Integer             // int64
	Real                // float64
	Boolean             // bool
)

// Column is a column of a table.
type Column struct {
	Name string
	Type Type
}

// Table takes the rows of a table one after another. It is for one goroutine.
type Table interface {
	// Row writes a row: a cell for each column, of the column's type, or nil for no
	// value.
	Row(cells []any) error
	// Close writes what belongs behind the last row. It does not close what the
	// table is written to.
	Close() error
}

func beginTable(w io.Writer, format Format, columns []Column) (Table, error) {
	switch format {
	case CSV:
		return newCSVTable(w, ',', false, columns)
	case TSV:
		return newCSVTable(w, '\t', false, columns)
	}
	return NewParquetTable(w, columns, nil)
}

// NewCSVTable returns a table of comma-separated values with a header (RFC 4180,
// but with line feeds alone) for people's spreadsheets: a text that begins like a
// formula, with = + - @ tab or a carriage return, gets a ' before it. No value is
// an empty cell.
func NewCSVTable(w io.Writer, columns []Column) (Table, error) {
	return newCSVTable(w, ',', true, columns)
}

type csvTable struct {
	w        *bufio.Writer
	comma    byte
	formulas bool // texts that begin like one are marked
	columns  []Column
	line     []byte
}

func newCSVTable(w io.Writer, comma byte, formulas bool, columns []Column) (*csvTable, error) {
	t := &csvTable{w: bufio.NewWriterSize(w, 64<<10), comma: comma, formulas: formulas, columns: columns}
	for i, c := range columns {
		t.begin(i)
		t.text(c.Name)
	}
	return t, t.end()
}

// Row implements Table.
func (t *csvTable) Row(cells []any) error {
	if err := CheckCells(t.columns, cells); err != nil {
		return err
	}
	for i, cell := range cells {
		t.begin(i)
		switch x := cell.(type) {
		case string:
			t.text(x)
		case int64:
			t.line = strconv.AppendInt(t.line, x, 10)
		case float64:
			if t.formulas && math.IsInf(x, 1) {
				t.line = append(t.line, "Infinity"...) // +Inf would be a formula
				continue
			}
			t.line = strconv.AppendFloat(t.line, x, 'g', -1, 64)
		case bool:
			t.line = strconv.AppendBool(t.line, x)
		}
	}
	return t.end()
}

func (t *csvTable) begin(i int) {
	if i > 0 {
		t.line = append(t.line, t.comma)
	}
}

// text appends a cell.
func (t *csvTable) text(s string) {
	if t.formulas && s != "" && strings.IndexByte("=+-@\t\r", s[0]) >= 0 {
		s = "'" + s
	}
	t.line = append(t.line, quote(s, t.comma)...) // end tells a row of one empty cell from an empty line
}

func (t *csvTable) end() error {
	if len(t.line) == 0 && len(t.columns) == 1 {
		t.line = append(t.line, `""`...)
	}
	_, err := t.w.Write(append(t.line, '\n'))
	t.line = t.line[:0]
	return err
}

// Close implements Table.
func (t *csvTable) Close() error { return t.w.Flush() }

// CheckCells fails unless there is a cell of the right type for each column.
func CheckCells(columns []Column, cells []any) error {
	if len(cells) != len(columns) {
		return fmt.Errorf("a row of %d cells in a table of %d columns", len(cells), len(columns))
	}
	for i, cell := range cells {
		ok := true
		switch columns[i].Type {
		case Text:
			_, ok = cell.(string)
		case Integer:
			_, ok = cell.(int64)
		case Real:
			_, ok = cell.(float64)
		case Boolean:
			_, ok = cell.(bool)
		}
		if !ok && cell != nil {
			return fmt.Errorf("column %q takes no value of type %T", columns[i].Name, cell)
		}
	}
	return nil
}

// ValidText returns s with U+FFFD for what is not UTF-8, which text in databases
// must be.
func ValidText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// UniqueNames returns the names with _2, _3 and so on behind those that stand
// before them already, capital letters or not: databases do not tell these
// apart.
func UniqueNames(names []string) []string {
	taken := make(map[string]bool, len(names))
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = name
		for n := 2; taken[strings.ToLower(out[i])]; n++ {
			out[i] = name + "_" + strconv.Itoa(n)
		}
		taken[strings.ToLower(out[i])] = true
	}
	return out
}
