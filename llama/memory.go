package llama

// #include "shim.h"
import "C"

import "fmt"

// AllSeqs stands for every sequence in RemoveSeq.
const AllSeqs SeqID = -1

// CopySeq lets dst share src's tokens at positions from ≤ pos < to; a negative
// to means the end. In a unified cache this copies no data.
func (c *Context) CopySeq(src, dst SeqID, from, to int) error {
	c.misuse++
	if c.c == nil {
		return ErrClosed
	}
	if src < 0 || src >= MaxSeqs || dst < 0 || dst >= MaxSeqs {
		return fmt.Errorf("copy sequence %d to %d: want ids from 0 to %d", src, dst, MaxSeqs-1)
	}
	C.llama_memory_seq_cp(c.mem, C.llama_seq_id(src), C.llama_seq_id(dst), C.llama_pos(from), C.llama_pos(to))
	return nil
}

// RemoveSeq frees the tokens of seq at positions from ≤ pos < to; a negative to
// means the end, AllSeqs every sequence.
func (c *Context) RemoveSeq(seq SeqID, from, to int) error {
	c.misuse++
	if c.c == nil {
		return ErrClosed
	}
	if seq < AllSeqs || seq >= MaxSeqs {
		return fmt.Errorf("remove sequence %d: want an id from 0 to %d, or AllSeqs", seq, MaxSeqs-1)
	}
	if !C.llama_memory_seq_rm(c.mem, C.llama_seq_id(seq), C.llama_pos(from), C.llama_pos(to)) {
		return fmt.Errorf("remove sequence %d from position %d: this model's cache cannot be cut", seq, from)
	}
	return nil
}

// Clear empties the cache.
func (c *Context) Clear() error {
	c.misuse++
	if c.c == nil {
		return ErrClosed
	}
	C.llama_memory_clear(c.mem, false)
	return nil
}

// LastPos returns the highest position that seq has in the cache, or -1.
func (c *Context) LastPos(seq SeqID) (int, error) {
	c.misuse++
	if c.c == nil {
		return 0, ErrClosed
	}
	if seq < 0 || seq >= MaxSeqs {
		return 0, fmt.Errorf("last position of sequence %d: want an id from 0 to %d", seq, MaxSeqs-1)
	}
	return int(C.llama_memory_seq_pos_max(c.mem, C.llama_seq_id(seq))), nil
}
