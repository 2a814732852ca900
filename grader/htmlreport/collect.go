// Package htmlreport shows what a scores file holds: as one HTML page that needs nothing
// else, as Markdown, and as an SVG picture of the histogram. All three come of the same
// numbers; equal inputs give equal bytes.
//
// What a record says is never part of the page's HTML. It stands there as JSON, and the
// page's script puts it into the document as text.
package htmlreport

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"

	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
)

// Scores is a whole scores file; a *journal.Index is one.
type Scores interface {
	Lookup(key record.Key) (journal.Entry, bool)
	Scale() rating.Scale
	Criteria() []string
	Signals() []string
	Len() int
	All() iter.Seq[journal.Entry]
}

// DefaultSample is how many records the table has if nothing else is asked for.
const DefaultSample = 2000

// MostSampled bounds the page's size.
const MostSampled = 20_000

// Options says what a report is made of.
type Options struct {
	Name   string                        // of the scores file, for people
	Open   func() (record.Source, error) // opens the data; nil for the scores file alone
	Limit  int                           // of the data's records, a conversation being one; 0 for all
	Min    *float64                      // the cut at first; nil for a tenth of the scale below its highest
	Sample int                           // records of the table and the scatter
	Field  string                        // member of a record by which ratings are grouped; "" for none

	Manifest    [][2]string // the whole manifest, as keys and values
	Calibration *Calibration
	Audit       *Audit
}

// Report is the numbers of a report. A record is a turn of a conversation, too. Of several
// criteria the least rating is the one that counts.
type Report struct {
	Name      string
	Records   int
	Rated     int
	Kept      int // at Min
	Min       float64
	Mean      float64 // NaN without rated records
	OffScale  float64 // mean mass off the scale, the greatest of the criteria's; NaN likewise
	Truncated int     // rated with some of the record left out
	Turns     int     // records that are turns of longer conversations
	Foreign   int     // entries that belong to no record of the data
	Sampled   int     // records of the table
	Unrated   []Unrated
	Length    string // what the length of a record is

	manifest    journal.Manifest
	pairs       [][2]string
	grid        grid
	withData    bool
	field       string
	series      []series
	kinds       []string
	fields      []string
	rows        []row
	calibration *Calibration
	audit       *Audit
}

// Unrated counts the records without a rating that have the same status.
type Unrated struct {
	Status  record.Status `json:"status"`
	Records int           `json:"records"`
	Reason  string        `json:"reason"` // of the first one
}

// Collect reads the scores and, if there is one, the data once.
func Collect(m journal.Manifest, known Scores, o Options) (*Report, error) {
	scale := known.Scale()
	if err := scale.Validate(); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	lowest, highest := scale.Values[0], scale.Values[len(scale.Values)-1]
	g, err := newGrid(lowest, highest)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if o.Sample < 0 || o.Sample > MostSampled {
		return nil, fmt.Errorf("report: a sample of %d records: want 0 to %d", o.Sample, MostSampled)
	}
	r := &Report{
		Name: o.Name, manifest: m, pairs: o.Manifest, grid: g, withData: o.Open != nil, field: o.Field,
		Min: g.nearest(highest - (highest-lowest)/10), calibration: o.Calibration, audit: o.Audit,
	}
	if o.Min != nil {
		if _, ok := g.at(*o.Min); !ok {
			return nil, &CutError{*o.Min, lowest, highest, g.step()}
		}
		r.Min = *o.Min
	}
	c := newCollector(r, known, o)
	if err := c.read(o); err != nil {
		return nil, err
	}
	return r, c.finish()
}

// CutError is a cut that is not on the report's grid.
type CutError struct{ Cut, Lowest, Highest, Step float64 }

func (e *CutError) Error() string {
	return fmt.Sprintf("a cut of %g: want a multiple of %g from %g to %g", e.Cut, e.Step, e.Lowest, e.Highest)
}

// collector takes in entries. The lists have one element for each rated record.
type collector struct {
	*Report
	known    Scores
	scale    rating.Scale
	values   [][]float64 // of each series
	least    []int       // which criterion's rating is the least
	lengths  []float64
	kind     labels
	fieldOf  labels
	ribbons  [][]ribbon // of each series, one for each tenth of the scale
	offScale float64
	unrated  map[record.Status]*Unrated
	tokens   int // where the response's tokens are among the signals, or -1
	sample   sampler
}

func newCollector(r *Report, known Scores, o Options) *collector {
	c := &collector{
		Report: r, known: known, scale: known.Scale(), kind: newLabels(), fieldOf: newLabels(),
		unrated: map[record.Status]*Unrated{}, tokens: slices.Index(known.Signals(), "response_tokens"), sample: sampler{most: o.Sample},
	}
	switch {
	case o.Open != nil:
		r.Length = "characters of the response"
	case c.tokens >= 0:
		r.Length = "tokens of the response"
	default:
		r.Length = "tokens of the prompt"
	}
	names := known.Criteria()
	if len(names) > 1 {
		names = append([]string{leastName}, names...)
	}
	for _, name := range names {
		r.series = append(r.series, series{Name: name})
		c.values = append(c.values, nil)
		c.ribbons = append(c.ribbons, newRibbons(len(c.scale.Strings)))
	}
	return c
}

