package llama

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"winnow/internal/tinygguf"
)

func tinyBytes(t testing.TB, kind tinygguf.Tokenizer) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tinygguf.Write(&b, tinygguf.Options{Tokenizer: kind}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// try loads the bytes as a model and, if that succeeds, decodes a text with it.
func try(t *testing.T, path string, b []byte) error {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := LoadModel(path, ModelOptions{})
	if err != nil {
		return err
	}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	toks, err := m.Vocab().Tokenize(nil, "Rate it: 4.5\n<s> é", false)
	if err != nil {
		return err
	}
	c, err := NewContext(m, small)
	if err != nil {
		return err
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	batch := makeBatch(t, 64, 1)
	for i, tok := range toks {
		if err := batch.Add(tok, i, []SeqID{0}, true); err != nil {
			return err
		}
	}
	return c.Decode(batch)
}

// TestTruncated cuts a model at many lengths: each is an error, none a crash.
func TestTruncated(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		whole := tinyBytes(t, kind)
		path := filepath.Join(t.TempDir(), "m.gguf")
		step := 1
		for n := 0; n < len(whole); n += step {
			if err := try(t, path, whole[:n]); err == nil || !strings.Contains(err.Error(), path) {
				t.Fatalf("%d of %d bytes: error %v, want one with the path", n, len(whole), err)
			}
			step = min(n/8+1, 4999)
		}
		if err := try(t, path, whole[:len(whole)-1]); err == nil {
			t.Error("the last byte is missing: no error")
		}
		if err := try(t, path, whole); err != nil {
			t.Errorf("whole: %v", err)
		}
	})
}

// TestDamaged changes bytes of the header. What a change means is open, but it
// never ends the process.
func TestDamaged(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		whole := tinyBytes(t, kind)
		header := bytes.LastIndex(whole, []byte("output.weight")) + 64
		scalars := bytes.Index(whole, []byte("tokenizer.ggml.tokens"))
		path := filepath.Join(t.TempDir(), "m.gguf")
		random := rand.New(rand.NewPCG(1, uint64(kind)))
		numbers := []uint64{0, 1, 3, 7, 255, 1 << 16, 1 << 31, math.MaxUint32, 1 << 40, 1 << 63, math.MaxUint64}
		refused := 0
		for i := range 300 {
			b := bytes.Clone(whole)
			at := random.IntN(header)
			switch i % 3 {
			case 0:
				b[at] = byte(random.IntN(256))
			case 1:
				binary.LittleEndian.PutUint64(b[at:], numbers[random.IntN(len(numbers))])
			case 2:
				binary.LittleEndian.PutUint32(b[random.IntN(scalars):], uint32(numbers[random.IntN(len(numbers))]))
			}
			if err := try(t, path, b); err != nil {
				refused++
			}
		}
		if refused < 100 {
			t.Errorf("%d of 300 damaged models were refused, want most", refused)
		}
	})
}

// TestRules breaks each rule of Check once. llama.cpp would end the process.
func TestRules(t *testing.T) {
	// after returns the place behind the last of the texts, each searched behind the one before.
	after := func(b []byte, texts ...string) int {
		at := 0
		for _, text := range texts {
			i := bytes.Index(b[at:], []byte(text))
			if i < 0 {
				t.Fatalf("the model does not contain %q", text)
			}
			at += i + len(text)
		}
		return at
	}
	put32 := func(x uint32, skip int, texts ...string) func(b []byte) {
		return func(b []byte) { binary.LittleEndian.PutUint32(b[after(b, texts...)+skip:], x) }
	}
	const keyType, arrayHead = 4, 4 + 4 + 8 // bytes in front of a scalar, and of an array's items
	for _, c := range []struct {
		name   string
		kind   tinygguf.Tokenizer
		damage func(b []byte)
		want   string
	}{
		{"empty tensor", tinygguf.BPE, put32(0, 4, "blk.0.attn_q.weight"), "tensor blk.0.attn_q.weight is empty"},
		{"no layers", tinygguf.BPE, put32(0, keyType, "llama.block_count"), "llama.block_count is 0"},
		{"negative epsilon", tinygguf.BPE, put32(math.Float32bits(-1), keyType, "llama.attention.layer_norm_rms_epsilon"), "epsilon is -1"},
		{"epsilon no number", tinygguf.BPE, put32(math.Float32bits(float32(math.NaN())), keyType, "llama.attention.layer_norm_rms_epsilon"), "epsilon is NaN"},
		{"token twice", tinygguf.SPM, func(b []byte) { b[after(b, "<0x41")-1] = '2' }, `are both "<0x42>"`},
		{"endless string", tinygguf.BPE, put32(math.MaxUint32, arrayHead+4, "tokenizer.ggml.tokens"), "read"},
		{"scores are integers", tinygguf.SPM, put32(5, 4, "tokenizer.ggml.scores"), "tokenizer.ggml.scores holds items of type"},
		{"types are floats", tinygguf.SPM, put32(6, 4, "tokenizer.ggml.token_type"), "tokenizer.ggml.token_type holds items of type"},
		{"architecture is no text", tinygguf.BPE, put32(4, 0, "general.architecture"), "read key 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := tinyBytes(t, c.kind)
			c.damage(b)
			path := filepath.Join(t.TempDir(), "m.gguf")
			err := try(t, path, b)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want one with %q and the path", err, c.want)
			}
			if err := Quantize(path, path+".out", "Q8_0", 1); err == nil {
				t.Error("Quantize took it")
			}
		})
	}
}

// TestRulesOfLength breaks rules in ways that change the header's length.
func TestRulesOfLength(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	expect := func(b []byte, want string) {
		t.Helper()
		b = append(b, make([]byte, 32)...) // the weights still lie in the file
		if err := try(t, path, b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	whole := tinyBytes(t, tinygguf.SPM)
	expect(bytes.Replace(whole, []byte("\x0c\x00\x00\x00\x00\x00\x00\x00general.name"), make([]byte, 8), 1), "key 2 of the header is empty")

	n := len(tinygguf.SPM.Tokens())
	key := []byte("tokenizer.ggml.scores")
	at := bytes.Index(whole, key) + len(key) + 4 + 4 // behind the types of the value and its items
	few := bytes.Clone(whole)
	binary.LittleEndian.PutUint64(few[at:], uint64(n-1))
	expect(append(few[:at+8], few[at+8+4:]...), fmt.Sprintf("tokenizer.ggml.scores has %d items, want at least %d", n-1, n))
}
