package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"winnow/grader"
	"winnow/grader/record"
	"winnow/grader/signal"
	"winnow/internal/tinygguf"
	"winnow/llama"
)

// every is all groups of signals.
var every = append(signal.All(), signal.Hidden)

// outcomes rates prompts in batches that fit the engine, in their order.
func outcomes(t testing.TB, e *Engine, prompts ...*grader.Prompt) []grader.Outcome {
	t.Helper()
	list := make([]grader.Outcome, len(prompts))
	room := e.Capacity()
	for at := 0; at < len(prompts); {
		n, size := 1, prompts[at].Size
		for at+n < len(prompts) && n < room.Prompts && size+prompts[at+n].Size <= room.Tokens {
			size += prompts[at+n].Size
			n++
		}
		if _, err := e.Rate(context.Background(), prompts[at:at+n], list[at:at+n]); err != nil {
			t.Fatal(err)
		}
		at += n
	}
	for i, o := range list {
		if o.Fault != nil {
			t.Fatalf("record %d: %v", i, o.Fault)
		}
	}
	return list
}

// same compares outcomes to the bit; NaN is NaN.
func same(a, b grader.Outcome) bool {
	bits := func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) || x != x && y != y }
	return reflect.DeepEqual(a.Ratings, b.Ratings) && slices.EqualFunc(a.Signals, b.Signals, bits) && slices.Equal(a.Hidden, b.Hidden)
}

// plainLoss decodes one sequence in a fresh context, one token at a time, and returns
// the mean loss of its tokens from the given one on, the first token's left out.
func plainLoss(t *testing.T, m *llama.Model, tokens []int32, from int) float64 {
	t.Helper()
	c, err := llama.NewContext(m, llama.ContextOptions{Ctx: 1024, Batch: 1, Threads: 1, FlashAttention: true})
	if err != nil {
		t.Fatal(err)
	}
	b, err := llama.NewBatch(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(b.Close(), c.Close()); err != nil {
			t.Error(err)
		}
	}()
	nll, n := 0.0, 0
	for i, tok := range tokens[:len(tokens)-1] {
		b.Reset()
		if err := errors.Join(b.Add(tok, i, []llama.SeqID{0}, true), c.Decode(b)); err != nil {
			t.Fatal(err)
		}
		if i+1 < from {
			continue
		}
		row, err := c.Logits(0)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, x := range row {
			sum += math.Exp(float64(x))
		}
		nll += math.Log(sum) - float64(row[tokens[i+1]])
		n++
	}
	return nll / float64(n)
}

