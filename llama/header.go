package llama

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"strings"

	gguf "github.com/gpustack/gguf-parser-go"
)

// What a header may hold. Real models stay far below; llama.cpp compares every
// key and every tensor's name with all before it, and copies and prints arrays.
const (
	maxHeader  = 256 << 20 // bytes in front of the weights
	maxKeys    = 1 << 13
	maxTensors = 1 << 14
	maxItems   = 1 << 22 // of an array
	maxText    = 16 << 20
	maxToken   = 64 << 10 // bytes of one token or merge
	maxFew     = 512      // items of an array whose numbers are kept: one a layer
)

// typ is GGUF's number of a value's type.
type typ = gguf.GGUFMetadataValueType

// The types that rules ask for.
const (
	typU16    = gguf.GGUFMetadataValueTypeUint16
	typU32    = gguf.GGUFMetadataValueTypeUint32
	typI32    = gguf.GGUFMetadataValueTypeInt32
	typF32    = gguf.GGUFMetadataValueTypeFloat32
	typString = gguf.GGUFMetadataValueTypeString
	typArray  = gguf.GGUFMetadataValueTypeArray
)

// typeBytes is the size of scalars of a type.
var typeBytes = [...]uint64{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}

// value is what a key has.
type value struct {
	array bool
	typ   typ    // of the scalar, or of the array's items
	n     uint64 // items of the array
	text  string // of a string
	bits  uint64 // of another scalar, zero-extended
	few   []uint64
}

// header is what stands in front of the weights, read by llama.cpp's rules.
type header struct {
	keys    map[string]value
	tensors []tensor
}

// u32 returns a scalar of exactly the type that llama.cpp asks for; it refuses
// others itself.
func (h *header) u32(key string) (uint32, bool) {
	v, ok := h.keys[key]
	return uint32(v.bits), ok && !v.array && v.typ == typU32
}

// text returns a string.
func (h *header) text(key string) (string, bool) {
	v, ok := h.keys[key]
	return v.text, ok && !v.array && v.typ == typString
}

// headReader reads a header. No length in it is believed: what it asks for must
// lie in the file.
type headReader struct {
	in   *bufio.Reader
	at   uint64 // bytes read
	size uint64 // of the file
	big  []byte // reused for long texts
}

// next returns the next n bytes. They are valid until the next call.
func (r *headReader) next(n uint64) ([]byte, error) {
	switch {
	case n > r.size-r.at:
		return nil, fmt.Errorf("%d bytes should be read at byte %d, the file has %d", n, r.at, r.size)
	case n > maxHeader-r.at:
		return nil, fmt.Errorf("the header is longer than %d MiB", maxHeader>>20)
	}
	r.at += n
	if n <= uint64(r.in.Size()) {
		b, err := r.in.Peek(int(n))
		if err != nil {
			return nil, fmt.Errorf("read byte %d: %w", r.at-n, err)
		}
		_, err = r.in.Discard(int(n))
		return b, err
	}
	if uint64(cap(r.big)) < n {
		r.big = make([]byte, n)
	}
	b := r.big[:n]
	if _, err := io.ReadFull(r.in, b); err != nil {
		return nil, fmt.Errorf("read byte %d: %w", r.at-n, err)
	}
	return b, nil
}

