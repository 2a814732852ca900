package cascade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"winnow/grader/journal"
	"winnow/grader/metric"
	"winnow/grader/record"
)

// Report is what a cascade did.
type Report struct {
	Entries   int      `json:"entries"`
	Rated     int      `json:"rated"`      // by small
	Kept      int      `json:"kept"`       // with a probability of 0.5 or more
	Unrated   int      `json:"unrated"`    // entries of the result without a rating
	Sample    int      `json:"sample"`     // records that large rates to learn from
	Band      int      `json:"band"`       // likewise because small does not decide
	Check     int      `json:"check"`      // likewise to measure on
	Share     Figure   `json:"share"`      // of the rated records, those that large rates
	BandShare Figure   `json:"band_share"` // of those outside the sample, those in the band
	Tokens    Tokens   `json:"tokens"`
	Checked   *Checked `json:"checked"` // null without a check
}

// Tokens are those of the prompts, of which what all have in common is computed once.
type Tokens struct {
	Small      int    `json:"small"`
	Large      int    `json:"large"`
	LargeAlone int    `json:"large_alone"` // estimated: in proportion to small's
	Share      Figure `json:"share"`       // Large of LargeAlone
}

// Checked is the agreement by records outside the band from which nothing was learned.
// In the band large decides. Intervals are of 95 %: Wilson's, and of resamples.
type Checked struct {
	Records   int      `json:"records"`
	Wrong     int      `json:"wrong"`
	Agreement Estimate `json:"agreement"` // of all records outside the sample
	Kappa     Estimate `json:"kappa"`
}

// together is how many entries are written at once.
const together = 256

// writer makes the result's entries.
type writer struct {
	plan  *Plan
	route *Route
	said  map[record.Key]answer
	out   *journal.Journal

	batch []journal.Entry
	seen  Set
	r     Report
	asked int    // small's tokens of what large rates
	band  [2]int // in the band: large drops, keeps
	check []bool // cells of the check: twice small's verdict plus large's, as two numbers
}

// Write writes small's entries with the cascade's verdicts to the scores file out: their
// probability is exactly 0 or 1 where large decides, else what the calibration says. If
// out was begun, it goes on with what is missing. A record that large cannot rate is
// decided by small outside the band; inside it has large's status.
func (p *Plan) Write(ctx context.Context, r *Route, small, large, out string) (_ *Report, err error) {
	m, err := journal.ReadManifest(small)
	if err != nil {
		return nil, err
	}
	w := &writer{plan: p, route: r, seen: Set{}}
	if _, w.said, err = answers(large, r.Large()); err != nil {
		return nil, err
	}
	if w.out, err = journal.Open(out, p.Manifest(m)); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.out.Close()) }()
	var failed error // of what is no damage of small's file
	_, err = journal.Scan(small, func(journal.Manifest) {}, func(s journal.Score) error {
		if failed != nil {
			return nil
		}
		if w.seen.Has(s.Key) {
			return journal.Twice(s.Key)
		}
		w.seen[s.Key] = struct{}{}
		if err := w.add(s.Entry); err != nil {
			return err
		}
		if len(w.batch) == together {
			failed = w.flush(ctx)
		}
		return nil
	})
	if err == nil && failed == nil {
		failed = w.flush(ctx)
	}
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	return w.report(ctx)
}

func (w *writer) flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("writing the verdicts: %w", err)
	}
	err := w.out.Append(w.batch)
	w.batch = w.batch[:0]
	return err
}

// add takes an entry of small's.
func (w *writer) add(small *journal.Entry) error {
	e := copyOf(small)
	w.r.Entries++
	if e.Status == record.OK {
		w.r.Rated++
		w.r.Tokens.Small += e.Tokens
		x, err := w.plan.probability(small)
		if err != nil {
			return err
		}
		w.decide(&e, x)
	}
	switch {
	case e.Status != record.OK:
		w.r.Unrated++
	case e.Calibrated >= 0.5:
		w.r.Kept++
	}
	if _, known := w.out.Status(e.Key); !known {
		w.batch = append(w.batch, e)
	}
	return nil
}

// copyOf keeps an entry beyond the next one, without its hidden state.
func copyOf(e *journal.Entry) journal.Entry {
	c := *e
	c.Ratings, c.Signals, c.Hidden = slices.Clone(e.Ratings), slices.Clone(e.Signals), nil
	for i := range c.Ratings {
		c.Ratings[i].Probs = slices.Clone(c.Ratings[i].Probs)
	}
	return c
}

// decide sets the verdict of an entry of which small says x.
func (w *writer) decide(e *journal.Entry, x float64) {
	e.Calibrated = x
	said, ok := w.said[e.Key]
	if !ok {
		return
	}
	w.r.Tokens.Large += said.tokens
	w.asked += e.Tokens
	inside := w.plan.Band.Band.Has(x)
	if said.status != record.OK {
		if inside {
			*e = journal.Entry{Key: e.Key, Index: e.Index, Status: said.status, Reason: said.reason, Tokens: e.Tokens, Cut: e.Cut}
		}
		return
	}
	keep := said.value >= w.plan.Cut
	switch {
	case w.route.Check.Has(e.Key):
		w.check = append(w.check, x >= 0.5, keep)
	case w.route.Band.Has(e.Key):
		w.band[class(keep)]++
	}
	e.Calibrated = float64(class(keep))
}

