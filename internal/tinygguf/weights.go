package tinygguf

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"

	"winnow/internal/gguf"
)

// tensor is one tensor of the model.
type tensor struct {
	gguf.Tensor
	std float64 // of the random weights; 0 makes them all 1

	// fix, if set, changes weights after they are drawn.
	fix func(w []float32)
}

// The residual stream carries four dimensions that no block writes to. The
// output reads from them what may follow: a rating, a space before it, or a
// point inside it.
const (
	dimOne   = iota // set for every token: through it the output has a bias
	dimSpace        // set for the bare space
	dimDigit        // set for the digits 0 to 9
	dimPoint        // set for "."
	fixedDims
)

// Gains: the standard deviation of what a matrix makes of an input of unit
// variance. They are tuned so that attention looks at a few tokens rather than
// at the average of all, and outweighs the last token's own embedding: then a
// record's text decides the logits.
const (
	gainQK   = 2.2
	gainV    = 2.0
	gainUp   = 1.0
	gainDown = 2.0
	gainOut  = 1.5

	spread    = 1.5 // makes ratings differ more than other tokens do
	moreSpace = 3.2 // logit of a space over DigitBias, so that a rating may also stand after a space
	morePoint = 3.5 // logit of a point after a digit over DigitBias

	flag      = 4.0 // a fixed dimension where it is set; other embedding weights have deviation 1
	finalNorm = 2.5 // about the root mean square of the residual stream at its end
)

// tensors lists the model's tensors in the order of the file.
func (o Options) tensors(v *vocab) []tensor {
	n := len(v.tokens)
	typ := gguf.F32
	if o.F16 {
		typ = gguf.F16
	}
	matrix := func(name string, in, out int, gain float64) tensor {
		return tensor{Tensor: gguf.Tensor{Name: name, Shape: []int{in, out}, Type: typ}, std: gain / math.Sqrt(float64(in))}
	}
	// residual is a matrix that writes to the residual stream.
	residual := func(name string, in int, gain float64) tensor {
		t := matrix(name, in, o.Embd, gain)
		t.fix = func(w []float32) { clear(w[:fixedDims*in]) }
		return t
	}
	norm := func(name string) tensor { return tensor{Tensor: gguf.Tensor{Name: name, Shape: []int{o.Embd}}} }

	embd := matrix("token_embd.weight", o.Embd, n, math.Sqrt(float64(o.Embd)))
	embd.fix = func(w []float32) {
		for id := range n {
			row := w[id*o.Embd:]
			clear(row[:fixedDims])
			row[dimOne] = flag
			switch v.tokens[id].Text {
			case v.space:
				row[dimSpace] = flag
			case ".":
				row[dimPoint] = flag
			case "0", "1", "2", "3", "4", "5", "6", "7", "8", "9":
				row[dimDigit] = flag
			}
		}
	}
	output := matrix("output.weight", o.Embd, n, gainOut)
	output.fix = func(w []float32) {
		const unit = finalNorm / flag // weight that raises a logit by about 1
		raise := float32(o.DigitBias * unit)
		for id := range n {
			row := w[id*o.Embd:]
			clear(row[:fixedDims])
			switch v.tokens[id].Text {
			case v.space:
				clear(row[:o.Embd])
				row[dimOne] = raise + moreSpace*unit
				for _, d := range []int{dimSpace, dimDigit, dimPoint} {
					row[d] = -row[dimOne] // a rating has begun
				}
			case ".":
				clear(row[:o.Embd])
				row[dimDigit] = raise + morePoint*unit
			case "0", "1", "2", "3", "4", "5":
				for i := range row[:o.Embd] {
					row[i] *= spread
				}
				row[dimOne] = raise
			}
		}
	}

	list := []tensor{embd}
	kv := o.Embd / o.Heads * o.HeadsKV
	for i := range o.Layers {
		name := func(part string) string { return fmt.Sprintf("blk.%d.%s.weight", i, part) }
		list = append(list,
			norm(name("attn_norm")),
			matrix(name("attn_q"), o.Embd, o.Embd, gainQK),
			matrix(name("attn_k"), o.Embd, kv, gainQK),
			matrix(name("attn_v"), o.Embd, kv, gainV),
			residual(name("attn_output"), o.Embd, 1),
			norm(name("ffn_norm")),
			matrix(name("ffn_gate"), o.Embd, o.FF, gainUp),
			matrix(name("ffn_up"), o.Embd, o.FF, gainUp),
			residual(name("ffn_down"), o.FF, gainDown),
		)
	}
	return append(list, norm("output_norm.weight"), output)
}

// weights returns the tensor's numbers. They depend on seed and name alone, so
// that a change of one tensor leaves the others as they are.
func (t tensor) weights(seed uint64) []float32 {
	w := make([]float32, t.Count())
	if t.std == 0 {
		for i := range w {
			w[i] = 1
		}
		return w
	}
	h := fnv.New64a()
	h.Write([]byte(t.Name)) // never fails
	r := splitmix{seed ^ h.Sum64()}
	for i := range w {
		w[i] = float32(r.normal() * t.std)
	}
	if t.fix != nil {
		t.fix(w)
	}
	return w
}

// data returns the weights as they stand in the file, padded.
func (t tensor) data(seed uint64) []byte {
	b := make([]byte, 0, gguf.Aligned(t.Size()))
	for _, x := range t.weights(seed) {
		if t.Type == gguf.F16 {
			b = binary.LittleEndian.AppendUint16(b, gguf.Half(x))
		} else {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
	}
	return b[:cap(b)]
}

// splitmix is Steele, Lea and Flood's SplitMix64 generator (OOPSLA 2014).
type splitmix struct{ state uint64 }

func (r *splitmix) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// normal returns a number of mean 0 and deviation 1 that is nearly normally
// distributed: the sum of four uniform ones. It is integer arithmetic up to one
// division, so that every machine gets the same bits.
func (r *splitmix) normal() float64 {
	const (
		mean = 4 * 65535 / 2
		std  = 37837.2 // sqrt(4 * (65536² - 1) / 12)
	)
	x := r.next()
	sum := int64(x&0xffff) + int64(x>>16&0xffff) + int64(x>>32&0xffff) + int64(x>>48)
	return float64(sum-mean) / std
}
