package kernels

import (
	"errors"
	"fmt"
)

// Sentinels for what a caller can act on; match them with errors.Is.
var (
	// ErrNoLibrary means that there is no usable libwinnow-kernels.so.
	ErrNoLibrary = errors.New("kernels: no library of GPU kernels")
	// ErrNoDevice means that the library is there and a GPU or its driver is not.
	ErrNoDevice = errors.New("kernels: no GPU")
	// ErrClosed is returned by operations on a closed Device.
	ErrClosed = errors.New("kernels: device is closed")
	// ErrBroken is returned by operations on a Device after an error that CUDA does
	// not recover from. Only a new process can use that GPU again.
	ErrBroken = errors.New("kernels: device is unusable after an earlier error")
	// ErrNoMemory means that the GPU could not allocate what an operation needs.
	// The Device remains usable.
	ErrNoMemory = errors.New("kernels: out of memory on the GPU")
)

// Codes of CUDA that mean something to us.
const (
	codeNoMemory  = 2  // cudaErrorMemoryAllocation
	codeOldDriver = 35 // cudaErrorInsufficientDriver; also without any driver
)

// Error is a failed call of CUDA.
type Error struct {
	Op   string // what was being done
	Code int    // the cudaError_t
	Name string // CUDA's name for it, such as cudaErrorMemoryAllocation
	Text string // CUDA's description
}

// Error returns what failed, with CUDA's name and description of the error.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s (%d): %s", e.Op, e.Name, e.Code, e.Text)
}

// Is reports whether target is the sentinel that fits the code.
func (e *Error) Is(target error) bool {
	return target == ErrNoMemory && e.Code == codeNoMemory
}
