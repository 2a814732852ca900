//go:build !cgo

package kernels

func minHashRange(dst, values []uint64, offsets []int64, f *MinHashFamily, used int, b MinHashBands) {
	minHashReference(dst, values, offsets, f, used, b)
}
