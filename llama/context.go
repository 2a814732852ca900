package llama

// #include "shim.h"
import "C"

import (
	"fmt"
	"runtime"
	"strings"
	"unsafe"
)

// Context is a model's cache and compute buffers. It belongs to one goroutine
// at a time.
type Context struct {
	c      *C.struct_llama_context
	model  *Model
	mem    C.llama_memory_t
	vocab  int
	pos    int // token positions of the cache
	batch  int
	output []bool // of the last decoded batch: which tokens have a row
	width  int    // of the hidden state
	tap    *tap   // nil without hooks
	misuse int    // bumped without a lock in every call, so that -race sees a shared Context
	leak   runtime.Cleanup
}

// ContextOptions sizes a Context. There is one cache for all sequences, so that
// a token may belong to several.
type ContextOptions struct {
	Ctx            int  // cells of the cache: tokens that it can hold at once
	Batch          int  // most tokens of one Decode; also of one computation
	Threads        int  // CPU threads; never more than there are cores
	FlashAttention bool // without it, attention reads masked cells too

	// Output, if not nil, sees the rows of logits where they were computed.
	Output OutputFunc
	// States, if not nil, sees a layer's output.
	States *StatesHook
}

// NewContext allocates a context of the model.
func NewContext(m *Model, o ContextOptions) (*Context, error) {
	if o.Ctx < 1 || o.Batch < 1 || o.Batch > o.Ctx || o.Threads < 1 {
		return nil, fmt.Errorf("new context: %d cells, batches of %d tokens, %d threads: all must be positive and a batch must fit the cells", o.Ctx, o.Batch, o.Threads)
	}
	p := C.llama_context_default_params()
	p.n_ctx = C.uint32_t(o.Ctx)
	p.n_batch = C.uint32_t(o.Batch)
	p.n_ubatch = C.uint32_t(o.Batch)
	p.n_seq_max = 1 // with one unified cache, all ids up to MaxSeqs are valid whatever stands here
	p.n_threads = C.int32_t(o.Threads)
	p.n_threads_batch = C.int32_t(o.Threads)
	p.flash_attn_type = C.LLAMA_FLASH_ATTN_TYPE_DISABLED
	if o.FlashAttention {
		p.flash_attn_type = C.LLAMA_FLASH_ATTN_TYPE_ENABLED
	}
	p.kv_unified = true
	p.no_perf = true

	ctx := &Context{model: m, vocab: m.vocab.size, batch: o.Batch}
	info, err := m.Info()
	if err != nil {
		return nil, fmt.Errorf("new context: %w", err)
	}
	ctx.width = info.Embd
	if h := o.States; h != nil && (h.See == nil || h.Layer < 0 || h.Layer >= info.Layers-1) {
		return nil, fmt.Errorf("new context: states of layer %d: %s has %d layers, want a function and one from 0 to %d", h.Layer, m.path, info.Layers, info.Layers-2)
	}
	if ctx.tap, err = newTap(o, &p); err != nil {
		return nil, fmt.Errorf("new context: %w", err)
	}
	var threw errText
	var logs string
	err = m.with(func(c *C.struct_llama_model) {
		logs = logged.capture(func() { ctx.c = C.shim_context_init(c, p, &threw.buf[0], errBytes) })
		if ctx.c != nil {
			m.contexts++
		}
	})
	if err != nil {
		ctx.tap.close()
		return nil, fmt.Errorf("new context: %w", err)
	}
	if ctx.c == nil {
		ctx.tap.close()
		e := &Error{Op: "llama_init_from_model", Text: strings.Trim(logs+"; "+threw.String(), "; ")}
		if strings.Contains(e.Text, "alloc") { // the C API gives no code
			e.err = ErrNoMemory
		}
		return nil, fmt.Errorf("new context of %d cells: %w", o.Ctx, e)
	}
	ctx.mem = C.llama_get_memory(ctx.c)
	if ctx.mem == nil {
		_ = ctx.Close()
		return nil, fmt.Errorf("new context: %s has no cache of sequences: it is no decoder", m.path)
	}
	if ctx.tap != nil {
		if err := m.tappable(); err != nil {
			_ = ctx.Close()
			return nil, fmt.Errorf("new context: %w", err)
		}
	}
	ctx.pos = int(C.llama_n_ctx(ctx.c))
	ctx.output = make([]bool, 0, o.Batch)
	ctx.leak = watchLeak(ctx, "Context")
	return ctx, nil
}

// Close frees the context.
func (c *Context) Close() error {
	if c.c == nil {
		return nil
	}
	c.leak.Stop()
	C.llama_free(c.c)
	c.c = nil
	c.tap.close()
	c.model.mu.Lock()
	c.model.contexts--
	c.model.mu.Unlock()
	return nil
}

// Cells returns the number of tokens that the cache can hold.
func (c *Context) Cells() int { return c.pos }

// Decode computes the batch and keeps its tokens in the cache. The error says
// what is left in the cache when it fails: see the sentinels.
func (c *Context) Decode(b *Batch) error {
	c.misuse++
	switch {
	case c.c == nil || b.closed:
		return ErrClosed
	case b.Len() == 0:
		return fmt.Errorf("decode: %w: it is empty", ErrInvalidBatch)
	case b.Len() > c.batch:
		return fmt.Errorf("decode: %w: %d tokens, the context takes %d at once", ErrInvalidBatch, b.Len(), c.batch)
	}
	for i, t := range b.tokens[:b.Len()] {
		if t < 0 || int(t) >= c.vocab {
			return fmt.Errorf("decode: %w: token %d is %d, the vocabulary has %d", ErrInvalidBatch, i, t, c.vocab)
		}
		if n := c.model.positions; n > 0 && uint64(b.pos[i]) >= n {
			return fmt.Errorf("decode: %w: token %d is at position %d, the model has %d", ErrInvalidBatch, i, b.pos[i], n)
		}
	}
	c.output = c.output[:0]
	c.tap.begin(c.vocab, c.width)
	var threw errText
	var code C.int32_t
	logs := logged.capture(func() { code = C.shim_decode(c.c, b.c, &threw.buf[0], errBytes) })
	if err := decodeError(int(code), threw.String(), logs); err != nil {
		return err
	}
	for _, o := range b.output[:b.Len()] {
		c.output = append(c.output, o != 0)
	}
	return c.tap.end(c.output)
}

// Logits returns the row of the batch's i-th token, which must have been added
// with output. The row belongs to C: it is valid until the next Decode or Close.
func (c *Context) Logits(i int) ([]float32, error) {
	c.misuse++
	if c.c == nil {
		return nil, ErrClosed
	}
	if i < 0 || i >= len(c.output) || !c.output[i] {
		return nil, fmt.Errorf("logits: token %d of the last batch has no output row", i)
	}
	p := C.llama_get_logits_ith(c.c, C.int32_t(i))
	if p == nil {
		return nil, &Error{Op: "llama_get_logits_ith", Code: i, err: ErrFatal}
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(p)), c.vocab), nil
}

// CopyLogits copies the row of the batch's i-th token into dst, which must hold
// a vocabulary.
func (c *Context) CopyLogits(dst []float32, i int) error {
	row, err := c.Logits(i)
	if err != nil {
		return err
	}
	if len(dst) < len(row) {
		return fmt.Errorf("copy logits: room for %d of %d values", len(dst), len(row))
	}
	copy(dst, row)
	return nil
}