// TestSignals compares signals with those of a plain computation, and the sequences
// that they are of with what they should say.
func TestSignals(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		for _, template := range []string{tinygguf.ChatML, tinygguf.NoTemplate} {
			e := open(t, kind, Options{Signals: every, Model: writeTiny(t, tinygguf.Options{Tokenizer: kind, Template: template})})
			recs := records(5)
			prompts := encode(t, e, recs...)
			for i, got := range outcomes(t, e, prompts...) {
				p, rec := prompts[i], recs[i]
				tokens := func(text string) []int32 {
					toks, err := e.tok.record(nil, text)
					if err != nil {
						t.Fatal(err)
					}
					return toks
				}
				instruction, input, response := tokens(rec.Instruction), tokens(rec.Input), tokens(rec.Response)
				if !slices.Equal(p.Tokens[p.From:p.To], response) || p.Asked != len(instruction)+len(input) {
					t.Errorf("record %d: a response of %d tokens at %d to %d, %d asked; want %d and %d", i, len(response), p.From, p.To, p.Asked, len(response), len(instruction)+len(input))
				}
				if len(p.Sides) != 3 {
					t.Fatalf("record %d: %d sequences beside it, want 3", i, len(p.Sides))
				}
				sides, size := map[string]string{}, len(p.Tokens)+e.tail.size()
				for k, name := range []string{"answer", "alone", "plain"} {
					side := p.Sides[k]
					size += len(side.Tokens)
					if !slices.Equal(side.Tokens[side.From:], response) || side.From < 1 {
						t.Errorf("record %d, %s: from %d on it is not the response", i, name, side.From)
					}
					for _, id := range side.Tokens[:side.From] {
						piece, err := e.Model().Vocab().Piece(nil, id, true)
						if err != nil {
							t.Fatal(err)
						}
						sides[name] += string(piece)
					}
				}
				if p.Size != size || p.Total != e.PrefixTokens()+size {
					t.Errorf("record %d: size %d and %d in all, want %d and %d", i, p.Size, p.Total, size, e.PrefixTokens()+size)
				}
				bos := "" // what the vocabulary adds by itself
				if kind == tinygguf.SPM {
					bos = "<s>"
				}
				asked, bare := rec.Instruction, rec.Instruction+"\n"
				if rec.Input != "" {
					asked, bare = asked+"\n\n"+rec.Input, bare+rec.Input+"\n"
				}
				want := bos + "<|im_start|>user\n" + asked + "<|im_end|>\n<|im_start|>assistant\n"
				if template == tinygguf.NoTemplate {
					want = bos + asked + "\n\n### Response:\n"
				}
				// An SPM vocabulary puts a space behind special tokens, as in all prompts.
				spaceless := strings.NewReplacer("|> ", "|>", " <|", "<|").Replace
				if spaceless(sides["answer"]) != spaceless(want) || sides["plain"] != bos+bare {
					t.Errorf("record %d: %q and %q, want %q and %q", i, sides["answer"], sides["plain"], want, bos+bare)
				}
				if start := sides["alone"]; p.Sides[1].From != 1 || bos != "" && start != bos || bos == "" && !e.Model().Vocab().IsEOG(p.Sides[1].Tokens[0]) {
					t.Errorf("record %d: alone, the response begins behind %q", i, start)
				}

				m := e.Model()
				own := plainLoss(t, m, slices.Concat(e.prefix, p.Tokens[:p.To]), len(e.prefix)+p.From)
				var side [3]float64
				for k, s := range p.Sides {
					side[k] = plainLoss(t, m, s.Tokens, s.From)
				}
				answered, unasked, bareLoss := side[0], side[1], side[2]
				wants := []float64{
					float64(p.Asked), float64(len(response)), own, math.Exp(own), answered, unasked,
					answered / unasked, math.Exp(answered) / math.Exp(unasked), math.Exp(bareLoss) / math.Exp(unasked),
				}
				if len(got.Signals) != len(wants) || len(e.Manifest().Signals) != len(wants) {
					t.Fatalf("record %d: %d signals, the manifest has %d, want %d", i, len(got.Signals), len(e.Manifest().Signals), len(wants))
				}
				for k, want := range wants {
					if d := math.Abs(got.Signals[k]-want) / max(1, want); !(d <= 2e-4) {
						t.Errorf("record %d: %s is %v, want %v", i, e.Manifest().Signals[k], got.Signals[k], want)
					}
				}
				checkHidden(t, e, p, got.Hidden)
			}
		}
	})
}

