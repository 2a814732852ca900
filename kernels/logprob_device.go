package kernels

import (
	"context"
	"fmt"
)

// logProbTask is winnow_logprob_task of logprob.cu.
type logProbTask struct {
	logits                  devicePtr
	rows, vocab, stride     int64
	targets, tokens, starts devicePtr
	sharedTokens            int64
	top, sum, picked, parts devicePtr
}

// logProbLaunchers has the functions of logprob.cu.
type logProbLaunchers struct {
	Parts func(rows, vocab int64) int64                             `symbol:"winnow_logprob_parts"`
	Run   func(task *logProbTask, rung int32, stream uintptr) int32 `symbol:"winnow_logprob"`
}

// deviceRows are rows in a device's memory, or in the host's on the way to it.
type deviceRows struct {
	at     devicePtr
	host   []float32 // if not nil
	limits logProbLimits
}

// logProbLimits are what one part of the rows may take.
type logProbLimits struct {
	copied int // logits that are copied to the device
	rows   int
	picked int // logits of tokens that all rows are asked for
}

// shippedLimits keep workspaces below about 400 MB.
func shippedLimits() logProbLimits {
	return logProbLimits{copied: 1 << 26, rows: 1 << 16, picked: 1 << 24}
}

// logProbWork is the device memory for a part of the rows.
type logProbWork struct {
	rows, tokens int // at most
	logits       devicePtr
	task         logProbTask
}

// logProbs goes through the rows part by part.
func (d *Device) logProbs(ctx context.Context, in deviceRows, s LogProbShape, q LogProbQuery, out *LogProbs) error {
	if s.Rows == 0 {
		return ctx.Err()
	}
	return d.run(ctx, "logprob", func(run *session) error {
		fns, err := launchers[logProbLaunchers](run.lib)
		if err != nil {
			return err
		}
		w, err := newLogProbWork(run, fns, in, s, q)
		if err != nil {
			return err
		}
		for from := 0; from < s.Rows; from += w.rows {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := w.part(run, fns, in, s, q, from, min(s.Rows, from+w.rows), out); err != nil {
				return fmt.Errorf("rows from %d on: %w", from, err)
			}
		}
		return nil
	})
}

// newLogProbWork allocates what the largest part needs.
func newLogProbWork(run *session, fns *logProbLaunchers, in deviceRows, s LogProbShape, q LogProbQuery) (*logProbWork, error) {
	w := &logProbWork{rows: min(s.Rows, in.limits.rows)}
	if in.host != nil {
		w.rows = min(w.rows, max(1, in.limits.copied/s.Stride))
	}
	w.tokens = len(q.Tokens)
	picked := w.tokens // with Starts: as if all were in one part
	if q.Starts == nil && w.tokens > 0 {
		w.rows = min(w.rows, max(1, in.limits.picked/w.tokens))
		picked *= w.rows
	}
	w.task = logProbTask{logits: in.at, vocab: int64(s.Vocab), stride: int64(s.Stride)}
	for _, need := range []struct {
		at    *devicePtr
		bytes int
		when  bool
	}{
		{&w.logits, 4 * ((w.rows-1)*s.Stride + s.Vocab), in.host != nil},
		{&w.task.targets, 4 * w.rows, q.Targets != nil},
		{&w.task.tokens, 4 * w.tokens, w.tokens > 0},
		{&w.task.starts, 4 * (w.rows + 1), q.Starts != nil},
		{&w.task.top, 4 * w.rows, true},
		{&w.task.sum, 8 * w.rows, true},
		{&w.task.picked, 4 * (w.rows + picked), true},
		{&w.task.parts, 4 * int(fns.Parts(int64(w.rows), int64(s.Vocab))), true},
	} {
		if !need.when {
			continue
		}
		var err error
		if *need.at, err = run.alloc(need.bytes); err != nil {
			return nil, err
		}
	}
	if q.Starts == nil {
		w.task.sharedTokens = int64(w.tokens)
		return w, uploadSlice(run, w.task.tokens, q.Tokens)
	}
	return w, nil
}

// part computes rows from..to.
func (w *logProbWork) part(run *session, fns *logProbLaunchers, in deviceRows, s LogProbShape, q LogProbQuery, from, to int, out *LogProbs) error {
	rows, picked, first := to-from, (to-from)*len(q.Tokens), 0
	task := w.task
	task.rows = int64(rows)
	if in.host != nil {
		task.logits = w.logits
		if err := uploadSlice(run, w.logits, in.host[from*s.Stride:][:(rows-1)*s.Stride+s.Vocab]); err != nil {
			return err
		}
	} else {
		task.logits = at[float32](in.at, from*s.Stride)
	}
	if q.Targets != nil {
		if err := uploadSlice(run, task.targets, q.Targets[from:to]); err != nil {
			return err
		}
	}
	if q.Starts != nil {
		first, picked = int(q.Starts[from]), int(q.Starts[to]-q.Starts[from])
		out.starts = resized(out.starts, rows+1)
		for i, start := range q.Starts[from : to+1] {
			out.starts[i] = start - q.Starts[from]
		}
		if err := uploadSlice(run, task.starts, out.starts); err != nil {
			return err
		}
		if err := uploadSlice(run, task.tokens, q.Tokens[first:first+picked]); err != nil {
			return err
		}
	}
	rung := int32(q.Rung)
	if rung == 0 {
		rung = LogProbRungs
	}
	if err := run.launch("winnow_logprob", fns.Run(&task, rung, run.stream)); err != nil {
		return err
	}
	out.picked = resized(out.picked, rows+picked)
	if err := downloadSlice(run, out.tops[from:to], task.top); err != nil {
		return err
	}
	if err := downloadSlice(run, out.sums[from:to], task.sum); err != nil {
		return err
	}
	if err := downloadSlice(run, out.picked, task.picked); err != nil {
		return err
	}
	out.finish(q, from, to, func(r, i int) float32 {
		switch {
		case i < 0:
			return out.picked[r-from]
		case q.Starts != nil:
			return out.picked[rows+i-first]
		}
		return out.picked[rows+(r-from)*len(q.Tokens)+i]
	})
	return nil
}
