package llama

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"winnow/internal/tinygguf"
)

// hostile is a file made to do harm, and what its refusal must say.
type hostile struct {
	name  string
	craft func(t *testing.T, g *rawGGUF)
	want  string
}

// knownFlaws has a file for each family of flaws that was published for loaders
// of GGUF files.
var knownFlaws = []hostile{
	{"CVE-2024-21802 more dimensions than there is room for", func(t *testing.T, g *rawGGUF) {
		w := g.tensor(t, "blk.0.attn_q.weight")
		w.dims = append(w.dims, 1, 1, 1, 1, 1)
	}, "blk.0.attn_q.weight has 7 dimensions, want 1 to 4"},
	{"CVE-2024-21825 items of an array that overflow its size", func(_ *testing.T, g *rawGGUF) {
		g.set("tokenizer.ggml.tokens", uint32(typArray), rawArray(typString, 1<<60))
	}, "tokenizer.ggml.tokens: its array has 1152921504606846976 items"},
	{"CVE-2024-21836 tensors that overflow their table", func(_ *testing.T, g *rawGGUF) {
		g.nTensor = new(uint64(1 << 57))
	}, "it has 144115188075855872 tensors"},
	{"CVE-2024-23496 a text whose length overflows with its end", func(_ *testing.T, g *rawGGUF) {
		g.keys[1].nameLen = new(uint64(math.MaxUint64))
	}, "read key 2: 18446744073709551615 bytes should be read"},
	{"CVE-2024-23605 keys that overflow their table", func(_ *testing.T, g *rawGGUF) {
		g.nKeys = new(uint64(1 << 58))
	}, "it has 288230376151711744 keys"},
	{"CVE-2025-53630 sizes of tensors whose sum overflows", func(_ *testing.T, g *rawGGUF) {
		g.tensors = nil
		for i := range uint64(600) {
			g.tensors = append(g.tensors, rawTensor{name: fmt.Sprintf("t%d", i), dims: []uint64{1 << 53}, offset: i << 55})
		}
	}, "the sizes of the tensors up to"},
	{"CVE-2026-27940 a size that overflows with what is added to it", func(t *testing.T, g *rawGGUF) {
		g.tensor(t, "output.weight").dims = []uint64{math.MaxInt64/4 - 7}
	}, "tensor output.weight has too many weights to be counted"},
}

