// Package peak measures what a processor can do at most, so that a kernel's speed
// can be told as a share of it: bytes a second from memory and float32
// multiplications and additions a second, both with the vectors that the program
// is compiled for.
package peak

// #include "peak.h"
import "C"

import (
	"sync"
	"time"
	"unsafe"
)

// Machine is what was measured, with a number of threads.
type Machine struct {
	Threads        int     `json:"threads"`
	ReadBytesPerS  float64 `json:"read_bytes_per_s"`  // a sum over memory
	TriadBytesPerS float64 `json:"triad_bytes_per_s"` // a = b + f·c, counted as 12 bytes an element
	FloatOpsPerS   float64 `json:"float_ops_per_s"`   // a multiplication and an addition are two
	BufferBytes    int     `json:"buffer_bytes"`      // read, all threads together
	Sweeps         int     `json:"sweeps"`            // of which the fastest counts
}

const (
	bufferBytes = 768 << 20 // far above any last-level cache
	sweeps      = 7
	fmaSteps    = 4 << 20
)

// Measure takes the best of several sweeps on so many threads, at least 1. It
// needs 768 MiB of memory and about a second.
func Measure(threads int) Machine {
	threads = max(threads, 1)
	m := Machine{Threads: threads, BufferBytes: bufferBytes, Sweeps: sweeps}
	n := bufferBytes / 4 / threads / 3 * 3
	buffers := make([][]float32, threads)
	together(threads, func(t int) {
		buffers[t] = make([]float32, n)
		for i := range buffers[t] {
			buffers[t][i] = 1
		}
	})
	third := n / 3
	at := func(t, i int) *C.float { return (*C.float)(unsafe.Pointer(&buffers[t][i])) }
	sums := make([]float32, threads) // so that no loop is left out
	best := func(work float64, f func(t int)) (perS float64) {
		for range sweeps {
			begin := time.Now()
			together(threads, f)
			perS = max(perS, work/time.Since(begin).Seconds())
		}
		return perS
	}
	m.ReadBytesPerS = best(4*float64(n*threads), func(t int) {
		sums[t] += float32(C.winnow_peak_read(at(t, 0), C.int64_t(n)))
	})
	m.TriadBytesPerS = best(12*float64(third*threads), func(t int) {
		C.winnow_peak_triad(at(t, 0), at(t, third), at(t, 2*third), 0.5, C.int64_t(third))
	})
	m.FloatOpsPerS = best(float64(C.winnow_peak_fma_flops())*fmaSteps*float64(threads), func(t int) {
		sums[t] += float32(C.winnow_peak_fma(0.5, 0.25, fmaSteps))
	})
	return m
}

// together runs f for each thread at the same time.
func together(threads int, f func(t int)) {
	var all sync.WaitGroup
	for t := range threads {
		all.Go(func() { f(t) })
	}
	all.Wait()
}
