package llama

// #include "shim.h"
import "C"

import (
	"math"
	"unsafe"
)

// LogSumExp returns the logarithm of the sum of a row's exponentials: what a logit
// must be lessened by to be a log-probability. The exponentials are single
// precision (a few parts in 10⁷ each), their sum double. NaN and +Inf in the row
// give NaN.
func LogSumExp(row []float32) float64 {
	if len(row) == 0 {
		return math.Inf(-1)
	}
	return float64(C.shim_log_sum_exp((*C.float)(unsafe.Pointer(&row[0])), C.size_t(len(row))))
}
