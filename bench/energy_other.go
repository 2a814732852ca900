//go:build !linux

package bench

// openGPUs finds no board.
func openGPUs(string) (gpus []gpu, closeAll func(), absent string) {
	return nil, func() {}, "NVML: GPUs are metered on Linux alone"
}
