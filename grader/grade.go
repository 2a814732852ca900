package grader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
)

// window is the number of records that are packed together. The windows of a
// run depend on its records alone, not on what is rated already: that is why a
// resumed run makes the same batches.
const window = 256

// GradeOptions says how records are graded.
type GradeOptions struct {
	Limit       int     // stop behind this many records of the source; 0 for all
	MaxOffScale float64 // a record with more off-scale mass than this gets no rating
	Progress    func(Progress)
}

// Progress tells how far a run is.
type Progress struct {
	Read   int           // records of the source dealt with
	Rated  int           // entries that this run added to the journal
	Tokens int           // tokens that this run decoded
	Took   time.Duration // since the run began
}

// Source yields records until io.EOF.
type Source interface {
	Next() (*record.Record, error)
}

// Ledger takes entries for good: when Append returns, they survive a crash.
type Ledger interface {
	Append(entries []journal.Entry) error
}

// Known tells which records have an entry already.
type Known interface {
	Has(key record.Key) bool
}

// Manifest returns the fingerprint under which ratings of e with options o are
// kept.
func Manifest(e Engine, o GradeOptions) journal.Manifest {
	m := e.Manifest()
	settings := map[string]string{"max_off_scale": strconv.FormatFloat(o.MaxOffScale, 'g', -1, 64)}
	for k, v := range m.Settings {
		settings[k] = v
	}
	m.Settings = settings
	return m
}

// Grade rates the records of src that are not known and appends an entry for
// each to the ledger, in an order that depends on src alone. Records with the
// same key get one entry. It returns early when ctx is done, between batches;
// what the ledger acknowledged by then stands.
func Grade(ctx context.Context, src Source, e Engine, out Ledger, known Known, o GradeOptions) (Progress, error) {
	g := &grading{engine: e, out: out, known: known, o: o, seen: map[record.Key]bool{}, start: time.Now()}
	for o.Limit <= 0 || g.done.Read < o.Limit {
		rec, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			// What was read before the damage is still good.
			if flushErr := g.flush(ctx); flushErr != nil {
				return g.done, flushErr
			}
			return g.done, err
		}
		g.done.Read++
		if g.seen[rec.Key] {
			continue
		}
		g.seen[rec.Key] = true
		g.pending = append(g.pending, rec)
		if len(g.pending) == window {
			if err := g.flush(ctx); err != nil {
				return g.done, err
			}
		}
	}
	return g.done, g.flush(ctx)
}

// grading is the state of one Grade.
type grading struct {
	engine  Engine
	out     Ledger
	known   Known
	o       GradeOptions
	seen    map[record.Key]bool
	pending []*record.Record // the current window
	start   time.Time
	done    Progress
}

// flush grades the current window.
func (g *grading) flush(ctx context.Context) error {
	recs := g.pending
	g.pending = g.pending[:0]
	missing := 0
	for _, r := range recs {
		if !g.known.Has(r.Key) {
			missing++
		}
	}
	if missing == 0 {
		g.report(0)
		return ctx.Err()
	}
	// Known records are encoded and packed too: the batches must be those of the
	// run that was interrupted.
	var prompts []Prompt
	var from []*record.Record // of each prompt
	var sizes []int
	var faults []journal.Entry
	for _, r := range recs {
		p, err := g.encode(r)
		var fault *record.Fault
		switch {
		case errors.As(err, &fault):
			if !g.known.Has(r.Key) {
				faults = append(faults, journal.Entry{Key: r.Key, Index: r.Index, Status: fault.Status, Reason: fault.Reason})
			}
		case err != nil:
			return fmt.Errorf("encode record %d (line %d): %w", r.Index, r.Line, err)
		default:
			prompts, from, sizes = append(prompts, p), append(from, r), append(sizes, p.Size)
		}
	}
	if err := g.append(faults); err != nil {
		return err
	}
	for _, batch := range pack(sizes, g.engine.Capacity()) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := g.rate(ctx, batch, prompts, from); err != nil {
			return err
		}
	}
	return nil
}

// encode makes a record's prompt, or fails with its fault.
func (g *grading) encode(r *record.Record) (Prompt, error) {
	if r.Fault != nil {
		return Prompt{}, r.Fault
	}
	return g.engine.Encode(r)
}

// rate rates one batch and appends the entries that are missing.
func (g *grading) rate(ctx context.Context, batch []int, prompts []Prompt, from []*record.Record) error {
	missing, tokens := false, 0
	in := make([]Prompt, len(batch))
	for i, at := range batch {
		in[i] = prompts[at]
		tokens += in[i].Size
		missing = missing || !g.known.Has(from[at].Key)
	}
	if !missing {
		return nil
	}
	outcomes, err := g.engine.Rate(ctx, in)
	if err != nil {
		return fmt.Errorf("rate records %d to %d: %w", from[batch[0]].Index, from[batch[len(batch)-1]].Index, err)
	}
	if len(outcomes) != len(in) {
		return fmt.Errorf("the engine returned %d outcomes for %d prompts", len(outcomes), len(in))
	}
	var entries []journal.Entry
	for i, at := range batch {
		if r := from[at]; !g.known.Has(r.Key) {
			entries = append(entries, g.entry(r, in[i], outcomes[i]))
		}
	}
	g.done.Tokens += tokens
	return g.append(entries)
}

// entry is the journal's line for one outcome.
func (g *grading) entry(r *record.Record, p Prompt, out Outcome) journal.Entry {
	e := journal.Entry{Key: r.Key, Index: r.Index, Tokens: p.Total, Cut: p.Cut}
	switch {
	case out.Fault != nil:
		e.Status, e.Reason = out.Fault.Status, out.Fault.Reason
	case !(out.Rating.OffScale <= g.o.MaxOffScale):
		e.Status = record.OffScale
		e.Reason = fmt.Sprintf("%.4f of the probability is on answers that are no rating, more than %g", out.Rating.OffScale, g.o.MaxOffScale)
	default:
		e.Status, e.Ratings = record.OK, []rating.Rating{out.Rating}
	}
	return e
}

// append hands entries to the ledger and reports progress.
func (g *grading) append(entries []journal.Entry) error {
	if len(entries) > 0 {
		if err := g.out.Append(entries); err != nil {
			return err
		}
	}
	g.report(len(entries))
	return nil
}

func (g *grading) report(added int) {
	g.done.Rated += added
	g.done.Took = time.Since(g.start)
	if g.o.Progress != nil {
		g.o.Progress(g.done)
	}
}
