package data

import (
	"errors"
	"fmt"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// rowWriter writes rows of a Parquet file as JSON objects, from the repetition
// and definition levels that Dremel's paper defines (Melnik et al., 2010, and
// Parquet's documentation of nested encoding).
type rowWriter struct {
	root    *field
	max     int // bytes of an object
	b       []byte
	columns [][]parquet.Value
}

var (
	errLevels      = errors.New("its levels do not fit the schema")
	errRowTooLarge = errors.New("too large")
)

// object returns a row as a JSON object. It is valid until the next call.
func (w *rowWriter) object(row parquet.Row) ([]byte, error) {
	if err := w.split(row); err != nil {
		return nil, err
	}
	w.b = w.b[:0]
	err := w.present(w.root, w.columns, 0, 0)
	return w.b, err
}

// split finds each column's values, which stand one column after another.
func (w *rowWriter) split(row parquet.Row) error {
	if w.columns == nil {
		w.columns = make([][]parquet.Value, w.root.leaves)
	}
	clear(w.columns)
	for i := 0; i < len(row); {
		c := row[i].Column()
		if c < 0 || c >= len(w.columns) || w.columns[c] != nil {
			return errLevels
		}
		n := i + 1
		for n < len(row) && row[n].Column() == c {
			n++
		}
		w.columns[c] = row[i:n:n]
		i = n
	}
	for _, values := range w.columns {
		if len(values) == 0 || values[0].RepetitionLevel() != 0 {
			return errLevels
		}
	}
	return nil
}

// value writes one place of the schema. columns are the values of the field's
// leaves at this place alone; rep and def are the levels of what is around it.
func (w *rowWriter) value(f *field, columns [][]parquet.Value, rep, def int) error {
	switch f.repetition {
	case format.Optional:
		def++
		if columns[0][0].DefinitionLevel() < def {
			return w.add("null")
		}
	case format.Repeated:
		return w.array(f, columns, rep, def, func(columns [][]parquet.Value) error {
			return w.present(f, columns, rep+1, def+1)
		})
	}
	return w.present(f, columns, rep, def)
}

// present writes a value that is there.
func (w *rowWriter) present(f *field, columns [][]parquet.Value, rep, def int) error {
	if len(f.fields) == 0 {
		if len(columns[0]) != 1 {
			return errLevels
		}
		return w.leaf(f, columns[0][0])
	}
	switch f.shape {
	case list:
		inner := f.fields[0]
		return w.array(inner, columns, rep, def, func(columns [][]parquet.Value) error {
			return w.value(inner.fields[0], columns, rep+1, def+1)
		})
	case bare:
		return w.value(f.fields[0], columns, rep, def)
	case mapping:
		return w.mapping(f.fields[0], columns, rep, def)
	}
	if err := w.add("{"); err != nil {
		return err
	}
	for i, child := range f.fields {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(appendJSON(w.b, child.name), ':')
		from := child.leaf - f.leaf
		if err := w.value(child, columns[from:from+child.leaves], rep, def); err != nil {
			return err
		}
	}
	return w.add("}")
}

func (w *rowWriter) array(f *field, columns [][]parquet.Value, rep, def int, element func([][]parquet.Value) error) error {
	if err := w.add("["); err != nil {
		return err
	}
	if err := w.each(columns, rep, def, func(i int, columns [][]parquet.Value) error {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		return element(columns)
	}); err != nil {
		return err
	}
	return w.add("]")
}

// mapping writes the pairs of a map as an object's members. Keys that are no
// strings are written as strings of their JSON.
func (w *rowWriter) mapping(pair *field, columns [][]parquet.Value, rep, def int) error {
	if err := w.add("{"); err != nil {
		return err
	}
	if err := w.each(columns, rep, def, func(i int, columns [][]parquet.Value) error {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		start := len(w.b)
		if err := w.value(pair.fields[0], columns[:1], rep+1, def+1); err != nil {
			return err
		}
		if w.b[start] != '"' {
			key := string(w.b[start:])
			w.b = appendJSON(w.b[:start], key)
		}
		w.b = append(w.b, ':')
		if len(pair.fields) == 1 {
			return w.add("null")
		}
		return w.value(pair.fields[1], columns[1:], rep+1, def+1)
	}); err != nil {
		return err
	}
	return w.add("}")
}

// each calls element for each repetition of a field, with its part of the
// columns.
func (w *rowWriter) each(columns [][]parquet.Value, rep, def int, element func(int, [][]parquet.Value) error) error {
	if columns[0][0].DefinitionLevel() <= def {
		for _, values := range columns {
			if len(values) != 1 || values[0].DefinitionLevel() > def {
				return errLevels
			}
		}
		return nil
	}
	rest := make([][]parquet.Value, len(columns))
	copy(rest, columns)
	part := make([][]parquet.Value, len(columns))
	for i := 0; len(rest[0]) > 0; i++ {
		for c, values := range rest {
			if len(values) == 0 || i > 0 && values[0].RepetitionLevel() != rep+1 {
				return errLevels
			}
			n := 1
			for n < len(values) && values[n].RepetitionLevel() > rep+1 {
				n++
			}
			part[c], rest[c] = values[:n:n], values[n:]
		}
		if err := element(i, part); err != nil {
			return err
		}
	}
	for _, values := range rest {
		if len(values) > 0 {
			return errLevels
		}
	}
	return nil
}

// add appends s, within the limit of an object.
func (w *rowWriter) add(s string) error {
	if len(w.b)+len(s) > w.max {
		return errRowTooLarge
	}
	w.b = append(w.b, s...)
	return nil
}

// appendJSON appends s as a JSON string. Bytes that are no UTF-8 stay what they
// are: what reads the string says so of the record.
func appendJSON(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = fmt.Appendf(b, `\u%04x`, c)
		}
	}
	return append(append(b, s[from:]...), '"')
}
