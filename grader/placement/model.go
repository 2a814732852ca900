package placement

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	gguf "github.com/gpustack/gguf-parser-go"
)

// Model is what a model's header says of the memory that it takes.
type Model struct {
	LayerBytes  []uint64 // weights of each layer
	OutputBytes uint64   // weights behind the last layer; a copy of the embedding where that serves as the output
	CellBytes   []uint64 // keys and values of one token in each layer, in half precision
	Vocab       int      // tokens, so also the width of a row of logits
	Embd        int      // width of the hidden state
	FeedForward int      // width of the widest feed-forward block
	Heads       int      // most of a layer
	Attention   int      // width of queries, keys and values together, at most
	CtxTrain    int      // tokens of context that it was trained with
	Largest     uint64   // weights, not bytes, of the largest quantized matrix; 0 if none is
}

// Layers is the number of layers that can be on a GPU. As in llama.cpp, what is
// behind the last one counts as one more. The embedding is always in the
// computer's memory.
func (m *Model) Layers() int { return len(m.LayerBytes) + 1 }

// Weights is the size of all that can be on a GPU, in bytes.
func (m *Model) Weights() uint64 { return sum(m.LayerBytes) + m.OutputBytes }

const (
	halfBytes  = 2
	floatBytes = 4
)

// FromGGUF takes the facts from a parsed header. It fails for a model without
// layers of attention, or whose header lacks their sizes.
func FromGGUF(f *gguf.GGUFFile) (*Model, error) {
	arch, ok := f.Header.MetadataKV.Get("general.architecture")
	if !ok {
		return nil, errors.New("general.architecture is missing")
	}
	if arch.ValueType != gguf.GGUFMetadataValueTypeString {
		return nil, errors.New("general.architecture is no text")
	}
	h := keys{f.Header.MetadataKV, arch.ValueString()}
	layers, err := h.number("block_count")
	if err != nil {
		return nil, err
	}
	m := &Model{LayerBytes: make([]uint64, layers), CellBytes: make([]uint64, layers)}
	if m.Embd, err = h.number("embedding_length"); err != nil {
		return nil, err
	}
	if m.CtxTrain, err = h.number("context_length"); err != nil {
		return nil, err
	}
	if h.has("feed_forward_length") { // a model of experts alone has none
		if m.FeedForward, err = h.most("feed_forward_length", layers); err != nil {
			return nil, err
		}
	}
	if err := m.attention(h); err != nil {
		return nil, err
	}
	return m, m.tensors(f.TensorInfos)
}

// attention fills in what the cache takes.
func (m *Model) attention(h keys) error {
	layers := len(m.LayerBytes)
	heads, err := h.list("attention.head_count", layers)
	if err != nil {
		return err
	}
	kvHeads := heads
	if h.has("attention.head_count_kv") {
		if kvHeads, err = h.list("attention.head_count_kv", layers); err != nil {
			return err
		}
	}
	most := 0
	for _, n := range heads {
		most = max(most, n)
	}
	if most == 0 {
		return fmt.Errorf("%s.attention.head_count is 0 in every layer", h.arch)
	}
	width := func(key string) (int, error) {
		if h.has(key) {
			return h.number(key)
		}
		return m.Embd / most, nil
	}
	k, err := width("attention.key_length")
	if err != nil {
		return err
	}
	v, err := width("attention.value_length")
	if err != nil {
		return err
	}
	m.Heads = most
	for i := range layers {
		m.CellBytes[i] = uint64(kvHeads[i]) * uint64(k+v) * halfBytes
		m.Attention = max(m.Attention, heads[i]*k+kvHeads[i]*(k+v))
	}
	return nil
}

