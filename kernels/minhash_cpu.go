//go:build cgo

package kernels

// #include "minhash_fast.h"
import "C"

import "unsafe"

// minHashRange fills dst for the sets between offsets, of which there is at least
// one, with the first used permutations.
func minHashRange(dst, values []uint64, offsets []int64, f *MinHashFamily, used int, b MinHashBands) {
	if used == 0 {
		return
	}
	var signature []uint64 // of one set, where bands are made of it
	if b.Bands > 0 {
		signature = make([]uint64, used)
	}
	C.winnow_minhash((*C.uint64_t)(unsafe.SliceData(dst)), (*C.uint64_t)(unsafe.SliceData(values)),
		(*C.int64_t)(unsafe.SliceData(offsets)), C.int64_t(len(offsets)-1),
		(*C.uint64_t)(unsafe.SliceData(f.mul)), (*C.uint64_t)(unsafe.SliceData(f.add)), C.int64_t(used),
		C.int64_t(b.Bands), C.int64_t(b.Rows), (*C.uint64_t)(unsafe.SliceData(signature)))
}
