package gguf

import (
	"fmt"
	"math"
)

// Type is the format's number of how a tensor's weights are stored.
type Type uint32

// The types that this project writes.
const (
	F32  Type = 0
	F16  Type = 1
	Q5_0 Type = 6
	Q8_0 Type = 8
	Q4_K Type = 12
	Q6_K Type = 14
)

// layout says how weights of a type are grouped: so many of them in a block of
// so many bytes (ggml-common.h).
type layout struct {
	name           string
	weights, bytes int
}

func (t Type) layout() layout {
	switch t {
	case F32:
		return layout{"F32", 1, 4}
	case F16:
		return layout{"F16", 1, 2}
	case Q5_0:
		return layout{"Q5_0", 32, 22}
	case Q8_0:
		return layout{"Q8_0", 32, 34}
	case Q4_K:
		return layout{"Q4_K", 256, 144}
	case Q6_K:
		return layout{"Q6_K", 256, 210}
	}
	panic(fmt.Sprintf("gguf: no layout for type %d", uint32(t)))
}

// String returns the name that llama.cpp's users know, such as "Q4_K".
func (t Type) String() string { return t.layout().name }

// Block returns the number of weights in a block. Rows are whole blocks.
func (t Type) Block() int { return t.layout().weights }

// BlockBytes returns the bytes of a block.
func (t Type) BlockBytes() int { return t.layout().bytes }

// Size returns the bytes of n weights, n being a multiple of the block.
func (t Type) Size(n int64) int64 {
	l := t.layout()
	return n / int64(l.weights) * int64(l.bytes)
}

// Half returns the IEEE 754 16-bit float nearest to x, ties to even.
func Half(x float32) uint16 {
	sign := uint16(math.Float32bits(x) >> 16 & 0x8000)
	m := math.Abs(float64(x))
	switch {
	case math.IsNaN(m):
		return sign | 0x7e00
	case m >= 65520: // halfway between the largest number and the next power of two
		return sign | 0x7c00
	case m < 0x1p-14: // subnormal: a multiple of 2^-24
		return sign | uint16(math.RoundToEven(m*0x1p24))
	}
	frac, exp := math.Frexp(m) // m = frac * 2^exp, frac in [0.5, 1)
	// Rounding up to 2048 carries into the exponent, as it should.
	return sign | (uint16(exp+13)<<10 + uint16(math.RoundToEven(frac*2048)))
}
