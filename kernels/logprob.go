package kernels

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// LogProbShape says how rows of logits lie in memory. A row is what a language model
// gives for one position: a float32 for each token of the vocabulary.
type LogProbShape struct {
	Rows   int
	Vocab  int // logits of a row
	Stride int // logits from the beginning of a row to that of the next; 0 means Vocab
}

// LogProbQuery is what is asked of rows.
//
// Targets serve perplexity and the scores made of it: the mean of -LogProb over a
// response's tokens is its loss, e to that its perplexity, and the loss with the
// instruction divided by the loss without it is IFD (Li et al., "From Quantity to
// Quality", 2023; with a small model, "Superfiltering", 2024).
//
// Tokens serve ratings: see LogProbs.Expected. Either all rows are asked for the same
// ones, or, with Starts, each for its own, as the nodes of a trie of rating strings
// are: row r for Tokens[Starts[r]:Starts[r+1]].
type LogProbQuery struct {
	Targets []int32   // a token for each row, -1 for none; nil for none at all
	Tokens  []int32   // distinct within a row
	Starts  []int32   // Rows+1 indices into Tokens, not falling, from 0 to len(Tokens); or nil
	Values  []float64 // what each of Tokens is worth; nil for no expectation
	Rung    int       // which kernel a Device uses, 1 to LogProbRungs, for measuring; 0 is the one to use
}

// LogProbRungs is the number of kernels from the simplest to the shipped one, the last.
const LogProbRungs = 4

// LogProbs is what was found. Its memory is used again when it is passed to another
// call. Numbers of a row whose status is not RowOK are NaN.
type LogProbs struct {
	Status    []RowStatus // one a row
	LogSumExp []float64   // one a row, in nats: what a logit must be lessened by to be a log-probability

	// LogProb is the log-probability of each row's target, in nats: at most 0, -Inf
	// for a logit of -Inf, NaN where the target is -1. It is empty without Targets.
	LogProb []float64

	// Probs are the probabilities of Tokens, row after row: Rows × len(Tokens) without
	// Starts, len(Tokens) with them.
	Probs []float64

	// OffScale is the probability of all other tokens, one a row; Expected the mean
	// of Values given that the token is one of Tokens, NaN where their probabilities
	// are all 0 and empty without Values. Both are empty without Tokens.
	OffScale, Expected []float64

	tops   []float32 // greatest logit of each row
	sums   []float64 // of exponentials of logits less that
	picked []float32 // from a device: logits of a part's targets, then of its tokens
	starts []int32   // for a device: of a part
}

// RowStatus says whether a row of logits is a distribution.
type RowStatus uint8

// What a row can be. A logit of -Inf is a probability of zero and no fault.
const (
	RowOK          RowStatus = iota
	RowNaN                   // a logit is NaN, and none is +Inf
	RowPositiveInf           // a logit is +Inf
	RowImpossible            // all logits are -Inf: no token has any probability
)

// String names the status.
func (s RowStatus) String() string {
	switch s {
	case RowOK:
		return "ok"
	case RowNaN:
		return "a logit is NaN"
	case RowPositiveInf:
		return "a logit is +Inf"
	case RowImpossible:
		return "all logits are -Inf"
	}
	return fmt.Sprintf("row status %d", uint8(s))
}

