package data

import (
	"fmt"

	"winnow/grader/record"
)

// Object returns a record as the JSON object that it is in its source; a row of a table has
// a member for each column.
func Object(rec *record.Record) ([]byte, error) {
	row, ok := rec.Row.(jsonRow)
	if !ok {
		return rec.Raw, nil
	}
	object, err := row.Object()
	if err != nil {
		return nil, fmt.Errorf("%s: record %d: %w", rec.Where(), rec.Index, err)
	}
	return object, nil
}
