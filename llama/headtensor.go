package llama

import (
	"fmt"
	"math/bits"
	"strings"

	gguf "github.com/gpustack/gguf-parser-go"
)

// ggmlType is ggml's number of how weights are stored.
type ggmlType = gguf.GGMLType

// tensor is what the header says of a tensor.
type tensor struct {
	name string
	dims []uint64
	typ  ggmlType
	size uint64 // in bytes, without padding
}

// tensor reads what stands of a tensor and where it begins behind the header.
func (r *headReader) tensor() (t tensor, offset uint64, err error) {
	name, err := r.text(1 << 16)
	if err != nil {
		return t, 0, err
	}
	const longest = 63 // C keeps a NUL byte behind it
	if len(name) > longest {
		return t, 0, fmt.Errorf("its name has %d bytes, want at most %d", len(name), longest)
	}
	t.name = string(name)
	if strings.ContainsRune(t.name, 0) {
		return t, 0, fmt.Errorf("its name %q has a NUL byte", t.name)
	}
	n, err := r.u32()
	if err != nil {
		return t, 0, err
	}
	if n < 1 || n > gguf.GGMLMaxDims {
		return t, 0, fmt.Errorf("%s has %d dimensions, want 1 to %d", t.name, n, gguf.GGMLMaxDims)
	}
	for range n {
		d, err := r.u64()
		if err != nil {
			return t, 0, err
		}
		t.dims = append(t.dims, d)
	}
	code, err := r.u32()
	if err != nil {
		return t, 0, err
	}
	if t.size, err = sizeOf(t.name, t.dims, ggmlType(code)); err != nil {
		return t, 0, err
	}
	t.typ = ggmlType(code)
	offset, err = r.u64()
	return t, offset, err
}

// sizeOf returns the bytes of a tensor, or what is wrong with it.
func sizeOf(name string, dims []uint64, t ggmlType) (uint64, error) {
	trait, ok := t.Trait()
	if !ok || t > gguf.GGMLTypeMXFP4 || !isWeight(t) {
		return 0, fmt.Errorf("tensor %s has the type %d, in which no weights are stored", name, uint32(t))
	}
	blocks := uint64(1)
	for i, d := range dims {
		if d == 0 {
			return 0, fmt.Errorf("tensor %s is empty: its shape is %d", name, dims)
		}
		if i == 0 {
			if d%trait.BlockSize != 0 {
				return 0, fmt.Errorf("tensor %s of type %v has rows of %d weights, want a multiple of %d", name, t, d, trait.BlockSize)
			}
			d /= trait.BlockSize
		}
		hi, lo := bits.Mul64(blocks, d)
		if hi != 0 || lo > 1<<54 { // blocks of 256 weights and of 512 bytes can still be counted
			return 0, fmt.Errorf("tensor %s has too many weights to be counted: its shape is %d", name, dims)
		}
		blocks = lo
	}
	return blocks * trait.TypeSize, nil
}

// isWeight reports whether ggml multiplies by matrices of the type. There are
// types for numbers and for what is computed on the way.
func isWeight(t ggmlType) bool {
	switch t {
	case gguf.GGMLTypeQ4_2, gguf.GGMLTypeQ4_3, gguf.GGMLTypeQ8_1, gguf.GGMLTypeQ8_K,
		gguf.GGMLTypeI8, gguf.GGMLTypeI16, gguf.GGMLTypeI32, gguf.GGMLTypeI64, gguf.GGMLTypeF64,
		gguf.GGMLTypeQ4_0_4_4, gguf.GGMLTypeQ4_0_4_8, gguf.GGMLTypeQ4_0_8_8,
		gguf.GGMLTypeIQ4_NL_4_4, gguf.GGMLTypeIQ4_NL_4_8, gguf.GGMLTypeIQ4_NL_8_8:
		return false
	}
	return true
}
