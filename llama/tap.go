package llama

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime/cgo"
	"unsafe"
)

// tap connects a context's evaluation callback with its OutputFunc and its
// StatesHook. A nil tap does nothing.
type tap struct {
	output OutputFunc
	states *StatesHook
	handle cgo.Handle
	eval   *C.struct_shim_eval
	vocab  int
	width  int
	rows   int // rows of logits seen in the present Decode
	tokens int // tokens whose states were seen
	err    error
	panics any // what a hook panicked with, raised again when C is left
}

// newTap makes contexts of these parameters call the hooks, or returns nil if there
// are none.
func newTap(o ContextOptions, p *C.struct_llama_context_params) (*tap, error) {
	if o.Output == nil && o.States == nil {
		return nil, nil
	}
	t := &tap{output: o.Output, states: o.States}
	layer := -1
	if t.states != nil {
		layer = t.states.Layer
	}
	t.handle = cgo.NewHandle(t)
	t.eval = C.shim_observe(p, C.uintptr_t(t.handle), C.bool(t.output != nil), C.int32_t(layer))
	if t.eval == nil {
		t.close()
		return nil, ErrNoMemory
	}
	return t, nil
}

// close frees what C holds of it. The context must be gone.
func (t *tap) close() {
	if t == nil || t.handle == 0 {
		return
	}
	C.shim_observe_free(t.eval)
	t.handle.Delete()
	t.handle, t.eval = 0, nil
}

// begin prepares for a Decode.
func (t *tap) begin(vocab, width int) {
	if t != nil {
		t.vocab, t.width, t.rows, t.tokens, t.err, t.panics = vocab, width, 0, 0, nil, nil
	}
}

// end returns what went wrong in the hooks during a Decode that succeeded.
func (t *tap) end(outputs []bool) error {
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
		return fmt.Errorf("decode: %w", t.err)
	case t.output != nil && t.rows != want:
		return fmt.Errorf("decode: the output hook saw %d of %d rows: this model's graph does not name its logits result_output", t.rows, want)
	case t.states != nil && t.tokens != len(outputs):
		return fmt.Errorf("decode: the states hook saw %d of %d tokens: this model's graph does not name its layers' outputs l_out", t.tokens, len(outputs))
	}
	return nil
}

// observeOutput hands rows to the hook.
func (t *tap) observeOutput(c *C.struct_shim_rows) {
	t.guard(func() error {
		if !c.ok || int(c.vocab) != t.vocab {
			return errors.New("output rows: the tensor result_output is not rows of float32 logits, one for each token of the vocabulary")
		}
		rows := OutputRows{
			First: t.rows, Rows: int(c.rows), Vocab: int(c.vocab), Stride: int(c.stride),
			Pointer: uintptr(c.data), Host: bool(c.host), Device: C.GoString(c.device),
		}
		t.rows += rows.Rows
		if err := t.output(rows); err != nil {
			return fmt.Errorf("output rows: %w", err)
		}
		return nil
	})
}

// observeStates hands a layer's output to the hook.
func (t *tap) observeStates(c *C.struct_shim_states) {
	t.guard(func() error {
		switch {
		case bool(c.no_memory):
			return fmt.Errorf("states of layer %d: %w", t.states.Layer, ErrNoMemory)
		case !bool(c.ok) || int(c.width) != t.width:
			return fmt.Errorf("states of layer %d: the tensor is not rows of %d float32 numbers, the model's width", t.states.Layer, t.width)
		}
		s := States{First: t.tokens, Tokens: int(c.tokens), Width: int(c.width)}
		if s.Tokens == 0 {
			return nil
		}
		s.Values = unsafe.Slice((*float32)(unsafe.Pointer(c.data)), s.Tokens*s.Width)
		t.tokens += s.Tokens
		if err := t.states.See(s); err != nil {
			return fmt.Errorf("states of layer %d: %w", t.states.Layer, err)
		}
		return nil
	})
}

// guard calls f unless something went wrong before, and lets no panic out: C++ is
// above it.
func (t *tap) guard(f func() error) {
	if t.err != nil || t.panics != nil {
		return
	}
	defer func() { t.panics = recover() }()
	t.err = f()
}

// tappable reports models that the hooks cannot look at: those that the scheduler
// does not compute in the order of the batch, since their cache is no list of cells,
// but one state a sequence.
func (m *Model) tappable() error {
	var reorders bool
	if err := m.with(func(c *C.struct_llama_model) {
		reorders = bool(C.llama_model_is_recurrent(c)) || bool(C.llama_model_is_hybrid(c))
	}); err != nil {
		return err
	}
	if reorders {
		return fmt.Errorf("hooks on %s: a recurrent model's rows are computed in another order than the batch's; read them with Logits", m.path)
	}
	return nil
}
