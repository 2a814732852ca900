package grader

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/verdict"
)

// VerdictMember is the member that is appended to each record of a dropped file.
const VerdictMember = "winnow"

// Ratings is what is known of records, by their content.
type Ratings interface {
	Lookup(key record.Key) (journal.Entry, bool)
	Scale() rating.Scale
	Criteria() []string // one for each rating of a rated entry, in their order
}

// FilterOptions says what Filter decides on and where the records go.
type FilterOptions struct {
	Rule    verdict.Rule
	Limit   int       // decide on this many records of the source; 0 for all
	Kept    io.Writer // takes kept records, byte for byte
	Dropped io.Writer // takes all others, each with its verdict; nil to leave them out

	// Visit sees every record with its verdict, in order; nil for no one.
	Visit func(rec *record.Record, e journal.Entry, v verdict.Verdict)
}

// Filter decides on the records of a source and writes them in its own shape.
// open opens the source. It is read twice: a rule may need all ratings before
// it can decide on the first, and the shape of a file is known at its end.
func Filter(open func() (*record.Reader, error), known Ratings, o FilterOptions) (*Report, error) {
	scale, criteria := known.Scale(), known.Criteria()
	if err := o.Rule.Validate(scale); err != nil {
		return nil, err
	}
	chosen := o.Rule.Select(scale, criteria)
	shape, err := each(open, o.Limit, func(rec *record.Record) error {
		chosen.Add(candidate(rec, lookup(known, rec)))
		return nil
	})
	if err != nil {
		return nil, err
	}

	kept := record.NewWriter(o.Kept, shape)
	var dropped *record.Writer
	if o.Dropped != nil {
		dropped = record.NewWriter(o.Dropped, shape)
	}
	report := newReport(scale, criteria)
	n := 0
	_, err = each(open, o.Limit, func(rec *record.Record) error {
		if n >= chosen.Len() || chosen.Key(n) != rec.Key {
			return fmt.Errorf("record %d (line %d) changed while it was being filtered: run again when nothing writes to the file", rec.Index, rec.Line)
		}
		e := lookup(known, rec)
		v := chosen.Verdict(n, candidate(rec, e))
		n++
		report.add(e, v)
		if o.Visit != nil {
			o.Visit(rec, e, v)
		}
		switch {
		case v.Decision == verdict.Keep:
			return kept.Write(rec.Raw)
		case dropped == nil:
			return nil
		}
		raw, err := annotated(rec, e, v, criteria)
		if err != nil {
			return fmt.Errorf("record %d (line %d): %w", rec.Index, rec.Line, err)
		}
		return dropped.Write(raw)
	})
	if err != nil {
		return nil, err
	}
	if n != chosen.Len() {
		return nil, fmt.Errorf("the source had %d records and now has %d: run again when nothing writes to the file", chosen.Len(), n)
	}
	if err := kept.Close(); err != nil {
		return nil, fmt.Errorf("write kept records: %w", err)
	}
	if dropped != nil {
		if err := dropped.Close(); err != nil {
			return nil, fmt.Errorf("write dropped records: %w", err)
		}
	}
	return report, nil
}

func candidate(rec *record.Record, e journal.Entry) verdict.Candidate {
	return verdict.Candidate{Key: rec.Key, Index: rec.Index, Status: e.Status, Reason: e.Reason, Ratings: e.Ratings}
}

// each visits the records of a source up to limit and returns its shape.
func each(open func() (*record.Reader, error), limit int, visit func(*record.Record) error) (shape record.Shape, err error) {
	r, err := open()
	if err != nil {
		return shape, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for n := 0; limit <= 0 || n < limit; n++ {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return shape, err
		}
		if err := visit(rec); err != nil {
			return shape, err
		}
	}
	return r.Shape(), nil
}

// lookup returns what is known of a record. One that is not known has been
// overlooked by the journal, never dropped by it.
func lookup(known Ratings, rec *record.Record) journal.Entry {
	if e, ok := known.Lookup(rec.Key); ok {
		return e
	}
	e := journal.Entry{Key: rec.Key, Index: rec.Index, Status: record.NotGraded, Reason: "the scores file has no entry for it: run winnow grade"}
	if rec.Fault != nil {
		e.Status, e.Reason = rec.Fault.Status, rec.Fault.Reason
	}
	return e
}

// note is the verdict as it stands in a dropped file.
type note struct {
	Verdict verdict.Decision `json:"verdict"`
	Reason  string           `json:"reason"`
	Status  record.Status    `json:"status"`
	Rating  *json.Number     `json:"rating,omitempty"`  // the least of the criteria's
	Ratings json.RawMessage  `json:"ratings,omitempty"` // each criterion's, if there are several
}

// annotated returns the record with its verdict as last member. A record that
// is no object, and so has no members, is wrapped in one.
func annotated(rec *record.Record, e journal.Entry, v verdict.Verdict, criteria []string) ([]byte, error) {
	n := note{Verdict: v.Decision, Reason: v.Reason, Status: e.Status}
	if len(e.Ratings) > 0 {
		x := json.Number(rating.AppendNumber(nil, e.Value()))
		n.Rating = &x
	}
	if len(e.Ratings) > 1 {
		values := make([]float64, len(e.Ratings))
		for i := range e.Ratings {
			values[i] = e.Ratings[i].Value
		}
		n.Ratings = journal.AppendObject(nil, criteria, values)
	}
	if raw, err := record.Annotate(rec.Raw, VerdictMember, n); err == nil {
		return raw, nil
	}
	wrapped := struct {
		Raw    string `json:"raw,omitempty"`
		Base64 string `json:"raw_base64,omitempty"`
		Note   note   `json:"winnow"`
	}{Note: n}
	if utf8.Valid(rec.Raw) {
		wrapped.Raw = string(rec.Raw)
	} else {
		wrapped.Base64 = base64.StdEncoding.EncodeToString(rec.Raw)
	}
	return json.Marshal(wrapped)
}
