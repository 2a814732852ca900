package llama

// #include "shim.h"
import "C"

import (
	"strconv"
	"strings"
	"unsafe"
)

// OutputFunc looks at rows of logits in the middle of a Decode, on its goroutine,
// right after they were computed and before they are copied to the host. Decode
// waits for it. It must not use the Context. Its error becomes that of Decode,
// after which the batch is in the cache and its rows can be read all the same.
//
// A batch without output tokens has no rows, and OutputFunc is not called.
//
// The hook is made of llama.cpp's evaluation callback. With it the scheduler waits
// for the device before and after the rows (without it, Decode returns while a GPU
// still computes, and only Logits waits), asks the callback for every node of
// the graph, which is about a thousand comparisons of a name, and cannot overlap
// the devices of a model that is spread over several. Rows are still copied to the
// host afterwards: llama.cpp's interface has no way to prevent that. What the hook
// saves is the work on the host, not the copy.
//
// Package kernels' LogProb takes Logits of rows that are Host, and its LogProbDevice
// Pointer and CUDADevice of the others.
type OutputFunc func(OutputRows) error

// OutputRows are rows of logits in the memory of the device that computed them.
// They are valid until the OutputFunc returns, and belong to C.
type OutputRows struct {
	First   int     // index of the first of them among the batch's output tokens
	Rows    int     // one an output token, in the order of the batch
	Vocab   int     // float32 logits a row
	Stride  int     // logits from the beginning of a row to that of the next
	Pointer uintptr // of the first logit
	Host    bool    // whether the processor can read at Pointer
	Device  string  // "CUDA0"; empty for the processor's own memory
}

// CUDADevice returns the ordinal of the CUDA device whose memory the rows are in,
// counted as the CUDA runtime does in this process, or false for other memory.
func (o OutputRows) CUDADevice() (int, bool) {
	number, ok := strings.CutPrefix(o.Device, "CUDA")
	if n, err := strconv.Atoi(number); ok && !o.Host && err == nil && n >= 0 {
		return n, true
	}
	return 0, false
}

// Logits returns all rows as one slice, of which row i begins at i*Stride. It is nil
// where the rows are not in the host's memory.
func (o OutputRows) Logits() []float32 {
	if !o.Host || o.Rows == 0 {
		return nil
	}
	// The address comes from C and is not of Go's memory.
	first := *(**float32)(unsafe.Pointer(&o.Pointer))
	return unsafe.Slice(first, (o.Rows-1)*o.Stride+o.Vocab)
}
