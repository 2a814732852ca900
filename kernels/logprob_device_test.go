package kernels

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"winnow/internal/kernelcases"
)

// deviceLogits is how many logits of a case the emulation takes in good time.
const deviceLogits = 60_000

// TestLogProbLadder compares each rung with the reference.
func TestLogProbLadder(t *testing.T) {
	d := openEmulated(t)
	eachLogProbCase(t, deviceLogits, func(t *testing.T, logits []float32, s LogProbShape, q LogProbQuery) {
		want := reference(t, logits, s, q)
		for q.Rung = range LogProbRungs + 1 {
			var got, again LogProbs
			if err := LogProb(t.Context(), d, logits, s, q, &got); err != nil {
				t.Fatal(err)
			}
			compareLogProbs(t, fmt.Sprintf("rung %d", q.Rung), &got, want, logProbTolerance)
			if s.Vocab > 2000 {
				continue
			}
			if err := LogProb(t.Context(), d, logits, s, q, &again); err != nil {
				t.Fatal(err)
			}
			compareLogProbs(t, fmt.Sprintf("rung %d again", q.Rung), &again, &got, 0)
		}
	})
}

// TestLogProbChunks has a row of several chunks, the last of them short.
func TestLogProbChunks(t *testing.T) {
	d := openEmulated(t)
	logits, s, q := logProbCase(kernelcases.LogProbCase{Rows: 1, Vocab: 2*16384 + 5, Stride: 2*16384 + 5, Spread: 4, Tokens: 3, Seed: 1})
	logits[2*16384+4] = 40 // the greatest comes last
	var got LogProbs
	if err := LogProb(t.Context(), d, logits, s, q, &got); err != nil {
		t.Fatal(err)
	}
	compareLogProbs(t, "chunks", &got, reference(t, logits, s, q), logProbTolerance)
}

func TestLogProbDeviceOddRows(t *testing.T) {
	d := openEmulated(t)
	for rung := 1; rung <= LogProbRungs; rung++ {
		testOddRows(t, fmt.Sprintf("rung %d", rung), func(logits []float32, s LogProbShape, q LogProbQuery, out *LogProbs) error {
			q.Rung = rung
			return LogProb(t.Context(), d, logits, s, q, out)
		})
	}
}

// TestLogProbParts goes through rows in parts of several sizes.
func TestLogProbParts(t *testing.T) {
	d := openEmulated(t)
	for _, lists := range []bool{false, true} {
		logits, s, q := logProbCase(kernelcases.LogProbCase{Rows: 11, Vocab: 60, Stride: 61, Spread: 3, Tokens: 5, Lists: lists, Seed: 2})
		var want LogProbs
		if err := LogProb(t.Context(), d, logits, s, q, &want); err != nil {
			t.Fatal(err)
		}
		compareLogProbs(t, "whole", &want, reference(t, logits, s, q), logProbTolerance)
		for _, limits := range []logProbLimits{
			{copied: 1, rows: 100, picked: 100}, {copied: 3 * 61, rows: 100, picked: 100}, {copied: 1000, rows: 4, picked: 100}, {copied: 1000, rows: 100, picked: 11},
		} {
			var got LogProbs
			got.prepare(s, q)
			if err := d.logProbs(t.Context(), deviceRows{host: logits, limits: limits}, s, q, &got); err != nil {
				t.Fatal(err)
			}
			compareLogProbs(t, fmt.Sprintf("%+v", limits), &got, &want, 0)
		}
	}
}

// place copies logits to the device's memory, offset floats behind an aligned address.
func place(t *testing.T, d *Device, logits []float32, offset int) uintptr {
	t.Helper()
	var memory devicePtr
	err := d.run(t.Context(), "test", func(s *session) error {
		if err := s.lib.err("allocating", s.lib.Malloc(d.ordinal, &memory, int64(4*(len(logits)+offset)))); err != nil {
			return err
		}
		return uploadSlice(s, at[float32](memory, offset), logits)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.do(context.Background(), func() error { return d.lib.err("freeing", d.lib.Free(d.ordinal, memory)) }); err != nil {
			t.Error(err)
		}
	})
	return uintptr(at[float32](memory, offset))
}

// TestLogProbDevice reads rows where they are, at addresses that are aligned and that
// are not, whole and in parts: always the same bits.
func TestLogProbDevice(t *testing.T) {
	d := openEmulated(t)
	logits, s, q := logProbCase(kernelcases.LogProbCase{Rows: 6, Vocab: 1200, Stride: 1204, Spread: 3, Tokens: 5, Seed: 2})
	want := reference(t, logits, s, q)
	var first LogProbs
	for offset := range 4 {
		memory := place(t, d, logits, offset)
		var got LogProbs
		if err := LogProbDevice(t.Context(), d, int(d.ordinal), memory, s, q, &got); err != nil {
			t.Fatal(err)
		}
		if offset == 0 {
			first = got
			compareLogProbs(t, "in place", &got, want, logProbTolerance)
			one := LogProbQuery{Targets: q.Targets[3:4]}
			if err := LogProbDevice(t.Context(), d, int(d.ordinal), memory+uintptr(4*3*s.Stride), LogProbShape{Rows: 1, Vocab: s.Vocab}, one, new(LogProbs)); err != nil {
				t.Fatal(err)
			}
			var part LogProbs
			part.prepare(s, q)
			if err := d.logProbs(t.Context(), deviceRows{at: devicePtr(memory), limits: logProbLimits{rows: 4, picked: 1000}}, s, q, &part); err != nil {
				t.Fatal(err)
			}
			compareLogProbs(t, "in parts", &part, &first, 0)
		}
		compareLogProbs(t, fmt.Sprintf("%d floats on", offset), &got, &first, 0)
		if !slices.Equal(got.sums, first.sums) {
			t.Errorf("%d floats on: other bits", offset)
		}
	}
	for name, c := range map[string]struct {
		ordinal int
		at      uintptr
		want    string
	}{
		"another GPU": {int(d.ordinal) + 1, 64, "GPU"},
		"null":        {int(d.ordinal), 0, "address"},
		"odd address": {int(d.ordinal), 66, "address"},
	} {
		err := LogProbDevice(t.Context(), d, c.ordinal, c.at, s, q, new(LogProbs))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error about %s", name, err, c.want)
		}
	}
}
