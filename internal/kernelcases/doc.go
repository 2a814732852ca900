// Package kernelcases has the inputs on which package kernels is tested and
// measured: one file an operation, each with its cases, what they cost in bytes
// and operations, and the code that makes their data from a seed. The tests and
// bench/kernels share them, so what is measured is what is tested.
package kernelcases
