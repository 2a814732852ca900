package llama

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"winnow/internal/tinygguf"
)

// rawGGUF is a model's file in parts that can be changed one by one, sound or
// not: nothing is checked when it is put together.
type rawGGUF struct {
	magic   string
	version uint32
	nTensor *uint64 // what the header says, if not the truth
	nKeys   *uint64
	keys    []rawKey
	tensors []rawTensor
	align   int // of the weights
	weights []byte
}

// rawKey is a key with the bytes of its value.
type rawKey struct {
	name    string
	nameLen *uint64 // what the header says, if not the truth
	typ     uint32
	body    []byte // behind the type
}

type rawTensor struct {
	name    string
	nameLen *uint64
	nDims   *uint32
	dims    []uint64
	typ     uint32
	offset  uint64
}

// parseRaw takes a sound file apart.
func parseRaw(b []byte) *rawGGUF {
	whole := b
	take := func(n int) []byte { head := b[:n]; b = b[n:]; return head }
	u32 := func() uint32 { return binary.LittleEndian.Uint32(take(4)) }
	u64 := func() uint64 { return binary.LittleEndian.Uint64(take(8)) }
	str := func() string { return string(take(int(u64()))) }
	g := &rawGGUF{magic: string(take(4)), version: u32(), align: 32}
	tensors, keys := u64(), u64()
	for range keys {
		k := rawKey{name: str(), typ: u32()}
		begin := b
		skip := func(typ uint32) {
			if typ == uint32(typString) {
				str()
			} else {
				take(int(typeBytes[typ]))
			}
		}
		if k.typ == uint32(typArray) {
			item := u32()
			for range u64() {
				skip(item)
			}
		} else {
			skip(k.typ)
		}
		k.body = begin[:len(begin)-len(b)]
		g.keys = append(g.keys, k)
	}
	for range tensors {
		t := rawTensor{name: str()}
		for range u32() {
			t.dims = append(t.dims, u64())
		}
		t.typ, t.offset = u32(), u64()
		g.tensors = append(g.tensors, t)
	}
	at := len(whole) - len(b)
	g.weights = whole[(at+31)/32*32:]
	return g
}

// clone returns a copy whose parts can be changed. The weights are shared.
func (g *rawGGUF) clone() *rawGGUF {
	c := *g
	c.keys = slices.Clone(g.keys)
	c.tensors = slices.Clone(g.tensors)
	for i := range c.tensors {
		c.tensors[i].dims = slices.Clone(c.tensors[i].dims)
	}
	return &c
}

// bytes puts the file together. The second result is the header's length.
func (g *rawGGUF) bytes() ([]byte, int) {
	le := binary.LittleEndian
	str := func(b []byte, s string, n *uint64) []byte {
		length := uint64(len(s))
		if n != nil {
			length = *n
		}
		return append(le.AppendUint64(b, length), s...)
	}
	or := func(said *uint64, is int) uint64 {
		if said != nil {
			return *said
		}
		return uint64(is)
	}
	b := le.AppendUint32([]byte(g.magic), g.version)
	b = le.AppendUint64(b, or(g.nTensor, len(g.tensors)))
	b = le.AppendUint64(b, or(g.nKeys, len(g.keys)))
	for _, k := range g.keys {
		b = str(b, k.name, k.nameLen)
		b = append(le.AppendUint32(b, k.typ), k.body...)
	}
	for _, t := range g.tensors {
		b = str(b, t.name, t.nameLen)
		n := uint32(len(t.dims))
		if t.nDims != nil {
			n = *t.nDims
		}
		b = le.AppendUint32(b, n)
		for _, d := range t.dims {
			b = le.AppendUint64(b, d)
		}
		b = le.AppendUint64(le.AppendUint32(b, t.typ), t.offset)
	}
	head := len(b)
	if g.align > 0 {
		b = append(b, make([]byte, (g.align-head%g.align)%g.align)...)
	}
	return append(b, g.weights...), head
}

// lay gives each tensor the place that its type and shape ask for, with zeros
// for what the weights lack. It does nothing if that would be large.
func (g *rawGGUF) lay() {
	const most = 8 << 20
	offsets, end := make([]uint64, len(g.tensors)), uint64(0)
	for i, t := range g.tensors {
		size, err := sizeOf(t.name, t.dims, ggmlType(t.typ))
		if err != nil || size > most || end > most || g.align <= 0 {
			return
		}
		offsets[i] = end
		a := uint64(g.align)
		end += (size + a - 1) / a * a
	}
	for i := range g.tensors {
		g.tensors[i].offset = offsets[i]
	}
	if n := int(end) - len(g.weights); n > 0 {
		g.weights = append(slices.Clip(g.weights), make([]byte, n)...)
	}
}

// set gives a key a value, whether the key is there or not.
func (g *rawGGUF) set(name string, typ uint32, body []byte) {
	k := rawKey{name: name, typ: typ, body: body}
	if i := g.find(name); i >= 0 {
		g.keys[i] = k
		return
	}
	g.keys = append(g.keys, k)
}

func (g *rawGGUF) find(name string) int {
	return slices.IndexFunc(g.keys, func(k rawKey) bool { return k.name == name })
}

func (g *rawGGUF) remove(name string) {
	g.keys = slices.DeleteFunc(g.keys, func(k rawKey) bool { return k.name == name })
}

// tensor returns the tensor of a name.
func (g *rawGGUF) tensor(t testing.TB, name string) *rawTensor {
	t.Helper()
	i := slices.IndexFunc(g.tensors, func(t rawTensor) bool { return t.name == name })
	if i < 0 {
		t.Fatalf("the model has no tensor %s", name)
	}
	return &g.tensors[i]
}

// Bodies of values.
func rawU16(x uint16) []byte { return binary.LittleEndian.AppendUint16(nil, x) }
func rawU32(x uint32) []byte { return binary.LittleEndian.AppendUint32(nil, x) }
func rawU64(x uint64) []byte { return binary.LittleEndian.AppendUint64(nil, x) }
func rawF32(x float32) []byte {
	return rawU32(math.Float32bits(x))
}
func rawString(s string) []byte { return append(rawU64(uint64(len(s))), s...) }

// rawArray is the body of an array with n items, as it says.
func rawArray(item typ, n uint64, items ...[]byte) []byte {
	return append(append(rawU32(uint32(item)), rawU64(n)...), slices.Concat(items...)...)
}

// smallModel is a tiny model that is quick to load.
func smallModel(kind tinygguf.Tokenizer, arch string) tinygguf.Options {
	return tinygguf.Options{Tokenizer: kind, Arch: arch, Embd: 32, Heads: 4, HeadsKV: 2, FF: 64, Ctx: 512}
}

// TestRaw checks that taking apart and putting together gives the same bytes.
func TestRaw(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		whole := tinyBytes(t, kind)
		g := parseRaw(whole)
		if b, _ := g.clone().bytes(); !slices.Equal(b, whole) {
			t.Errorf("%d bytes become %d others", len(whole), len(b))
		}
		before := slices.Clone(g.tensors)
		if g.lay(); len(g.tensors) != len(before) || g.tensors[len(before)-1].offset != before[len(before)-1].offset {
			t.Error("laying a sound file anew moves its tensors")
		}
	})
}
