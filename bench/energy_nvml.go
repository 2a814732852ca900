//go:build nvml

package bench

import (
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// openGPUs loads NVML and finds its boards. Without the library, a driver or a
// board, absent says so.
func openGPUs() (gpus []gpu, closeAll func(), absent string) {
	lib := nvml.New()
	if code := lib.Init(); code != nvml.SUCCESS {
		return nil, func() {}, fmt.Sprintf("NVML: %v: there is no NVIDIA driver, or it is out of order", code)
	}
	closeAll = func() { _ = lib.Shutdown() } // the program is done with it either way
	n, code := lib.DeviceGetCount()
	if code != nvml.SUCCESS {
		return nil, closeAll, fmt.Sprintf("NVML: count the GPUs: %v", code)
	}
	for i := range n {
		d, code := lib.DeviceGetHandleByIndex(i)
		if code != nvml.SUCCESS {
			gpus = append(gpus, lost{code})
			continue
		}
		gpus = append(gpus, board{d})
	}
	if n == 0 {
		absent = "NVML: it knows of no GPU"
	}
	return gpus, closeAll, absent
}

// board is a GPU that NVML lets us ask.
type board struct{ d nvml.Device }

func (b board) energy() (uint64, error) {
	mj, code := b.d.GetTotalEnergyConsumption()
	if code != nvml.SUCCESS {
		return 0, code
	}
	return mj, nil
}

func (b board) power() (uint64, error) {
	mw, code := b.d.GetPowerUsage()
	if code != nvml.SUCCESS {
		return 0, code
	}
	return uint64(mw), nil
}

// lost is a GPU that NVML counts but does not hand out. It keeps the others'
// numbers in order.
type lost struct{ err error }

func (l lost) energy() (uint64, error) { return 0, l.err }
func (l lost) power() (uint64, error)  { return 0, l.err }