func (r *headReader) u32() (uint32, error) {
	b, err := r.next(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (r *headReader) u64() (uint64, error) {
	b, err := r.next(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// text returns the bytes of a string. They are valid until the next call.
func (r *headReader) text(most uint64) ([]byte, error) {
	n, err := r.u64()
	if err != nil {
		return nil, err
	}
	if n > most && n <= r.size-r.at {
		return nil, fmt.Errorf("a text has %d bytes, want at most %d", n, most)
	}
	return r.next(n)
}

// readHeader reads the header of a file of that many bytes. visit sees the
// strings of all arrays.
func readHeader(in io.ReaderAt, size int64, visit func(key string, i uint64, text []byte) error) (*header, error) {
	r := &headReader{in: bufio.NewReaderSize(io.NewSectionReader(in, 0, size), 1<<16), size: uint64(size)}
	magic, err := r.next(4)
	if err != nil {
		return nil, err
	}
	if string(magic) != "GGUF" {
		return nil, fmt.Errorf("it begins with %q, want \"GGUF\"", magic)
	}
	version, err := r.u32()
	if err != nil {
		return nil, err
	}
	if version != 2 && version != 3 {
		return nil, fmt.Errorf("its format has version %d, want 2 or 3", version)
	}
	tensors, err := r.u64()
	if err != nil {
		return nil, err
	}
	keys, err := r.u64()
	if err != nil {
		return nil, err
	}
	if tensors > maxTensors {
		return nil, fmt.Errorf("it has %d tensors, want at most %d", tensors, maxTensors)
	}
	if keys > maxKeys {
		return nil, fmt.Errorf("it has %d keys, want at most %d", keys, maxKeys)
	}
	h := &header{keys: make(map[string]value)}
	for i := range keys {
		if err := r.key(h, i+1, visit); err != nil {
			return nil, err
		}
	}
	align, err := h.alignment()
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool)
	offset := uint64(0)
	for i := range tensors {
		t, at, err := r.tensor()
		if err != nil {
			return nil, fmt.Errorf("read tensor %d: %w", i+1, err)
		}
		switch {
		case names[t.name]:
			return nil, fmt.Errorf("two tensors are named %s", t.name)
		case at != offset:
			return nil, fmt.Errorf("tensor %s begins at byte %d of the weights, want %d: right behind the one before", t.name, at, offset)
		}
		names[t.name] = true
		offset += (t.size + align - 1) &^ (align - 1)
		if offset > math.MaxInt64/2 { // no one tensor is as large as the rest
			return nil, fmt.Errorf("the sizes of the tensors up to %s are %d bytes together", t.name, offset)
		}
		h.tensors = append(h.tensors, t)
	}
	if n := len(h.tensors); n > 0 {
		t := h.tensors[n-1]
		begin := (r.at + align - 1) &^ (align - 1)
		last := offset - (t.size+align-1)&^(align-1) + t.size
		if begin > r.size || last > r.size-begin {
			return nil, fmt.Errorf("the weights take %d bytes from byte %d on, the file has %d", last, begin, r.size)
		}
	}
	return h, nil
}

// key reads the n-th key and its value into h.
func (r *headReader) key(h *header, n uint64, visit func(string, uint64, []byte) error) error {
	b, err := r.text(1 << 16)
	if err != nil {
		return fmt.Errorf("read key %d: %w", n, err)
	}
	key := string(b)
	switch {
	case key == "":
		return fmt.Errorf("key %d of the header is empty", n)
	case strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c > '~' }):
		// llama.cpp ends a key at a NUL byte, another reader perhaps at a space.
		return fmt.Errorf("key %d of the header, %q, has bytes that are no part of a name", n, key)
	}
	if _, twice := h.keys[key]; twice {
		return fmt.Errorf("the header has the key %s twice", key)
	}
	v, err := r.value(key, visit)
	if err != nil {
		return fmt.Errorf("read the value of %s: %w", key, err)
	}
	h.keys[key] = v
	return nil
}

// value reads the value of a key.
func (r *headReader) value(key string, visit func(string, uint64, []byte) error) (v value, err error) {
	code, err := r.u32()
	if err != nil {
		return v, err
	}
	v.typ = typ(code)
	if v.typ == typArray {
		v.array = true
		if code, err = r.u32(); err != nil {
			return v, err
		}
		if v.typ = typ(code); v.typ == typArray {
			return v, errors.New("it is an array of arrays")
		}
		if v.n, err = r.u64(); err != nil {
			return v, err
		}
	}
	if uint64(v.typ) >= uint64(len(typeBytes)) {
		return v, fmt.Errorf("its type is %d, want at most %d", code, len(typeBytes)-1)
	}
	if v.array {
		return v, r.items(key, &v, visit)
	}
	if v.typ == typString {
		text, err := r.text(maxText)
		v.text = string(text)
		if err == nil && strings.ContainsRune(v.text, 0) {
			return v, errors.New("its text has a NUL byte") // llama.cpp reads it up to there
		}
		return v, err
	}
	b, err := r.next(typeBytes[v.typ])
	v.bits = number(b)
	return v, err
}

// items reads the items of an array.
func (r *headReader) items(key string, v *value, visit func(string, uint64, []byte) error) error {
	if v.n > maxItems {
		return fmt.Errorf("its array has %d items, want at most %d", v.n, maxItems)
	}
	if v.typ != typString {
		size := typeBytes[v.typ]
		b, err := r.next(v.n * size)
		if err == nil && v.n <= maxFew {
			for i := range v.n {
				v.few = append(v.few, number(b[i*size:(i+1)*size]))
			}
		}
		return err
	}
	for i := range v.n {
		text, err := r.text(maxToken)
		if err == nil {
			err = visit(key, i, text)
		}
		if err != nil {
			return fmt.Errorf("item %d: %w", i, err)
		}
	}
	return nil
}

// number returns little-endian bytes as a number.
func number(b []byte) (x uint64) {
	for i, c := range b {
		x |= uint64(c) << (8 * i)
	}
	return x
}

// alignment returns what tensors are aligned to, in bytes.
func (h *header) alignment() (uint64, error) {
	const (
		key    = "general.alignment"
		normal = 32 // also what ggml wants of memory that it is given
		most   = 1 << 16
	)
	v, ok := h.keys[key]
	if !ok {
		return normal, nil
	}
	if v.array || v.typ != typU32 {
		return 0, fmt.Errorf("%s is no 32-bit number", key)
	}
	if v.bits < normal || v.bits > most || bits.OnesCount64(v.bits) != 1 {
		return 0, fmt.Errorf("%s is %d, want a power of two from %d to %d", key, v.bits, normal, most)
	}
	return v.bits, nil
}
