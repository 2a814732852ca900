package audit

import (
	"context"
	"fmt"
	"math"
	"slices"

	"winnow/grader/journal"
	"winnow/grader/metric"
	"winnow/grader/record"
	"winnow/grader/signal"
)

// Ratings is what is known of made records; a *journal.Index is one.
type Ratings interface {
	Lookup(key record.Key) (journal.Entry, bool)
}

// Again is another rating of the sampled records.
type Again struct {
	Name    string // such as reverse
	Text    string // what was different, for people
	Exact   bool   // the ratings must be equal to the last bit
	Ratings Ratings
}

// Options says how a report is made.
type Options struct {
	Min       float64 // the cut: a record with this rating is kept
	Resamples int     // of the bootstrap; 0 for DefaultResamples
}

// DefaultResamples is how many resamples an interval is of.
const DefaultResamples = 1000

// bootstrapSeed makes the intervals of equal ratings equal.
const bootstrapSeed = 1

// Report is what an audit found. Ratings are those that count: of several criteria the
// least. Intervals are of 95 %, by percentile bootstrap over sampled records.
type Report struct {
	Model     journal.Model         `json:"model"`
	Rubrics   []journal.Rubric      `json:"rubrics"`
	Sample    Sampled               `json:"sample"`
	Made      int                   `json:"made"`    // distinct records to rate, variants included
	Unrated   map[record.Status]int `json:"unrated"` // of these, by status
	Lowest    float64               `json:"scale_lowest"`
	Highest   float64               `json:"scale_highest"`
	Min       float64               `json:"min"`
	Resamples int                   `json:"resamples"`
	Shuffled  Shuffled              `json:"shuffled"`
	Length    Length                `json:"length"`
	Criteria  []Correlated          `json:"criteria"` // each two of several criteria
	Spread    Spread                `json:"spread"`
	Drift     []Drift               `json:"drift"`
	Canaries  []Canary              `json:"canaries"`
	Worries   []string              `json:"worries"` // a sentence for each check that does not hold
}

// Sampled counts the records that an audit is about.
type Sampled struct {
	Read     int                   `json:"read"` // of the data; each turn of a conversation counts
	Eligible int                   `json:"eligible"`
	LeftOut  map[record.Status]int `json:"left_out"`
	Records  int                   `json:"records"` // drawn
	Rated    int                   `json:"rated"`
	Seed     uint64                `json:"seed"`
}

// Incomplete counts the records, variants included, that have no rating.
func (r *Report) Incomplete() (n int) {
	for _, k := range r.Unrated {
		n += k
	}
	return n
}

// auditor computes a report.
type auditor struct {
	ctx   context.Context
	plan  *Plan
	m     journal.Manifest
	known Ratings
	o     Options
	scope float64          // width of the scale
	base  []*journal.Entry // of each sampled record; nil without a rating
	err   error            // the first one
}