// rules has a file for each rule of the header that no other test breaks.
var rules = []hostile{
	{"a key with a NUL byte", func(_ *testing.T, g *rawGGUF) { g.keys[2].name += "\x00x" }, "has bytes that are no part of a name"},
	{"a key twice", func(_ *testing.T, g *rawGGUF) { g.keys = append(g.keys, g.keys[1]) }, "has the key general.name twice"},
	{"a text with a NUL byte", func(_ *testing.T, g *rawGGUF) {
		g.set("general.architecture", uint32(typString), rawString("llama\x00x"))
	}, "general.architecture: its text has a NUL byte"},
	{"tokens that differ behind a NUL byte", func(_ *testing.T, g *rawGGUF) {
		g.set("tokenizer.ggml.tokens", uint32(typArray), rawArray(typString, 2, rawString("a\x00b"), rawString("a\x00c")))
	}, `tokens 0 and 1 are both "a"`},
	{"a token that is called like an empty one", func(_ *testing.T, g *rawGGUF) {
		g.set("tokenizer.ggml.tokens", uint32(typArray), rawArray(typString, 2, rawString("[EMPTY_1]"), rawString("")))
	}, `tokens 0 and 1 are both "[EMPTY_1]"`},
	{"arrays in arrays", func(_ *testing.T, g *rawGGUF) {
		deep := bytes.Repeat(rawArray(typArray, 1), 1<<20) // the other reader calls itself for each
		g.set("x.attention.head_count", uint32(typArray), deep)
	}, "x.attention.head_count: it is an array of arrays"},
	{"a number of tensors that is allocated for", func(_ *testing.T, g *rawGGUF) {
		g.set("split.tensors.count", 10, rawU64(1<<40))
	}, "split.tensors.count is no number up to"},
	{"an alignment of 0", alignment(0), "general.alignment is 0, want a power of two from 32"},
	{"an alignment of 48", alignment(48), "general.alignment is 48, want a power of two"},
	{"an alignment that the processor has not", alignment(8), "general.alignment is 8, want a power of two from 32"},
	{"an alignment in text", func(_ *testing.T, g *rawGGUF) {
		g.set("general.alignment", uint32(typString), rawString("32"))
	}, "general.alignment is no 32-bit number"},
	{"a value of no type", func(_ *testing.T, g *rawGGUF) { g.keys[1].typ = 13 }, "its type is 13, want at most 12"},
	{"weights of a negative type", func(_ *testing.T, g *rawGGUF) { g.tensors[0].typ = math.MaxUint32 }, "has the type 4294967295, in which no weights are stored"},
	{"weights in integers", func(_ *testing.T, g *rawGGUF) { g.tensors[0].typ = 26 }, "has the type 26, in which no weights are stored"},
	{"rows of no whole blocks", func(_ *testing.T, g *rawGGUF) { g.tensors[0].typ = 12 }, "want a multiple of 256"},
	{"a tensor without dimensions", func(_ *testing.T, g *rawGGUF) { g.tensors[0].dims = nil }, "has 0 dimensions"},
	{"a tensor with a long name", func(_ *testing.T, g *rawGGUF) { g.tensors[0].name = strings.Repeat("x", 64) }, "its name has 64 bytes, want at most 63"},
	{"a tensor twice", func(_ *testing.T, g *rawGGUF) { g.tensors[1].name = g.tensors[0].name }, "two tensors are named token_embd.weight"},
	{"tensors that overlap", func(_ *testing.T, g *rawGGUF) { g.tensors[2].offset = g.tensors[1].offset }, "right behind the one before"},
	{"weights behind the end", func(_ *testing.T, g *rawGGUF) { g.weights = g.weights[:len(g.weights)-1] }, "the weights take"},
	{"a norm in half precision", func(t *testing.T, g *rawGGUF) { g.tensor(t, "output_norm.weight").typ = 1; g.lay() }, "output_norm.weight has the type F16, want F32"},
	{"a bias of another width", func(_ *testing.T, g *rawGGUF) {
		g.tensors = append(g.tensors, rawTensor{name: "blk.0.attn_q.bias", dims: []uint64{31}})
		g.lay()
	}, "tensor blk.0.attn_q.bias has the shape [31], want [32]"},
	{"a vocabulary that is no array", func(_ *testing.T, g *rawGGUF) {
		g.set("tokenizer.ggml.merges", uint32(typString), rawString("a b"))
	}, "tokenizer.ggml.merges is no array"},
	{"no vocabulary", func(_ *testing.T, g *rawGGUF) { g.set("tokenizer.ggml.model", uint32(typString), rawString("none")) }, `tokenizer.ggml.model is "none"`},
	{"more scores than tokens", func(_ *testing.T, g *rawGGUF) {
		g.set("tokenizer.ggml.scores", uint32(typArray), rawArray(typF32, 4096, make([]byte, 4*4096)))
	}, "tokenizer.ggml.scores has 4096 items"},
	{"special tokens that are none", func(_ *testing.T, g *rawGGUF) {
		g.set("tokenizer.ggml.tokens", uint32(typArray), rawArray(typString, 2, rawString("a"), rawString("b")))
		g.set("tokenizer.ggml.token_type", uint32(typArray), rawArray(typI32, 2, make([]byte, 8)))
		g.remove("tokenizer.ggml.scores")
	}, "_token_id names none of the 2 tokens"},
	{"layers without end", number32("llama.block_count", math.MaxUint32), "llama.block_count is 4294967295, want 1 to 512"},
	{"no context", number32("llama.context_length", 0), "llama.context_length is 0, want 1 to"},
	{"no heads", number32("llama.attention.head_count", 0), "layer 0 has 0 heads"},
	{"no heads for keys and values", number32("llama.attention.head_count_kv", 0), "layer 0 has 4 heads and 0 for keys and values"},
	{"heads that do not divide", number32("llama.attention.head_count_kv", 3), "layer 0 has 4 heads and 3 for keys and values"},
	{"heads in fractions", func(_ *testing.T, g *rawGGUF) {
		g.set("llama.attention.head_count", uint32(typArray), rawArray(typF32, 2, make([]byte, 8)))
	}, "llama.attention.head_count holds items of type Float32"},
	{"heads of other layers", func(_ *testing.T, g *rawGGUF) {
		g.set("llama.attention.head_count_kv", uint32(typArray), rawArray(typU32, 2, rawU32(2), rawU32(1)))
	}, "layer 1 has 4 heads and 1 for keys and values, layer 0 has 4 and 2"},
	{"heads of odd size", number32("llama.attention.key_length", 7), "heads have the size 7"},
	{"values of another size", number32("llama.attention.value_length", 4), "key_length is 8 and value_length 4"},
	{"positions beyond the head", number32("llama.rope.dimension_count", 16), "llama.rope.dimension_count is 16 for heads of size 8"},
	{"experts without end", number32("llama.expert_count", 513), "llama.expert_count is 513, want at most 512"},
	{"more experts used than there are", number32("llama.expert_used_count", 2), "llama.expert_used_count is 2 of 0 experts"},
	{"a group of no experts", number32("llama.expert_group_count", 1), "llama.expert_group_count is 1 for 0 experts"},
	{"positions of no kind", func(_ *testing.T, g *rawGGUF) {
		g.set("llama.rope.scaling.type", uint32(typString), rawString("cubic"))
	}, `llama.rope.scaling.type is "cubic"`},
	{"positions that are no number", func(_ *testing.T, g *rawGGUF) {
		g.set("llama.rope.freq_base", uint32(typF32), rawF32(float32(math.NaN())))
	}, "llama.rope.freq_base is NaN"},
	{"sections of no head", func(_ *testing.T, g *rawGGUF) {
		g.set("llama.rope.dimension_sections", uint32(typArray), rawArray(typI32, 4, make([]byte, 16)))
	}, "llama.rope.dimension_sections are no parts of a head"},
	{"labels that are no text", func(_ *testing.T, g *rawGGUF) {
		g.set("llama.classifier.output_labels", uint32(typArray), rawArray(typI32, 1, rawU32(1)))
	}, "llama.classifier.output_labels holds items of type Int32"},
	{"a recurrent model", func(_ *testing.T, g *rawGGUF) { g.set("general.architecture", uint32(typString), rawString("mamba")) }, "its architecture is mamba"},
	{"a part of a model with another name", func(_ *testing.T, g *rawGGUF) {
		g.set("split.count", uint32(typU16), rawU16(2))
		g.set("split.no", uint32(typU16), rawU16(0))
	}, "its name does not end with -00001-of-00002.gguf"},
	{"a part of a model that is not the first", func(_ *testing.T, g *rawGGUF) {
		g.set("split.count", uint32(typU16), rawU16(2))
		g.set("split.no", uint32(typU32), rawU32(0))
	}, "split.no does not say that it is file 0"},
	{"factors of positions that are a matrix", func(_ *testing.T, g *rawGGUF) {
		g.tensors = append(g.tensors, rawTensor{name: "rope_freqs.weight", dims: []uint64{4, 8}})
		g.lay()
	}, "tensor rope_freqs.weight has the shape [4 8], want at most 1 dimensions"},
	{"factors of positions in half precision", func(_ *testing.T, g *rawGGUF) {
		g.tensors = append(g.tensors, rawTensor{name: "rope_freqs.weight", dims: []uint64{4, 1}, typ: 1})
		g.lay()
	}, "tensor rope_freqs.weight has the type F16, want F32"},
	{"embeddings in three dimensions", func(t *testing.T, g *rawGGUF) {
		w := g.tensor(t, "token_embd.weight")
		w.dims = append(w.dims, 32)
		g.lay()
	}, "want at most 2 dimensions"},
	{"tensors of no experts", func(_ *testing.T, g *rawGGUF) {
		g.each("ffn_up_exps.weight", 32, 64, 2)
		g.lay()
	}, "_exps.weight is of experts, but llama.expert_count is 0"},
	{"an architecture without its experts", func(_ *testing.T, g *rawGGUF) { g.rename("smallthinker") }, "smallthinker.expert_count is missing or 0"},
	{"layers that are all of one kind", func(_ *testing.T, g *rawGGUF) { g.rename("gemma3") }, "gemma3.block_count is 2, want 6 or more"},
	{"an output that is not there", func(_ *testing.T, g *rawGGUF) {
		g.rename("solar")
		g.drop("output.")
		g.lay()
	}, "tensor output.weight is missing, which the architecture solar needs"},
	{"more heads than the matrix makes", func(t *testing.T, g *rawGGUF) {
		g.rename("qwen2")
		for _, name := range []string{"key_length", "value_length"} {
			g.set("qwen2.attention."+name, uint32(typU32), rawU32(16))
		}
		g.set("qwen2.rope.dimension_count", uint32(typU32), rawU32(16))
	}, "tensor blk.0.attn_q.weight has the shape [32 32], want 64 in dimension 2"},
	{"a version of the future", func(_ *testing.T, g *rawGGUF) { g.version = 4 }, "its format has version 4"},
}

