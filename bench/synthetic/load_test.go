package synthetic

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	parser "github.com/gpustack/gguf-parser-go"

	"winnow/llama"
)

// families returns a small shape of each family.
func families() []Shape {
	all := Shapes()
	return []Shape{
		shrunk(all[0], 3, 256, 512),
		shrunk(all[2], 2, 256, 512),
		shrunk(all[4], 2, 512, 256),
	}
}

func load(t testing.TB, path string) *llama.Model {
	t.Helper()
	m, err := llama.LoadModel(path, llama.ModelOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// TestLoad has llama.cpp load models of every family and format, tokenize there
// and back, and decode.
func TestLoad(t *testing.T) {
	for _, s := range families() {
		for _, format := range Formats() {
			t.Run(s.Name+"-"+format, func(t *testing.T) {
				m := load(t, writeShape(t, s, format, Options{Seed: 3, Text: brief}))
				v := m.Vocab()
				if v.Size() != s.Vocab {
					t.Errorf("%d tokens, want %d", v.Size(), s.Vocab)
				}
				const text = "Hello, world"
				toks, err := v.Tokenize(nil, text, false)
				if err != nil {
					t.Fatal(err)
				}
				var spelled []byte
				for _, tok := range toks {
					if spelled, err = v.Piece(spelled, tok, false); err != nil {
						t.Fatal(err)
					}
				}
				if string(spelled) != text || len(toks) >= len(text) {
					t.Errorf("%q is %d tokens that spell %q", text, len(toks), spelled)
				}
				logits := decode(t, m, toks)
				// What the output multiplies has a root mean square of 1. A NaN fails too.
				if mean, dev := moments(logits); !(math.Abs(mean) < 0.2 && dev > 0.7 && dev < 1.4) {
					t.Errorf("logits have mean %v and deviation %v, want about 0 and 1", mean, dev)
				}
			})
		}
	}
}

// decode returns a copy of the logits behind the last token.
func decode(t testing.TB, m *llama.Model, toks []llama.Token) []float32 {
	t.Helper()
	c, err := llama.NewContext(m, llama.ContextOptions{Ctx: 256, Batch: 64, Threads: 1, FlashAttention: true})
	if err != nil {
		t.Fatal(err)
	}
	b, err := llama.NewBatch(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	for i, tok := range toks {
		if err := b.Add(tok, i, []llama.SeqID{0}, i == len(toks)-1); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Decode(b); err != nil {
		t.Fatal(err)
	}
	row := make([]float32, m.Vocab().Size())
	if err := c.CopyLogits(row, len(toks)-1); err != nil {
		t.Fatal(err)
	}
	return row
}

// TestSpecialTokens checks the marks of turns, which the templates use.
func TestSpecialTokens(t *testing.T) {
	for i, s := range families() {
		m := load(t, writeShape(t, s, "F16", Options{Text: brief}))
		v := m.Vocab()
		prompt, err := m.ChatTemplate()
		if err != nil || prompt != s.Family.spec().template {
			t.Errorf("%s: chat template %q, %v", s.Name, prompt, err)
		}
		marks := []string{"<|im_start|>", "<|im_start|>", "<|start_header_id|>"}
		toks, err := v.Tokenize(nil, marks[i], true)
		if err != nil || len(toks) != 1 || v.Attr(toks[0])&llama.AttrControl == 0 {
			t.Errorf("%s: %s is tokens %d, %v", s.Name, marks[i], toks, err)
		}
		if end := v.Text(v.EOS()); end != []string{"<|im_end|>", "<|im_end|>", "<|eot_id|>"}[i] || !v.IsEOG(v.EOS()) {
			t.Errorf("%s: a turn ends with %q", s.Name, end)
		}
		if v.AddBOS() != (s.Family == Llama3) {
			t.Errorf("%s: AddBOS is %v", s.Name, v.AddBOS())
		}
	}
}

// TestTokenCount compares with SmolLM2's own tokenizer on the example records.
func TestTokenCount(t *testing.T) {
	real := os.Getenv("WINNOW_TEST_MODEL")
	if real == "" {
		t.Fatal("WINNOW_TEST_MODEL is not set: run the tests through make test")
	}
	data, err := os.ReadFile("../../examples/records.json")
	if err != nil {
		t.Fatal(err)
	}
	var recs []struct{ Instruction, Input, Output string }
	if err := json.Unmarshal(data, &recs); err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, r := range recs {
		text += r.Instruction + "\n" + r.Input + "\n" + r.Output + "\n"
	}
	perToken := func(m *llama.Model) float64 {
		toks, err := m.Vocab().Tokenize(nil, text, false)
		if err != nil {
			t.Fatal(err)
		}
		return float64(len(text)) / float64(len(toks))
	}
	want := perToken(load(t, real))
	for _, s := range families() { // one of each pre-tokenizer
		s = shrunk(s, 1, 64, 64)
		s.Vocab = 30_000
		got := perToken(load(t, writeShape(t, s, "Q8_0", Options{})))
		if !(got > 0.75*want && got < 1.25*want) {
			t.Errorf("%s: %.2f bytes a token, want %.2f within a quarter", s.Name, got, want)
		}
	}
}

// TestSpread has llama.cpp decode the weights and checks mean and deviation.
func TestSpread(t *testing.T) {
	for _, embd := range []int{256, 288} { // with 288, blocks of 32 instead of 256
		s := Shapes()[0]
		s.Layers, s.Embd, s.FF, s.Heads, s.HeadsKV, s.Vocab = 3, embd, 512, 4, 2, 1024
		for _, format := range Formats() {
			t.Run(fmt.Sprintf("%d-%s", embd, format), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "f32.gguf")
				if err := llama.Quantize(writeShape(t, s, format, Options{Text: brief}), path, "F32", 1); err != nil {
					t.Fatal(err)
				}
				for name, w := range weights(t, path) {
					if len(w) < 50_000 {
						continue // a vector
					}
					rows := embd
					if strings.Contains(name, "ffn_down") {
						rows = s.FF
					}
					want := 1 / math.Sqrt(float64(rows))
					mean, dev := moments(w)
					if !(math.Abs(mean) < 0.03*want) || !(math.Abs(dev/want-1) < 0.03) {
						t.Errorf("%s: mean %.5f and deviation %.5f, want 0 and %.5f", name, mean, dev, want)
					}
				}
			})
		}
	}
}

func moments(w []float32) (mean, deviation float64) {
	for _, x := range w {
		mean += float64(x) / float64(len(w))
	}
	for _, x := range w {
		deviation += (float64(x) - mean) * (float64(x) - mean) / float64(len(w))
	}
	return mean, math.Sqrt(deviation)
}

// weights reads all tensors of a file of 32-bit floats.
func weights(t testing.TB, path string) map[string][]float32 {
	t.Helper()
	f, err := parser.ParseGGUFFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]float32{}
	for _, ti := range f.TensorInfos {
		if ti.Type != parser.GGMLTypeF32 {
			t.Fatalf("%s is %v, want F32", ti.Name, ti.Type)
		}
		at := b[uint64(f.TensorDataStartOffset)+ti.Offset:]
		w := make([]float32, ti.Elements())
		for i := range w {
			w[i] = math.Float32frombits(uint32(at[4*i]) | uint32(at[4*i+1])<<8 | uint32(at[4*i+2])<<16 | uint32(at[4*i+3])<<24)
		}
		all[ti.Name] = w
	}
	return all
}
