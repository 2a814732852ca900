package llama

// #include "shim.h"
import "C"

import "runtime/cgo"

// goOutput is called by the scheduler, through eval.cpp, on the goroutine of Decode.
//
//export goOutput
func goOutput(handle C.uintptr_t, rows *C.struct_shim_rows) {
	cgo.Handle(handle).Value().(*tap).observeOutput(rows)
}

// goStates is called by the scheduler as goOutput is.
//
//export goStates
func goStates(handle C.uintptr_t, states *C.struct_shim_states) {
	cgo.Handle(handle).Value().(*tap).observeStates(states)
}
