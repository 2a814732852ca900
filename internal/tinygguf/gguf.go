package tinygguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math"
)

// alignment is what GGUF aligns tensor data to when the header does not say.
const alignment = 32

// Numbers that the format gives to value types and tensor types.
const (
	valueUint32  = 4
	valueInt32   = 5
	valueFloat32 = 6
	valueBool    = 7
	valueString  = 8
	valueArray   = 9

	tensorF32 = 0
	tensorF16 = 1
)

// pair is one key of the header. The value is a uint32, float32, bool or
// string, or a slice of int32, float32 or string.
type pair struct {
	key   string
	value any
}

// encoder writes the parts of a GGUF file and keeps the first error.
type encoder struct {
	w   *bufio.Writer
	n   int64 // bytes written
	err error
}

func (e *encoder) bytes(b []byte) {
	if e.err == nil {
		_, e.err = e.w.Write(b)
		e.n += int64(len(b))
	}
}

func (e *encoder) u32(x uint32) { e.bytes(binary.LittleEndian.AppendUint32(nil, x)) }
func (e *encoder) u64(x uint64) { e.bytes(binary.LittleEndian.AppendUint64(nil, x)) }

func (e *encoder) str(s string) {
	e.u64(uint64(len(s)))
	e.bytes([]byte(s))
}

func (e *encoder) pad() {
	e.bytes(make([]byte, aligned(e.n)-e.n))
}

// aligned rounds n up to the next multiple of the alignment.
func aligned(n int64) int64 {
	return (n + alignment - 1) / alignment * alignment
}

// header writes everything before the tensor data.
func (e *encoder) header(kv []pair, tensors []tensor) {
	e.bytes([]byte("GGUF"))
	e.u32(3)
	e.u64(uint64(len(tensors)))
	e.u64(uint64(len(kv)))
	for _, p := range kv {
		e.str(p.key)
		e.value(p)
	}
	offset := int64(0)
	for _, t := range tensors {
		e.str(t.name)
		e.u32(uint32(len(t.shape)))
		for _, n := range t.shape {
			e.u64(uint64(n))
		}
		e.u32(t.typ())
		e.u64(uint64(offset))
		offset += aligned(t.size())
	}
	e.pad()
}

func (e *encoder) value(p pair) {
	array := func(typ uint32, n int) {
		e.u32(valueArray)
		e.u32(typ)
		e.u64(uint64(n))
	}
	switch v := p.value.(type) {
	case uint32:
		e.u32(valueUint32)
		e.u32(v)
	case float32:
		e.u32(valueFloat32)
		e.u32(math.Float32bits(v))
	case bool:
		e.u32(valueBool)
		b := byte(0)
		if v {
			b = 1
		}
		e.bytes([]byte{b})
	case string:
		e.u32(valueString)
		e.str(v)
	case []int32:
		array(valueInt32, len(v))
		for _, x := range v {
			e.u32(uint32(x))
		}
	case []float32:
		array(valueFloat32, len(v))
		for _, x := range v {
			e.u32(math.Float32bits(x))
		}
	case []string:
		array(valueString, len(v))
		for _, s := range v {
			e.str(s)
		}
	default:
		if e.err == nil {
			e.err = fmt.Errorf("key %s: no GGUF type for %T", p.key, p.value)
		}
	}
}

// data writes the weights of t and pads them.
func (e *encoder) data(t tensor, seed uint64) {
	var b []byte
	for _, x := range t.weights(seed) {
		if t.half {
			b = binary.LittleEndian.AppendUint16(b, halfBits(x))
		} else {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
	}
	e.bytes(b)
	e.pad()
}

// halfBits returns the IEEE 754 16-bit float nearest to x, ties to even.
func halfBits(x float32) uint16 {
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