func alignment(x uint32) func(*testing.T, *rawGGUF) { return number32("general.alignment", x) }

func number32(key string, x uint32) func(*testing.T, *rawGGUF) {
	return func(_ *testing.T, g *rawGGUF) { g.set(key, uint32(typU32), rawU32(x)) }
}

// TestHostile loads each crafted file: it is refused within a second, with the
// file's name and what is wrong with it.
func TestHostile(t *testing.T) {
	var whole bytes.Buffer
	if err := tinygguf.Write(&whole, smallModel(tinygguf.SPM, "")); err != nil {
		t.Fatal(err)
	}
	sound := parseRaw(whole.Bytes())
	for _, c := range append(knownFlaws, rules...) {
		t.Run(c.name, func(t *testing.T) {
			g := sound.clone()
			c.craft(t, g)
			b, _ := g.bytes()
			path := filepath.Join(t.TempDir(), "m.gguf")
			begin := time.Now()
			err := try(t, path, b)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want one with %q and the path", err, c.want)
			}
			if took := time.Since(begin); took > time.Second {
				t.Errorf("the refusal took %v, want a second at most", took)
			}
		})
	}
}

// TestLongToken is for CVE-2025-49847: lengths of tokens were kept in 32 bits.
func TestLongToken(t *testing.T) {
	var whole bytes.Buffer
	if err := tinygguf.Write(&whole, smallModel(tinygguf.SPM, "")); err != nil {
		t.Fatal(err)
	}
	g := parseRaw(whole.Bytes())
	const long = 1<<31 + 16
	g.set("tokenizer.ggml.tokens", uint32(typArray), rawArray(typString, 2, rawU64(long)))
	g.keys = g.keys[:g.find("tokenizer.ggml.tokens")+1]
	b, _ := g.bytes()
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(len(b))+long+1<<20); err != nil { // a hole takes no room
		t.Fatal(err)
	}
	want := fmt.Sprintf("a text has %d bytes, want at most %d", uint64(long), maxToken)
	if _, err := LoadModel(path, ModelOptions{}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
}

