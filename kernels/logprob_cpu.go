//go:build cgo

package kernels

// #cgo CFLAGS: -std=c11
// #cgo LDFLAGS: -lm
// #include "logprob_fast.h"
import "C" // strict C11 is what tells gcc to fuse nothing by itself; cgo does not take -ffp-contract

import "unsafe"

// logProbSums fills tops and sums of rows, of which there is at least one.
func logProbSums(logits []float32, rows, vocab, stride int, tops []float32, sums []float64) {
	C.winnow_logprob_rows((*C.float)(unsafe.Pointer(&logits[0])), C.int64_t(rows), C.int64_t(vocab), C.int64_t(stride),
		(*C.float)(unsafe.Pointer(&tops[0])), (*C.double)(unsafe.Pointer(&sums[0])))
}
