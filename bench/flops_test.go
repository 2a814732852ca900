package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gguf "github.com/gpustack/gguf-parser-go"

	layout "winnow/internal/gguf"
	"winnow/internal/tinygguf"
)

// model is the header of a decoder, for costOf.
type model struct {
	kvs     gguf.GGUFMetadataKVs
	tensors gguf.GGUFTensorInfos
}

func (m *model) set(key string, value uint32) {
	m.kvs = append(m.kvs, gguf.GGUFMetadataKV{Key: key, ValueType: gguf.GGUFMetadataValueTypeUint32, Value: value})
}

func (m *model) tensor(name string, shape ...uint64) {
	m.tensors = append(m.tensors, gguf.GGUFTensorInfo{Name: name, NDimensions: uint32(len(shape)), Dimensions: shape})
}

// newModel returns a Llama whose feed-forward blocks are left to the caller.
func newModel(layers, width, heads, kvWidth, vocab int) *model {
	m := &model{}
	m.kvs = append(m.kvs, gguf.GGUFMetadataKV{Key: "general.architecture", ValueType: gguf.GGUFMetadataValueTypeString, Value: "llama"})
	m.set("llama.block_count", uint32(layers))
	m.set("llama.embedding_length", uint32(width))
	m.set("llama.attention.head_count", uint32(heads))
	w, kv := uint64(width), uint64(kvWidth)
	m.tensor("token_embd.weight", w, uint64(vocab))
	m.tensor("output_norm.weight", w)
	for i := range layers {
		name := func(part string) string { return fmt.Sprintf("blk.%d.%s", i, part) }
		m.tensor(name("attn_norm.weight"), w)
		m.tensor(name("attn_q.weight"), w, w)
		m.tensor(name("attn_k.weight"), w, kv)
		m.tensor(name("attn_v.weight"), w, kv)
		m.tensor(name("attn_q.bias"), w)
		m.tensor(name("attn_output.weight"), w, w)
		m.tensor(name("ffn_norm.weight"), w)
	}
	return m
}

func (m *model) feedForward(layers int, suffix string, shape ...uint64) {
	for i := range layers {
		for _, part := range []string{"gate", "up", "down"} {
			m.tensor(fmt.Sprintf("blk.%d.ffn_%s%s.weight", i, part, suffix), shape...)
		}
	}
}

