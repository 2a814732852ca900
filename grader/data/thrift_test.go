package data

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

func TestScanThrift(t *testing.T) {
	// {1: i32 -3, 2: "ab", 3: [i32 1, i32 2], 5: {1: i64 300}, 6: true, 40: double}
	b := []byte{0x15, 5, 0x18, 2, 'a', 'b', 0x19, 0x25, 2, 4, 0x2c, 0x16, 0xd8, 0x04, 0, 0x11, 0x07, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	type number struct {
		path  []int16
		value int64
	}
	var got []number
	n, err := scanThrift(append(b, 1, 2, 3), func(path []int16, v int64) { got = append(got, number{slices.Clone(path), v}) })
	if err != nil || n != len(b) {
		t.Fatalf("%d bytes, error %v; want %d", n, err, len(b))
	}
	want := []number{{[]int16{1}, -3}, {[]int16{3}, 1}, {[]int16{3}, 2}, {[]int16{5, 1}, 300}, {[]int16{6}, 1}}
	if !slices.EqualFunc(got, want, func(a, b number) bool { return slices.Equal(a.path, b.path) && a.value == b.value }) {
		t.Errorf("numbers %v, want %v", got, want)
	}
	for i := range len(b) {
		if _, err := scanThrift(b[:i], nil); !errors.Is(err, errThriftShort) {
			t.Errorf("the first %d bytes: error %v", i, err)
		}
	}
}

func TestScanThriftHostile(t *testing.T) {
	many := append([]byte{0x19, 0xf5, 0x80, 0x80, 0x80, 0x04}, make([]byte, 1<<23)...) // 2^23 integers
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"list of 2^31":  {[]byte{0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0}, errThriftShort},
		"map of 2^31":   {[]byte{0x1b, 0xff, 0xff, 0xff, 0xff, 0x07, 0x55, 0}, errThriftShort},
		"text of 2^63":  {[]byte{0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, errThriftShort},
		"many elements": {many, errThriftItems},
		"deep structs":  {bytes.Repeat([]byte{0x1c}, 1<<20), errThriftDeep},
		"deep lists":    {append([]byte{0x19}, bytes.Repeat([]byte{0x19}, 1<<20)...), errThriftDeep},
	} {
		if _, err := scanThrift(c.b, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
	}
	for _, b := range [][]byte{{0x1e}, {0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}} {
		if _, err := scanThrift(b, nil); err == nil {
			t.Errorf("% x is taken", b)
		}
	}
}
