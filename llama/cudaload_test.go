//go:build linux

package llama

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"winnow/internal/tinygguf"
)

// cudaTestEnv makes this test program one that loads the backend and prints what
// came of it.
const cudaTestEnv = "WINNOW_TEST_LOAD_CUDA"

// cudaReport is what it prints.
type cudaReport struct {
	Before, After     CUDAStatus
	Devices           []Device
	Known, Unknown    string // errors of SetMatmul
	GraphsSwitchedOff bool
}

func init() {
	if os.Getenv(cudaTestEnv) != "" {
		os.Exit(printCUDA())
	}
}

// printCUDA is such a program. The file of its model is in the variable.
func printCUDA() int {
	m, err := LoadModel(os.Getenv(cudaTestEnv), ModelOptions{GPULayers: 0})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	r := cudaReport{Before: CUDA()}
	if err := m.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	r.After = LoadCUDA()
	r.Devices = Devices()
	for _, m := range matmuls {
		if err := SetMatmul(m); err != nil {
			r.Known += err.Error()
		}
	}
	r.Unknown = fmt.Sprint(SetMatmul("int4"))
	r.GraphsSwitchedOff = os.Getenv("GGML_CUDA_DISABLE_GRAPHS") != ""
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		return 1
	}
	return 0
}

// loadInProcess runs LoadCUDA in a process of its own, where the loader finds the
// libraries of dir first.
func loadInProcess(t *testing.T, dir string, env ...string) (r cudaReport) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(s string) bool {
		return strings.HasPrefix(s, "WINNOW_CUDA") || strings.HasPrefix(s, "CUDA_VISIBLE_DEVICES=") || strings.HasPrefix(s, "GGML_CUDA_")
	}), append(env, cudaTestEnv+"="+writeTiny(t, tinygguf.Options{}), "LD_LIBRARY_PATH="+dir)...)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, &talk, out)
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return r
}

// A backend that is for this program and for the GPUs is loaded, with its devices.
func TestLoadCUDA(t *testing.T) {
	dir := t.TempDir()
	driver(t, dir, 2, 90, 13000, 0)
	lib := backendLibrary(t, filepath.Join(dir, "lib"), engineVersion(), "800,900", 2, cuBLAS(t, filepath.Join(dir, "cublas"), 13)...)
	r := loadInProcess(t, dir, cudaEnv+"="+lib, cudaLibsEnv+"="+dir+"/cublas")
	if r.Before.Loaded || r.Before.Reason == "" {
		t.Errorf("with no layers on a GPU: %+v, want that nothing was looked for", r.Before)
	}
	s := r.After
	if !s.Loaded || s.Reason != "" || s.Path != lib || s.Engine != engineVersion() || !slices.Equal(s.Architectures, []int{80, 90}) || s.CuBLAS != filepath.Join(dir, "cublas/libcublas.so.13") {
		t.Errorf("loaded: %+v", s)
	}
	if !strings.HasSuffix(s.Driver, "CUDA 13.0") || len(s.Devices) != 2 || !r.GraphsSwitchedOff {
		t.Errorf("driver %q, %d devices, graphs switched off: %v", s.Driver, len(s.Devices), r.GraphsSwitchedOff)
	}
	want := []Device{
		{Name: "CUDA0", Index: 0}, {Name: "CUDA1", Index: 1},
	}
	for i := range want {
		want[i].Description, want[i].GPU, want[i].Capability, want[i].ID, want[i].PCI = "a stand-in", true, 90, "GPU-stand-in", "0000:17:00.0"
		want[i].MemoryFree, want[i].MemoryTotal = 3<<30, 80<<30
	}
	gpus := slices.DeleteFunc(slices.Clone(r.Devices), func(d Device) bool { return !d.GPU })
	if !slices.Equal(gpus, want) || len(r.Devices) != 3 {
		t.Errorf("devices %+v, want the CPU and %+v", r.Devices, want)
	}
	if r.Known != "" || !strings.Contains(r.Unknown, `"int4": want int8, cublas or cublas-f16`) {
		t.Errorf("choices: %q, an unknown one: %q", r.Known, r.Unknown)
	}
}

// The system's loader may have cuBLAS, and a library of an older winnow may not
// know a choice.
func TestLoadCUDAByTheLoader(t *testing.T) {
	dir := t.TempDir()
	driver(t, dir, 1, 90, 13000, 0)
	flags := append(cuBLAS(t, dir, 13), "-ULAST_MATMUL", "-DLAST_MATMUL=0")
	lib := backendLibrary(t, filepath.Join(dir, "lib"), engineVersion(), "900", 1, flags...)
	r := loadInProcess(t, dir, cudaEnv+"="+lib)
	if s := r.After; !s.Loaded || s.CuBLAS != filepath.Join(dir, "libcublas.so.13") {
		t.Errorf("got %+v", s)
	}
	if !strings.Contains(r.Known, lib+" refuses the kernels cublas (code 1)") {
		t.Errorf("choices that the library does not know: %q", r.Known)
	}
}

// Loaded without a driver, it has no devices and says why; ggml may refuse it too.
func TestLoadCUDAWithoutGPU(t *testing.T) {
	dir := t.TempDir()
	driver(t, dir, 0, 90, 13000, 100)
	lib := backendLibrary(t, filepath.Join(dir, "lib"), engineVersion(), "900", 0)
	r := loadInProcess(t, dir, cudaEnv+"="+lib)
	if s := r.After; !s.Loaded || len(s.Devices) > 0 || !strings.Contains(s.Reason, "CUDA_ERROR_NO_DEVICE") || s.Remedy == "" || len(r.Devices) != 1 {
		t.Errorf("got %+v with devices %+v", s, r.Devices)
	}
	lib = backendLibrary(t, filepath.Join(dir, "bad"), engineVersion(), "900", 0, "-DNO_INIT")
	r = loadInProcess(t, dir, cudaEnv+"="+lib)
	if s := r.After; s.Loaded || !strings.Contains(s.Reason, "ggml refuses") || !strings.Contains(s.Reason, "ggml_backend_init") {
		t.Errorf("got %+v", s)
	}
}
