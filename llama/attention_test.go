package llama

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"

	"winnow/internal/tinygguf"
)

// largest returns the largest difference of two lists of rows.
func largest(a, b [][]float32) float64 {
	d := 0.0
	for i := range a {
		for k := range a[i] {
			x := math.Abs(float64(a[i][k]) - float64(b[i][k]))
			if !(x <= d) { // NaN is the largest
				d = x
			}
		}
	}
	return d
}

// TestOwnAttention decodes packed batches with three kinds of attention: ours,
// ggml's flash attention and, as the reference, ggml's without. Ours must be as
// near to the reference as ggml's, but for what the rounding of the others may
// cancel.
func TestOwnAttention(t *testing.T) {
	if !OwnAttention() {
		if runtime.GOARCH == "amd64" {
			t.Fatal("this build has no attention of its own: compile for AVX2 or more, as the Makefile does")
		}
		return // it is written for x86 alone: elsewhere ggml's is used
	}
	defer UseOwnAttention(true)
	for _, c := range []struct{ size, heads, headsKV int }{
		{16, 4, 2}, {32, 4, 4}, {32, 3, 1}, {64, 2, 1}, {64, 9, 3}, {64, 7, 1}, {80, 4, 2}, {96, 2, 2}, {128, 4, 1}, {128, 6, 1},
	} {
		t.Run(fmt.Sprintf("%dx%d of %d", c.size, c.heads, c.headsKV), func(t *testing.T) {
			m := loadTiny(t, tinygguf.Options{Embd: c.size * c.heads, Heads: c.heads, HeadsKV: c.headsKV})
			prefix := tokenize(t, m, "What all records share.")
			texts := [][]Token{tokenize(t, m, "Blue."), tokenize(t, m, "The world is large."), tokenize(t, m, "12")}
			// logits decodes the prefix, then the texts behind it, each by itself.
			logits := func(flash, own bool) [][]float32 {
				UseOwnAttention(own)
				ctx := openContext(t, m, ContextOptions{Ctx: 256, Batch: 64, Threads: 2, FlashAttention: flash})
				seqs := []SeqID{0, 1, 2}
				decode(t, ctx, run{prefix, 0, seqs})
				var runs []run
				for i, toks := range texts {
					runs = append(runs, run{toks, len(prefix), seqs[i : i+1]})
				}
				return decode(t, ctx, runs...)
			}
			want := logits(false, true)
			ours, ggmls := largest(logits(true, true), want), largest(logits(true, false), want)
			if !(ours <= 2*ggmls+1e-4) {
				t.Errorf("off by %g, ggml's flash attention by %g", ours, ggmls)
			}
		})
	}
}

// What our attention does not know goes to ggml's: a head of 24 numbers.
func TestOtherAttention(t *testing.T) {
	defer UseOwnAttention(true)
	m := loadTiny(t, tinygguf.Options{Embd: 48, Heads: 2, HeadsKV: 1})
	logits := func(own bool) [][]float32 {
		UseOwnAttention(own)
		return decode(t, openContext(t, m, small), run{tokenize(t, m, "The world."), 0, []SeqID{0}})
	}
	if !slices.Equal(logits(true)[0], logits(false)[0]) {
		t.Error("a head of 24 numbers is computed differently")
	}
}
