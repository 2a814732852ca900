package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"winnow/grader/engine"
	"winnow/grader/record"
	"winnow/llama"
)

// Cell is one choice of settings of a matrix: a batch size and what matrix products
// go through, a llama.Matmul; "" leaves that to the program, and on a CPU it is of no
// account.
type Cell struct {
	Batch  int
	Matmul string
}

// String returns the form that ParseCells reads, such as "2048/int8".
func (c Cell) String() string {
	if c.Matmul == "" {
		return strconv.Itoa(c.Batch)
	}
	return strconv.Itoa(c.Batch) + "/" + c.Matmul
}

// ParseCells reads a list such as "2048/int8,2048/cublas,512".
func ParseCells(list string) ([]Cell, error) {
	var cells []Cell
	for text := range strings.SplitSeq(list, ",") {
		batch, matmul, named := strings.Cut(strings.TrimSpace(text), "/")
		n, err := strconv.Atoi(batch)
		if err != nil || n < engine.MinBatch || named && matmul == "" {
			return nil, fmt.Errorf("cell %q: want TOKENS or TOKENS/PRODUCTS with %d tokens or more, such as 2048/int8", text, engine.MinBatch)
		}
		cells = append(cells, Cell{n, matmul})
	}
	return cells, nil
}

// MatrixOptions says how each cell of a matrix is measured.
type MatrixOptions struct {
	MeasureOptions
	Time time.Duration // about how long a repeat of grading takes
}

// CellResult is a measured cell, or why there is no figure of it.
type CellResult struct {
	Cell   string `json:"cell"`
	Matmul string `json:"matmul,omitempty"`
	Error  string `json:"error,omitempty"`
	*Throughput
}

// Matrix measures the cells in their order, of one model that is loaded once, and
// tells of each as soon as it is known: what comes late may be cut off. Records are
// taken from the front of recs, as many as a repeat's time takes. A cell that fails,
// because it needs more memory than there is, say, does not end the matrix; what
// Matrix returns is why it could not go on.
func Matrix(ctx context.Context, o engine.Options, cells []Cell, recs []*record.Record, m MatrixOptions, told func(CellResult) error) (err error) {
	if len(cells) == 0 || len(recs) == 0 || !(m.Time > 0) {
		return fmt.Errorf("measure %d cells with %d records for %v each: want at least one of each, and some time", len(cells), len(recs), m.Time)
	}
	base := o
	base.Batch, base.Lanes = engine.MinBatch, 1 // it only holds the model
	first, err := engine.Open(base)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, first.Close()) }()
	for _, c := range cells {
		r := CellResult{Cell: c.String(), Matmul: c.Matmul}
		t, err := m.cell(ctx, first, o, c, recs)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if r.Throughput = t; err != nil {
			r.Throughput, r.Error = nil, err.Error()
		}
		if err := told(r); err != nil {
			return err
		}
	}
	return nil
}

// cell measures one cell.
func (m MatrixOptions) cell(ctx context.Context, first *engine.Engine, o engine.Options, c Cell, recs []*record.Record) (t *Throughput, err error) {
	if c.Matmul != "" { // before opening, which would take any name on a CPU
		if err := llama.SetMatmul(llama.Matmul(c.Matmul)); err != nil {
			return nil, err
		}
	}
	o.Batch, o.Matmul = c.Batch, c.Matmul
	e, err := first.Sibling(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	n, err := recordsFor(ctx, e, recs, m.Time)
	if err != nil {
		return nil, err
	}
	return Measure(ctx, e, recs[:n], m.MeasureOptions)
}

// leastBatches is how many batches each context grades at least: the last one is
// not full, and contexts that end at different times would count as loss.
const leastBatches = 4

// recordsFor returns how many of the records take about so long, and enough of them
// for each context to have some batches.
func recordsFor(ctx context.Context, e *engine.Engine, recs []*record.Record, long time.Duration) (int, error) {
	w, err := workOf(e, recs)
	if err != nil {
		return 0, err
	}
	if w.tokens == 0 {
		return 0, errNothing(recs)
	}
	o := e.Options()
	perToken := float64(len(recs)) / w.tokens
	try := min(len(recs), int(perToken*float64(o.Batch*o.Lanes))+1)
	if _, err := gradeOnce(ctx, e, recs[:min(try, 8)]); err != nil { // warm-up: the prefix
		return 0, err
	}
	done, err := gradeOnce(ctx, e, recs[:try])
	if err != nil {
		return 0, err
	}
	byTime := float64(try) * long.Seconds() / max(done.Took.Seconds(), 1e-6)
	least := perToken * float64(o.Batch*o.Lanes*leastBatches)
	return min(len(recs), max(1, int(max(byTime, least)))), nil
}
