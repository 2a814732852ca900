package grader

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"winnow/grader/record"
)

// A window is what is packed together. It ends at whichever bound comes first.
// The more records, the fuller the batches; the last one of a window is the only
// one that is not nearly full.
const (
	windowRecords = 1024
	windowBytes   = 32 << 20 // of the records as they stand in their source, a conversation's turns counted together
)

// window is a stretch of the source on its way through the stages. The windows
// of a run depend on its source alone, not on what is rated already: that is why
// a resumed run makes the same batches.
type window struct {
	recs    []*record.Record // without those that repeat an earlier one
	missing []bool           // whether the journal has no entry for it
	bytes   int
	counted int   // index of the record that bytes counted last
	settled int   // records read with it that need no entry
	err     error // what ended the source, or the window

	prompts []Prompt        // one a record; undefined where there is a fault
	faults  []*record.Fault // one a record
	ready   chan struct{}   // closed when what follows is done

	fits    []int // records without a fault
	sizes   []int // of their prompts
	packer  packer
	batches [][]int // of indices into recs

	readTime, encodeTime, packTime time.Duration
}

// reset empties the window and keeps its memory.
func (w *window) reset() {
	clear(w.recs)
	w.recs, w.missing = w.recs[:0], w.missing[:0]
	w.bytes, w.counted, w.settled, w.err = 0, -1, 0, nil
	w.faults, w.batches = w.faults[:0], w.batches[:0]
	w.readTime, w.encodeTime, w.packTime = 0, 0, 0
	w.ready = make(chan struct{})
}

func (w *window) add(rec *record.Record, missing bool) {
	w.recs, w.missing, w.faults = append(w.recs, rec), append(w.missing, missing), append(w.faults, rec.Fault)
	if rec.Index != w.counted {
		w.bytes += len(rec.Raw)
		w.counted = rec.Index
	}
	if !missing {
		w.settled++
	}
}

// idle reports whether nothing in the window is to be rated.
func (w *window) idle() bool { return !slices.Contains(w.missing, true) }

func (w *window) anyMissing(at []int) bool {
	return slices.ContainsFunc(at, func(i int) bool { return w.missing[i] })
}

// encode makes the prompts. Known records are encoded and packed too: the
// batches must be those of the run that was interrupted.
func (w *window) encode(e Engine) {
	start := time.Now()
	defer func() { w.encodeTime = time.Since(start) }()
	if n := len(w.recs); cap(w.prompts) < n {
		w.prompts = append(w.prompts[:cap(w.prompts)], make([]Prompt, n-cap(w.prompts))...)
	}
	w.prompts = w.prompts[:len(w.recs)]
	for i, r := range w.recs {
		if r.Fault != nil {
			continue
		}
		if err := e.Encode(r, &w.prompts[i]); err != nil && !errors.As(err, &w.faults[i]) {
			w.err = fmt.Errorf("encode record %d (line %d): %w", r.Index, r.Line, err)
			w.recs, w.settled = w.recs[:0], 0 // nothing of it is rated
			return
		}
	}
}

// pack distributes the prompts over batches.
func (w *window) pack(capacity Capacity) {
	start := time.Now()
	w.fits, w.sizes = w.fits[:0], w.sizes[:0]
	for i := range w.recs {
		if w.faults[i] == nil {
			w.fits, w.sizes = append(w.fits, i), append(w.sizes, w.prompts[i].Size)
		}
	}
	w.batches = append(w.batches[:0], w.packer.pack(w.sizes, capacity)...)
	for _, b := range w.batches {
		for k := range b {
			b[k] = w.fits[b[k]]
		}
	}
	w.packTime = time.Since(start)
}

// windowReader cuts a source into windows.
type windowReader struct {
	src   Source
	known Known
	limit int                   // records of the source; 0 for all
	most  int                   // records of a window, turns of conversations each
	read  int                   // records of the source, a conversation as one
	seen  map[record.Key]uint32 // how often
}

// fill reads the next window and says whether another one follows. A window ends
// by count and bytes of its records, whatever is known of them: a resumed run
// makes the same windows.
func (r *windowReader) fill(w *window) (more bool) {
	w.reset()
	start := time.Now()
	defer func() { w.readTime = time.Since(start) }()
	for len(w.recs) < r.most && w.bytes < windowBytes {
		if r.limit > 0 && r.read == r.limit {
			return false
		}
		rec, err := r.src.Next()
		if errors.Is(err, io.EOF) {
			return false
		}
		if err != nil {
			w.err = err
			return false
		}
		if rec.Last() {
			r.read++
		}
		r.seen[rec.Key]++
		if r.seen[rec.Key] > 1 {
			w.settled++
			continue
		}
		_, known := r.known.Status(rec.Key)
		w.add(rec, !known)
	}
	return true
}

// statuses counts the records and turns that were read by what is known of them at last.
func (r *windowReader) statuses() map[record.Status]int {
	counts := map[record.Status]int{}
	for key, times := range r.seen {
		status, ok := r.known.Status(key)
		if !ok {
			status = record.NotGraded
		}
		counts[status] += int(times)
	}
	return counts
}
