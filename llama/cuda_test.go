//go:build linux

package llama

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ebitengine/purego"

	"winnow/internal/dl"
)

// coreSymbols are the functions of ggml's core that the module's CUDA backend
// calls. make cuda compares the true list with the program.
var coreSymbols = []string{
	"ggml_abort", "ggml_are_same_shape", "ggml_are_same_stride", "ggml_backend_buffer_get_alloc_size", "ggml_backend_buffer_get_usage",
	"ggml_backend_buffer_init", "ggml_backend_buft_alloc_buffer", "ggml_backend_buft_get_alloc_size", "ggml_backend_cpu_buffer_from_ptr",
	"ggml_backend_cpu_buffer_type", "ggml_backend_reg_dev_get", "ggml_blck_size", "ggml_can_fuse_subgraph_ext", "ggml_can_repeat",
	"ggml_element_size", "ggml_flash_attn_ext_get_prec", "ggml_get_glu_op", "ggml_get_unary_op", "ggml_guid_matches", "ggml_is_contiguous",
	"ggml_is_contiguous_channels", "ggml_is_contiguous_rows", "ggml_is_contiguously_allocated", "ggml_is_empty", "ggml_is_quantized",
	"ggml_is_scalar", "ggml_is_transposed", "ggml_log_internal", "ggml_nbytes", "ggml_nelements", "ggml_nrows", "ggml_nvml_get_device_memory",
	"ggml_nvml_init", "ggml_nvml_release", "ggml_op_desc", "ggml_op_name", "ggml_rope_yarn_corr_dims", "ggml_row_size", "ggml_type_name", "ggml_type_size",
}

// A library that is loaded at run time must find ggml's core in the program.
func TestCoreSymbolsAreExported(t *testing.T) {
	for _, name := range coreSymbols {
		if _, err := purego.Dlsym(purego.RTLD_DEFAULT, name); err != nil {
			t.Errorf("%v: is -rdynamic missing?", err)
		}
	}
}

func TestEngineVersion(t *testing.T) {
	if v := engineVersion(); !strings.HasPrefix(v, "v0.") || strings.ContainsAny(v, "/ ") {
		t.Errorf("the engine's version is %q, want that of go.mod", v)
	}
}

// compile makes a shared library of a file of testdata, or of an empty one, and
// returns its path.
func compile(t *testing.T, dir, name, source string, flags ...string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	cc := strings.Fields(cmp.Or(os.Getenv("CC"), "gcc"))
	args := slices.Concat(cc[1:], strings.Fields(os.Getenv("CGO_CPPFLAGS")), []string{"-shared", "-fPIC", "-Wl,--no-as-needed", "-Wl,-soname," + name, "-o", path, source}, flags)
	if out, err := exec.Command(cc[0], args...).CombinedOutput(); err != nil {
		t.Fatalf("compile %s: %v\n%s", source, err, out)
	}
	return path
}

// backendLibrary compiles a stand-in for the backend.
func backendLibrary(t *testing.T, dir, engine, architectures string, gpus int, flags ...string) string {
	return compile(t, dir, cudaFile, "testdata/cudabackend.c", append([]string{
		fmt.Sprintf("-DENGINE=%q", engine), fmt.Sprintf("-DARCHITECTURES=%q", architectures), fmt.Sprintf("-DGPUS=%d", gpus),
		fmt.Sprintf("-DLAST_MATMUL=%d", len(matmuls)-1),
	}, flags...)...)
}

// driver compiles a stand-in for the driver. Its capability is times ten.
func driver(t *testing.T, dir string, gpus, capability, release, start int) string {
	return compile(t, dir, driverLibrary, "testdata/cudadriver.c", fmt.Sprintf("-DGPUS=%d", gpus), fmt.Sprintf("-DMAJOR=%d", capability/10),
		fmt.Sprintf("-DMINOR=%d", capability%10), fmt.Sprintf("-DRELEASE=%d", release), fmt.Sprintf("-DINIT=%d", start))
}

