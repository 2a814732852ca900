package llama

import (
	"fmt"
	"slices"
)

// attention is what a model's attention is computed with.
type attention struct {
	arch      string
	heads, kv []uint64 // of each layer: heads, and heads of keys and values
	key, val  uint64   // size of a head's keys and values; 0 if it is not known
}

// perLayer returns a number for each layer, or nil if the key is not there.
func (p keysOf) perLayer(name string, layers uint32) ([]uint64, error) {
	key := p.prefix + name
	v, ok := p.h.keys[key]
	switch {
	case !ok:
		return nil, nil
	case !v.array:
		if v.typ != typU32 {
			return nil, fmt.Errorf("%s is no 32-bit number", key)
		}
		return slices.Repeat([]uint64{v.bits}, int(layers)), nil
	case v.typ != typU32 && v.typ != typI32:
		return nil, fmt.Errorf("%s holds items of type %v, want %v", key, v.typ, typU32)
	case v.n != uint64(layers):
		return nil, fmt.Errorf("%s has %d items for %d layers", key, v.n, layers)
	}
	return v.few, nil
}

// attention returns what attention and its positions are computed with, checked.
func (p keysOf) attention(layers uint32) (a attention, err error) {
	a.arch = p.arch
	if a.heads, err = p.perLayer("attention.head_count", layers); err != nil {
		return a, err
	}
	if a.heads == nil {
		return a, fmt.Errorf("%sattention.head_count is missing", p.prefix)
	}
	if a.kv, err = p.perLayer("attention.head_count_kv", layers); err != nil {
		return a, err
	}
	if a.kv == nil {
		a.kv = a.heads
	}
	free := slices.Contains(variable, p.arch)
	for i, n := range a.heads {
		switch kv := a.kv[i]; {
		case n > maxWidth || kv > n || n == 0 && !free || kv == 0 && !free || kv > 0 && n%kv != 0:
			return a, fmt.Errorf("layer %d has %d heads and %d for keys and values (%sattention.head_count, head_count_kv): want a multiple", i, n, kv, p.prefix)
		case !free && (n != a.heads[0] || kv != a.kv[0]):
			return a, fmt.Errorf("layer %d has %d heads and %d for keys and values, layer 0 has %d and %d: in the architecture %s all layers are alike", i, n, kv, a.heads[0], a.kv[0], p.arch)
		}
	}
	width, ok := p.u32("embedding_length")
	if !ok || a.heads[0] == 0 {
		return a, nil // llama.cpp refuses the first, and computes no heads of the second
	}
	if a.key, err = p.headSize("attention.key_length", uint64(width)/a.heads[0]); err != nil {
		return a, err
	}
	if a.val, err = p.headSize("attention.value_length", uint64(width)/a.heads[0]); err != nil {
		return a, err
	}
	if a.key != a.val && !slices.Contains(twoSizes, p.arch) {
		return a, fmt.Errorf("%sattention.key_length is %d and value_length %d: in the architecture %s they are alike", p.prefix, a.key, a.val, p.arch)
	}
	if x, ok := p.u32("rope.dimension_count"); ok {
		turned := uint64(x)
		if turned < 2 || turned%2 != 0 || turned > a.key || turned != a.val && slices.Contains(wholeRope, p.arch) {
			return a, fmt.Errorf("%srope.dimension_count is %d for heads of size %d", p.prefix, turned, a.key)
		}
	}
	return a, nil
}

// headSize returns the size of a head by a key, or by the model's width if the key
// is not there.
func (p keysOf) headSize(name string, byWidth uint64) (uint64, error) {
	x, ok := p.u32(name)
	size := uint64(x)
	if !ok {
		if _, wrong := p.h.keys[p.prefix+name]; wrong {
			return 0, fmt.Errorf("%s%s is no 32-bit number", p.prefix, name)
		}
		size = byWidth
	}
	if size < 2 || size > maxHead || size%2 != 0 {
		return 0, fmt.Errorf("heads have the size %d (%s%s, or embedding_length by head_count), want an even number from 2 to %d", size, p.prefix, name, maxHead)
	}
	return size, nil
}

// shapes checks that the matrices of attention make as many heads as the keys
// say: for some architectures llama.cpp compares them with the model's width.
func (a attention) shapes(byName map[string]tensor) error {
	if a.key == 0 || slices.Contains(twoSizes, a.arch) {
		return nil
	}
	for i, n := range a.heads {
		kv := a.kv[i]
		for _, m := range []struct {
			part string
			dim  int
			want uint64
		}{
			{"attn_q", 1, n * a.key},
			{"attn_k", 1, kv * a.key},
			{"attn_v", 1, kv * a.val},
			{"attn_qkv", 1, n*a.key + kv*(a.key+a.val)},
			{"attn_output", 0, n * a.val},
		} {
			name := fmt.Sprintf("blk.%d.%s.weight", i, m.part)
			t, ok := byName[name]
			if !ok || n == 0 || kv == 0 {
				continue
			}
			if m.dim >= len(t.dims) || t.dims[m.dim] != m.want {
				return fmt.Errorf("tensor %s has the shape %d, want %d in dimension %d: %d heads of size %d, %d for keys and values", name, t.dims, m.want, m.dim+1, n, a.key, kv)
			}
		}
	}
	return nil
}
