package data

import (
	"errors"
	"fmt"
	"strings"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

// maxSchemaDepth and maxSchemaLeaves bound a schema. Data for training is a few
// levels deep.
const (
	maxSchemaDepth  = 64
	maxSchemaLeaves = 1 << 14
)

// field is a node of a Parquet schema, with what it takes to write its values
// as JSON.
type field struct {
	name       string
	repetition format.FieldRepetitionType
	fields     []*field // none of a leaf
	leaf       int      // the first of its leaves, as an index of the row's columns
	leaves     int      // how many there are
	shape      shape    // of a group
	kind       kind     // of a leaf
	scale      int      // of a decimal
	bits       int      // of an integer
	unit       int64    // nanoseconds of a time's or timestamp's unit
	utc        bool     // the timestamp is a moment, not a reading of some clock
}

// shape says how a group is written.
type shape byte

const (
	object  shape = iota
	list          // its one field, a repeated group, wraps the elements
	bare          // its one field is the elements
	mapping       // its one field is a repeated group of key and value
)

// kind says how a leaf's values are written.
type kind byte

const (
	asNull kind = iota
	asBool
	asInt
	asUint
	asFloat16
	asFloat
	asDouble
	asInt96
	asText
	asJSON
	asBytes
	asFixed
	asUUID
	asDate
	asTime
	asTimestamp
	asDecimal
)

// schemaOf returns the root of the schema whose elements stand in depth-first
// order.
func schemaOf(elements []format.SchemaElement) (*field, error) {
	s := schemaReader{elements: elements}
	root, err := s.field(0)
	switch {
	case err != nil:
		return nil, err
	case s.at != len(elements):
		return nil, fmt.Errorf("the schema has %d elements, of which %d belong to no column", len(elements), len(elements)-s.at)
	case len(root.fields) == 0:
		return nil, errors.New("the schema has no columns")
	}
	root.repetition = format.Required
	return root, nil
}

type schemaReader struct {
	elements []format.SchemaElement
	at       int
	leaves   int
}

func (s *schemaReader) field(depth int) (*field, error) {
	if s.at >= len(s.elements) {
		return nil, errors.New("the schema ends before its last column")
	}
	if depth > maxSchemaDepth {
		return nil, fmt.Errorf("the schema nests deeper than %d", maxSchemaDepth)
	}
	e := &s.elements[s.at]
	s.at++
	f := &field{name: e.Name, leaf: s.leaves, repetition: e.RepetitionType.V}
	children := int(e.NumChildren.V)
	if children < 0 || children > len(s.elements)-s.at {
		return nil, fmt.Errorf("column %q has %d fields, more than the schema", e.Name, children)
	}
	if children == 0 && depth > 0 {
		if s.leaves++; s.leaves > maxSchemaLeaves {
			return nil, fmt.Errorf("the schema has more than %d columns", maxSchemaLeaves)
		}
		f.leaves = 1
		return f, f.annotate(e)
	}
	for range children {
		child, err := s.field(depth + 1)
		if err != nil {
			return nil, err
		}
		f.fields = append(f.fields, child)
		f.leaves += child.leaves
	}
	f.group(e)
	return f, nil
}

// group finds the shape of a group, by the rules of the format's LogicalTypes.md
// for lists and maps of all writers.
func (f *field) group(e *format.SchemaElement) {
	if len(f.fields) != 1 || f.fields[0].repetition != format.Repeated {
		return
	}
	inner := f.fields[0]
	switch annotationOf(e) {
	case isList:
		if len(inner.fields) == 1 && inner.shape == object && inner.name != "array" && inner.name != f.name+"_tuple" {
			f.shape = list
		} else {
			f.shape = bare
		}
	case isMap:
		if n := len(inner.fields); n >= 1 && n <= 2 && len(inner.fields[0].fields) == 0 && inner.fields[0].repetition != format.Repeated {
			f.shape = mapping
		}
	}
}

type annotation byte

const (
	isOther annotation = iota
	isList
	isMap
)

func annotationOf(e *format.SchemaElement) annotation {
	switch e.LogicalType.Value.(type) {
	case *format.ListType:
		return isList
	case *format.MapType:
		return isMap
	}
	if e.ConvertedType.Valid {
		switch e.ConvertedType.V {
		case deprecated.List:
			return isList
		case deprecated.Map, deprecated.MapKeyValue:
			return isMap
		}
	}
	return isOther
}

// annotate finds the kind of a leaf.
func (f *field) annotate(e *format.SchemaElement) error {
	if !e.Type.Valid {
		f.kind = asNull
		return nil
	}
	switch e.Type.V {
	case format.Boolean:
		f.kind = asBool
	case format.Int32:
		f.kind, f.bits = asInt, 32
	case format.Int64:
		f.kind, f.bits = asInt, 64
	case format.Int96:
		f.kind = asInt96
	case format.Float:
		f.kind = asFloat
	case format.Double:
		f.kind = asDouble
	case format.ByteArray:
		f.kind = asBytes
	case format.FixedLenByteArray:
		f.kind = asFixed
		if e.TypeLength.V < 0 || e.TypeLength.V > maxPageBytes {
			return fmt.Errorf("column %q has values of %d bytes", e.Name, e.TypeLength.V)
		}
	default:
		return fmt.Errorf("column %q has the unknown type %d", e.Name, e.Type.V)
	}
	if e.LogicalType.Value == nil {
		return f.converted(e)
	}
	return f.logical(e)
}

// logical refines the kind by the column's logical type. One that does not go
// with the column's physical type is passed over.
func (f *field) logical(e *format.SchemaElement) error {
	switch t := e.LogicalType.Value.(type) {
	case *format.StringType, *format.EnumType:
		f.ifBytes(asText)
	case *format.JsonType:
		f.ifBytes(asJSON)
	case *format.UUIDType:
		if f.kind == asFixed && e.TypeLength.V == 16 {
			f.kind = asUUID
		}
	case *format.Float16Type:
		if f.kind == asFixed && e.TypeLength.V == 2 {
			f.kind = asFloat16
		}
	case *format.DecimalType:
		return f.decimal(e.Name, int(t.Scale))
	case *format.DateType:
		f.ifInt(asDate, 0, false)
	case *format.TimeType:
		f.ifInt(asTime, unitOf(t.Unit), t.IsAdjustedToUTC)
	case *format.TimestampType:
		f.ifInt(asTimestamp, unitOf(t.Unit), t.IsAdjustedToUTC)
	case *format.IntType:
		if f.kind == asInt && !t.IsSigned {
			f.kind = asUint
		}
	case *format.NullType:
		f.kind = asNull
	}
	return nil
}

// converted is logical for files of older writers.
func (f *field) converted(e *format.SchemaElement) error {
	if !e.ConvertedType.Valid {
		return nil
	}
	switch e.ConvertedType.V {
	case deprecated.UTF8, deprecated.Enum:
		f.ifBytes(asText)
	case deprecated.Json:
		f.ifBytes(asJSON)
	case deprecated.Decimal:
		return f.decimal(e.Name, int(e.Scale.V))
	case deprecated.Date:
		f.ifInt(asDate, 0, false)
	case deprecated.TimeMillis:
		f.ifInt(asTime, 1e6, true)
	case deprecated.TimeMicros:
		f.ifInt(asTime, 1e3, true)
	case deprecated.TimestampMillis:
		f.ifInt(asTimestamp, 1e6, true)
	case deprecated.TimestampMicros:
		f.ifInt(asTimestamp, 1e3, true)
	case deprecated.Uint8, deprecated.Uint16, deprecated.Uint32, deprecated.Uint64:
		if f.kind == asInt {
			f.kind = asUint
		}
	}
	return nil
}

func (f *field) ifBytes(k kind) {
	if f.kind == asBytes {
		f.kind = k
	}
}

func (f *field) ifInt(k kind, unit int64, utc bool) {
	if f.kind == asInt {
		f.kind, f.unit, f.utc = k, unit, utc
	}
}

// maxScale bounds the digits behind a decimal's point: Parquet's own decimals
// have at most 38 in 16 bytes.
const maxScale = 1000

func (f *field) decimal(name string, scale int) error {
	if scale < 0 || scale > maxScale {
		return fmt.Errorf("column %q has decimals with %d digits behind the point, want 0 to %d", name, scale, maxScale)
	}
	if f.kind == asInt || f.kind == asBytes || f.kind == asFixed {
		if f.kind != asInt {
			f.bits = 0
		}
		f.kind, f.scale = asDecimal, scale
	}
	return nil
}

// unitOf returns the nanoseconds of a unit.
func unitOf(u format.TimeUnit) int64 {
	switch u.Value.(type) {
	case *format.MilliSeconds:
		return 1e6
	case *format.MicroSeconds:
		return 1e3
	}
	return 1
}

// describe writes a schema but for the name of its root: name, type and
// repetition of each column, groups with their fields in braces. Schemas with the
// same description hold the same rows.
func describe(elements []format.SchemaElement) string {
	var b strings.Builder
	var open []int32 // fields that are still to come of each group
	for i := 1; i < len(elements); i++ {
		e := &elements[i]
		if i > 1 && elements[i-1].NumChildren.V == 0 {
			b.WriteString(", ")
		}
		b.WriteString(e.Name)
		if e.Type.Valid {
			b.WriteString(" " + strings.ToLower(e.Type.V.String()))
			if e.Type.V == format.FixedLenByteArray {
				fmt.Fprintf(&b, "(%d)", e.TypeLength.V)
			}
		}
		switch {
		case saysNothing(e):
		case e.LogicalType.Value != nil:
			b.WriteString(" " + strings.ToLower(e.LogicalType.String()))
		case e.ConvertedType.Valid:
			fmt.Fprintf(&b, " converted type %d(%d,%d)", e.ConvertedType.V, e.Precision.V, e.Scale.V)
		}
		b.WriteString(" " + strings.ToLower(e.RepetitionType.V.String()))
		if n := e.NumChildren.V; n > 0 {
			b.WriteString(" {")
			open = append(open, n)
			continue
		}
		for len(open) > 0 {
			if open[len(open)-1]--; open[len(open)-1] > 0 {
				break
			}
			b.WriteString("}")
			open = open[:len(open)-1]
		}
	}
	return b.String()
}

// saysNothing reports whether a logical type is that of the bare integer.
func saysNothing(e *format.SchemaElement) bool {
	t, ok := e.LogicalType.Value.(*format.IntType)
	return ok && t.IsSigned && (e.Type.V == format.Int32 && t.BitWidth == 32 || e.Type.V == format.Int64 && t.BitWidth == 64)
}
