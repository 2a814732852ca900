package data

import (
	"reflect"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/format"
)

// column is a node of a schema that is written. The library's own groups sort
// their fields by name; columns stay in their order.
type column struct {
	parquet.Node
	name   string
	fields []parquet.Field
	typ    parquet.Type
}

// Name implements parquet.Field.
func (c *column) Name() string { return c.name }

// Value implements parquet.Field. Rows are written as values, so nothing calls it.
func (c *column) Value(base reflect.Value) reflect.Value {
	return base.MapIndex(reflect.ValueOf(c.name))
}

// Fields implements parquet.Node.
func (c *column) Fields() []parquet.Field { return c.fields }

// Type implements parquet.Node.
func (c *column) Type() parquet.Type { return c.typ }

// Encoding implements parquet.Node: the one that every reader knows.
func (c *column) Encoding() encoding.Encoding { return &parquet.Plain }

func newColumn(name string, n parquet.Node) *column {
	return &column{Node: n, name: name, typ: n.Type()}
}

// newSchema returns a schema of columns in this order.
func newSchema(name string, columns []parquet.Field) *parquet.Schema {
	root := parquet.Group{}
	return parquet.NewSchema(name, &column{Node: root, name: name, fields: columns, typ: root.Type()})
}

// rewritten returns the schema of a file for writing, with more columns at its
// end.
func rewritten(meta *format.FileMetaData, root *parquet.Column, more []parquet.Field) *parquet.Schema {
	at := 0
	var copyOf func(c *parquet.Column) *column
	copyOf = func(c *parquet.Column) *column {
		e := &meta.Schema[at]
		at++
		out := &column{Node: c, name: c.Name(), typ: annotated(c.Type(), e)}
		for _, child := range c.Columns() {
			out.fields = append(out.fields, copyOf(child))
		}
		return out
	}
	top := copyOf(root)
	top.fields = append(top.fields, more...)
	return parquet.NewSchema(root.Name(), top)
}

// annotatedType is a type with the annotations that a file's schema has, where
// the library would write others that mean the same.
type annotatedType struct {
	parquet.Type
	e *format.SchemaElement
}

func annotated(t parquet.Type, e *format.SchemaElement) parquet.Type { return &annotatedType{t, e} }

// LogicalType implements parquet.Type.
func (a *annotatedType) LogicalType() *format.LogicalType {
	if a.e.LogicalType.Value == nil {
		return nil
	}
	return &a.e.LogicalType
}

// ConvertedType implements parquet.Type.
func (a *annotatedType) ConvertedType() *deprecated.ConvertedType {
	if !a.e.ConvertedType.Valid {
		return nil
	}
	return &a.e.ConvertedType.V
}

// Length implements parquet.Type.
func (a *annotatedType) Length() int { return int(a.e.TypeLength.V) }
