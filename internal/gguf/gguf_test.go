package gguf

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	parser "github.com/gpustack/gguf-parser-go"
)

// TestHeader reads a header back with an independent parser.
func TestHeader(t *testing.T) {
	kv := []Pair{
		{"general.architecture", "llama"},
		{"a.uint", uint32(7)},
		{"a.float", float32(0.5)},
		{"a.bool", true},
		{"a.ints", []int32{1, -2}},
		{"a.floats", []float32{0.25}},
		{"a.strings", []string{"x", "Ġy", ""}},
	}
	var tensors []Tensor
	for i, typ := range []Type{F32, F16, Q5_0, Q8_0, Q4_K, Q6_K} {
		tensors = append(tensors, Tensor{Name: strings.Repeat("t", i+1), Shape: []int{256, 3}, Type: typ})
	}
	tensors = append(tensors, Tensor{Name: "norm", Shape: []int{5}, Type: F32}, Tensor{Name: "last", Shape: []int{1}, Type: F32})
	b, err := Header(kv, tensors)
	if err != nil {
		t.Fatal(err)
	}
	if len(b)%Alignment != 0 {
		t.Errorf("%d bytes, want a multiple of %d", len(b), Alignment)
	}
	path := filepath.Join(t.TempDir(), "m.gguf")
	end := int64(len(b))
	for _, ten := range tensors {
		end += Aligned(ten.Size())
	}
	if err := os.WriteFile(path, append(b, make([]byte, end-int64(len(b)))...), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := parser.ParseGGUFFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if f.TensorDataStartOffset != int64(len(b)) {
		t.Errorf("data starts at %d, want %d", f.TensorDataStartOffset, len(b))
	}
	for _, c := range []struct {
		key  string
		want any
	}{{"a.uint", uint32(7)}, {"a.float", float32(0.5)}, {"a.bool", true}, {"general.architecture", "llama"}} {
		if got, ok := f.Header.MetadataKV.Get(c.key); !ok || got.Value != c.want {
			t.Errorf("%s is %v, want %v", c.key, got.Value, c.want)
		}
	}
	for key, want := range map[string][]any{"a.ints": {int32(1), int32(-2)}, "a.floats": {float32(0.25)}, "a.strings": {"x", "Ġy", ""}} {
		got, _ := f.Header.MetadataKV.Get(key)
		for i, x := range got.ValueArray().Array {
			if x != want[i] {
				t.Errorf("%s[%d] is %v, want %v", key, i, x, want[i])
			}
		}
	}
	offset := uint64(0)
	for i, ti := range f.TensorInfos {
		want := tensors[i]
		if ti.Name != want.Name || ti.Type.String() != want.Type.String() || int64(ti.Bytes()) != want.Size() || ti.Offset != offset {
			t.Errorf("tensor %d is %s %v of %d bytes at %d, want %s %v of %d bytes at %d",
				i, ti.Name, ti.Type, ti.Bytes(), ti.Offset, want.Name, want.Type, want.Size(), offset)
		}
		if trait, _ := ti.Type.Trait(); want.Type.Block() != int(trait.BlockSize) || want.Type.BlockBytes() != int(trait.TypeSize) {
			t.Errorf("%v: blocks of %d weights in %d bytes, want %+v", want.Type, want.Type.Block(), want.Type.BlockBytes(), trait)
		}
		offset += uint64(Aligned(want.Size()))
	}
	if !bytes.HasPrefix(b, []byte("GGUF\x03\x00\x00\x00")) {
		t.Errorf("the header begins with %q", b[:8])
	}
}

func TestHeaderError(t *testing.T) {
	_, err := Header([]Pair{{"a.b", 7}}, nil)
	if err == nil || !strings.Contains(err.Error(), "key a.b: no GGUF type for int") {
		t.Errorf("error %v", err)
	}
}

func TestHalf(t *testing.T) {
	for _, c := range []struct {
		x    float64
		want uint16
	}{
		{0, 0x0000}, {math.Copysign(0, -1), 0x8000}, {1, 0x3c00}, {-2, 0xc000},
		{0.5, 0x3800}, {1.0 / 3, 0x3555}, {4, 0x4400}, {65504, 0x7bff},
		{65519, 0x7bff}, {65520, 0x7c00}, {math.Inf(-1), 0xfc00}, {math.NaN(), 0x7e00},
		{0x1p-24, 0x0001}, {0x1p-25, 0x0000}, {0x1.8p-24, 0x0002}, {0x1p-14, 0x0400},
		{0x1.ff8p-15, 0x03ff}, {0x1.fffp-15, 0x0400},
		{1 + 0x1p-11, 0x3c00}, {1 + 0x1.8p-10, 0x3c02}, {2 - 0x1p-12, 0x4000},
	} {
		if got := Half(float32(c.x)); got != c.want {
			t.Errorf("Half(%v) = %#04x, want %#04x", c.x, got, c.want)
		}
	}
}
