//go:build linux

package bench

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ebitengine/purego"
)

// buildNVML compiles testdata/nvml.c and returns the library's path.
func buildNVML(t *testing.T, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), nvmlLibrary)
	cc := strings.Fields(cmp.Or(os.Getenv("CC"), "gcc"))
	args := append(append(cc[1:], flags...), "-Wall", "-Werror", "-shared", "-fPIC", "-o", path, "testdata/nvml.c")
	if out, err := exec.Command(cc[0], args...).CombinedOutput(); err != nil {
		t.Fatalf("compile testdata/nvml.c: %v\n%s", err, out)
	}
	return path
}

// What testdata/nvml.c can be told to answer, in its order.
const (
	callInit = iota
	callCount
	callHandle
	callEnergy
	callPower
	calls
)

const (
	notSupported    = 3
	driverNotLoaded = 9
	gpuIsLost       = 15
	unheardOf       = 77
)

// fakeNVML is a library whose answers a test gives.
type fakeNVML struct {
	path    string
	answer  func(call, gpu, code int32, value uint64)
	running func() int32
}

func newFakeNVML(t *testing.T) *fakeNVML {
	t.Helper()
	f := &fakeNVML{path: buildNVML(t)}
	lib, err := purego.Dlopen(f.path, purego.RTLD_NOW)
	if err != nil {
		t.Fatal(err)
	}
	purego.RegisterLibFunc(&f.answer, lib, "fake_answer")
	purego.RegisterLibFunc(&f.running, lib, "fake_running")
	return f
}

// reset makes it a library with so many GPUs, which answer 0 to everything.
func (f *fakeNVML) reset(gpus uint64) {
	for call := range int32(calls) {
		for gpu := range int32(2) {
			f.answer(call, gpu, 0, 0)
		}
	}
	f.answer(callCount, 0, 0, gpus)
}

// reply is what a call answers.
type reply struct {
	code  int32
	value uint64
}

func TestNVMLMeter(t *testing.T) {
	f := newFakeNVML(t)
	none := reply{code: notSupported, value: 1e6}
	lost := reply{code: gpuIsLost, value: 1e6}
	for _, c := range []struct {
		name          string
		energy, power [3]reply // at the beginning, after 1 s, after 2 s
		joules        float64
		unknown       string
	}{
		{"counter", [3]reply{{0, 1000}, {0, 101000}, {0, 251500}}, [3]reply{}, 250.5, ""},
		{"counter of more than 32 bits", [3]reply{{0, 1<<40 + 7}, {0, 1<<40 + 7}, {0, 1<<40 + 5007}}, [3]reply{}, 5, ""},
		{"counter stands still", [3]reply{{0, 9}, {0, 9}, {0, 9}}, [3]reply{}, 0, "did not move in 2s"},
		{"counter of a lost GPU", [3]reply{{0, 1000}, {0, 2000}, lost}, [3]reply{}, 0, "GPU is lost (NVML's code 15)"},
		{"counter of a GPU lost for a while", [3]reply{{0, 1000}, lost, {0, 3000}}, [3]reply{}, 0, "GPU is lost (NVML's code 15)"},
		{"counter, error without a text", [3]reply{{0, 1000}, {unheardOf, 2000}, {0, 3000}}, [3]reply{}, 0, "could not be read: NVML's code 77"},
		{"power", [3]reply{none, none, none}, [3]reply{{0, 100000}, {0, 200000}, {0, 350000}}, 425, ""},
		{"power of a lost GPU", [3]reply{none, none, none}, [3]reply{{0, 100000}, {0, 200000}, lost}, 0, "GPU is lost (NVML's code 15)"},
		{"power with all bits set", [3]reply{none, none, none}, [3]reply{{0, 100000}, {0, math.MaxUint32}, {0, 100000}}, 0, "a power of 4294967295 mW"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.reset(1)
			set := func(i int) {
				f.answer(callEnergy, 0, c.energy[i].code, c.energy[i].value)
				f.answer(callPower, 0, c.power[i].code, c.power[i].value)
			}
			set(0)
			gpus, closeAll, absent := openGPUs(f.path)
			defer closeAll()
			if len(gpus) != 1 || absent != "" {
				t.Fatalf("%d GPUs, absent %q, want one", len(gpus), absent)
			}
			m, err := gpuMeter(0, gpus[0])
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			m.begin(now)
			for i := 1; i < 3; i++ {
				set(i)
				m.step(now.Add(time.Duration(i) * time.Second))
			}
			if e := m.energy(); math.Abs(e.Joules-c.joules) > 1e-9 || !strings.Contains(e.Unknown, c.unknown) || (e.Unknown == "") != (c.unknown == "") {
				t.Errorf("%+v, want %v J, unknown %q", e, c.joules, c.unknown)
			}
		})
	}
}

