package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"winnow/llama"
)

const procSelf = "/proc/self"

// PeakRSS returns the most memory that this process had resident at once, in
// bytes: since ResetPeakRSS where that succeeded, else since it started. Pages
// of a mapped model file count once they were touched. The source is VmHWM of
// /proc/self/status, elsewhere getrusage.
func PeakRSS() (uint64, error) { return peakRSS(procSelf) }

// ResetPeakRSS lets PeakRSS count from what is resident now. Only Linux can do
// that, and not in every container. After an error PeakRSS goes on as before.
func ResetPeakRSS() error { return resetPeakRSS(procSelf) }

func peakRSS(proc string) (uint64, error) {
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err == nil {
		for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
			var kib uint64
			if n, _ := fmt.Sscanf(lines.Text(), "VmHWM: %d kB", &kib); n == 1 {
				return kib << 10, nil
			}
		}
	}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("ask for the peak of resident memory: getrusage: %w", err)
	}
	peak := uint64(max(usage.Maxrss, 0))
	if runtime.GOOS != "darwin" { // which alone counts in bytes
		peak <<= 10
	}
	return peak, nil
}

func resetPeakRSS(proc string) error {
	f, err := os.OpenFile(filepath.Join(proc, "clear_refs"), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("reset the peak of resident memory: %w", err)
	}
	_, err = f.WriteString("5") // proc_pid_clear_refs(5)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("reset the peak of resident memory: %w", err)
	}
	return nil
}

// DeviceMemory returns how much memory is in use on the GPUs among the devices,
// in bytes, by whatever program. The engine keeps no peak: sample it with
// llama.Devices while the work runs, and once before the model is loaded.
func DeviceMemory(devices []llama.Device) uint64 {
	var used uint64
	for _, d := range devices {
		if d.GPU && d.MemoryFree <= d.MemoryTotal {
			used += d.MemoryTotal - d.MemoryFree
		}
	}
	return used
}
