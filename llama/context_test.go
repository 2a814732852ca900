package llama

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"winnow/internal/tinygguf"
)

func TestContextOptions(t *testing.T) {
	m := loadTiny(t, tinygguf.Options{})
	for _, o := range []ContextOptions{
		{}, {Ctx: 0, Batch: 1, Threads: 1}, {Ctx: 64, Batch: 0, Threads: 1}, {Ctx: 64, Batch: 65, Threads: 1},
		{Ctx: 64, Batch: 64, Threads: 0}, {Ctx: -1, Batch: -1, Threads: 1},
	} {
		if c, err := NewContext(m, o); err == nil {
			closeAtEnd(t, c)
			t.Errorf("NewContext(%+v): no error", o)
		}
	}
	if err := m.Close(); err != nil {
		t.Errorf("after contexts that were refused: %v", err)
	}
}

func TestNewBatch(t *testing.T) {
	for _, c := range [][2]int{{0, 1}, {1, 0}, {-1, 1}, {1<<20 + 1, 1}, {1, MaxSeqs + 1}} {
		if b, err := NewBatch(c[0], c[1]); err == nil {
			closeAtEnd(t, b)
			t.Errorf("NewBatch(%d, %d): no error", c[0], c[1])
		}
	}
}

func TestBatchAdd(t *testing.T) {
	b := makeBatch(t, 2, 2)
	if b.Cap() != 2 || b.Len() != 0 {
		t.Errorf("%d of %d tokens, want 0 of 2", b.Len(), b.Cap())
	}
	for name, add := range map[string]func() error{
		"position":      func() error { return b.Add(1, -1, []SeqID{0}, false) },
		"no sequence":   func() error { return b.Add(1, 0, nil, false) },
		"many":          func() error { return b.Add(1, 0, []SeqID{0, 1, 2}, false) },
		"sequence -1":   func() error { return b.Add(1, 0, []SeqID{0, -1}, false) },
		"sequence 256":  func() error { return b.Add(1, 0, []SeqID{MaxSeqs}, false) },
		"2 of 2 is bad": func() error { return b.Add(1, 0, []SeqID{0, 1 << 30}, false) },
	} {
		if err := add(); !errors.Is(err, ErrInvalidBatch) || b.Len() != 0 {
			t.Errorf("%s: %v, want %v; %d tokens are in", name, err, ErrInvalidBatch, b.Len())
		}
	}
	for i := range 2 {
		if err := b.Add(1, i, []SeqID{0, 1}, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Add(1, 2, []SeqID{0}, false); !errors.Is(err, ErrBatchFull) || b.Len() != 2 {
		t.Errorf("a third of 2: %v, want %v", err, ErrBatchFull)
	}
	b.Reset()
	if b.Len() != 0 || b.Cap() != 2 {
		t.Errorf("after Reset: %d of %d", b.Len(), b.Cap())
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := b.Add(1, 0, []SeqID{0}, false); !errors.Is(err, ErrClosed) {
		t.Errorf("Add to a closed batch: %v, want %v", err, ErrClosed)
	}
}

func TestDecodeErrors(t *testing.T) {
	m := loadTiny(t, tinygguf.Options{})
	c := openContext(t, m, ContextOptions{Ctx: 256, Batch: 8, Threads: 1, FlashAttention: true})
	decode(t, c, run{[]Token{1, 2, 3}, 0, []SeqID{0}})

	b := makeBatch(t, 16, 1)
	fill := func(tokens []Token, pos int) {
		b.Reset()
		for i, tok := range tokens {
			if err := b.Add(tok, pos+i, []SeqID{0}, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tokens := range map[string][]Token{
		"empty": {}, "negative": {5, -1}, "beyond": {5, Token(m.Vocab().Size())}, "nine of eight": make([]Token, 9),
	} {
		fill(tokens, 3)
		if err := c.Decode(b); !errors.Is(err, ErrInvalidBatch) {
			t.Errorf("%s: %v, want %v", name, err, ErrInvalidBatch)
		}
	}
	fill([]Token{1}, 40) // llama.cpp's own check: a sequence has no gaps
	var e *Error
	if err := c.Decode(b); !errors.Is(err, ErrInvalidBatch) || !errors.As(err, &e) || e.Code != -1 || e.Text == "" {
		t.Errorf("a gap: %v, want %v with llama.cpp's message", err, ErrInvalidBatch)
	}
	if last, err := c.LastPos(0); last != 2 || err != nil {
		t.Errorf("the sequence ends at %d, %v, want 2: refused batches must leave the cache alone", last, err)
	}
	if _, err := c.Logits(0); err == nil {
		t.Error("a refused batch has rows")
	}
	fill([]Token{1}, 3)
	if err := c.Decode(b); err != nil {
		t.Errorf("a good batch after refused ones: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Decode(b); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed batch: %v, want %v", err, ErrClosed)
	}
}

// TestNoSlot overfills the cache.
func TestNoSlot(t *testing.T) {
	m := loadTiny(t, tinygguf.Options{})
	c := openContext(t, m, small)
	fill := func(seq SeqID, pos int) error {
		b := makeBatch(t, 64, 1)
		for i := range 64 {
			if err := b.Add(Token(i), pos+i, []SeqID{seq}, false); err != nil {
				t.Fatal(err)
			}
		}
		return c.Decode(b)
	}
	for i := range 4 {
		if err := fill(0, 64*i); err != nil {
			t.Fatal(err)
		}
	}
	if err := fill(1, 0); !errors.Is(err, ErrNoSlot) {
		t.Fatalf("a full cache: %v, want %v", err, ErrNoSlot)
	}
	for seq, want := range map[SeqID]int{0: 255, 1: -1} {
		if last, err := c.LastPos(seq); last != want || err != nil {
			t.Errorf("sequence %d ends at %d, %v, want %d", seq, last, err, want)
		}
	}
	if err := c.RemoveSeq(0, 192, -1); err != nil {
		t.Fatal(err)
	}
	if err := fill(1, 0); err != nil {
		t.Errorf("after room was made: %v", err)
	}
}

func TestLogits(t *testing.T) {
	m := loadTiny(t, tinygguf.Options{})
	c := openContext(t, m, small)
	if _, err := c.Logits(0); err == nil {
		t.Error("a row before the first Decode")
	}
	b := makeBatch(t, 8, 1)
	for i := range 4 {
		if err := b.Add(Token(10+i), i, []SeqID{0}, i%2 == 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Decode(b); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{-1, 0, 2, 4, 1 << 40} {
		if row, err := c.Logits(i); err == nil || row != nil {
			t.Errorf("token %d has no output, but %d logits, %v", i, len(row), err)
		}
	}
	borrowed, err := c.Logits(3)
	if err != nil {
		t.Fatal(err)
	}
	copied := make([]float32, m.Vocab().Size())
	if err := c.CopyLogits(copied, 3); err != nil || !slices.Equal(borrowed, copied) {
		t.Errorf("the copied row differs from the borrowed one: %v", err)
	}
	if err := c.CopyLogits(copied[1:], 3); err == nil {
		t.Error("a row was copied into too little room")
	}
	other := make([]float32, m.Vocab().Size())
	if err := c.CopyLogits(other, 1); err != nil || slices.Equal(other, copied) {
		t.Errorf("the rows of two tokens are the same: %v", err)
	}

	// The copy outlives the next Decode, which reuses the borrowed row's memory.
	before := slices.Clone(copied)
	decode(t, c, run{[]Token{40, 41}, 0, []SeqID{1}})
	if !slices.Equal(before, copied) {
		t.Error("a Decode changed a copied row")
	}
	if err := c.Clear(); err != nil {
		t.Fatal(err)
	}
	if err := c.Decode(b); err != nil {
		t.Fatal(err)
	}
	if again, err := c.Logits(3); err != nil || !slices.Equal(again, copied) {
		t.Errorf("the same batch on a cleared cache gives another row: %v", err)
	}
}

// TestSequences checks what ratings rest on: sequences that share a prefix give
// the same logits as each of them alone.
func TestSequences(t *testing.T) {
	for _, flash := range []bool{true, false} {
		both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
			m := loadTiny(t, tinygguf.Options{Tokenizer: kind})
			c := openContext(t, m, ContextOptions{Ctx: 256, Batch: 64, Threads: 1, FlashAttention: flash})
			prefix := tokenize(t, m, "Rate the answer to the question.\n")
			a := tokenize(t, m, "The world is large and the day is long.")
			b := tokenize(t, m, "No.")
			p := len(prefix)

			alone := func(suffix []Token) []float32 {
				t.Helper()
				if err := c.Clear(); err != nil {
					t.Fatal(err)
				}
				return decode(t, c, run{slices.Concat(prefix, suffix), 0, []SeqID{0}})[0]
			}
			wantA, wantB := alone(a), alone(b)
			if slices.Equal(wantA, wantB) {
				t.Fatal("the model does not tell the texts apart")
			}
			check := func(what string, got, want []float32) {
				t.Helper()
				worst := float32(0)
				for i := range got {
					worst = max(worst, got[i]-want[i], want[i]-got[i])
				}
				// Without flash attention, sums also run over masked cells.
				if limit := float32(1e-4); flash && worst != 0 || !(worst <= limit) {
					t.Errorf("%s, flash attention %v: logits differ by %g", what, flash, worst)
				}
			}

			if err := c.Clear(); err != nil {
				t.Fatal(err)
			}
			decode(t, c, run{prefix, 0, []SeqID{0, 1, 2, 255}})
			rows := decode(t, c, run{a, p, []SeqID{1}}, run{b, p, []SeqID{2}})
			check("side by side", rows[0], wantA)
			check("side by side", rows[1], wantB)

			// Removing all behind the prefix leaves the prefix to every sequence.
			if err := c.RemoveSeq(AllSeqs, p, -1); err != nil {
				t.Fatal(err)
			}
			check("after a removal", decode(t, c, run{b, p, []SeqID{1}})[0], wantB)
			check("a sequence not used before", decode(t, c, run{a, p, []SeqID{255}})[0], wantA)

			// A copy continues as the original would have.
			if err := c.RemoveSeq(1, -1, -1); err != nil {
				t.Fatal(err)
			}
			if err := c.CopySeq(0, 1, 0, -1); err != nil {
				t.Fatal(err)
			}
			check("a copied sequence", decode(t, c, run{a, p, []SeqID{1}})[0], wantA)
			for seq, want := range map[SeqID]int{0: p - 1, 1: p + len(a) - 1, 2: p - 1, 3: -1, 255: p + len(a) - 1} {
				if last, err := c.LastPos(seq); last != want || err != nil {
					t.Errorf("sequence %d ends at %d, %v, want %d", seq, last, err, want)
				}
			}
		})
	}
}

func TestMemoryErrors(t *testing.T) {
	m := loadTiny(t, tinygguf.Options{})
	c, err := NewContext(m, small)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]func(seq SeqID) error{
		"CopySeq from": func(s SeqID) error { return c.CopySeq(s, 1, 0, -1) },
		"CopySeq to":   func(s SeqID) error { return c.CopySeq(0, s, 0, -1) },
		"RemoveSeq":    func(s SeqID) error { return c.RemoveSeq(s, 0, -1) },
		"LastPos":      func(s SeqID) error { _, err := c.LastPos(s); return err },
	}
	for name, call := range calls {
		for _, seq := range []SeqID{-2, MaxSeqs, 1 << 30} {
			if err := call(seq); err == nil || !strings.Contains(err.Error(), "255") {
				t.Errorf("%s, sequence %d: %v, want an error with the allowed ids", name, seq, err)
			}
		}
		if err := call(5); err != nil {
			t.Errorf("%s, sequence 5: %v", name, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	calls["Clear"] = func(SeqID) error { return c.Clear() }
	calls["Logits"] = func(SeqID) error { _, err := c.Logits(0); return err }
	calls["Decode"] = func(SeqID) error { return c.Decode(makeBatch(t, 1, 1)) }
	for name, call := range calls {
		if err := call(0); !errors.Is(err, ErrClosed) {
			t.Errorf("%s of a closed context: %v, want %v", name, err, ErrClosed)
		}
	}
}

func TestDecodeError(t *testing.T) {
	if err := decodeError(0, "", ""); err != nil {
		t.Errorf("code 0: %v", err)
	}
	for code, want := range map[int]error{1: ErrNoSlot, 2: ErrAborted, -1: ErrInvalidBatch, -2: ErrNoMemory, -3: ErrFatal, 7: ErrFatal} {
		err := decodeError(code, "", "said so")
		var e *Error
		if !errors.Is(err, want) || !errors.As(err, &e) || e.Code != code || !strings.Contains(err.Error(), "llama_decode): code ") || !strings.HasSuffix(err.Error(), ": said so") {
			t.Errorf("code %d: %v, want %v", code, err, want)
		}
	}
}