// TestNVMLMeters goes through Meters, with the sampling beside it.
func TestNVMLMeters(t *testing.T) {
	f := newFakeNVML(t)
	f.reset(2)
	f.answer(callHandle, 0, gpuIsLost, 0)
	f.answer(callEnergy, 1, 0, 5000)
	m := openMeters(t.TempDir(), f.path)
	defer m.Close()
	if got, want := m.Names(), []string{"NVML GPU 1"}; !slices.Equal(got, want) {
		t.Fatalf("meters %q, want %q; absent %q", got, want, m.Absent)
	}
	if !slices.ContainsFunc(m.Absent, func(s string) bool {
		return strings.HasPrefix(s, "NVML GPU 0: ") && strings.Contains(s, "GPU is lost")
	}) {
		t.Errorf("absent %q, want GPU 0 among them", m.Absent)
	}

	m.Start()
	f.answer(callEnergy, 1, 0, 17500)
	if got, want := m.Stop(), []Energy{{Meter: "NVML GPU 1", Joules: 12.5}}; !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	m.Start()
	f.answer(callEnergy, 1, gpuIsLost, 30000)
	if e := m.Stop()[0]; e.Joules != 0 || !strings.Contains(e.Unknown, "GPU is lost") {
		t.Errorf("%+v, want a lost GPU", e)
	}

	if n := f.running(); n != 1 {
		t.Errorf("started %d times, want once", n)
	}
	m.Close()
	m.Close()
	if n := f.running(); n != 0 {
		t.Errorf("started once more than it was shut down: %d", n)
	}
}

// TestNVMLAbsent: whatever is wrong with NVML, there is no meter, and a reason.
func TestNVMLAbsent(t *testing.T) {
	f := newFakeNVML(t)
	text := filepath.Join(t.TempDir(), "text.so")
	if err := os.WriteFile(text, []byte("no library\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	type fail struct {
		name, library string
		gpus          uint64
		call, code    int32
		want          []string
	}
	cases := []fail{
		{"no such file", filepath.Join(t.TempDir(), "none.so"), 1, 0, 0, []string{"NVML: ", "none.so", "it comes with NVIDIA's driver"}},
		{"no library", text, 1, 0, 0, []string{"NVML: ", "text.so"}},
		{"no driver", f.path, 1, callInit, driverNotLoaded, []string{"NVML: start it: Driver Not Loaded (NVML's code 9)"}},
		{"no count", f.path, 1, callCount, unheardOf, []string{"NVML: count the GPUs: NVML's code 77"}},
		{"no GPU", f.path, 0, callCount, 0, []string{"NVML: it knows of no GPU"}},
		{"no handle", f.path, 1, callHandle, gpuIsLost, []string{"NVML GPU 0: ", "GPU is lost"}},
	}
	for _, symbol := range []string{
		"nvmlInit_v2", "nvmlShutdown", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2",
		"nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage", "nvmlErrorString",
	} {
		library := buildNVML(t, fmt.Sprintf("-D%s=fake_%[1]s", symbol))
		cases = append(cases, fail{"without " + symbol, library, 1, 0, 0, []string{"NVML: ", symbol, "a newer NVIDIA driver has it"}})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f.reset(1)
			f.answer(c.call, 0, c.code, c.gpus)
			m := openMeters(t.TempDir(), c.library)
			if names := m.Names(); len(names) != 0 {
				t.Errorf("meters %q, want none", names)
			}
			if !slices.ContainsFunc(m.Absent, func(s string) bool {
				return !slices.ContainsFunc(c.want, func(part string) bool { return !strings.Contains(s, part) })
			}) {
				t.Errorf("absent %q, want a line with %q", m.Absent, c.want)
			}
			m.Start()
			if got := m.Stop(); len(got) != 0 {
				t.Errorf("%+v without a meter", got)
			}
			m.Close()
			if n := f.running(); n != 0 {
				t.Errorf("started once more than it was shut down: %d", n)
			}
		})
	}

	f.reset(1)
	f.answer(callEnergy, 0, notSupported, 0)
	f.answer(callPower, 0, gpuIsLost, 0)
	m := openMeters(t.TempDir(), f.path)
	defer m.Close()
	if want := "NVML GPU 0: it tells neither its energy (Not Supported (NVML's code 3)) nor its power (GPU is lost (NVML's code 15))"; !slices.Contains(m.Absent, want) {
		t.Errorf("absent %q, want %q", m.Absent, want)
	}
}
