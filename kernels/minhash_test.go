package kernels

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"winnow/internal/kernelcases"
)

// The fast form is the reference, bit for bit, for any number of threads.
func TestMinHash(t *testing.T) {
	for _, c := range kernelcases.MinHash() {
		if c.Measure || c.Bands*c.Rows == 0 && c.Bands+c.Rows > 0 { // no bands of no permutations
			continue
		}
		values, offsets := c.Data()
		in := MinHashInput{Values: values, Offsets: offsets}
		family, bands := NewMinHashFamily(c.Seed, c.Permutations), MinHashBands{c.Bands, c.Rows}
		want := make([]uint64, c.Sets*c.Width())
		if err := MinHashReference(want, in, family, bands); err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		for _, threads := range []int{0, 1, 3} {
			got := make([]uint64, len(want))
			if err := MinHash(got, in, family, bands, threads); err != nil || !slices.Equal(got, want) {
				t.Errorf("%+v with %d threads: error %v, as the reference: %t", c, threads, err, slices.Equal(got, want))
			}
		}
	}
}

// FuzzMinHash holds both forms together for all shapes and for values of few bits.
func FuzzMinHash(f *testing.F) {
	f.Add(uint64(1), uint16(3), uint16(128), uint16(16), uint16(8))
	f.Add(uint64(2), uint16(300), uint16(65), uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, seed uint64, sets, permutations, bands, rows uint16) {
		random := rand.New(rand.NewPCG(seed, 1))
		in := MinHashInput{Offsets: []int64{0}}
		for range sets % 600 {
			for range random.IntN(9) {
				in.Values = append(in.Values, random.Uint64()>>random.IntN(64))
			}
			in.Offsets = append(in.Offsets, int64(len(in.Values)))
		}
		family, b := NewMinHashFamily(seed, int(permutations%300)), MinHashBands{int(bands), int(rows)}
		width := b.Bands
		if b == (MinHashBands{}) {
			width = family.Len()
		}
		if in.Sets()*width > 1<<20 {
			return
		}
		want, got := make([]uint64, in.Sets()*width), make([]uint64, in.Sets()*width)
		wantErr, err := MinHashReference(want, in, family, b), MinHash(got, in, family, b, 2)
		if (err == nil) != (wantErr == nil) || (err == nil) != (width == family.Len() && bands+rows == 0 || bands > 0 && rows > 0 && int(bands)*int(rows) <= family.Len()) {
			t.Fatalf("%d permutations, %+v: errors %v and %v", family.Len(), b, err, wantErr)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%d sets, %d permutations, %+v: the fast form differs", in.Sets(), family.Len(), b)
		}
	})
}

// What was computed once stays.
func TestMinHashIsFixed(t *testing.T) {
	f := NewMinHashFamily(0x77696e6e6f77, 128)
	in := MinHashInput{Values: []uint64{1, 2, 3, 1 << 63, ^uint64(0)}, Offsets: []int64{0, 3, 3, 5}}
	signatures, bands := make([]uint64, 3*128), make([]uint64, 3*2)
	if err := MinHash(signatures, in, f, MinHashBands{}, 1); err != nil {
		t.Fatal(err)
	}
	if err := MinHash(bands, in, f, MinHashBands{2, 64}, 1); err != nil {
		t.Fatal(err)
	}
	if got, want := []uint64{signatures[0], signatures[127], signatures[128], signatures[256]}, []uint64{0x4bff94e9e294052, 0x90448c991bc7d1b, ^uint64(0), 0x737ddd48cc33b703}; !slices.Equal(got, want) {
		t.Errorf("signatures %#x, want %#x", got, want)
	}
	if want := []uint64{0xacfff229695c2b85, 0xb56d8e548b454888, 0xdd77c953225c202e, 0xdd77c953225c202e, 0xb323b0c212918ca6, 0xbd85cb2b90c4c38f}; !slices.Equal(bands, want) {
		t.Errorf("bands %#x, want %#x", bands, want)
	}
}

func TestMinHashRefuses(t *testing.T) {
	f := NewMinHashFamily(1, 8)
	good := MinHashInput{Values: []uint64{1, 2, 3}, Offsets: []int64{0, 3}}
	for _, tc := range []struct {
		in   MinHashInput
		b    MinHashBands
		room int
		want string
	}{
		{MinHashInput{good.Values, []int64{0, 4}}, MinHashBands{}, 8, "offset 1 is 4: want 0 to 3"},
		{MinHashInput{good.Values, []int64{-1, 3}}, MinHashBands{}, 8, "offset 0 is -1"},
		{MinHashInput{good.Values, []int64{2, 1}}, MinHashBands{}, 8, "offset 1 is 1: want 2 to 3"},
		{good, MinHashBands{3, 3}, 3, "3 bands of 3 rows"},
		{good, MinHashBands{1 << 62, 4}, 8, "at most 8 permutations"},
		{good, MinHashBands{-1, -1}, 1, "-1 bands of -1 rows"},
		{good, MinHashBands{Rows: 8}, 8, "0 bands of 8 rows"},
		{good, MinHashBands{2, 4}, 8, "room for 8 numbers: want 2"},
	} {
		for name, err := range map[string]error{
			"fast":      MinHash(make([]uint64, tc.room), tc.in, f, tc.b, 0),
			"reference": MinHashReference(make([]uint64, tc.room), tc.in, f, tc.b),
		} {
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %+v, %+v: error %v, want %q", name, tc.in, tc.b, err, tc.want)
			}
		}
	}
	if n := NewMinHashFamily(1, -5).Len(); n != 0 {
		t.Errorf("a family of -5 has %d permutations, want 0", n)
	}
	if err := MinHash(nil, MinHashInput{}, f, MinHashBands{}, 0); err != nil {
		t.Errorf("no sets: %v", err)
	}
}
