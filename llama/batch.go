package llama

// #include "shim.h"
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"
)

// MaxSeqs is the number of sequence ids that a unified cache knows.
const MaxSeqs = 256

// SeqID names a sequence in the cache, 0 to MaxSeqs-1.
type SeqID = int32

// Batch is a list of tokens for one Decode. It belongs to one goroutine.
type Batch struct {
	c      C.struct_llama_batch
	tokens []C.llama_token // the C arrays, with their bounds
	pos    []C.llama_pos
	seqs   [][]C.llama_seq_id
	nSeqs  []C.int32_t
	output []C.int8_t
	closed bool
	leak   runtime.Cleanup
}

// NewBatch allocates a batch of up to tokens tokens, each in up to seqs sequences.
func NewBatch(tokens, seqs int) (*Batch, error) {
	if tokens < 1 || tokens > 1<<20 || seqs < 1 || seqs > MaxSeqs {
		return nil, fmt.Errorf("new batch: %d tokens of %d sequences: want 1 to %d tokens and 1 to %d sequences", tokens, seqs, 1<<20, MaxSeqs)
	}
	b := &Batch{c: C.llama_batch_init(C.int32_t(tokens), 0, C.int32_t(seqs))}
	if b.c.token == nil || b.c.pos == nil || b.c.n_seq_id == nil || b.c.seq_id == nil || b.c.logits == nil {
		C.llama_batch_free(b.c)
		return nil, fmt.Errorf("new batch of %d tokens: %w", tokens, ErrNoMemory)
	}
	b.tokens = unsafe.Slice(b.c.token, tokens)
	b.pos = unsafe.Slice(b.c.pos, tokens)
	b.nSeqs = unsafe.Slice(b.c.n_seq_id, tokens)
	b.output = unsafe.Slice(b.c.logits, tokens)
	b.seqs = make([][]C.llama_seq_id, tokens)
	for i, p := range unsafe.Slice(b.c.seq_id, tokens) {
		if p == nil {
			C.llama_batch_free(b.c)
			return nil, fmt.Errorf("new batch of %d tokens: %w", tokens, ErrNoMemory)
		}
		b.seqs[i] = unsafe.Slice(p, seqs)
	}
	b.leak = watchLeak(b, "Batch")
	return b, nil
}

// Add appends a token at position pos of the given sequences. With output,
// its row of logits can be read after Decode.
func (b *Batch) Add(t Token, pos int, seqs []SeqID, output bool) error {
	n := int(b.c.n_tokens)
	switch {
	case b.closed:
		return ErrClosed
	case n == len(b.tokens):
		return ErrBatchFull
	case pos < 0 || len(seqs) == 0 || len(seqs) > len(b.seqs[n]):
		return fmt.Errorf("%w: token %d at position %d in %d sequences, room is for 1 to %d", ErrInvalidBatch, n, pos, len(seqs), len(b.seqs[n]))
	}
	for i, s := range seqs {
		if s < 0 || s >= MaxSeqs {
			return fmt.Errorf("%w: sequence %d, want 0 to %d", ErrInvalidBatch, s, MaxSeqs-1)
		}
		b.seqs[n][i] = C.llama_seq_id(s)
	}
	b.tokens[n], b.pos[n], b.nSeqs[n], b.output[n] = C.llama_token(t), C.llama_pos(pos), C.int32_t(len(seqs)), 0
	if output {
		b.output[n] = 1
	}
	b.c.n_tokens++
	return nil
}

// Len returns the number of tokens in the batch.
func (b *Batch) Len() int { return int(b.c.n_tokens) }

// Cap returns the number of tokens that the batch has room for.
func (b *Batch) Cap() int { return len(b.tokens) }

// Reset empties the batch for reuse.
func (b *Batch) Reset() { b.c.n_tokens = 0 }

// Close frees the batch.
func (b *Batch) Close() error {
	if !b.closed {
		b.leak.Stop()
		C.llama_batch_free(b.c)
		b.closed, b.tokens, b.c.n_tokens = true, nil, 0
	}
	return nil
}
