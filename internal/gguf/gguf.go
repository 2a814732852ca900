// Package gguf lays out model files in the GGUF format, version 3: the header,
// and where each tensor's data stands behind it. It writes headers only; what
// fills the tensors is the caller's business.
//
// The format is described in ggml's docs/gguf.md.
package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Alignment is what tensor data is aligned to, in bytes: the format's default.
const Alignment = 32

// Aligned rounds n up to the next multiple of Alignment.
func Aligned(n int64) int64 {
	return (n + Alignment - 1) / Alignment * Alignment
}

// Pair is one key of the header. The value is a uint32, float32, bool or string,
// or a slice of int32, float32 or string.
type Pair struct {
	Key   string
	Value any
}

// Tensor is one tensor. Its first dimension is the contiguous one: a matrix of
// shape {in, out} has a row of length in for every output.
type Tensor struct {
	Name  string
	Shape []int
	Type  Type
}

// Count returns the number of weights.
func (t Tensor) Count() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= int64(d)
	}
	return n
}

// Size returns the bytes of the weights, without padding. The length of a row
// must be a multiple of the type's block.
func (t Tensor) Size() int64 { return t.Type.Size(t.Count()) }

// The format's numbers of value types.
const (
	valueUint32  = 4
	valueInt32   = 5
	valueFloat32 = 6
	valueBool    = 7
	valueString  = 8
	valueArray   = 9
)

// Header returns everything before the tensor data, padded. The data of the
// first tensor begins right behind it, that of every other one at the next
// multiple of Alignment behind its predecessor's.
func Header(kv []Pair, tensors []Tensor) ([]byte, error) {
	h := header("GGUF")
	h.u32(3)
	h.u64(uint64(len(tensors)))
	h.u64(uint64(len(kv)))
	for _, p := range kv {
		h.str(p.Key)
		if err := h.value(p.Value); err != nil {
			return nil, fmt.Errorf("gguf: key %s: %w", p.Key, err)
		}
	}
	offset := int64(0)
	for _, t := range tensors {
		h.str(t.Name)
		h.u32(uint32(len(t.Shape)))
		for _, n := range t.Shape {
			h.u64(uint64(n))
		}
		h.u32(uint32(t.Type))
		h.u64(uint64(offset))
		offset += Aligned(t.Size())
	}
	return append(h, make([]byte, Aligned(int64(len(h)))-int64(len(h)))...), nil
}

// header is a header that grows.
type header []byte

func (h *header) u32(x uint32) { *h = binary.LittleEndian.AppendUint32(*h, x) }
func (h *header) u64(x uint64) { *h = binary.LittleEndian.AppendUint64(*h, x) }

func (h *header) str(s string) {
	h.u64(uint64(len(s)))
	*h = append(*h, s...)
}

func (h *header) array(typ uint32, n int) {
	h.u32(valueArray)
	h.u32(typ)
	h.u64(uint64(n))
}

func (h *header) value(value any) error {
	switch v := value.(type) {
	case uint32:
		h.u32(valueUint32)
		h.u32(v)
	case float32:
		h.u32(valueFloat32)
		h.u32(math.Float32bits(v))
	case bool:
		h.u32(valueBool)
		b := byte(0)
		if v {
			b = 1
		}
		*h = append(*h, b)
	case string:
		h.u32(valueString)
		h.str(v)
	case []int32:
		h.array(valueInt32, len(v))
		for _, x := range v {
			h.u32(uint32(x))
		}
	case []float32:
		h.array(valueFloat32, len(v))
		for _, x := range v {
			h.u32(math.Float32bits(x))
		}
	case []string:
		h.array(valueString, len(v))
		for _, s := range v {
			h.str(s)
		}
	default:
		return fmt.Errorf("no GGUF type for %T", value)
	}
	return nil
}
