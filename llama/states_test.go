package llama

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"winnow/internal/tinygguf"
)

// seen decodes the tokens of a text with the hook and returns context, batch and the
// states. Every third token has an output.
func seen(t *testing.T, m *Model, o ContextOptions) (*Context, *Batch, []float32) {
	t.Helper()
	var states []float32
	if o.States != nil {
		o.States.See = func(s States) error {
			if s.First*s.Width != len(states) || len(s.Values) != s.Tokens*s.Width || s.Width != 64 {
				t.Errorf("states of %d tokens, %d wide, from %d on, in %d numbers, behind %d", s.Tokens, s.Width, s.First, len(s.Values), len(states))
			}
			states = append(states, s.Values...)
			return nil
		}
	}
	c := openContext(t, m, o)
	b := makeBatch(t, 64, 1)
	for i, tok := range tokenize(t, m, "some words of text, and some more of them") {
		if err := b.Add(tok, i, []SeqID{0}, i%3 == 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Decode(b); err != nil {
		t.Fatal(err)
	}
	return c, b, states
}

// TestStates compares a layer's output with that of each token decoded alone, and
// logits with and without the hook, to the bit.
func TestStates(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		m := loadTiny(t, tinygguf.Options{Tokenizer: kind, Layers: 3})
		for layer := range 2 {
			o := small
			o.States = &StatesHook{Layer: layer}
			rows := 0
			o.Output = func(r OutputRows) error { rows += r.Rows; return nil } // both hooks side by side
			with, b, states := seen(t, m, o)
			if len(states) != b.Len()*64 || rows != (b.Len()+1)/3 {
				t.Fatalf("layer %d: %d numbers and %d rows of %d tokens", layer, len(states), rows, b.Len())
			}
			without, _, _ := seen(t, m, small)
			for i := 1; i < b.Len(); i += 3 {
				x, err := with.Logits(i)
				if err != nil {
					t.Fatal(err)
				}
				y, err := without.Logits(i)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(x, y) {
					t.Errorf("layer %d: row %d differs with the hook", layer, i)
				}
			}

			// The same tokens one by one, in a graph of another size.
			whole := slices.Clone(states)
			if err := with.Clear(); err != nil {
				t.Fatal(err)
			}
			var got []float32
			o.States.See = func(s States) error { got = append(got, s.Values...); return nil }
			one := makeBatch(t, 1, 1)
			for i := range b.Len() {
				one.Reset()
				if err := errors.Join(one.Add(Token(b.tokens[i]), i, []SeqID{0}, false), with.Decode(one)); err != nil {
					t.Fatal(err)
				}
			}
			if len(got) != len(whole) {
				t.Fatalf("layer %d: %d numbers one by one, want %d", layer, len(got), len(whole))
			}
			for i := range got {
				if d := math.Abs(float64(got[i] - whole[i])); !(d <= 1e-2) {
					t.Fatalf("layer %d, token %d: %v alone, %v in a batch", layer, i/64, got[i], whole[i])
				}
			}
		}
	})
}

// TestStatesAreTheStream takes the output of the last layer but one of a model whose
// last layer adds nothing: normalised, it gives the logits.
func TestStatesAreTheStream(t *testing.T) {
	var file bytes.Buffer
	if err := tinygguf.Write(&file, tinygguf.Options{}); err != nil {
		t.Fatal(err)
	}
	// The file ends with the last layer's attn_output, ffn_norm, ffn_gate, ffn_up and
	// ffn_down, output_norm (ones) and output, in single precision.
	const width, ff = 64, 128
	b32, vocab := file.Bytes(), loadTiny(t, tinygguf.Options{}).Vocab().Size()
	last := b32[len(b32)-4*vocab*width:]
	down := len(b32) - len(last) - 4*width - 4*ff*width
	attn := down - 2*4*ff*width - 4*width - 4*width*width
	clear(b32[down:][:4*ff*width])
	clear(b32[attn:][:4*width*width])
	output := make([]float32, vocab*width)
	for i := range output {
		output[i] = math.Float32frombits(binary.LittleEndian.Uint32(last[4*i:]))
	}
	path := filepath.Join(t.TempDir(), "idle.gguf")
	if err := os.WriteFile(path, b32, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := LoadModel(path, ModelOptions{})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, m)
	o := small
	o.States = &StatesHook{Layer: 0}
	c, b, states := seen(t, m, o)
	for i := 1; i < b.Len(); i += 3 {
		row, err := c.Logits(i)
		if err != nil {
			t.Fatal(err)
		}
		x := states[i*64:][:64]
		square := 0.0
		for _, v := range x {
			square += float64(v) * float64(v)
		}
		norm := 1 / math.Sqrt(square/64)
		for id := range vocab {
			want := 0.0
			for k, v := range x {
				want += norm * float64(v) * float64(output[id*64+k])
			}
			if d := math.Abs(want - float64(row[id])); !(d <= 1e-3) {
				t.Fatalf("token %d, logit %d: %v by its state, %v by the model", i, id, want, row[id])
			}
		}
	}
}

func TestStatesErrors(t *testing.T) {
	m := loadTiny(t, tinygguf.Options{})
	for _, h := range []StatesHook{{Layer: -1, See: func(States) error { return nil }}, {Layer: 1, See: func(States) error { return nil }}, {}} {
		o := small
		o.States = &h
		if c, err := NewContext(m, o); err == nil {
			t.Errorf("layer %d: no error, want one that says which there are; %v", h.Layer, c.Close())
		}
	}

	want := errors.New("no room for states")
	o := small
	o.States = &StatesHook{See: func(States) error { return want }}
	c := openContext(t, m, o)
	b := makeBatch(t, 1, 1)
	if err := b.Add(1, 0, []SeqID{0}, true); err != nil {
		t.Fatal(err)
	}
	if err := c.Decode(b); !errors.Is(err, want) {
		t.Errorf("Decode: %v, want %v", err, want)
	}
	if _, err := c.Logits(0); err != nil {
		t.Errorf("rows after a hook that failed: %v", err)
	}
	o.States.See = func(States) error { panic("hook") }
	defer func() {
		if got := recover(); got != "hook" {
			t.Errorf("recovered %v, want the hook's panic", got)
		}
	}()
	b.Reset()
	t.Errorf("Decode returned: %v", errors.Join(b.Add(1, 1, []SeqID{0}, true), c.Decode(b)))
}