func (m *model) cost(t *testing.T) Cost {
	t.Helper()
	c, err := costOf(m.kvs, m.tensors)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCostOfKnownShapes(t *testing.T) {
	// SmolLM2-135M: 30 layers of width 576, 9 heads of 64, 3 of them for keys and
	// values, 1536 inside; 49152 tokens, one matrix for input and output.
	m := newModel(30, 576, 9, 192, 49152)
	m.feedForward(30, "", 576, 1536)
	want := Cost{PerToken: 2 * 106168320, PerOutputRow: 2 * 28311552, PerCell: 4 * 30 * 576}
	if got := m.cost(t); got != want {
		t.Errorf("SmolLM2-135M: %+v, want %+v", got, want)
	}

	// An output matrix of its own takes the embedding's place.
	m.tensor("output.weight", 576, 50000)
	want.PerOutputRow = 2 * 576 * 50000
	if got := m.cost(t); got != want {
		t.Errorf("untied: %+v, want %+v", got, want)
	}
}

func TestCostOfExperts(t *testing.T) {
	// Of 8 experts a token sees 2, the router whole, and one that all share.
	m := newModel(2, 64, 4, 32, 1000)
	m.set("llama.expert_used_count", 2)
	m.feedForward(2, "_exps", 64, 128, 8)
	m.feedForward(2, "_shexp", 64, 96)
	for i := range 2 {
		m.tensor(fmt.Sprintf("blk.%d.ffn_gate_inp.weight", i), 64, 8)
		m.tensor(fmt.Sprintf("blk.%d.ffn_gate_exps.bias", i), 128, 8)
	}
	want := Cost{PerToken: 2 * 2 * (2*64*64 + 2*64*32 + 3*64*128*2 + 3*64*96 + 64*8), PerOutputRow: 2 * 64 * 1000, PerCell: 4 * 2 * 64}
	if got := m.cost(t); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestCostOfKeys(t *testing.T) {
	// Heads that differ by layer, keys and values of unequal size, and a layer
	// that predicts further tokens, which nobody runs.
	m := newModel(3, 64, 4, 32, 1000)
	m.kvs = m.kvs[:3]
	m.kvs = append(m.kvs, gguf.GGUFMetadataKV{Key: "llama.attention.head_count", ValueType: gguf.GGUFMetadataValueTypeArray,
		Value: gguf.GGUFMetadataKVArrayValue{Type: gguf.GGUFMetadataValueTypeInt32, Len: 3, Array: []any{int32(4), int32(2), int32(8)}}})
	m.set("llama.attention.key_length", 24)
	m.set("llama.attention.value_length", 16)
	m.set("llama.nextn_predict_layers", 1)
	want := Cost{PerToken: 2 * 2 * (2*64*64 + 2*64*32), PerOutputRow: 2 * 64 * 1000, PerCell: 2 * (4 + 2) * (24 + 16)}
	if got := m.cost(t); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestCostOfFile(t *testing.T) {
	tokens := map[tinygguf.Tokenizer]float64{}
	for _, kind := range []tinygguf.Tokenizer{tinygguf.BPE, tinygguf.SPM} {
		path := writeTiny(t, tinygguf.Options{Tokenizer: kind, Layers: 3, F16: true})
		c, err := CostOf(path)
		if err != nil {
			t.Fatal(err)
		}
		tokens[kind] = c.PerOutputRow / 2 / 64
		if want := float64(2 * 3 * (2*64*64 + 2*64*32 + 3*64*128)); c.PerToken != want || c.PerCell != 4*3*64 {
			t.Errorf("%+v, want %v a token and %v a cell", c, want, 4*3*64)
		}
	}
	if a, b := tokens[tinygguf.BPE], tokens[tinygguf.SPM]; !(a > 256 && b > 256 && a < 10000 && b < 10000) || a == b {
		t.Errorf("vocabularies of %v and %v tokens, want two different ones", a, b)
	}
}

func TestCostOfErrors(t *testing.T) {
	whole, err := os.ReadFile(writeTiny(t, tinygguf.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "broken.gguf")
	for _, n := range []int{0, 3, 24, 100, len(whole) / 100} {
		if err := os.WriteFile(path, whole[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		if c, err := CostOf(path); err == nil || c != (Cost{}) || !strings.Contains(err.Error(), path) {
			t.Errorf("cut to %d bytes: %+v, %v", n, c, err)
		}
	}
	if _, err := CostOf(filepath.Join(t.TempDir(), "none.gguf")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}

	for _, c := range []struct {
		name, want string
		spoil      func(m *model)
	}{
		{"no architecture", "general.architecture", func(m *model) { m.kvs = m.kvs[1:] }},
		{"no layers", "llama.block_count is missing", func(m *model) { m.kvs[1].Key = "x" }},
		{"zero layers", "llama.block_count is 0", func(m *model) { m.kvs[1].Value = uint32(0) }},
		{"no width", "llama.embedding_length is missing", func(m *model) { m.kvs[2].Key = "x" }},
		{"no heads", "llama.attention.head_count is missing", func(m *model) { m.kvs[3].Key = "x" }},
		{"no matrices", "missing", func(m *model) { m.tensors = m.tensors[:2] }},
		{"no embedding", "missing", func(m *model) { m.tensors = m.tensors[1:] }},
		{"experts without a number", "expert_used_count is missing", func(m *model) { m.feedForward(1, "_exps", 64, 8, 4) }},
		{"more experts than there are", "5 experts", func(m *model) {
			m.set("llama.expert_used_count", 5)
			m.feedForward(1, "_exps", 64, 8, 4)
		}},
		{"few heads", "has 1 items for 2 layers", func(m *model) {
			m.kvs[3] = gguf.GGUFMetadataKV{Key: "llama.attention.head_count", ValueType: gguf.GGUFMetadataValueTypeArray,
				Value: gguf.GGUFMetadataKVArrayValue{Type: gguf.GGUFMetadataValueTypeInt32, Len: 1, Array: []any{int32(4)}}}
		}},
	} {
		m := newModel(2, 64, 4, 32, 1000)
		c.spoil(m)
		if _, err := costOf(m.kvs, m.tensors); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
}

// A header that the parser would allocate gigabytes for is refused before.
func TestCostOfHostile(t *testing.T) {
	head, err := layout.Header([]layout.Pair{{Key: "general.architecture", Value: "llama"}, {Key: "split.tensors.count", Value: uint32(1 << 31)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, head, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := CostOf(path); err == nil || !strings.Contains(err.Error(), "split.tensors.count is no number up to") {
		t.Errorf("error %v, want one about split.tensors.count", err)
	}
}
