package data

import (
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// NewParquetTable returns a table in Parquet: every column optional, texts as
// UTF-8, pages packed with Snappy. The metadata is pairs of keys and values of
// the file, of which no key stands twice.
func NewParquetTable(w io.Writer, columns []Column, metadata [][2]string) (Table, error) {
	t := &parquetTable{columns: columns}
	err := contained(func() error {
		fields := make([]parquet.Field, len(columns))
		for i, c := range columns {
			fields[i] = newColumn(ValidText(c.Name), parquet.Optional(parquetNode(c.Type)))
		}
		t.w = parquet.NewGenericWriter[any](w, newSchema("winnow", fields), parquet.Compression(&parquet.Snappy), parquet.DataPageVersion(1))
		for _, kv := range metadata {
			t.w.SetKeyValueMetadata(ValidText(kv[0]), ValidText(kv[1]))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("beginning a Parquet file: %w", err)
	}
	return t, nil
}

func parquetNode(t Type) parquet.Node {
	switch t {
	case Integer:
		return parquet.Leaf(parquet.Int64Type)
	case Real:
		return parquet.Leaf(parquet.DoubleType)
	case Boolean:
		return parquet.Leaf(parquet.BooleanType)
	}
	return parquet.String()
}

type parquetTable struct {
	w       *parquet.GenericWriter[any]
	columns []Column
	row     parquet.Row
	size    int
	closed  bool
}

// Row implements Table.
func (t *parquetTable) Row(cells []any) error {
	if t.closed {
		return errTableClosed
	}
	if err := CheckCells(t.columns, cells); err != nil {
		return err
	}
	t.row = t.row[:0]
	for i, cell := range cells {
		t.row = append(t.row, parquetCell(cell, i))
	}
	return contained(func() error {
		if _, err := t.w.WriteRows([]parquet.Row{t.row}); err != nil {
			return err
		}
		if t.size += rowBytes(t.row); t.size < rowGroupBytes {
			return nil
		}
		t.size = 0
		return t.w.Flush()
	})
}

func parquetCell(cell any, column int) parquet.Value {
	var v parquet.Value
	switch x := cell.(type) {
	case string:
		v = parquet.ByteArrayValue([]byte(ValidText(x)))
	case int64:
		v = parquet.Int64Value(x)
	case float64:
		v = parquet.DoubleValue(x)
	case bool:
		v = parquet.BooleanValue(x)
	default:
		return parquet.NullValue().Level(0, 0, column)
	}
	return v.Level(0, 1, column)
}

// Close implements Table.
func (t *parquetTable) Close() error {
	if t.closed {
		return nil
	}
	t.closed = true
	return contained(t.w.Close)
}