// LogProb computes log-probabilities of vocabulary rows into out, and, for the tokens
// of a scale, probabilities, expectation and the mass off the scale.
//
// Method: a row's log-sum-exp with its greatest logit subtracted, from the logits in
// memory in one pass. Exponentials are single precision, within 8e-8 of their values;
// sums are made in parts of few additions that are joined in double precision. So
// LogSumExp, LogProb and Probs are within 1e-6 of LogProbReference's. What is asked of
// single logits is computed in double precision, on the processor. Rows are
// independent, and the order of additions depends on Vocab alone: a row gives the same
// bits whatever else is in the call, for any number of threads, on every run.
// Processor and GPU add in different orders. Logits are float32 because ggml's are, in
// whatever format a model's weights come.
//
// Cost: 4 × Rows × Vocab bytes read. A processor needs fused multiplication and
// vectors (x86-64-v3) to keep up with that; without them results are the same and take
// many times as long. It runs on GOMAXPROCS threads. With a Device the rows are copied
// to it first, over a bus slower than either memory: a Device is for rows that are
// there already, through LogProbDevice.
//
// Errors are for shapes and indices that are not possible, and the context's. Logits
// are never an error: see Status.
func LogProb(ctx context.Context, d *Device, logits []float32, s LogProbShape, q LogProbQuery, out *LogProbs) error {
	s, err := checkLogProb(s, q)
	if err != nil {
		return err
	}
	if err := s.within(len(logits)); err != nil {
		return err
	}
	out.prepare(s, q)
	if d != nil {
		err = d.logProbs(ctx, deviceRows{host: logits, limits: shippedLimits()}, s, q, out)
	} else {
		err = eachRows(ctx, s, func(from, to int) {
			logProbSums(logits[from*s.Stride:], to-from, s.Vocab, s.Stride, out.tops[from:to], out.sums[from:to])
			out.finish(q, from, to, pickHost(logits, s, q))
		})
	}
	if err != nil {
		return fmt.Errorf("log-probabilities: %w", err)
	}
	return nil
}

// LogProbDevice is LogProb of rows that are in a GPU's memory already: where a model
// has just computed them, for instance. It reads them there, and returns when it has.
// logits is the address of the first one, a multiple of 4, in the memory of the GPU
// with that ordinal, which must be d's, from whatever library of this process allocated
// it: they share CUDA's primary context. What wrote the rows must have finished. Where
// address and stride are multiples of 16 bytes, it is faster.
func LogProbDevice(ctx context.Context, d *Device, ordinal int, logits uintptr, s LogProbShape, q LogProbQuery, out *LogProbs) error {
	s, err := checkLogProb(s, q)
	if err != nil {
		return err
	}
	switch {
	case d == nil:
		return fmt.Errorf("log-probabilities: rows in the memory of GPU %d need its Device", ordinal)
	case ordinal != int(d.ordinal):
		return fmt.Errorf("log-probabilities: the rows are in the memory of GPU %d, the Device is GPU %d", ordinal, d.ordinal)
	case logits == 0 && s.Rows > 0 || logits%4 != 0:
		return fmt.Errorf("log-probabilities: no logits can be at address %#x", logits)
	}
	out.prepare(s, q)
	if err := d.logProbs(ctx, deviceRows{at: devicePtr(logits), limits: shippedLimits()}, s, q, out); err != nil {
		return fmt.Errorf("log-probabilities: %w", err)
	}
	return nil
}

// LogProbReference is LogProb in double precision by the plainest code. It is what
// the others are tested against.
func LogProbReference(logits []float32, s LogProbShape, q LogProbQuery, out *LogProbs) error {
	s, err := checkLogProb(s, q)
	if err != nil {
		return err
	}
	if err := s.within(len(logits)); err != nil {
		return err
	}
	out.prepare(s, q)
	for r := range s.Rows {
		out.tops[r], out.sums[r] = logProbSum(logits[r*s.Stride:][:s.Vocab])
	}
	out.finish(q, 0, s.Rows, pickHost(logits, s, q))
	return nil
}

// eachRows runs f on parts of the rows, on GOMAXPROCS goroutines, until the context
// ends.
func eachRows(ctx context.Context, s LogProbShape, f func(from, to int)) error {
	const logits = 1 << 16 // of a part: enough to make up for taking turns, a few times 10 µs
	n := max(1, logits/max(1, s.Vocab))
	parts := (s.Rows + n - 1) / n
	var next, done atomic.Int64
	work := func() {
		for ctx.Err() == nil {
			i := int(next.Add(1)) - 1
			if i >= parts {
				return
			}
			f(i*n, min(s.Rows, (i+1)*n))
			done.Add(1)
		}
	}
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), parts) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	if int(done.Load()) < parts {
		return ctx.Err()
	}
	return nil
}

// logProbSum returns a row's greatest logit, -Inf if there is none but NaN, and the
// sum of exponentials of its logits less that: NaN if one is NaN or +Inf.
func logProbSum(row []float32) (float32, float64) {
	top := float32(math.Inf(-1))
	for _, x := range row {
		if x > top {
			top = x
		}
	}
	base := max(float64(top), -math.MaxFloat32)
	sum := 0.0
	for _, x := range row {
		sum += math.Exp(float64(x) - base)
	}
	return top, sum
}

