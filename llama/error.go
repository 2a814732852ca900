package llama

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
)

// Sentinels for what a caller can act on; match them with errors.Is.
var (
	// ErrClosed is returned by methods of a closed handle.
	ErrClosed = errors.New("llama: closed")
	// ErrInUse is returned by Model.Close while a Context of it is open.
	ErrInUse = errors.New("llama: model has open contexts")
	// ErrBatchFull is returned by Batch.Add when no token fits any more.
	ErrBatchFull = errors.New("llama: batch is full")
	// ErrNoSlot means that the cache has no room for the batch. The cache is as
	// it was before the call: free sequences or decode fewer tokens.
	ErrNoSlot = errors.New("llama: no room in the cache for the batch")
	// ErrAborted means that an abort callback stopped the decode. Parts of the
	// batch remain in the cache: remove the batch's sequences before going on.
	ErrAborted = errors.New("llama: decode aborted")
	// ErrInvalidBatch means that llama.cpp refused the batch. The cache is as it
	// was before the call.
	ErrInvalidBatch = errors.New("llama: invalid batch")
	// ErrNoMemory means that the device could not allocate what a decode needs.
	// The cache is as it was before the call.
	ErrNoMemory = errors.New("llama: out of memory on the device")
	// ErrFatal means that the computation itself failed. Parts of the batch
	// remain in the cache; close the Context.
	ErrFatal = errors.New("llama: computation failed")
)

// Error is a failed call of llama.cpp.
type Error struct {
	Op   string // the C function
	Code int    // what it returned
	Text string // what it logged or threw; may be empty
	err  error  // sentinel, if one fits
}

// Error returns what failed, with the text that llama.cpp gave.
func (e *Error) Error() string {
	s := e.Op
	if e.err != nil {
		s = e.err.Error() + " (" + e.Op + ")"
	}
	if e.Code != 0 {
		s = fmt.Sprintf("%s: code %d", s, e.Code)
	}
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// Unwrap returns the sentinel that fits the failure, or nil.
func (e *Error) Unwrap() error { return e.err }

// decodeError maps llama_decode's return value to an error.
func decodeError(code int, threw, logged string) error {
	if code == 0 {
		return nil
	}
	e := &Error{Op: "llama_decode", Code: code, Text: logged}
	switch {
	case code == C.SHIM_THREW:
		e.Code, e.Text, e.err = 0, threw, ErrFatal
	case code == 1:
		e.err = ErrNoSlot
	case code == 2:
		e.err = ErrAborted
	case code == -1:
		e.err = ErrInvalidBatch
	case code == -2:
		e.err = ErrNoMemory
	default:
		e.err = ErrFatal
	}
	return e
}
