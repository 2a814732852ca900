package llama

// #include "shim.h"
import "C"

import "runtime/cgo"

// goOutput is called by the scheduler, through eval.cpp, on the goroutine of Decode.
//
//export goOutput
func goOutput(handle C.uintptr_t, rows *C.struct_shim_rows) {
	cgo.Handle(handle).Value().(*outputTap).observe(rows)
}
