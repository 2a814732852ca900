// Package child keeps an engine in a process of its own, so that what ends that
// process (an assertion in C, a fault of the device, the kernel when memory runs
// out) does not end the run.
//
// Start begins the process and is the engine to the parent; Serve is all that
// the process does. They talk in frames over two pipes that are the process's
// files 3 and 4: standard output is not used, because C code prints there. When
// the process dies, the parent starts another one and tries again what was lost;
// a record that ends the process whenever it is rated alone gets a fault. When
// the parent dies, the end of its pipe ends the process.
//
// The package is pure Go and knows grader.Engine only, whatever computes.
package child
