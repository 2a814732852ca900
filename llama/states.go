package llama

// #include "shim.h"
import "C"

// StatesHook looks at the output of one of the model's layers: the residual stream
// behind it, of every token of a Decode, with an output or without. It is called on
// Decode's goroutine, as OutputFunc is, and costs what that costs; on a GPU the states
// are copied to the host.
//
// The tensor is known by the name l_out-K that llama.cpp gives it in nearly all
// architectures. Where it is missing, Decode fails and says so.
type StatesHook struct {
	// Layer counts from 0. The last layer has none: of it llama.cpp computes the
	// tokens with an output only.
	Layer int
	// See gets the states. Its error becomes that of Decode, after which the batch is
	// in the cache and its rows can be read all the same. It must not use the Context.
	See func(States) error
}

// States are the outputs of a layer for tokens of a batch, in the batch's order.
// They are valid until the hook returns, and belong to C.
type States struct {
	First  int // index in the batch of the first of them
	Tokens int
	Width  int       // numbers a token
	Values []float32 // token i's begin at i*Width
}
