package synthetic

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"

	"winnow/internal/gguf"
)

// A row of a tensor is drawn from a generator of its own, so that rows can be
// drawn side by side and equal seeds give equal bytes. Matrices get weights of
// mean 0 and deviation 1/sqrt(row length), nearly normally distributed: an input
// of unit variance gives an output of unit variance, in every layer and format.
// Quantized rows are drawn as blocks, with the spread of levels that quantizing
// normal weights gives; no weight is ever quantized.

// rower draws the rows of one tensor.
type rower struct {
	tensor gguf.Tensor
	seed   uint64
	stream uint64 // one a tensor
	fill   fill
}

// fill draws a row, or any number of whole blocks of it.
type fill func(dst []byte, r *rand.PCG)

// newRower prepares drawing t. Tensors with rows of one kind share a function
// and its tables, which are in fills.
func (s Shape) newRower(t gguf.Tensor, seed uint64, fills map[string]fill) rower {
	h := fnv.New64a()
	h.Write([]byte(t.Name)) // never fails
	kind := fmt.Sprint(t.Type, t.Shape[0])
	if t.Type == gguf.F32 {
		kind = t.Name
	}
	f, ok := fills[kind]
	if !ok {
		f = s.newFill(t)
		fills[kind] = f
	}
	return rower{tensor: t, seed: seed, stream: h.Sum64(), fill: f}
}

// newFill returns the function that draws rows of t.
func (s Shape) newFill(t gguf.Tensor) fill {
	std := 1 / math.Sqrt(float64(t.Shape[0]))
	switch t.Type {
	case gguf.F16:
		return fillF16(std)
	case gguf.Q8_0:
		return fillQ80(std)
	case gguf.Q5_0:
		return fillQ50(std)
	case gguf.Q4_K:
		return fillQ4K(std)
	case gguf.Q6_K:
		return fillQ6K(std)
	case gguf.F32:
		switch {
		case t.Name == ropeFreqs:
			return s.fillRopeFreqs
		case strings.HasSuffix(t.Name, ".bias"):
			return fillF32(0, 0.1)
		}
		return fillF32(1, 0.1) // a norm
	}
	panic(fmt.Sprintf("synthetic: no weights of type %v", t.Type))
}

// rowBytes returns the bytes of a row.
func (w rower) rowBytes() int { return int(w.tensor.Type.Size(int64(w.tensor.Shape[0]))) }

// rows returns the number of rows.
func (w rower) rows() int { return int(w.tensor.Count()) / w.tensor.Shape[0] }

// row draws one row into dst.
func (w rower) row(dst []byte, i int) {
	w.fill(dst, rand.NewPCG(w.seed, w.stream+uint64(i)))
}

// quantile returns the value below which a share p of normal numbers lies.
func quantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// fillF16 looks up each 16 random bits in a table of normal quantiles.
func fillF16(std float64) fill {
	table := make([]uint16, 1<<16)
	for i := range table {
		table[i] = gguf.Half(float32(std * quantile((float64(i)+0.5)/(1<<16))))
	}
	return func(dst []byte, r *rand.PCG) {
		for len(dst) >= 8 {
			x := r.Uint64()
			y := uint64(table[x&0xffff]) | uint64(table[x>>16&0xffff])<<16 |
				uint64(table[x>>32&0xffff])<<32 | uint64(table[x>>48])<<48
			binary.LittleEndian.PutUint64(dst, y)
			dst = dst[8:]
		}
	}
}

func fillF32(mean, std float64) fill {
	return func(dst []byte, r *rand.PCG) {
		for ; len(dst) > 0; dst = dst[4:] {
			p := (float64(r.Uint64()>>48) + 0.5) / (1 << 16)
			binary.LittleEndian.PutUint32(dst, math.Float32bits(float32(mean+std*quantile(p))))
		}
	}
}

// levels maps a random byte to a level: center plus a normal number of the given
// deviation, rounded. It also returns the deviation of what comes out.
func levels(center, std float64) (table [256]byte, deviation float64) {
	for i := range table {
		q := math.Round(center + std*quantile((float64(i)+0.5)/256))
		table[i] = byte(int8(q))
		deviation += (q - center) * (q - center) / 256
	}
	return table, math.Sqrt(deviation)
}

// Deviations of levels: so large that the outermost quantiles, of bytes or for
// 4 bits of half bytes, are the outermost levels or the next to them.
const (
	devQ80 = 44.0 // 8 bits, -127 to 127
	devQ6K = 10.8 // 6 bits, 1 to 63 around 32
	devQ50 = 5.2  // 5 bits, 1 to 31 around 16
	devQ4K = 3.6  // 4 bits, 1 to 14 around 7.5
)

// random fills b with random bytes mapped through the table.
func random(b []byte, r *rand.PCG, table *[256]byte) {
	for ; len(b) >= 8; b = b[8:] {
		x := r.Uint64()
		for i := range 8 {
			b[i] = table[byte(x>>(8*i))]
		}
	}
}

// fillQ80 draws blocks of a scale and 32 levels of 8 bits.
func fillQ80(std float64) fill {
	table, dev := levels(0, devQ80)
	d := gguf.Half(float32(std / dev))
	return func(dst []byte, r *rand.PCG) {
		for ; len(dst) > 0; dst = dst[34:] {
			binary.LittleEndian.PutUint16(dst, d)
			random(dst[2:34], r, &table)
		}
	}
}

