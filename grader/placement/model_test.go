package placement

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gguf "github.com/gpustack/gguf-parser-go"

	"winnow/internal/tinygguf"
)

func parse(t *testing.T, o tinygguf.Options) *gguf.GGUFFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(path, o); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.ParseGGUFFile(path, gguf.SkipLargeMetadata())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFromGGUF(t *testing.T) {
	f := parse(t, tinygguf.Options{Layers: 3, Embd: 64, Heads: 4, HeadsKV: 2, FF: 96, Ctx: 700, F16: true})
	m, err := FromGGUF(f)
	if err != nil {
		t.Fatal(err)
	}
	// Of each layer: queries and what follows attention, keys, values, the block's
	// three matrices, in half precision; two norms in single precision.
	layer := uint64(2*(64*64*2+2*64*32+3*64*96) + 4*2*64)
	cell := uint64(2 * 2 * 16 * 2)
	if want := []uint64{layer, layer, layer}; !slices.Equal(m.LayerBytes, want) || !slices.Equal(m.CellBytes, []uint64{cell, cell, cell}) || m.Layers() != 4 {
		t.Errorf("layers %d of %d bytes a cell, want %d of %d", m.LayerBytes, m.CellBytes, want, cell)
	}
	var all, embedding uint64
	output := false
	for _, x := range f.TensorInfos {
		all += x.Bytes()
		output = output || x.Name == "output.weight"
		if x.Name == "token_embd.weight" {
			embedding = x.Bytes()
		}
	}
	want := all - 3*layer
	if output {
		want -= embedding
	}
	if m.OutputBytes != want || m.Weights() != want+3*layer {
		t.Errorf("the output has %d bytes, want %d", m.OutputBytes, want)
	}
	if m.Embd != 64 || m.FeedForward != 96 || m.Heads != 4 || m.Attention != 64+2*2*16 || m.CtxTrain != 700 || m.Vocab < 256 || m.Largest != 0 {
		t.Errorf("facts %+v", m)
	}
}

// A header that lacks something, or has something else there, is an error that
// names it.
func TestFromGGUFErrors(t *testing.T) {
	const arch = "llama."
	for key, change := range map[string]func(*gguf.GGUFMetadataKV){
		"block_count":             func(kv *gguf.GGUFMetadataKV) { kv.Value = uint32(0) },
		"embedding_length":        func(kv *gguf.GGUFMetadataKV) { kv.Key = "gone" },
		"context_length":          func(kv *gguf.GGUFMetadataKV) { kv.ValueType, kv.Value = gguf.GGUFMetadataValueTypeString, "many" },
		"attention.head_count":    func(kv *gguf.GGUFMetadataKV) { kv.Value = uint32(0) },
		"attention.head_count_kv": func(kv *gguf.GGUFMetadataKV) { kv.Value = uint32(1 << 30) },
		"feed_forward_length": func(kv *gguf.GGUFMetadataKV) {
			kv.ValueType = gguf.GGUFMetadataValueTypeArray
			kv.Value = gguf.GGUFMetadataKVArrayValue{Type: gguf.GGUFMetadataValueTypeUint32, Len: 1, Array: []any{uint32(4)}}
		},
	} {
		f := parse(t, tinygguf.Options{})
		i := slices.IndexFunc(f.Header.MetadataKV, func(kv gguf.GGUFMetadataKV) bool { return kv.Key == arch+key })
		if i < 0 {
			t.Fatalf("no key %s", key)
		}
		change(&f.Header.MetadataKV[i])
		if _, err := FromGGUF(f); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: error %v, want one that names it", key, err)
		}
	}
	f := parse(t, tinygguf.Options{})
	f.Header.MetadataKV = nil
	if _, err := FromGGUF(f); err == nil {
		t.Error("no keys, and no error")
	}
	for _, name := range []string{"token_embd.weight", "blk.1."} {
		f := parse(t, tinygguf.Options{})
		f.TensorInfos = slices.DeleteFunc(f.TensorInfos, func(x gguf.GGUFTensorInfo) bool { return strings.HasPrefix(x.Name, name) })
		if _, err := FromGGUF(f); err == nil {
			t.Errorf("without %s there is no error", name)
		}
	}
}

// A model of several widths of attention: heads are listed by layer.
func TestHeadsByLayer(t *testing.T) {
	f := parse(t, tinygguf.Options{Layers: 2, Embd: 64, Heads: 4, HeadsKV: 2})
	for i := range f.Header.MetadataKV {
		if kv := &f.Header.MetadataKV[i]; kv.Key == "llama.attention.head_count_kv" {
			kv.ValueType = gguf.GGUFMetadataValueTypeArray
			kv.Value = gguf.GGUFMetadataKVArrayValue{Type: gguf.GGUFMetadataValueTypeUint32, Len: 2, Array: []any{uint32(1), uint32(4)}}
		}
	}
	m, err := FromGGUF(f)
	if err != nil {
		t.Fatal(err)
	}
	if want := []uint64{2 * 16 * 2, 4 * 2 * 16 * 2}; !slices.Equal(m.CellBytes, want) {
		t.Errorf("a cell takes %d bytes, want %d", m.CellBytes, want)
	}
}
