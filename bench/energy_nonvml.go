//go:build !nvml

package bench

// openGPUs finds no board: NVML is compiled in with -tags nvml alone. Its
// bindings let the linker pass over undefined symbols, and a program linked for
// immediate binding would then not start without the library.
func openGPUs() (gpus []gpu, closeAll func(), absent string) {
	return nil, func() {}, "NVML: this program was built without it: build with -tags nvml to meter NVIDIA GPUs"
}