func class(keep bool) int {
	if keep {
		return 1
	}
	return 0
}

// report counts and measures.
func (w *writer) report(ctx context.Context) (*Report, error) {
	r := &w.r
	r.Sample, r.Band, r.Check = len(w.route.Sample), len(w.route.Band), len(w.route.Check)
	r.Share = Figure(float64(r.Sample+r.Band+r.Check) / float64(r.Rated))
	r.BandShare = Figure(float64(r.Band) / float64(r.Rated-r.Sample))
	if w.asked > 0 {
		r.Tokens.LargeAlone = int(float64(r.Tokens.Large) / float64(w.asked) * float64(r.Tokens.Small))
	}
	r.Tokens.Share = Figure(float64(r.Tokens.Large) / float64(r.Tokens.LargeAlone))
	if len(w.check) == 0 {
		return r, nil
	}
	c := &Checked{Records: len(w.check) / 2}
	outside := float64(r.Rated - r.Sample - r.Band)
	all := outside + float64(r.Band)
	cells := func(times []int32) float64 {
		var cells [4]float64
		for i := range c.Records {
			k := 1.0
			if times != nil {
				k = float64(times[i])
			}
			cells[2*class(w.check[2*i])+class(w.check[2*i+1])] += k * outside / float64(c.Records)
		}
		cells[0] += float64(w.band[0])
		cells[3] += float64(w.band[1])
		return kappa(cells)
	}
	for i := range c.Records {
		if w.check[2*i] != w.check[2*i+1] {
			c.Wrong++
		}
	}
	share := Wilson(c.Records-c.Wrong, c.Records)
	whole := func(x Figure) Figure { return 1 - (1-x)*Figure(outside/all) }
	c.Agreement = Estimate{Value: whole(share.Value), Low: whole(share.Low), High: whole(share.High)}
	intervals, err := metric.Bootstrap(ctx, c.Records, 1, metric.Resampling{Resamples: resamples, Seed: w.plan.Seed, Level: level}, func(times []int32, out []float64) {
		out[0] = cells(times)
	})
	if err != nil {
		return nil, fmt.Errorf("measuring the check: %w", err)
	}
	c.Kappa = Estimate{Value: Figure(cells(nil)), Low: Figure(intervals[0].Low), High: Figure(intervals[0].High)}
	r.Checked = c
	return r, nil
}

// Timing is how long a judge took to rate records.
type Timing struct {
	Records int     `json:"records"`
	Seconds float64 `json:"seconds"` // of rating; without loading the model
}

// Took is what the phases of a cascade took, those of runs before this one included
// where the evidence has them.
type Took struct {
	Small  Timing  `json:"small"`
	Sample Timing  `json:"sample"` // by large
	Learn  float64 `json:"learn"`  // seconds of this run
	Band   Timing  `json:"band"`   // and the check, by large
}

// Large is both phases of large.
func (t Took) Large() Timing { return t.Sample.Plus(t.Band) }

// Plus adds two timings.
func (t Timing) Plus(u Timing) Timing {
	return Timing{Records: t.Records + u.Records, Seconds: t.Seconds + u.Seconds}
}

// Seconds are what a cascade took, and estimates for all its records, whatever was rated
// when: by the time that a record took, and for large alone by tokens. NaN where nothing
// was timed.
type Seconds struct {
	Took
	Cascade    Figure `json:"cascade"`
	LargeAlone Figure `json:"large_alone"`
	Share      Figure `json:"share"` // Cascade of LargeAlone
}

// Time estimates what the cascade costs by what its phases took.
func (r *Report) Time(t Took) Seconds {
	s := Seconds{Took: t}
	large := t.Large()
	smallAll := t.Small.Seconds / float64(t.Small.Records) * float64(r.Entries)
	largeAll := large.Seconds / float64(large.Records) * float64(r.Sample+r.Band+r.Check)
	s.Cascade = Figure(smallAll + t.Learn + largeAll)
	s.LargeAlone = Figure(largeAll) / r.Tokens.Share
	s.Share = s.Cascade / s.LargeAlone
	for _, f := range []*Figure{&s.Cascade, &s.LargeAlone, &s.Share} {
		if math.IsInf(float64(*f), 0) {
			*f = Figure(math.NaN())
		}
	}
	return s
}

// Evidence is the content of the file that a cascade rests on.
type Evidence struct {
	Kind    string          `json:"kind"` // "cascade"
	Version int             `json:"version"`
	SHA256  string          `json:"plan_sha256"` // of the bytes of Plan
	Plan    json.RawMessage `json:"plan"`        // a Plan
	Report  *Report         `json:"report"`
	Seconds Seconds         `json:"seconds"`
}

// Evidence joins the plan and what came of it.
func (p *Plan) Evidence(r *Report, s Seconds) Evidence {
	return Evidence{Kind: "cascade", Version: 1, SHA256: p.SHA256(), Plan: p.raw, Report: r, Seconds: s}
}
