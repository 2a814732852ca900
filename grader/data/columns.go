package data

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"winnow/grader/record"
)

// seen says which kinds of values a column has. Null is none.
type seen byte

const (
	seenText seen = 1 << iota
	seenInt       // a number that int64 holds
	seenReal      // any other number that a float64 holds
	seenBool
	seenOther    // arrays, objects, and numbers too large for both
	seenLargeInt // an int64 that float64 does not hold exactly
)

// columnsFound collects the columns that a table of objects needs.
type columnsFound struct {
	names []string
	seen  map[string]seen
	typed bool // the table's format has types
}

func newColumnsFound() *columnsFound { return &columnsFound{seen: map[string]seen{}} }

// add takes one member of an object.
func (c *columnsFound) add(name string, raw []byte) error {
	before, ok := c.seen[name]
	if !ok {
		if len(c.names) == maxColumns {
			return fmt.Errorf("the records have more than %d different keys, so a table of them is of no use; convert with --to jsonl", maxColumns)
		}
		c.names = append(c.names, name)
	}
	c.seen[name] = before | kindOf(raw)
	return nil
}

func kindOf(raw []byte) seen {
	switch raw[0] {
	case 'n':
		return 0
	case '"':
		return seenText
	case 't', 'f':
		return seenBool
	case '{', '[':
		return seenOther
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		if n > 1<<53 || n < -1<<53 {
			return seenInt | seenLargeInt
		}
		return seenInt
	}
	if bytes.ContainsAny(raw, ".eE") {
		if x, err := strconv.ParseFloat(string(raw), 64); err == nil && !math.IsInf(x, 0) {
			return seenReal
		}
	}
	return seenOther
}

// columns returns the table's columns. A table of no records has those of the
// Alpaca format.
func (c *columnsFound) columns(format Format, notes bool) []Column {
	c.typed = format == Parquet
	if len(c.names) == 0 {
		f := record.DefaultFields()
		columns := []Column{{f.Instruction, Text}, {f.Input, Text}, {f.Response, Text}}
		if notes {
			columns = append(columns, Column{record.NoteMember, Text})
		}
		return columns
	}
	columns := make([]Column, len(c.names))
	for i, name := range c.names {
		columns[i] = Column{name, Text}
		if c.typed {
			columns[i].Type = c.seen[name].columnType()
		}
	}
	return columns
}

// columnType returns the type that holds all of a column's values as they are.
func (s seen) columnType() Type {
	switch s {
	case seenInt, seenInt | seenLargeInt:
		return Integer
	case seenReal, seenReal | seenInt:
		return Real
	case seenBool:
		return Boolean
	}
	return Text
}

// cell returns a member's value for its column. A column of text has the texts
// themselves if it has nothing but texts, or if it is of a format without types;
// else each value is JSON.
func (c *columnsFound) cell(name string, t Type, raw []byte) (any, error) {
	if raw[0] == 'n' {
		return nil, nil
	}
	switch t {
	case Integer:
		return strconv.ParseInt(string(raw), 10, 64)
	case Real:
		return strconv.ParseFloat(string(raw), 64)
	case Boolean:
		return raw[0] == 't', nil
	}
	if raw[0] != '"' || c.mixed(name) {
		return string(raw), nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}

// mixed reports whether a column with types has other values than texts.
func (c *columnsFound) mixed(name string) bool { return c.typed && c.seen[name] != seenText }