// Report measures a judge with manifest m by its ratings of the plan's records. It
// depends on the plan, the ratings and the options alone.
func (p *Plan) Report(ctx context.Context, m journal.Manifest, known Ratings, again []Again, o Options) (*Report, error) {
	values := m.Scale.Values
	if len(values) < 2 || len(m.Rubrics) == 0 {
		return nil, fmt.Errorf("audit: a manifest with %d values of its scale and %d rubrics: want at least 2 and 1", len(values), len(m.Rubrics))
	}
	if o.Resamples == 0 {
		o.Resamples = DefaultResamples
	}
	a := &auditor{ctx: ctx, plan: p, m: m, known: known, o: o, scope: values[len(values)-1] - values[0]}
	s := p.sample
	r := &Report{
		Model: m.Model, Rubrics: m.Rubrics,
		Sample:  Sampled{Read: s.Read, Eligible: s.Eligible, LeftOut: s.LeftOut, Records: len(s.Records), Seed: s.Seed},
		Unrated: map[record.Status]int{}, Lowest: values[0], Highest: values[len(values)-1], Min: o.Min, Resamples: o.Resamples,
		Criteria: []Correlated{}, Drift: []Drift{}, Worries: []string{},
	}
	seen := map[record.Key]bool{}
	for _, rec := range p.Records() {
		if seen[rec.Key] {
			continue
		}
		seen[rec.Key] = true
		if _, status := a.entry(known, rec); status != record.OK {
			r.Unrated[status]++
		}
	}
	r.Made = len(seen)
	a.base = make([]*journal.Entry, len(s.Records))
	for i, rec := range s.Records {
		if e, status := a.entry(known, rec); status == record.OK {
			a.base[i] = e
			r.Sample.Rated++
		}
	}
	r.Shuffled = a.shuffled()
	r.Length = a.length()
	r.Criteria = append(r.Criteria, a.criteria()...)
	r.Spread = a.spread()
	for _, g := range again {
		r.Drift = append(r.Drift, a.drift(g))
	}
	for _, f := range p.canaries {
		r.Canaries = append(r.Canaries, a.canary(f))
	}
	if a.err != nil {
		return nil, fmt.Errorf("audit: %w", a.err)
	}
	r.worry()
	return r, nil
}

// entry looks a record up. Without a rating it returns the status that says why.
func (a *auditor) entry(known Ratings, rec *record.Record) (*journal.Entry, record.Status) {
	e, ok := known.Lookup(rec.Key)
	switch {
	case !ok:
		return nil, record.NotGraded
	case len(e.Ratings) != len(a.m.Rubrics):
		if e.Status == record.OK {
			return nil, record.NotGraded // of another judge
		}
		return nil, e.Status
	}
	return &e, record.OK
}

// rating returns the rating of a record that counts, if it has one.
func (a *auditor) rating(known Ratings, rec *record.Record) (float64, bool) {
	e, status := a.entry(known, rec)
	if status != record.OK {
		return 0, false
	}
	return e.Value(), true
}

// values returns the ratings of the sampled records that have one.
func (a *auditor) values() (list []float64) {
	for _, e := range a.base {
		if e != nil {
			list = append(list, e.Value())
		}
	}
	return list
}

// estimates measures figures of n records with their intervals. measure is as for
// metric.Bootstrap; without weights every record counts once.
func (a *auditor) estimates(n, figures int, measure func(w []int32, out []float64)) []metric.Estimate {
	values, list := make([]float64, figures), make([]metric.Estimate, figures)
	measure(nil, values)
	intervals, err := metric.Bootstrap(a.ctx, n, figures, metric.Resampling{Resamples: a.o.Resamples, Seed: bootstrapSeed, Level: 0.95}, measure)
	if err != nil {
		a.fail(err)
		intervals = make([]metric.Interval, figures)
	}
	for k := range list {
		list[k] = metric.Estimate{Value: metric.Figure(values[k]), Low: metric.Figure(intervals[k].Low), High: metric.Figure(intervals[k].High)}
	}
	return list
}

func (a *auditor) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

// spearman is the rank correlation of two lists.
func (a *auditor) spearman(x, y []float64) metric.Estimate {
	pairs, err := metric.NewPairs(x, y)
	if err != nil {
		a.fail(err)
		return metric.Estimate{}
	}
	return a.estimates(len(x), 1, func(w []int32, out []float64) { out[0] = pairs.Spearman(w) })[0]
}

// column returns where a scalar signal stands in an entry, or -1.
func (a *auditor) column(name string) int { return slices.Index(a.m.Signals, name) }

// responseTokens returns the tokens of each response that the journal knows them of.
func (a *auditor) responseTokens() (ratings, logTokens []float64) {
	at := a.column(signal.ResponseTokens)
	for _, e := range a.base {
		if at >= 0 && e != nil && at < len(e.Signals) && e.Signals[at] > 0 {
			ratings, logTokens = append(ratings, e.Value()), append(logTokens, math.Log(e.Signals[at]))
		}
	}
	return ratings, logTokens
}
