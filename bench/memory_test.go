package bench

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"winnow/llama"
)

// writeTree writes files by their paths below a new folder, and returns it.
func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestPeakRSS(t *testing.T) {
	proc := writeTree(t, map[string]string{"status": "Name:\tx\nVmPeak:\t  999999 kB\nVmHWM:\t  123456 kB\nVmRSS:\t  1 kB\n"})
	if got, err := peakRSS(proc); got != 123456<<10 || err != nil {
		t.Errorf("%d, %v, want %d", got, err, 123456<<10)
	}
	// Without VmHWM, getrusage answers for this process.
	const room = 16 << 20
	buf := make([]byte, room)
	for i := 0; i < room; i += 1024 {
		buf[i] = 1
	}
	for name, proc := range map[string]string{
		"no such line": writeTree(t, map[string]string{"status": "VmHWM: many kB\n"}),
		"no file":      t.TempDir(),
		"this process": procSelf,
	} {
		if got, err := peakRSS(proc); got < room || got > 1<<40 || err != nil {
			t.Errorf("%s: %d, %v, want at least %d bytes", name, got, err, room)
		}
	}
	if buf[1024] != 1 {
		t.Error("the buffer was not written")
	}
}

func TestResetPeakRSS(t *testing.T) {
	proc := writeTree(t, map[string]string{"clear_refs": ""})
	if err := resetPeakRSS(proc); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(proc, "clear_refs")); string(got) != "5" || err != nil {
		t.Errorf("wrote %q, %v, want 5", got, err)
	}
	if err := resetPeakRSS(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestDeviceMemory(t *testing.T) {
	got := DeviceMemory([]llama.Device{
		{Name: "CPU", MemoryFree: 1, MemoryTotal: 100},
		{Name: "CUDA0", GPU: true, MemoryFree: 30, MemoryTotal: 80},
		{Name: "CUDA1", GPU: true, MemoryFree: 79, MemoryTotal: 80},
		{Name: "unknown", GPU: true},
		{Name: "odd", GPU: true, MemoryFree: 9, MemoryTotal: 8},
	})
	if got != 51 {
		t.Errorf("%d bytes in use, want 51", got)
	}
	if got := DeviceMemory(nil); got != 0 {
		t.Errorf("no devices: %d bytes in use", got)
	}
}