// TestParts loads a model in two files, and then with the second one damaged.
func TestParts(t *testing.T) {
	var whole bytes.Buffer
	if err := tinygguf.Write(&whole, smallModel(tinygguf.BPE, "")); err != nil {
		t.Fatal(err)
	}
	first := parseRaw(whole.Bytes())
	second := first.clone()
	half := len(first.tensors) / 2
	at := first.tensors[half].offset
	total := uint32(len(first.tensors))
	first.tensors, first.weights = first.tensors[:half:half], first.weights[:at]
	second.tensors, second.weights = second.tensors[half:], second.weights[at:]
	second.keys = nil
	second.lay()
	for i, g := range []*rawGGUF{first, second} {
		g.set("split.no", uint32(typU16), rawU16(uint16(i)))
		g.set("split.count", uint32(typU16), rawU16(2))
		g.set("split.tensors.count", uint32(typI32), rawU32(total))
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "m-00001-of-00002.gguf")
	other := filepath.Join(dir, "m-00002-of-00002.gguf")
	save := func(path string, g *rawGGUF) {
		b, _ := g.bytes()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save(path, first)
	load := func() error {
		m, err := LoadModel(path, ModelOptions{})
		if err != nil {
			return err
		}
		return m.Close()
	}
	if err := load(); err == nil || !strings.Contains(err.Error(), other) {
		t.Errorf("without the second file: %v, want an error with its name", err)
	}
	save(other, second)
	if err := load(); err != nil {
		t.Errorf("both files: %v", err)
	}
	for name, damage := range map[string]func(g *rawGGUF){
		"split.no does not say that it is file 1": func(g *rawGGUF) { g.set("split.no", uint32(typU32), rawU32(1)) },
		"has too many weights to be counted":      func(g *rawGGUF) { g.tensors[0].dims = []uint64{1 << 62} },
		"two files have a tensor":                 func(g *rawGGUF) { g.tensors[0].name = first.tensors[0].name },
	} {
		g := second.clone()
		damage(g)
		save(other, g)
		if err := load(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want one with %q", err, name)
		}
	}
}

// TestPositions decodes beyond the positions that a model has vectors for.
func TestPositions(t *testing.T) {
	sound, err := soundModels()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(sound, func(g *rawGGUF) bool { return archOf(g) == "gpt2" })
	g := sound[i].clone()
	const most = 8
	g.set("gpt2.context_length", uint32(typU32), rawU32(most))
	g.tensor(t, "position_embd.weight").dims[1] = most
	g.lay()
	b, _ := g.bytes()
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := LoadModel(path, ModelOptions{})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, m)
	c := openContext(t, m, small)
	for last, want := range map[int]error{most - 1: nil, most: ErrInvalidBatch} {
		batch := makeBatch(t, 2, 1)
		for _, pos := range []int{last - 1, last} {
			if err := batch.Add(5, pos, []SeqID{SeqID(last)}, true); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Decode(batch); !errors.Is(err, want) {
			t.Errorf("position %d of %d: %v, want %v", last, most, err, want)
		}
	}
}
