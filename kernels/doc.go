// Package kernels has what a grader computes besides a model's forward pass:
// numbers in rows and columns, never tokens or records. Each operation has a
// reference in float64, a fast form for processors and kernels for NVIDIA GPUs.
//
// # Where an operation runs
//
// Every operation takes a *Device; nil means the processor. Open gives a Device if
// the library libwinnow-kernels.so (`make kernels`) and a GPU are there, else
// ErrNoLibrary or ErrNoDevice, and then the processor does the same work. The
// library is looked for in the file that WINNOW_KERNELS names, then beside the
// program, in ../lib/winnow and in ../build/kernels; WINNOW_KERNELS=off does
// without. It is loaded at run time and needs nothing of CUDA but the driver.
//
// # What the results are
//
// The same input gives the same bits on every run, for any number of threads, on
// the same kind of device. Sums have a fixed order. No compiler may fuse a
// multiplication and an addition by itself (nvcc -fmad=false, gcc
// -ffp-contract=off): what is fused is written so. Where processor and GPU agree
// to the last bit, the operation says so; else it says by how much they differ.
//
// # Files
//
// An operation x is x.go (interface, reference, where it runs), x_cpu.go with
// x_fast.c (the processor's fast form), x.cu (kernels and their launcher),
// x_device.go (the launcher's Go side) and x_math.h (what both sides share). base.cu
// and launch.cuh are what the kernels stand on; selftest.cu is the smallest example.
//
// # Without a GPU
//
// emulation/ runs the same .cu files on a processor: g++ compiles them against
// headers that stand for CUDA's, and the threads of a block become fibers. So the
// tests of the device code run everywhere. What the emulation can find, and what
// it cannot, stands in emulation/emulate.h. With WINNOW_TEST_DEVICE=gpu the same
// tests run on the first GPU, and fail without one.
//
// # Debugging
//
// With WINNOW_KERNELS_DEBUG=1 every launch is waited for and timed, its time is
// logged, and fresh device memory is filled with NaN.
package kernels
