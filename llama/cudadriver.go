package llama

// #include <stdlib.h>
import "C"

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"unsafe"

	"winnow/internal/dl"
)

// driverLibrary is the part of NVIDIA's driver that programs call.
const driverLibrary = "libcuda.so.1"

// seeSMI is the remedy where a driver has no GPU to give.
const seeSMI = "see what nvidia-smi says, and CUDA_VISIBLE_DEVICES"

// cudaDriver is what NVIDIA's driver says before CUDA itself is loaded.
type cudaDriver struct {
	version string   // "580.95.05"; may be empty
	cuda    int      // newest CUDA release that it runs, 13000 for 13.0; 0 if unknown
	gpus    []int    // compute capability of each visible GPU, 90 for 9.0
	boards  bool     // the kernel has GPUs, whether or not this process may use them
	refused *refusal // why gpus is empty; nil if it is not
}

// String returns "580.95.05, CUDA 13.0", or "" without a driver.
func (d *cudaDriver) String() string {
	switch {
	case d.cuda == 0:
		return d.version
	case d.version == "":
		return fmt.Sprintf("CUDA %d.%d", d.cuda/1000, d.cuda%1000/10)
	}
	return fmt.Sprintf("%s, CUDA %d.%d", d.version, d.cuda/1000, d.cuda%1000/10)
}

// driverNumber matches the version in the kernel module's own words.
var driverNumber = regexp.MustCompile(`\b[0-9]{3,4}\.[0-9]+(\.[0-9]+)?\b`)

// findDriver asks NVIDIA's driver for its version and its GPUs.
func (h *cudaHost) findDriver() (d cudaDriver) {
	proc := filepath.Join(h.root, "proc/driver/nvidia")
	if text, err := os.ReadFile(filepath.Join(proc, "version")); err == nil {
		d.version = string(driverNumber.Find(text))
	}
	boards, _ := filepath.Glob(filepath.Join(escapeGlob(proc), "gpus/*")) // the pattern is sound
	d.boards = len(boards) > 0
	lib, err := dl.Open(h.driver)
	switch {
	case err != nil && d.boards:
		d.refused = refuse("install the driver's libraries; start a container with --gpus all", "the driver's %s cannot be loaded (%v)", driverLibrary, err)
	case err != nil:
		d.refused = refuse("it takes an NVIDIA GPU with its driver", "there is no NVIDIA driver (%s)", driverLibrary)
	default:
		d.ask(lib)
	}
	return d
}

// ask fills in what the driver's library tells.
func (d *cudaDriver) ask(lib dl.Library) {
	var (
		start     func(flags uint32) int32
		release   func(version *int32) int32
		count     func(n *int32) int32
		device    func(d *int32, ordinal int32) int32
		attribute func(value *int32, attribute, device int32) int32
		name      func(code int32, text **byte) int32
	)
	for _, f := range []struct {
		name string
		fn   any
	}{
		{"cuInit", &start},
		{"cuDriverGetVersion", &release},
		{"cuDeviceGetCount", &count},
		{"cuDeviceGet", &device},
		{"cuDeviceGetAttribute", &attribute},
		{"cuGetErrorName", &name},
	} {
		if err := lib.Bind(f.name, f.fn); err != nil {
			d.refused = refuse("a newer driver", "the driver is no NVIDIA driver that this program knows: %v", err)
			return
		}
	}
	failed := func(call string, code int32) bool {
		if code == 0 {
			return false
		}
		d.gpus = nil
		text := "an unknown error"
		var c *byte
		if name(code, &c) == 0 && c != nil {
			text = C.GoString((*C.char)(unsafe.Pointer(c)))
		}
		d.refused = refuse(seeSMI, "the driver has no GPU for this process: %s: %s (%d)", call, text, code)
		return true
	}
	var version, n int32
	if release(&version) == 0 { // allowed before cuInit
		d.cuda = int(version)
	}
	if failed("cuInit", start(0)) || failed("cuDeviceGetCount", count(&n)) {
		return
	}
	const capabilityMajor, capabilityMinor = 75, 76 // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
	for i := range n {
		var dev, major, minor int32
		if failed("cuDeviceGet", device(&dev, i)) ||
			failed("cuDeviceGetAttribute", attribute(&major, capabilityMajor, dev)) ||
			failed("cuDeviceGetAttribute", attribute(&minor, capabilityMinor, dev)) {
			return
		}
		d.gpus = append(d.gpus, int(10*major+minor))
	}
	if n == 0 {
		d.refused = refuse(seeSMI, "the driver has no GPU for this process")
	}
}
