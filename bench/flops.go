package bench

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	gguf "github.com/gpustack/gguf-parser-go"

	"winnow/llama"
)

// Cost is the arithmetic of a decoder in floating-point operations. A
// multiplication and the addition that goes with it are two.
//
// PerToken is 2N of Kaplan et al. 2020, "Scaling Laws for Neural Language
// Models" (arXiv:2001.08361), section 2.1, with N counted from the file's shapes:
// the matrices of attention and feed-forward blocks, of experts only as many as
// a token is sent to. Looking up an embedding multiplies nothing. PerOutputRow
// and PerCell are the final logits, 2 × vocabulary × width, and the two products
// of attention, 2 × heads × head size each and for every layer, of Hoffmann et
// al. 2022, "Training Compute-Optimal Large Language Models" (arXiv:2203.15556),
// appendix F. Softmax, norms, activations and biases are left out.
//
// The figures are what the model asks for. llama.cpp does a little less: in the
// last layer it runs the feed-forward block only for tokens with an output row.
// Where attention has a window, a cell behind it costs nothing.
type Cost struct {
	PerToken     float64 `json:"flops_per_token"`      // for every token decoded
	PerOutputRow float64 `json:"flops_per_output_row"` // for every token whose logits are asked for
	PerCell      float64 `json:"flops_per_cell"`       // for every cell that a token attends to, its own among them
}

// CostOf reads the header of a GGUF file and returns the cost of its model. It
// fails for a file that is damaged or is no decoder with attention.
func CostOf(path string) (c Cost, err error) {
	err = withHeader(path, func(f *gguf.GGUFFile) error {
		c, err = costOf(f.Header.MetadataKV, f.TensorInfos)
		return err
	})
	if err != nil {
		return Cost{}, fmt.Errorf("count the operations of %s: %w: want a decoder model in GGUF format", path, err)
	}
	return c, nil
}

// withHeader hands the header of a GGUF file to use. The parser believes numbers
// that it allocates by, so the file is checked before; it panics on values of an
// unexpected type, which comes back as an error.
func withHeader(path string, use func(*gguf.GGUFFile) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	if err := llama.Check(path); err != nil {
		return err
	}
	f, err := gguf.ParseGGUFFile(path, gguf.SkipLargeMetadata(), gguf.UseMMap())
	if err != nil {
		return err
	}
	return use(f)
}

func costOf(kvs gguf.GGUFMetadataKVs, tensors gguf.GGUFTensorInfos) (Cost, error) {
	h, err := newHeader(kvs)
	if err != nil {
		return Cost{}, err
	}
	layers, err := h.layers()
	if err != nil {
		return Cost{}, err
	}
	var c Cost
	var embedding float64 // elements
	for _, t := range tensors {
		switch t.Name {
		case "token_embd.weight":
			embedding = elements(t)
			continue
		case "output.weight":
			c.PerOutputRow = 2 * elements(t)
			continue
		}
		if !isMatrix(t, layers) {
			continue
		}
		n := elements(t)
		if strings.Contains(t.Name, "_exps.") { // the last dimension counts the experts
			used, err := h.number("expert_used_count")
			if err != nil {
				return Cost{}, err
			}
			all := float64(t.Dimensions[len(t.Dimensions)-1])
			if len(t.Dimensions) < 3 || !(used >= 1 && used <= all) {
				return Cost{}, fmt.Errorf("%s has the shape %d, but a token is sent to %v experts", t.Name, t.Dimensions, used)
			}
			n *= used / all
		}
		c.PerToken += 2 * n
	}
	if c.PerOutputRow == 0 { // the embedding serves as the output, too
		c.PerOutputRow = 2 * embedding
	}
	if c.PerToken == 0 || c.PerOutputRow == 0 {
		return Cost{}, errors.New("the matrices of its layers or of its output are missing")
	}
	c.PerCell, err = h.perCell(layers)
	return c, err
}

func elements(t gguf.GGUFTensorInfo) float64 {
	n := 1.0
	for _, d := range t.Dimensions {
		n *= float64(d)
	}
	return n
}

// isMatrix reports whether a tensor is a matrix of one of the first layers that
// tokens are multiplied with.
func isMatrix(t gguf.GGUFTensorInfo, layers int) bool {
	rest, inBlock := strings.CutPrefix(t.Name, "blk.")
	number, part, named := strings.Cut(rest, ".")
	if !inBlock || !named || len(t.Dimensions) < 2 {
		return false
	}
	layer, err := strconv.Atoi(number)
	return err == nil && layer < layers && strings.HasSuffix(part, ".weight") && !strings.Contains(part, "norm")
}

// header is a file's keys, read below the name of its architecture.
type header struct {
	kvs  gguf.GGUFMetadataKVs
	arch string
}

func newHeader(kvs gguf.GGUFMetadataKVs) (header, error) {
	kv, ok := kvs.Get("general.architecture")
	if !ok {
		return header{}, errors.New("general.architecture is missing")
	}
	return header{kvs, kv.ValueString()}, nil
}

// number returns a key's value, which must be 1 or more.
func (h header) number(key string) (float64, error) {
	kv, ok := h.kvs.Get(h.arch + "." + key)
	if !ok {
		return 0, fmt.Errorf("%s.%s is missing", h.arch, key)
	}
	x := gguf.ValueNumeric[float64](kv)
	if !(x >= 1 && x <= math.MaxInt32) {
		return 0, fmt.Errorf("%s is %v", kv.Key, kv.Value)
	}
	return x, nil
}

// layers returns the number of layers that a token passes: without those that
// predict further tokens.
func (h header) layers() (int, error) {
	n, err := h.number("block_count")
	if err != nil {
		return 0, err
	}
	if _, ok := h.kvs.Get(h.arch + ".nextn_predict_layers"); ok {
		if extra, err := h.number("nextn_predict_layers"); err == nil && extra < n {
			n -= extra
		}
	}
	return int(n), nil
}

// heads returns the sum of the heads over the layers, and the heads of the first.
func (h header) heads(layers int) (sum, first float64, err error) {
	key := h.arch + ".attention.head_count"
	kv, ok := h.kvs.Get(key)
	if !ok || kv.ValueType != gguf.GGUFMetadataValueTypeArray {
		first, err = h.number("attention.head_count")
		return first * float64(layers), first, err
	}
	list := gguf.ValuesNumeric[float64](kv.ValueArray())
	if len(list) < layers {
		return 0, 0, fmt.Errorf("%s has %d items for %d layers", key, len(list), layers)
	}
	for _, n := range list[:layers] {
		sum += max(n, 0)
	}
	return sum, list[0], nil
}

// perCell returns the operations that one attended cell costs.
func (h header) perCell(layers int) (float64, error) {
	heads, first, err := h.heads(layers)
	if err != nil {
		return 0, err
	}
	size := func(key string) (float64, error) {
		if _, ok := h.kvs.Get(h.arch + "." + key); ok {
			return h.number(key)
		}
		width, err := h.number("embedding_length")
		return width / max(first, 1), err
	}
	k, err := size("attention.key_length")
	if err != nil {
		return 0, err
	}
	v, err := size("attention.value_length")
	return 2 * heads * (k + v), err
}
