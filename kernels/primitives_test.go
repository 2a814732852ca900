package kernels

import (
	"context"
	"math"
	"math/bits"
	"testing"
)

type primitivesLaunchers struct {
	Run    func(out, product, a, b, counter devicePtr, stream uintptr) int32  `symbol:"winnow_primitives"`
	Halves func(wide, back, out, in devicePtr, n int32, stream uintptr) int32 `symbol:"winnow_halves"`
}

// halfToFloat is the definition of a half.
func halfToFloat(h uint16) float64 {
	sign, exponent, fraction := 1.0, int(h>>10&31), float64(h&0x3ff)
	if h>>15 == 1 {
		sign = -1
	}
	switch exponent {
	case 0:
		return sign * fraction * math.Ldexp(1, -24)
	case 31:
		if fraction != 0 {
			return math.NaN()
		}
		return sign * math.Inf(1)
	}
	return sign * math.Ldexp(1+fraction/1024, exponent-15)
}

// TestPrimitives compares what CUDA gives, or the emulation, with what it must.
func TestPrimitives(t *testing.T) {
	const words = 16
	d := openEmulated(t)
	a, b := make([]uint16, 256), make([]uint16, 256)
	for i := range a { // 0x3c00 is 1: each bit above it is 1/1024
		a[i], b[i] = 0x3c00+uint16(i*7%256), 0xbc00+uint16(i*13%512)
	}
	for round := range 2 { // the emulation runs one forwards and one backwards
		out, product, counter := make([]uint32, 64*words), make([]float32, 256), make([]uint32, 3)
		err := d.run(context.Background(), "primitives", func(s *session) error {
			fns, err := launchers[primitivesLaunchers](s.lib)
			if err != nil {
				return err
			}
			var at [5]devicePtr
			for i, bytes := range []int{len(out) * 4, len(product) * 4, 512, 512, 12} {
				if at[i], err = s.alloc(bytes); err != nil {
					return err
				}
			}
			if err := uploadSlice(s, at[2], a); err != nil {
				return err
			}
			if err := uploadSlice(s, at[3], b); err != nil {
				return err
			}
			if err := s.fill(at[4], 0, 12); err != nil {
				return err
			}
			if err := s.launch("winnow_primitives", fns.Run(at[0], at[1], at[2], at[3], at[4], s.stream)); err != nil {
				return err
			}
			if err := downloadSlice(s, out, at[0]); err != nil {
				return err
			}
			if err := downloadSlice(s, product, at[1]); err != nil {
				return err
			}
			return downloadSlice(s, counter, at[4])
		})
		if err != nil {
			t.Fatal(err)
		}
		if counter[0] != 64 || counter[1] != 93 || counter[2] != 7 {
			t.Errorf("round %d: atomics gave %d", round, counter)
		}
		for thread := range 64 {
			for i, want := range wantPrimitives(thread) {
				if got := out[thread*words+i]; got != want {
					t.Errorf("round %d, thread %d, word %d: %#x, want %#x", round, thread, i, got, want)
				}
			}
		}
		for i := range product {
			want := 1.0
			for k := range 16 { // b is stored by columns
				want += halfToFloat(a[i/16*16+k]) * halfToFloat(b[i%16*16+k])
			}
			if want /= 2; !(math.Abs(float64(product[i])-want) <= 1e-4) {
				t.Errorf("round %d: product[%d] is %g, want %g", round, i, product[i], want)
			}
		}
	}
}

// wantPrimitives returns the words of one thread of the kernel.
func wantPrimitives(thread int) [16]uint32 {
	lane := uint32(thread % 32)
	w := [16]uint32{0: uint32((63 - thread) * (63 - thread)), 1: 1, 2: 1}
	if thread >= 32 {
		if lane%2 == 0 {
			w[3], w[4], w[5] = lane^2, 0x55550000, 40
		}
		return w
	}
	w[3] = (lane + 1) % 32 * 10
	w[4], w[5] = lane, lane
	if lane >= 3 {
		w[4] = lane - 3
	}
	if lane < 29 {
		w[5] = lane + 3
	}
	w[6] = lane ^ 5
	w[7] = lane
	if lane%8 < 6 {
		w[7] = lane + 2
	}
	w[8] = 0x49249249
	w[9] = 1
	w[10] = 9
	first := uint32(bits.TrailingZeros32(lane) + 1)
	if lane == 0 {
		first = 0
	}
	w[11] = uint32(bits.OnesCount32(lane)) | uint32(bits.LeadingZeros32(lane))<<8 | first<<16
	w[12] = math.Float32bits(float32(math.Ldexp(1, -11) + math.Ldexp(1, -24)))
	w[13] = math.Float32bits(float32(math.Ldexp(1, -11)))
	w[14] = 3
	w[15] = lane + 16*(3+2-1+1)
	return w
}

// TestHalves checks every half, and the rounding of floats between two of them.
func TestHalves(t *testing.T) {
	d := openEmulated(t)
	var in []float32
	var want []uint16
	add := func(f float64, h uint16) {
		in, want = append(in, float32(f), float32(-f)), append(want, h, h|0x8000)
	}
	for h := uint16(0); h < 0x7bff; h += 1 + h%5 {
		low, high := halfToFloat(h), halfToFloat(h+1)
		even := h + h%2 // a tie goes to the even one
		add((low+high)/2, even)
		add(low+(high-low)*0.49, h)
		add(low+(high-low)*0.51, h+1)
	}
	add(65519, 0x7bff)
	add(65520, 0x7c00)
	add(1e30, 0x7c00)
	add(math.Inf(1), 0x7c00)
	add(1e-30, 0)
	wide, back, out := make([]float32, 65536), make([]uint16, 65536), make([]uint16, len(in))
	err := d.run(context.Background(), "halves", func(s *session) error {
		fns, err := launchers[primitivesLaunchers](s.lib)
		if err != nil {
			return err
		}
		var at [4]devicePtr
		for i, bytes := range []int{len(wide) * 4, len(back) * 2, len(out) * 2, len(in) * 4} {
			if at[i], err = s.alloc(bytes); err != nil {
				return err
			}
		}
		if err := uploadSlice(s, at[3], in); err != nil {
			return err
		}
		if err := s.launch("winnow_halves", fns.Halves(at[0], at[1], at[2], at[3], int32(len(in)), s.stream)); err != nil {
			return err
		}
		if err := downloadSlice(s, wide, at[0]); err != nil {
			return err
		}
		if err := downloadSlice(s, back, at[1]); err != nil {
			return err
		}
		return downloadSlice(s, out, at[2])
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range wide {
		want := halfToFloat(uint16(i))
		if math.IsNaN(want) {
			if got := wide[i]; got == got || back[i]&0x7c00 != 0x7c00 || back[i]&0x3ff == 0 {
				t.Errorf("half %#x is NaN: got %g, and back %#x", i, got, back[i])
			}
		} else if float64(wide[i]) != want || math.Signbit(float64(wide[i])) != math.Signbit(want) || back[i] != uint16(i) {
			t.Errorf("half %#x is %g: got %g, and back %#x", i, want, wide[i], back[i])
		}
	}
	for i, f := range in {
		if out[i] != want[i] {
			t.Errorf("%g is half %#x, got %#x", f, want[i], out[i])
		}
	}
}