// checkHidden compares hidden states with those of the prompt decoded by itself.
func checkHidden(t *testing.T, e *Engine, p *grader.Prompt, got []float32) {
	t.Helper()
	width := e.info.Embd
	if h := e.Manifest().Hidden; h == nil || h.Layer != 0 || h.Size != 2*width || len(got) != h.Size {
		t.Fatalf("a hidden state of %d numbers, the manifest says %+v, want twice %d", len(got), h, width)
	}
	var states []float32
	c, err := llama.NewContext(e.Model(), llama.ContextOptions{Ctx: 1024, Batch: 1024, Threads: 1, FlashAttention: true,
		States: &llama.StatesHook{Layer: 0, See: func(s llama.States) error { states = append(states, s.Values...); return nil }}})
	if err != nil {
		t.Fatal(err)
	}
	tokens := slices.Concat(e.prefix, p.Tokens)
	b, err := llama.NewBatch(len(tokens), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(b.Close(), c.Close()); err != nil {
			t.Error(err)
		}
	}()
	for i, tok := range tokens {
		if err := b.Add(tok, i, []llama.SeqID{0}, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Decode(b); err != nil {
		t.Fatal(err)
	}
	for k := range width {
		mean := 0.0
		for i := p.From; i < p.To; i++ {
			mean += float64(states[(len(e.prefix)+i)*width+k]) / float64(p.To-p.From)
		}
		last := float64(states[len(states)-width+k])
		for i, want := range []float64{mean, last} {
			x := got[i*width+k]
			if d := math.Abs(float64(x) - want); !(d <= 1e-3+math.Abs(want)/256) || math.Float32bits(x)&0xffff != 0 {
				t.Errorf("number %d of the state is %v, want %v in 16 bits", i*width+k, x, want)
			}
		}
	}
}

// TestSignalsPacked checks that neither ratings nor signals depend on what shares a
// batch, on the batch's size or on which signals are asked for, in one bit.
func TestSignalsPacked(t *testing.T) {
	for format, model := range deviceModels(t) {
		without := open(t, tinygguf.BPE, Options{Model: model})
		recs := records(24)
		ratings := rateAll(t, without, encode(t, without, recs...)...)
		e := open(t, tinygguf.BPE, Options{Model: model, Signals: every})
		prompts := encode(t, e, recs...)
		var want []grader.Outcome
		for i, p := range prompts {
			want = append(want, outcomes(t, e, p)...)
			if !reflect.DeepEqual(want[i].Ratings[0], ratings[i]) {
				t.Errorf("%s, record %d: with signals its rating differs by %g", format, i, diff(want[i].Ratings[0], ratings[i]))
			}
		}
		check := func(what string, got []grader.Outcome) {
			t.Helper()
			for i := range got {
				if !same(got[i], want[i]) {
					t.Errorf("%s, %s: record %d has %v, alone %v", format, what, i, got[i].Signals, want[i].Signals)
				}
			}
		}
		check("packed", outcomes(t, e, prompts...))

		shuffled := slices.Clone(prompts)
		slices.Reverse(shuffled)
		got := outcomes(t, e, shuffled...)
		slices.Reverse(got)
		check("reversed", got)

		for _, batch := range []int{MinBatch, 62, 301, 2048} {
			check("batches of another size", outcomes(t, open(t, tinygguf.BPE, Options{Model: model, Signals: every, Batch: batch}), prompts...))
		}

		// Each group alone gives what it gives among all.
		at := 0
		for _, g := range every {
			n := len(signal.Set{g}.Names())
			one := open(t, tinygguf.BPE, Options{Model: model, Signals: signal.Set{g}})
			for i, o := range outcomes(t, one, encode(t, one, recs[:6]...)...) {
				part := grader.Outcome{Ratings: want[i].Ratings, Signals: want[i].Signals[at : at+n]}
				if g == signal.Hidden {
					part.Hidden = want[i].Hidden
				}
				if !same(o, part) {
					t.Errorf("%s, record %d: %s alone gives %v, want %v", format, i, g, o.Signals, part.Signals)
				}
			}
			at += n
		}
	}
}

// TestSignalsLong gives prompts of several passes, alone so long that the sequences
// beside them have no room at the same time, signals of one pass.
func TestSignalsLong(t *testing.T) {
	long := func(n int) record.Record {
		return record.Record{Instruction: "Write a poem.", Response: strings.Repeat("The world is a story, and the day is long. ", n)}
	}
	big := open(t, tinygguf.BPE, Options{Batch: 8192, Ctx: 1024, Signals: every})
	recs := []record.Record{long(15), long(3), long(8)}
	want := outcomes(t, big, encode(t, big, recs...)...)
	for _, batch := range []int{64, 100, 500} {
		e := open(t, tinygguf.BPE, Options{Batch: batch, Ctx: 1024, Signals: every})
		prompts := encode(t, e, recs...)
		if room := e.Capacity(); prompts[0].Size <= room.Most || prompts[1].Size > room.Most {
			t.Fatalf("prompts of %d and %d tokens, want the first to exceed %d and the second not to", prompts[0].Size, prompts[1].Size, room.Most)
		}
		for i, got := range outcomes(t, e, prompts...) {
			if !same(got, want[i]) {
				t.Errorf("batches of %d: record %d has %v, want %v", batch, i, got.Signals, want[i].Signals)
			}
		}
	}
}

// TestSignalsTruncated cuts the response beside the prompt as in it.
func TestSignalsTruncated(t *testing.T) {
	e := open(t, tinygguf.BPE, Options{Ctx: 512, TooLong: Truncate, Signals: every})
	p := encode(t, e, record.Record{Instruction: "Count.", Input: "To 400.", Response: numbered(400)})[0]
	size := len(p.Tokens) + e.tail.size()
	for _, side := range p.Sides {
		size += len(side.Tokens)
		if !slices.Equal(side.Tokens[side.From:], p.Tokens[p.From:p.To]) {
			t.Error("the response beside the prompt is another one")
		}
	}
	mark, err := e.tok.next(nil, cutMark, false)
	if err != nil {
		t.Fatal(err)
	}
	if p.Cut == 0 || p.Size != size || !bytes.Contains(bytesOf(p.Tokens[p.From:p.To]), bytesOf(mark)) {
		t.Errorf("%d tokens cut, size %d, want %d and the mark inside", p.Cut, p.Size, size)
	}
	outcomes(t, e, p)
}

func bytesOf(tokens []int32) []byte {
	var b []byte
	for _, t := range tokens {
		b = binary.LittleEndian.AppendUint32(b, uint32(t))
	}
	return b
}
