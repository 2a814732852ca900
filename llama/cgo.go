package llama

// #cgo CXXFLAGS: -std=c++17
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
