package grader

import (
	"context"
	"strconv"
	"time"

	"winnow/grader/journal"
	"winnow/grader/record"
)

// GradeOptions says how records are graded.
type GradeOptions struct {
	Limit       int     // stop behind this many records of the source, a conversation being one; 0 for all
	MaxOffScale float64 // a record with more off-scale mass than this gets no rating
	Progress    func(Progress)

	// Calibration adds to rated entries the probability that a record is to be kept;
	// nil for none. It must be bound to the engine's manifest.
	Calibration Calibration

	// DropHidden keeps the hidden state out of the journal. Calibration still gets it.
	DropHidden bool

	window int // records of a window, where tests want more of them; 0 for windowRecords
}

// Calibration is a correction of ratings that was learned from labels.
type Calibration interface {
	// Manifest names it in the fingerprint of a run.
	Manifest() journal.Calibration
	// Probability returns the probability that a record with this rated entry is to be
	// kept. What e points to is used again.
	Probability(e *journal.Entry) (float64, error)
}

// Progress tells how far a run is. Each turn of a conversation counts.
type Progress struct {
	Done   int           // records of the source that are settled, those included that were known before
	Rated  int           // entries that this run added to the journal
	Tokens int           // tokens that this run decoded
	Passes int           // through the model, of Capacity.Tokens at most, that this run needed
	Took   time.Duration // since the run began
	Stages Stages
}

// Stages is how long each stage of a run was busy. Stages work side by side, so
// their sum may be more than the run took.
type Stages struct {
	Read   time.Duration // the source: reading and parsing
	Encode time.Duration // from records to tokens
	Pack   time.Duration // from prompts to batches
	Work                 // the engine
	Write  time.Duration // the journal
}

// Source yields records until io.EOF.
type Source interface {
	Next() (*record.Record, error)
}

// Ledger takes entries for good: when Append returns, they survive a crash. What
// entries point to is reused afterwards.
type Ledger interface {
	Append(entries []journal.Entry) error
}

// Known tells of the records that have an entry their status. It is asked while a
// Ledger appends.
type Known interface {
	Status(key record.Key) (record.Status, bool)
}

// Result is what a finished run tells.
type Result struct {
	Progress
	Records  int                   // of the source; fewer than Done if there are conversations of several turns
	Statuses map[record.Status]int // of all that Done counts, those included that repeat an earlier one
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
	if o.DropHidden {
		m.Hidden = nil
	}
	if o.Calibration != nil {
		c := o.Calibration.Manifest()
		m.Calibration = &c
	}
	return m
}

// Grade rates the records of src that are not known and appends an entry for
// each to the ledger, in an order that depends on src alone. Records with the
// same key get one entry. Progress is told from the calling goroutine.
//
// When ctx is done, or something fails, the batches before that are still
// appended, and it returns with what stands in the ledger.
func Grade(ctx context.Context, src Source, e Engine, out Ledger, known Known, o GradeOptions) (Result, error) {
	p := newPipeline(src, e, out, known, o)
	p.start(ctx)
	err := p.write()
	p.stop()
	r := Result{Progress: p.done}
	if err == nil {
		r.Records, r.Statuses = p.reader.read, p.reader.statuses()
	}
	return r, err
}
