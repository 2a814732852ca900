package data

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"winnow/grader/record"
)

// reject is a line of a rejects file: a record that cannot be rated because of
// its own bytes. Of a conversation each such turn has a line.
type reject struct {
	File   string        `json:"file"`
	Line   int           `json:"line"` // from 1; the row of a file without lines
	Index  int           `json:"index"`
	Turn   *int          `json:"turn,omitempty"` // from 0, of conversations with several
	Status record.Status `json:"status"`
	Reason string        `json:"reason"`
	Raw    *string       `json:"raw,omitempty"`
	Base64 *string       `json:"raw_base64,omitempty"` // instead of raw, where that is not UTF-8
}

// Checked returns src with an eye on its records: those that have a Fault are
// written to rejects, unless that is nil, as JSON lines with the members file,
// line, index, status, reason and raw (raw_base64 if it is not UTF-8). With
// strict the first of them ends the reading with an error that says where it is.
func Checked(src record.Source, rejects io.Writer, strict bool) record.Source {
	c := &checked{Source: src, strict: strict}
	if rejects != nil {
		c.rejects = json.NewEncoder(rejects)
		c.rejects.SetEscapeHTML(false)
	}
	return c
}

type checked struct {
	record.Source
	rejects *json.Encoder // nil for none
	strict  bool
	err     error // of the last Next; sticky
}

// Next implements record.Source.
func (c *checked) Next() (*record.Record, error) {
	if c.err != nil {
		return nil, c.err
	}
	rec, err := c.Source.Next()
	if err != nil {
		c.err = err
		return nil, err
	}
	if rec.Fault == nil {
		return rec, nil
	}
	if c.rejects != nil {
		if err := c.rejects.Encode(newReject(rec)); err != nil {
			c.err = fmt.Errorf("listing the record at %s as rejected: %w", rec.Where(), err)
			return nil, c.err
		}
	}
	if c.strict {
		c.err = &record.SourceError{Name: rec.File, Line: rec.Line, Msg: fmt.Sprintf("the record that begins here cannot be rated, which --strict does not allow: %s", rec.Fault)}
		return nil, c.err
	}
	return rec, nil
}

func newReject(rec *record.Record) reject {
	r := reject{File: rec.File, Line: rec.Line, Index: rec.Index, Status: rec.Fault.Status, Reason: rec.Fault.Reason}
	if rec.Turns > 1 {
		r.Turn = &rec.Turn
	}
	if utf8.Valid(rec.Raw) {
		raw := string(rec.Raw)
		r.Raw = &raw
	} else {
		raw := base64.StdEncoding.EncodeToString(rec.Raw)
		r.Base64 = &raw
	}
	return r
}