// fillQ50 draws blocks of a scale, the fifth bits and the low four bits of 32
// levels. A byte of the low bits holds levels i and i+16.
func fillQ50(std float64) fill {
	table, dev := levels(16, devQ50)
	d := gguf.Half(float32(std / dev))
	return func(dst []byte, r *rand.PCG) {
		var q [32]byte
		for ; len(dst) > 0; dst = dst[22:] {
			random(q[:], r, &table)
			high := uint32(0)
			for i := range 16 {
				a, b := q[i], q[i+16]
				dst[6+i] = a&15 | b&15<<4
				high |= uint32(a>>4)<<i | uint32(b>>4)<<(i+16)
			}
			binary.LittleEndian.PutUint16(dst, d)
			binary.LittleEndian.PutUint32(dst[2:], high)
		}
	}
}

// Scales of the parts of a block of 256 are drawn evenly from 32 to 63, so that
// parts differ in size as those of real weights do.
const (
	scaleMin  = 32
	scaleMask = 31
)

// scaleRMS returns the root mean square of such a scale.
func scaleRMS() float64 {
	sum := 0.0
	for i := range scaleMask + 1 {
		sum += float64((scaleMin + i) * (scaleMin + i))
	}
	return math.Sqrt(sum / (scaleMask + 1))
}

// fillQ4K draws blocks of two scales, eight scales and eight minima of 6 bits,
// and 256 levels of 4 bits. The weight is d·scale·level - dmin·minimum; with
// equal scale and minimum and dmin = 7.5 d its mean is 0.
func fillQ4K(std float64) fill {
	table, dev := levels4()
	d := std / (dev * scaleRMS())
	half, halfMin := gguf.Half(float32(d)), gguf.Half(float32(7.5*d))
	return func(dst []byte, r *rand.PCG) {
		for ; len(dst) > 0; dst = dst[144:] {
			binary.LittleEndian.PutUint16(dst, half)
			binary.LittleEndian.PutUint16(dst[2:], halfMin)
			x := r.Uint64()
			for i := range 4 { // get_scale_min_k4 in ggml-quants.c reads them
				low := byte(scaleMin + x>>(5*i)&scaleMask)
				high := byte(scaleMin + x>>(5*i+20)&scaleMask)
				dst[4+i] = low | high>>4<<6   // scale i, upper bits of scale i+4
				dst[8+i] = low | high>>4<<6   // minimum i, upper bits of minimum i+4
				dst[12+i] = high&15 | high<<4 // lower bits of scale and minimum i+4
			}
			random(dst[16:144], r, &table)
		}
	}
}

// levels4 maps a random byte to two levels of 4 bits. Half a byte gives a level,
// so the sixteen outcomes are the quantiles of sixteenths.
func levels4() (table [256]byte, deviation float64) {
	const center = 7.5
	var level [16]byte
	for i := 8; i < 16; i++ { // the lower half mirrors the upper, so that the mean is the center
		q := math.Floor(center + 0.5 + devQ4K*quantile((float64(i)+0.5)/16))
		level[i], level[15-i] = byte(q), byte(2*center-q)
		deviation += 2 * (q - center) * (q - center) / 16
	}
	for i := range table {
		table[i] = level[i&15] | level[i>>4]<<4
	}
	return table, math.Sqrt(deviation)
}

// fillQ6K draws blocks of 256 levels of 6 bits, 16 scales of 8 bits and one over
// them all. Of each 128 levels, level l + 32k has its low bits in byte
// l + 32(k mod 2) of ql, and its high two in byte l of qh at bit 2k.
func fillQ6K(std float64) fill {
	table, dev := levels(32, devQ6K)
	d := gguf.Half(float32(std / (dev * scaleRMS())))
	return func(dst []byte, r *rand.PCG) {
		var q [128]byte
		for ; len(dst) > 0; dst = dst[210:] {
			for part := range 2 {
				low, high := dst[64*part:], dst[128+32*part:]
				random(q[:], r, &table)
				for l := range 32 {
					a, b, c, d := q[l], q[l+32], q[l+64], q[l+96]
					low[l] = a&15 | c&15<<4
					low[l+32] = b&15 | d&15<<4
					high[l] = a>>4 | b>>4<<2 | c>>4<<4 | d>>4<<6
				}
			}
			x, y := r.Uint64(), r.Uint64()
			for i := range 8 {
				dst[192+i] = byte(scaleMin + x>>(5*i)&scaleMask)
				dst[200+i] = byte(scaleMin + y>>(5*i)&scaleMask)
			}
			binary.LittleEndian.PutUint16(dst[208:], d)
		}
	}
}

// ropeFreqs names the tensor of factors that stretch the slow rotations of
// Llama 3.1 for a long context.
const ropeFreqs = "rope_freqs.weight"

// fillRopeFreqs computes them by the rule of Llama 3.1's rope_scaling, with its
// numbers: wavelengths over the old context are stretched by the factor, short
// ones left alone, those between stretched in part.
func (s Shape) fillRopeFreqs(dst []byte, _ *rand.PCG) {
	const (
		factor          = 8.0
		low, high       = 1.0, 4.0
		originalContext = 8192.0
	)
	for i := range len(dst) / 4 {
		wavelength := 2 * math.Pi * math.Pow(float64(s.RopeBase), 2*float64(i)/float64(s.headWidth()))
		stretch := factor
		switch {
		case wavelength < originalContext/high:
			stretch = 1
		case wavelength <= originalContext/low:
			smooth := (originalContext/wavelength - low) / (high - low)
			stretch = 1 / ((1-smooth)/factor + smooth)
		}
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(float32(stretch)))
	}
}
