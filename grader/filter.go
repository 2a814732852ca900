package grader

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"winnow/grader/dedup"
	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/selection"
	"winnow/grader/verdict"
)

// Ratings is what is known of records, by their content.
type Ratings interface {
	Lookup(key record.Key) (journal.Entry, bool)
	Scale() rating.Scale
	Criteria() []string // one for each rating of a rated entry, in their order
}

// FilterOptions says what Filter decides on and where the records go.
type FilterOptions struct {
	Rule    verdict.Rule
	Turns   Turns             // how a conversation's rating comes of its turns'; MinTurn if empty
	Dedup   dedup.Options     // drop duplicates before a budget counts
	Pick    selection.Options // of what the rule keeps, keep what this picks; nothing is left out without a rule of its own
	By      *verdict.Order    // what selection.Deita orders by; the rating if nil
	Limit   int               // decide on this many records of the source, a conversation being one; 0 for all
	Kept    io.Writer         // takes kept records, as they were read
	Dropped io.Writer         // takes all others, each with its verdict; nil to leave them out
	Layout  record.Layout     // in which records are written; nil for the source's own

	// Visit sees every record with its verdict, in order; nil for no one. Of a
	// conversation it sees the first turn and the entry that stands for all.
	Visit func(rec *record.Record, e journal.Entry, v verdict.Verdict)
}

// Filter decides on the records of a source and writes them in its own layout.
// open opens the source. It is read twice: a rule may need all ratings before
// it can decide on the first, and the layout of a file is known at its end.
func Filter(open func() (record.Source, error), known Ratings, o FilterOptions) (*Report, error) {
	scale, criteria := known.Scale(), known.Criteria()
	if err := o.Rule.Validate(scale); err != nil {
		return nil, err
	}
	duplicates, err := dedup.New(o.Dedup)
	if err != nil {
		return nil, err
	}
	chosen := o.Rule.Select(scale, criteria)
	different, err := newPicker(&o, scale, criteria)
	if err != nil {
		return nil, err
	}
	layout, err := each(open, o.Limit, func(turns []*record.Record) error {
		c := newCandidate(known, turns, o.Turns)
		last, judged := turns[len(turns)-1], c.judged() // its input is all that was said before
		rated := chosen.Add(judged)
		if o.Dedup.On() {
			worth := c.entry.Value()
			if o.Rule.Where != nil { // a better rated one that does not pass must not stand for one that does
				rated = chosen.Passes(judged)
			}
			if o.Rule.By != nil {
				worth = chosen.Worth(judged)
			}
			duplicates.Add(last, c.entry.Key, rated, worth)
		}
		if err := different.add(last, &c, chosen.Passes(judged), judged); err != nil {
			return err
		}
		return place(last, chosen.Err())
	})
	if err != nil {
		return nil, err
	}
	found := duplicates.Resolve()
	for n := range found.All() {
		chosen.Withdraw(n)
		different.withdraw(n)
	}
	picks, err := different.pick()
	if err != nil {
		return nil, err
	}

	if o.Layout != nil {
		layout = o.Layout
	}
	kept, err := layout.NewWriter(o.Kept, false)
	if err != nil {
		return nil, fmt.Errorf("write kept records: %w", err)
	}
	var dropped record.Writer
	if o.Dropped != nil {
		if dropped, err = layout.NewWriter(o.Dropped, true); err != nil {
			return nil, fmt.Errorf("write dropped records: %w", err)
		}
	}
	report := newReport(scale, criteria)
	if o.Dedup.On() {
		number := found.Len()
		report.Duplicates = &number
	}
	n := 0
	_, err = each(open, o.Limit, func(turns []*record.Record) error {
		rec, c := turns[0], newCandidate(known, turns, o.Turns)
		if n >= chosen.Len() || chosen.Key(n) != c.entry.Key {
			return fmt.Errorf("%s: record %d changed while it was being filtered: run again when nothing writes to the file", rec.Where(), rec.Index)
		}
		v := chosen.Verdict(n, c.judged())
		if err := place(rec, chosen.Err()); err != nil {
			return err
		}
		twin, twice := found.Lookup(n)
		if twice {
			v = verdict.Verdict{Decision: verdict.Drop, Reason: twin.Reason()}
		}
		var pick selection.Pick
		if picks != nil {
			var ok bool
			if pick, ok = picks.Lookup(n); ok {
				v = diverse(v, pick)
			}
		}
		n++
		report.add(c.entry, v)
		if o.Visit != nil {
			o.Visit(rec, c.entry, v)
		}
		switch {
		case v.Decision == verdict.Keep:
			return kept.Write(rec)
		case dropped == nil:
			return nil
		}
		said := newNote(&c, v, criteria)
		if twice {
			said.DuplicateOf, said.Similarity = &twin.Index, &twin.Similarity
		}
		if pick.Like != nil {
			said.Resembles, said.Cosine = &pick.Like.Index, &pick.Like.Similarity
		}
		return dropped.WriteNote(rec, said)
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

// Vocabulary is what expressions of a rule can name of the records that a journal with
// this manifest has.
func Vocabulary(m journal.Manifest) verdict.Vocabulary {
	return verdict.Vocabulary{Criteria: m.Criteria(), Signals: m.Signals, Calibrated: m.Calibration != nil}
}

// place says of which record an expression's error is.
func place(rec *record.Record, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: record %d: %w", rec.Where(), rec.Index, err)
}

// each visits the records of a source up to limit, each with all its turns, and
// returns its layout. What it passes to visit is used again.
func each(open func() (record.Source, error), limit int, visit func(turns []*record.Record) error) (_ record.Layout, err error) {
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var turns []*record.Record
	for n := 0; limit <= 0 || n < limit; {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if turns = append(turns, rec); !rec.Last() {
			continue
		}
		n++
		if err := visit(turns); err != nil {
			return nil, err
		}
		turns = turns[:0]
	}
	return r.Layout(), nil
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
	turnNote
	Turns []turnNote `json:"turns,omitempty"` // of a conversation, if there are several

	DuplicateOf *int     `json:"duplicate_of,omitempty"` // the index of the record that stands for it
	Similarity  *float64 `json:"similarity,omitempty"`

	Resembles *int     `json:"resembles,omitempty"` // the index of the kept record that it is too similar to
	Cosine    *float64 `json:"cosine,omitempty"`
}

// turnNote is what is known of a record or of a turn.
type turnNote struct {
	Status  record.Status   `json:"status"`
	Rating  *json.Number    `json:"rating,omitempty"`  // the least of the criteria's
	Ratings json.RawMessage `json:"ratings,omitempty"` // each criterion's, if there are several
}

func newNote(c *candidate, v verdict.Verdict, criteria []string) note {
	n := note{Verdict: v.Decision, Reason: v.Reason, turnNote: newTurnNote(&c.entry, criteria)}
	for i := range c.entries {
		n.Turns = append(n.Turns, newTurnNote(&c.entries[i], criteria))
	}
	return n
}

func newTurnNote(e *journal.Entry, criteria []string) turnNote {
	n := turnNote{Status: e.Status}
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
	return n
}