// cuBLAS compiles stand-ins for both halves of it, in a release that no other test
// has: what is loaded stays loaded. It returns what a backend that needs it is
// compiled with.
func cuBLAS(t *testing.T, dir string, release int) []string {
	t.Helper()
	source := filepath.Join(t.TempDir(), "cublas.c")
	if err := os.WriteFile(source, []byte("int cublas_stand_in(void) { return 1; }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	half := compile(t, dir, fmt.Sprintf("libcublasLt.so.%d", release), "testdata/cudadriver.c", "-DGPUS=0", "-DMAJOR=0", "-DMINOR=0", "-DRELEASE=0", "-DINIT=0")
	return []string{"-DNEEDS_CUBLAS", compile(t, dir, fmt.Sprintf("libcublas.so.%d", release), source, half)}
}

// host is a machine without anything but what a test puts into it.
func host(t *testing.T, env map[string]string) *cudaHost {
	root := t.TempDir()
	return &cudaHost{
		lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		exe:    filepath.Join(root, "program/bin/winnow"), root: root, engine: "v1.2.3", driver: filepath.Join(root, driverLibrary),
	}
}

// write writes a file and the folders above it.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// What is refused is refused with the reason and the remedy, and the run goes on.
func TestCUDAIsRefused(t *testing.T) {
	const good = "v1.2.3"
	for _, c := range []struct {
		name           string
		env            map[string]string
		prepare        func(t *testing.T, h *cudaHost, beside string)
		reason, remedy string
		wanted         bool
	}{
		{name: "off", env: map[string]string{cudaEnv: "off"}, reason: "WINNOW_CUDA=off", remedy: "unset WINNOW_CUDA"},
		{name: "no driver", prepare: func(t *testing.T, h *cudaHost, beside string) {
			backendLibrary(t, beside, good, "900", 1)
		}, reason: "there is no NVIDIA driver (libcuda.so.1)", remedy: "takes an NVIDIA GPU"},
		{name: "a GPU whose driver a container has not", prepare: func(t *testing.T, h *cudaHost, beside string) {
			write(t, filepath.Join(h.root, "proc/driver/nvidia/gpus/0000:17:00.0/information"), "Model: NVIDIA H100\n")
			write(t, filepath.Join(h.root, "proc/driver/nvidia/version"), "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (gcc 13)\n")
		}, reason: "libcuda.so.1 cannot be loaded", remedy: "--gpus all", wanted: true},
		{name: "a GPU that is hidden", env: map[string]string{"CUDA_VISIBLE_DEVICES": ""}, prepare: func(t *testing.T, h *cudaHost, beside string) {
			write(t, filepath.Join(h.root, "proc/driver/nvidia/gpus/0000:17:00.0/information"), "Model: NVIDIA H100\n")
			driver(t, h.root, 1, 90, 13000, 100)
		}, reason: "cuInit: CUDA_ERROR_NO_DEVICE (100)", remedy: "CUDA_VISIBLE_DEVICES"},
		{name: "a driver with an error without a name", prepare: func(t *testing.T, h *cudaHost, beside string) {
			driver(t, h.root, 1, 90, 13000, 998)
		}, reason: "cuInit: an unknown error (998)", remedy: "nvidia-smi"},
		{name: "a driver without GPUs", prepare: func(t *testing.T, h *cudaHost, beside string) {
			driver(t, h.root, 0, 90, 13000, 0)
		}, reason: "the driver has no GPU for this process", remedy: "nvidia-smi"},
		{name: "a driver that is none", prepare: func(t *testing.T, h *cudaHost, beside string) {
			compile(t, h.root, driverLibrary, "testdata/cudabackend.c", "-DENGINE=\"\"", "-DARCHITECTURES=\"\"", "-DGPUS=0", "-DLAST_MATMUL=0")
		}, reason: "cuInit", remedy: "a newer driver"},
		{name: "no library", prepare: func(t *testing.T, h *cudaHost, beside string) {
			driver(t, h.root, 1, 90, 13000, 0)
		}, reason: "there is no libggml-cuda.so (looked for in", remedy: "make cuda", wanted: true},
		{name: "an absent file", env: map[string]string{cudaEnv: "/no/such/lib.so"}, reason: "open /no/such/lib.so: no such file", remedy: "make cuda", wanted: true},
		{name: "no library's bytes", prepare: func(t *testing.T, h *cudaHost, beside string) {
			driver(t, h.root, 1, 90, 13000, 0)
			write(t, filepath.Join(beside, cudaFile), "INPUT(libm.so)\n")
		}, reason: "libggml-cuda.so is no shared library", remedy: "make cuda", wanted: true},
		{name: "a program", env: map[string]string{cudaEnv: "/proc/self/exe"}, reason: "no shared library: its type is ET_EXEC", remedy: "make cuda", wanted: true},
		{name: "other sources", prepare: func(t *testing.T, h *cudaHost, beside string) {
			driver(t, h.root, 1, 90, 13000, 0)
			backendLibrary(t, beside, "v1.2.4", "900", 1)
		}, reason: "was compiled from version v1.2.4 of the engine's sources, this program from v1.2.3", remedy: "make cuda", wanted: true},
		{name: "a symbol that the program lacks", prepare: func(t *testing.T, h *cudaHost, beside string) {
			driver(t, h.root, 1, 90, 13000, 0)
			backendLibrary(t, beside, good, "900", 1, "-DNEEDS_UNKNOWN")
		}, reason: "undefined symbol: ggml_of_another_version", remedy: "make cuda", wanted: true},
		{name: "another project's build", prepare: func(t *testing.T, h *cudaHost, beside string) {
			driver(t, h.root, 1, 90, 13000, 0)
			backendLibrary(t, beside, good, "900", 1, "-DNO_MATMUL")
		}, reason: "was not made by make cuda: it has no winnow_cuda_matmul", remedy: "make cuda", wanted: true},
		{name: "architectures that are none", prepare: func(t *testing.T, h *cudaHost, beside string) {
			driver(t, h.root, 1, 90, 13000, 0)
			backendLibrary(t, beside, good, "__CUDA_ARCH_LIST__", 1)
		}, reason: `compiled for "__CUDA_ARCH_LIST__"`, remedy: "make cuda", wanted: true},
		{name: "another card", prepare: func(t *testing.T, h *cudaHost, beside string) {
			driver(t, h.root, 2, 86, 13000, 0)
			backendLibrary(t, beside, good, "890,900", 1)
		}, reason: "was compiled for compute capability 8.9, 9.0, and a GPU here has 8.6", remedy: "make cuda CUDA_ARCHS=86", wanted: true},
		{name: "an old driver", prepare: func(t *testing.T, h *cudaHost, beside string) {
			driver(t, h.root, 1, 90, 12040, 0)
			backendLibrary(t, beside, good, "900", 1, cuBLAS(t, filepath.Join(h.root, "nowhere"), 13)...)
		}, reason: "the driver (CUDA 12.4) is too old for CUDA 13", remedy: "CUDA 12", wanted: true},
		{name: "no cuBLAS", prepare: func(t *testing.T, h *cudaHost, beside string) {
			driver(t, h.root, 1, 90, 71000, 0)
			backendLibrary(t, beside, good, "900", 1, cuBLAS(t, filepath.Join(h.root, "nowhere"), 71)...)
		}, reason: "there is no libcublas.so.71", remedy: "WINNOW_CUDA_LIBS", wanted: true},
		{name: "half a cuBLAS", prepare: func(t *testing.T, h *cudaHost, beside string) {
			driver(t, h.root, 1, 90, 72000, 0)
			backendLibrary(t, beside, good, "900", 1, cuBLAS(t, beside, 72)...)
			if err := os.Remove(filepath.Join(beside, "libcublasLt.so.72")); err != nil {
				t.Fatal(err)
			}
		}, reason: "libcublas.so.72 cannot be loaded", remedy: "WINNOW_CUDA_LIBS", wanted: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host(t, c.env)
			if c.prepare != nil {
				c.prepare(t, h, filepath.Dir(h.exe))
			}
			s, setMatmul := h.load()
			if s.Loaded || setMatmul != nil || len(s.Devices) > 0 {
				t.Fatalf("it was loaded: %+v", s)
			}
			if !strings.Contains(s.Reason, c.reason) || !strings.Contains(s.Remedy, c.remedy) {
				t.Errorf("got %q, to do %q\nwant %q, to do %q", s.Reason, s.Remedy, c.reason, c.remedy)
			}
			if s.wanted != c.wanted {
				t.Errorf("wanted is %v, want %v", s.wanted, c.wanted)
			}
		})
	}
}

func TestCoverage(t *testing.T) {
	for _, c := range []struct {
		architectures string
		gpu           int
		want          bool
	}{
		{"900", 90, true},
		{"800", 86, true}, // code for 8.0 runs on all of 8.x
		{"890", 86, false},
		{"800,860,890", 90, false},
		{"900", 100, false},
		{"1200", 121, true},
		{"900, 1200", 120, true},
	} {
		list, err := parseArchitectures(c.architectures)
		if err != nil {
			t.Fatal(err)
		}
		if got := covers(list, c.gpu); got != c.want {
			t.Errorf("%s covers %d: %v, want %v", c.architectures, c.gpu, got, c.want)
		}
	}
	for _, bad := range []string{"", "900,", "sm_90", "9"} {
		if got, err := parseArchitectures(bad); err == nil {
			t.Errorf("%q is read as %v, want an error", bad, got)
		}
	}
}

// The places where cuBLAS is looked for, one after the other.
func TestCuBLASIsFound(t *testing.T) {
	for i, place := range []string{
		"{settings}",
		"{beside}",
		"{beside}/../cuda-toolkit/nvidia/cu%d/lib",
		"{root}/toolkit/lib64",
		"{root}/usr/local/cuda-%d.0/targets/x86_64-linux/lib",
		"{root}/venv/lib/python3.12/site-packages/nvidia/cu%d/lib",
		"{root}/opt/torch/.venv/lib/python3.12/site-packages/nvidia/cublas/lib",
		"{root}/usr/lib/python3/dist-packages/nvidia/cublas/lib",
		"{root}/home/.local/lib/python3.9/site-packages/nvidia/cublas/lib",
	} {
		t.Run(place, func(t *testing.T) {
			release := 80 + i
			h := host(t, nil)
			env := map[string]string{
				cudaLibsEnv: h.root + "/empty:" + h.root + "/settings", "CUDA_PATH": h.root + "/toolkit", "VIRTUAL_ENV": h.root + "/venv", "HOME": h.root + "/home",
			}
			h.lookup = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
			if strings.Contains(place, "%d") {
				place = fmt.Sprintf(place, release)
			}
			beside := filepath.Join(h.root, "build/cuda")
			dir := filepath.Clean(strings.NewReplacer("{settings}", h.root+"/settings", "{beside}", beside, "{root}", h.root).Replace(place))
			backend := backendLibrary(t, beside, "v1.2.3", "900", 1, cuBLAS(t, dir, release)...)
			needs, err := neededByELF(backend)
			if err != nil {
				t.Fatal(err)
			}
			path, r := h.loadNeeded(backend, needs)
			if r != nil {
				t.Fatal(r)
			}
			if want := filepath.Join(dir, fmt.Sprintf("libcublas.so.%d", release)); path != want {
				t.Errorf("found %s, want %s", path, want)
			}
			if _, err := dl.Open(backend); err != nil {
				t.Errorf("the backend does not find what was loaded for it: %v", err)
			}
		})
	}
}

// Where the library stands beside a program, in an installation, in a source tree.
func TestFindLibrary(t *testing.T) {
	for _, place := range []string{"program/bin", "program/lib/winnow", "program/build/cuda"} {
		h := host(t, nil)
		if got := h.findLibrary(); got != "" {
			t.Errorf("nothing is there, found %s", got)
		}
		want := filepath.Join(h.root, place, cudaFile)
		write(t, want, "")
		if got := h.findLibrary(); got != want {
			t.Errorf("found %q, want %s", got, want)
		}
	}
}
