package llama

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime/cgo"
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

// outputTap connects a context's evaluation callback with its OutputFunc. A nil tap
// does nothing.
type outputTap struct {
	call   OutputFunc
	handle cgo.Handle
	vocab  int
	seen   int // rows of the present Decode
	err    error
	panics any // what call panicked with, raised again when C is left
}

// newOutputTap makes contexts of these parameters call f.
func newOutputTap(f OutputFunc, p *C.struct_llama_context_params) *outputTap {
	t := &outputTap{call: f}
	t.handle = cgo.NewHandle(t)
	C.shim_observe_output(p, C.uintptr_t(t.handle))
	return t
}

// close frees the handle. The context must be gone.
func (t *outputTap) close() {
	if t != nil && t.handle != 0 {
		t.handle.Delete()
		t.handle = 0
	}
}

// begin prepares for a Decode.
func (t *outputTap) begin(vocab int) {
	if t != nil {
		t.vocab, t.seen, t.err, t.panics = vocab, 0, nil, nil
	}
}

// end returns what went wrong in the hook during a Decode that succeeded.
func (t *outputTap) end(outputs []bool) error {
	if t == nil {
		return nil
	}
	if p := t.panics; p != nil {
		t.panics = nil
		panic(p)
	}
	want := 0
	for _, o := range outputs {
		if o {
			want++
		}
	}
	switch {
	case t.err != nil:
		return fmt.Errorf("decode: output rows: %w", t.err)
	case t.seen != want:
		return fmt.Errorf("decode: the output hook saw %d of %d rows: this model's graph does not name its logits result_output", t.seen, want)
	}
	return nil
}

// observe hands rows to the hook. It must not let a panic out: C++ is above it.
func (t *outputTap) observe(c *C.struct_shim_rows) {
	if t.err != nil || t.panics != nil {
		return
	}
	if !c.ok || int(c.vocab) != t.vocab {
		t.err = errors.New("the tensor result_output is not rows of float32 logits, one for each token of the vocabulary")
		return
	}
	rows := OutputRows{
		First: t.seen, Rows: int(c.rows), Vocab: int(c.vocab), Stride: int(c.stride),
		Pointer: uintptr(c.data), Host: bool(c.host), Device: C.GoString(c.device),
	}
	t.seen += rows.Rows
	defer func() { t.panics = recover() }()
	t.err = t.call(rows)
}

// orderedRows reports models whose rows the scheduler does not compute in the order
// of the batch: those whose cache is no list of cells, but one state a sequence.
func (m *Model) orderedRows() error {
	var reorders bool
	if err := m.with(func(c *C.struct_llama_model) {
		reorders = bool(C.llama_model_is_recurrent(c)) || bool(C.llama_model_is_hybrid(c))
	}); err != nil {
		return err
	}
	if reorders {
		return fmt.Errorf("output rows of %s: a recurrent model's rows are computed in another order than the batch's; read them with Logits", m.path)
	}
	return nil
}