// tensors adds up the weights.
func (m *Model) tensors(list gguf.GGUFTensorInfos) error {
	var embedding uint64
	output := false
	for _, t := range list {
		size := t.Bytes()
		if trait, ok := t.Type.Trait(); ok && trait.Quantized {
			m.Largest = max(m.Largest, matrix(t))
		}
		if rest, ok := strings.CutPrefix(t.Name, "blk."); ok {
			number, _, _ := strings.Cut(rest, ".")
			if i, err := strconv.Atoi(number); err == nil && i >= 0 && i < len(m.LayerBytes) {
				m.LayerBytes[i] += size
				continue
			}
		}
		if t.Name == "token_embd.weight" {
			embedding = size
			if len(t.Dimensions) > 1 {
				m.Vocab = int(min(t.Dimensions[1], math.MaxInt32))
			}
			continue
		}
		output = output || t.Name == "output.weight"
		m.OutputBytes += size
	}
	if m.Vocab == 0 {
		return errors.New("token_embd.weight is missing")
	}
	if !output {
		m.OutputBytes += embedding
	}
	for i, size := range m.LayerBytes {
		if size == 0 {
			return fmt.Errorf("layer %d has no weights", i)
		}
	}
	return nil
}

// matrix is the number of weights that one multiplication takes of a tensor: of
// experts, one.
func matrix(t gguf.GGUFTensorInfo) uint64 {
	if len(t.Dimensions) < 2 {
		return 0
	}
	return t.Dimensions[0] * t.Dimensions[1]
}

// keys is a header's keys, read below the name of its architecture.
type keys struct {
	kvs  gguf.GGUFMetadataKVs
	arch string
}

func (h keys) has(key string) bool {
	_, ok := h.kvs.Get(h.arch + "." + key)
	return ok
}

// mostNumber bounds what a header may say of any size.
const mostNumber = 1 << 24

// number returns a key's value, which must be 1 or more.
func (h keys) number(key string) (int, error) {
	n, err := h.scalar(key)
	if err == nil && n < 1 {
		err = fmt.Errorf("%s.%s is %d, want 1 or more", h.arch, key, n)
	}
	return n, err
}

func (h keys) scalar(key string) (int, error) {
	kv, ok := h.kvs.Get(h.arch + "." + key)
	if !ok {
		return 0, fmt.Errorf("%s.%s is missing", h.arch, key)
	}
	switch kv.ValueType {
	case gguf.GGUFMetadataValueTypeArray, gguf.GGUFMetadataValueTypeString, gguf.GGUFMetadataValueTypeBool:
		return 0, fmt.Errorf("%s is no number", kv.Key)
	}
	x := gguf.ValueNumeric[float64](kv)
	if !(x >= 0 && x <= mostNumber) {
		return 0, fmt.Errorf("%s is %v, want 0 to %d", kv.Key, kv.Value, mostNumber)
	}
	return int(x), nil
}

// list returns a value for each layer: the key's, or the items of its array.
func (h keys) list(key string, layers int) ([]int, error) {
	list := make([]int, layers)
	kv, ok := h.kvs.Get(h.arch + "." + key)
	if !ok || kv.ValueType != gguf.GGUFMetadataValueTypeArray {
		n, err := h.scalar(key)
		for i := range list {
			list[i] = n
		}
		return list, err
	}
	items := gguf.ValuesNumeric[float64](kv.ValueArray())
	if len(items) < layers {
		return nil, fmt.Errorf("%s has %d items for %d layers", kv.Key, len(items), layers)
	}
	for i := range list {
		if !(items[i] >= 0 && items[i] <= mostNumber) {
			return nil, fmt.Errorf("%s has the item %v, want 0 to %d", kv.Key, items[i], mostNumber)
		}
		list[i] = int(items[i])
	}
	return list, nil
}

// most returns the largest of a key's values.
func (h keys) most(key string, layers int) (int, error) {
	list, err := h.list(key, layers)
	n := 0
	for _, x := range list {
		n = max(n, x)
	}
	return n, err
}

func sum(list []uint64) (n uint64) {
	for _, x := range list {
		n += x
	}
	return n
}
