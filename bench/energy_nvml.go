//go:build linux

package bench

import (
	"fmt"

	"winnow/internal/dl"
)

// nvml has the functions of NVIDIA's management library that metering needs,
// with the signatures of nvml.h. NVML may be called from any thread.
type nvml struct {
	start, shutdown func() nvmlReturn
	count           func(n *uint32) nvmlReturn
	handle          func(index uint32, d *nvmlDevice) nvmlReturn
	energy          func(d nvmlDevice, mj *uint64) nvmlReturn
	power           func(d nvmlDevice, mw *uint32) nvmlReturn
	text            func(nvmlReturn) string
}

type (
	nvmlReturn int32   // 0 is success
	nvmlDevice uintptr // opaque; NVML's own memory
)

// loadNVML opens the library at path: a name alone is looked up as the system's
// loader does.
func loadNVML(path string) (*nvml, error) {
	lib, err := dl.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: it comes with NVIDIA's driver", err)
	}
	n := &nvml{}
	for _, f := range []struct {
		name string
		fn   any
	}{
		{"nvmlInit_v2", &n.start},
		{"nvmlShutdown", &n.shutdown},
		{"nvmlDeviceGetCount_v2", &n.count},
		{"nvmlDeviceGetHandleByIndex_v2", &n.handle},
		{"nvmlDeviceGetTotalEnergyConsumption", &n.energy},
		{"nvmlDeviceGetPowerUsage", &n.power},
		{"nvmlErrorString", &n.text},
	} {
		if err := lib.Bind(f.name, f.fn); err != nil {
			return nil, fmt.Errorf("%w: a newer NVIDIA driver has it", err)
		}
	}
	return n, nil
}

// err returns nil for success.
func (n *nvml) err(code nvmlReturn) error {
	if code == 0 {
		return nil
	}
	if text := n.text(code); text != "" {
		return fmt.Errorf("%s (NVML's code %d)", text, code)
	}
	return fmt.Errorf("NVML's code %d", code)
}

// openGPUs loads NVML from library and finds its boards. Without the library, a
// driver or a board, absent says so.
func openGPUs(library string) (gpus []gpu, closeAll func(), absent string) {
	n, err := loadNVML(library)
	if err != nil {
		return nil, func() {}, fmt.Sprintf("NVML: %v", err)
	}
	if err := n.err(n.start()); err != nil {
		return nil, func() {}, fmt.Sprintf("NVML: start it: %v: does nvidia-smi work?", err)
	}
	closeAll = func() { n.shutdown() } // the program is done with it, whatever it returns
	var count uint32
	if err := n.err(n.count(&count)); err != nil {
		return nil, closeAll, fmt.Sprintf("NVML: count the GPUs: %v: does nvidia-smi work?", err)
	}
	for i := range count {
		var d nvmlDevice
		if err := n.err(n.handle(i, &d)); err != nil {
			gpus = append(gpus, lost{err})
			continue
		}
		gpus = append(gpus, board{n, d})
	}
	if count == 0 {
		absent = "NVML: it knows of no GPU"
	}
	return gpus, closeAll, absent
}

// board is a GPU that NVML lets us ask.
type board struct {
	lib *nvml
	d   nvmlDevice
}

func (b board) energy() (uint64, error) {
	var mj uint64
	if err := b.lib.err(b.lib.energy(b.d, &mj)); err != nil {
		return 0, err
	}
	return mj, nil
}

func (b board) power() (uint64, error) {
	var mw uint32
	if err := b.lib.err(b.lib.power(b.d, &mw)); err != nil {
		return 0, err
	}
	if mw > maxWatts*1000 { // NVML marks some unknown values with all bits set
		return 0, fmt.Errorf("NVML gives a power of %d mW, which no board draws", mw)
	}
	return uint64(mw), nil
}

// lost is a GPU that NVML counts but does not hand out. It keeps the others'
// numbers in order.
type lost struct{ err error }

func (l lost) energy() (uint64, error) { return 0, l.err }
func (l lost) power() (uint64, error)  { return 0, l.err }
