//go:build cgo

package kernels

/*
// Strict C is what tells gcc to fuse nothing by itself: cgo does not take
// -ffp-contract. Each operation's C file is compiled with the flags of all files.
#cgo CFLAGS: -std=c11
#cgo LDFLAGS: -lm

static float winnow_square_less_one(float x) {
	return x * x - 1.0f;
}
*/
import "C"

// cFuses reports whether the C compiler fuses a multiplication and a subtraction,
// which would make results depend on the processor that it compiles for.
func cFuses() bool {
	const x = 1 + 1.0/(1<<12) // its square, rounded, has lost the last 1/2²⁴
	return C.winnow_square_less_one(x) != 1.0/(1<<11)
}
