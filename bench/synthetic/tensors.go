package synthetic

import (
	"fmt"

	"winnow/internal/gguf"
)

// format is a way to store a model.
type format struct {
	file   uint32    // the header's general.file_type: llama_ftype in llama.h
	matrix gguf.Type // of most matrices
	mixed  bool      // some matrices get more bits, by the rules of llama.cpp's Q4_K_M
}

// formats are the formats by the names that llama.cpp's users know.
var formats = map[string]format{
	"F16":    {1, gguf.F16, false},
	"Q8_0":   {7, gguf.Q8_0, false},
	"Q4_K_M": {15, gguf.Q4_K, true},
}

// tensors lists the tensors in the order of the file.
func (s Shape) tensors(f format) []gguf.Tensor {
	kv := s.headWidth() * s.HeadsKV
	vector := func(name string, n int) gguf.Tensor { return gguf.Tensor{Name: name, Shape: []int{n}, Type: gguf.F32} }
	matrix := func(name string, in, out int, finer bool) gguf.Tensor {
		return gguf.Tensor{Name: name, Shape: []int{in, out}, Type: f.matrixType(in, finer)}
	}
	list := []gguf.Tensor{matrix("token_embd.weight", s.Embd, s.Vocab, s.Tied)}
	if s.Family == Llama3 {
		list = append(list, vector(ropeFreqs, s.headWidth()/2))
	}
	for i := range s.Layers {
		finer := moreBits(i, s.Layers)
		name := func(part string) string { return fmt.Sprintf("blk.%d.%s", i, part) }
		list = append(list,
			vector(name("attn_norm.weight"), s.Embd),
			matrix(name("attn_q.weight"), s.Embd, s.Embd, false),
			matrix(name("attn_k.weight"), s.Embd, kv, false),
			matrix(name("attn_v.weight"), s.Embd, kv, finer),
		)
		if s.Family == Qwen2 {
			list = append(list, vector(name("attn_q.bias"), s.Embd), vector(name("attn_k.bias"), kv), vector(name("attn_v.bias"), kv))
		}
		list = append(list,
			matrix(name("attn_output.weight"), s.Embd, s.Embd, false),
			vector(name("ffn_norm.weight"), s.Embd),
			matrix(name("ffn_gate.weight"), s.Embd, s.FF, false),
			matrix(name("ffn_up.weight"), s.Embd, s.FF, false),
			matrix(name("ffn_down.weight"), s.FF, s.Embd, finer),
		)
	}
	list = append(list, vector("output_norm.weight", s.Embd))
	if !s.Tied {
		list = append(list, matrix("output.weight", s.Embd, s.Vocab, true))
	}
	return list
}

// matrixType returns the type of a matrix with rows of length in. Finer ones get
// more bits in a mixed format. Rows that are no whole number of blocks fall back
// to a type with smaller blocks (llama_tensor_get_type in llama-quant.cpp).
func (f format) matrixType(in int, finer bool) gguf.Type {
	typ := f.matrix
	if f.mixed && finer {
		typ = gguf.Q6_K
	}
	if in%typ.Block() == 0 {
		return typ
	}
	if typ == gguf.Q6_K {
		return gguf.Q8_0
	}
	return gguf.Q5_0
}

// moreBits reports whether Q4_K_M stores attn_v and ffn_down of a layer finer:
// in the first and the last eighth of the layers and in every third between.
func moreBits(layer, layers int) bool {
	return layer < layers/8 || layer >= 7*layers/8 || (layer-layers/8)%3 == 2
}
