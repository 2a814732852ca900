// Package llama binds the parts of llama.cpp that prefill needs: models,
// vocabularies, contexts, batches, sequences in the cache, and logits.
//
// It knows tokens and sequences, nothing of records or ratings. The C++ sources
// come with the Go module github.com/ollama/ollama and are compiled by cgo;
// build through the Makefile, which sets the include paths and the CPU.
//
// # Ownership
//
// A Context keeps its Model alive: Model.Close fails with ErrInUse while one is
// open. Close may be called twice. After Close, methods that return an error
// return ErrClosed. A handle that is never closed is reported, not freed.
//
// # Threads
//
// Model and Vocab may be used by any number of goroutines. A Context and a
// Batch belong to one goroutine at a time, and on a GPU to one OS thread.
//
// # Failure
//
// Many checks in llama.cpp end in abort(), which Go cannot catch. What can be
// checked beforehand is checked here before C is entered.
package llama