// leastName is the series that counts, where there are several criteria.
const leastName = "least of all criteria"

func (c *collector) read(o Options) (err error) {
	if o.Open == nil {
		for e := range c.known.All() {
			if err := c.add(e, nil); err != nil {
				return err
			}
		}
		return nil
	}
	src, err := o.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	met, found := make(map[record.Key]struct{}, c.known.Len()), false
	for n := 0; o.Limit <= 0 || n < o.Limit; {
		rec, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if rec.Last() {
			n++
		}
		e, ok := c.known.Lookup(rec.Key)
		if ok {
			met[rec.Key] = struct{}{}
		} else {
			e = unknown(rec)
		}
		e.Index = rec.Index
		if err := c.add(e, rec); err != nil {
			return err
		}
		found = found || o.Field != "" && fieldValue(rec, o.Field) != ""
	}
	c.Foreign = c.known.Len() - len(met)
	if o.Field != "" && !found && c.Records > 0 {
		return fmt.Errorf("--field %s: none of %d records has a member or column of that name with a value", o.Field, c.Records)
	}
	return nil
}

// unknown is the entry of a record that the scores file does not have.
func unknown(rec *record.Record) journal.Entry {
	e := journal.Entry{Key: rec.Key, Status: record.NotGraded, Reason: "the scores file has no entry for it: run winnow grade"}
	if rec.Fault != nil {
		e.Status, e.Reason = rec.Fault.Status, rec.Fault.Reason
	}
	return e
}

// add takes an entry in; rec is nil without data.
func (c *collector) add(e journal.Entry, rec *record.Record) error {
	c.Records++
	if rec != nil && rec.Turns > 1 {
		c.Turns++
	}
	length, kind, field := c.lengthOf(&e, rec), "", ""
	if rec != nil {
		kind = kindOf(rec)
		if c.field != "" {
			field = fieldValue(rec, c.field)
		}
	}
	if len(e.Ratings) == 0 {
		u := c.unrated[e.Status]
		if u == nil {
			u = &Unrated{Status: e.Status, Reason: e.Reason}
			c.unrated[e.Status] = u
		}
		u.Records++
	} else if err := c.rated(&e, length, kind, field); err != nil {
		return err
	}
	c.sample.add(&e, rec, length, kind, field)
	return nil
}

func (c *collector) rated(e *journal.Entry, length float64, kind, field string) error {
	if len(e.Ratings) != len(c.known.Criteria()) {
		return fmt.Errorf("report: record %s has %d ratings, the scores file %d criteria", e.Key, len(e.Ratings), len(c.known.Criteria()))
	}
	c.Rated++
	if e.Cut > 0 {
		c.Truncated++
	}
	least, off := 0, 0.0
	for i := range e.Ratings {
		if e.Ratings[i].Value < e.Ratings[least].Value {
			least = i
		}
		off = max(off, e.Ratings[i].OffScale)
	}
	c.offScale += off
	for s := range c.series {
		of := s
		if len(c.series) > 1 {
			if of = s - 1; of < 0 {
				of = least
			}
		}
		x := &e.Ratings[of]
		c.values[s] = append(c.values[s], x.Value)
		c.ribbons[s][tenth(c.scale.Values, x.Value)].add(x)
	}
	c.least = append(c.least, least)
	c.lengths = append(c.lengths, length)
	c.kind.add(kind)
	c.fieldOf.add(field)
	return nil
}

// finish makes the report's numbers of the lists.
func (c *collector) finish() error {
	r := c.Report
	for _, u := range c.unrated {
		r.Unrated = append(r.Unrated, *u)
	}
	slices.SortFunc(r.Unrated, func(a, b Unrated) int {
		if a.Records != b.Records {
			return b.Records - a.Records
		}
		return cmp.Compare(a.Status, b.Status)
	})
	if r.withData {
		r.kinds = c.kind.shorten()
	}
	if r.field != "" {
		r.fields = c.fieldOf.shorten()
	}
	order := byLength(c.lengths)
	for s := range r.series {
		x := &r.series[s]
		x.fill(r.grid, c.values[s], c.ribbons[s])
		x.Length = lengthBins(order, c.lengths, c.values[s])
		if r.withData {
			x.Kinds = c.kind.groups(r.grid, c.values[s])
		}
		if r.field != "" {
			x.Fields = c.fieldOf.groups(r.grid, c.values[s])
		}
	}
	if len(r.series) > 1 {
		r.series[0].Lowest = lowestCounts(r.grid, c.values[0], c.least, len(r.series)-1)
	}
	at, _ := r.grid.at(r.Min)
	r.Kept, r.Mean, r.OffScale = r.series[0].h.above(at), float64(r.series[0].Mean), c.offScale/float64(r.Rated)
	r.rows = c.sample.rows(r, len(c.known.Criteria()))
	r.Sampled = len(r.rows)
	return nil
}

func (c *collector) lengthOf(e *journal.Entry, rec *record.Record) float64 {
	switch {
	case rec != nil:
		return float64(characters(rec.Response))
	case c.tokens >= 0 && c.tokens < len(e.Signals):
		if x := e.Signals[c.tokens]; !math.IsNaN(x) && !math.IsInf(x, 0) {
			return x
		}
		return 0
	}
	return float64(e.Tokens)
}