// checkLogProb returns the shape with its stride, or what is wrong.
func checkLogProb(s LogProbShape, q LogProbQuery) (LogProbShape, error) {
	if s.Stride == 0 {
		s.Stride = s.Vocab
	}
	if s.Rows < 0 || s.Vocab < 0 || s.Stride < s.Vocab || s.Rows > 0 && s.Vocab == 0 || s.Vocab > math.MaxInt32 {
		return s, fmt.Errorf("log-probabilities: %d rows of %d logits, %d apart: want a vocabulary of 1 to %d, and rows no closer than that", s.Rows, s.Vocab, s.Stride, math.MaxInt32)
	}
	if s.Rows > 0 && s.Stride > math.MaxInt/4/s.Rows {
		return s, fmt.Errorf("log-probabilities: %d rows, %d logits apart: no memory is that large", s.Rows, s.Stride)
	}
	if q.Rung < 0 || q.Rung > LogProbRungs {
		return s, fmt.Errorf("log-probabilities: kernel %d: there are 1 to %d, and 0 for the last", q.Rung, LogProbRungs)
	}
	if q.Targets != nil && len(q.Targets) != s.Rows {
		return s, fmt.Errorf("log-probabilities: %d targets for %d rows", len(q.Targets), s.Rows)
	}
	for r, t := range q.Targets {
		if t < -1 || int(t) >= s.Vocab {
			return s, fmt.Errorf("log-probabilities: the target of row %d is token %d, want -1 (none) or 0 to %d", r, t, s.Vocab-1)
		}
	}
	return s, checkScale(s, q)
}

// within reports rows that do not fit into n logits.
func (s LogProbShape) within(n int) error {
	if s.Rows > 0 && (s.Rows-1)*s.Stride+s.Vocab > n {
		return fmt.Errorf("log-probabilities: %d rows of %d logits, %d apart, need %d logits, there are %d", s.Rows, s.Vocab, s.Stride, (s.Rows-1)*s.Stride+s.Vocab, n)
	}
	return nil
}

// resized returns x with n elements, in its own memory if there is room.
func resized[T any](x []T, n int) []T {
	if cap(x) < n {
		return make([]T, n)
	}
	return x[:n]
}

// prepare makes room for what is asked.
func (o *LogProbs) prepare(s LogProbShape, q LogProbQuery) {
	o.Status = resized(o.Status, s.Rows)
	o.LogSumExp = resized(o.LogSumExp, s.Rows)
	o.tops = resized(o.tops, s.Rows)
	o.sums = resized(o.sums, s.Rows)
	o.LogProb = resized(o.LogProb, len(q.Targets))
	o.prepareScale(s, q)
}

// picker returns a logit of row r: of q.Tokens[i], or, where i is -1, of the target.
type picker func(r, i int) float32

// pickHost picks from rows in the host's memory.
func pickHost(logits []float32, s LogProbShape, q LogProbQuery) picker {
	return func(r, i int) float32 {
		token := int32(0)
		if i < 0 {
			token = q.Targets[r]
		} else {
			token = q.Tokens[i]
		}
		return logits[r*s.Stride+int(token)]
	}
}

// finish makes the results of rows from..to of their tops and sums, and of the logits
// that pick returns.
func (o *LogProbs) finish(q LogProbQuery, from, to int, pick picker) {
	for r := from; r < to; r++ {
		top, sum := o.tops[r], o.sums[r]
		status, lse := RowOK, math.NaN()
		switch {
		case math.IsInf(float64(top), 1):
			status = RowPositiveInf
		case math.IsNaN(sum):
			status = RowNaN
		case math.IsInf(float64(top), -1):
			status = RowImpossible
		default:
			lse = float64(top) + math.Log(sum)
		}
		o.Status[r], o.LogSumExp[r] = status, lse
		if q.Targets != nil {
			o.LogProb[r] = math.NaN()
			if q.Targets[r] >= 0 && status == RowOK {
				// The difference is exact, and neither it nor the rest is above 0.
				o.LogProb[r] = float64(pick(r, -1)) - float64(top) - math.Log(sum)
			}
		}
		if q.Tokens != nil {
			o.rate(q, r, pick)
		}
	}
}
