package llama

// The CUDA backend is a library that is loaded at run time and takes ggml's core
// from this program: its symbols must be visible to the loader (-rdynamic).

// #cgo CXXFLAGS: -std=c++17
// #cgo linux LDFLAGS: -rdynamic
// #include "shim.h"
import "C"

import (
	_ "github.com/ollama/ollama/llama/llama.cpp/src" // compiles and links llama.cpp and ggml
)

// errBytes is the room for the text of a C++ exception.
const errBytes = 512

// errText receives the text of a C++ exception from a shim call.
type errText struct{ buf [errBytes]C.char }

func (e *errText) String() string { return C.GoString(&e.buf[0]) }
