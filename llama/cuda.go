package llama

// #include "shim.h"
import "C"

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"winnow/internal/dl"
)

// CUDAStatus tells what came of looking for ggml's CUDA backend, which is a
// library of its own. Without it everything is computed on the CPU.
type CUDAStatus struct {
	Path          string   `json:"path,omitempty"`          // of libggml-cuda.so; empty if there is none
	Engine        string   `json:"engine,omitempty"`        // version of the sources it was compiled from
	Architectures []int    `json:"architectures,omitempty"` // that it was compiled for; 90 is compute capability 9.0
	CuBLAS        string   `json:"cublas,omitempty"`        // path of NVIDIA's library of matrix products
	Driver        string   `json:"driver,omitempty"`        // version of NVIDIA's driver, "580.95.05, CUDA 13.0"
	Loaded        bool     `json:"loaded"`
	Devices       []Device `json:"devices,omitempty"` // its GPUs, without their memory: Devices has it
	Reason        string   `json:"reason,omitempty"`  // why no GPU computes
	Remedy        string   `json:"remedy,omitempty"`  // what would change that
}

// cuda is the process's backend. A library can be loaded once and not be taken
// back, so there is one.
var cuda struct {
	once      sync.Once
	mu        sync.Mutex
	status    CUDAStatus
	setMatmul func(choice int32) int32 // nil until it is loaded
}

// LoadCUDA looks for ggml's CUDA backend, checks it and loads it: once, however
// often it is called. Loading a model that may use a GPU calls it; models that
// were loaded before stay on the CPU. Only a process that computes should call it.
//
// The library is the file of $WINNOW_CUDA ("off": none), else libggml-cuda.so
// beside the program, in ../lib/winnow or in ../build/cuda. It is refused if it
// was compiled from other sources than this program's, or for other cards. Where
// there is no NVIDIA driver it is loaded only if $WINNOW_CUDA names it.
func LoadCUDA() CUDAStatus {
	Init()
	cuda.once.Do(func() {
		h := cudaHost{lookup: os.LookupEnv, root: "/", engine: engineVersion(), driver: driverLibrary}
		if exe, err := os.Executable(); err == nil {
			h.exe = exe
		}
		s, setMatmul := h.load()
		level := slog.LevelDebug
		if len(s.Devices) == 0 && s.wanted {
			level = slog.LevelWarn
		}
		slog.Log(context.Background(), level, s.message(), "library", s.Path, "driver", s.Driver)
		cuda.mu.Lock()
		defer cuda.mu.Unlock()
		cuda.status, cuda.setMatmul = s.CUDAStatus, setMatmul
	})
	return CUDA()
}

// CUDA tells what LoadCUDA did; before, that nothing was looked for.
func CUDA() CUDAStatus {
	cuda.mu.Lock()
	defer cuda.mu.Unlock()
	if s := cuda.status; s.Loaded || s.Reason != "" {
		return s
	}
	return CUDAStatus{Reason: "not looked for, since no layers go to a GPU", Remedy: "leave -ngl 0 out"}
}

// message is the status as one line.
func (s *cudaFound) message() string {
	if len(s.Devices) > 0 {
		return fmt.Sprintf("CUDA finds %d GPUs", len(s.Devices))
	}
	start := "no CUDA"
	if s.board {
		start = "an NVIDIA GPU is here, but it is not used"
	}
	return fmt.Sprintf("%s: %s. All is computed on the CPU; to change that: %s", start, s.Reason, s.Remedy)
}

const (
	cudaEnv     = "WINNOW_CUDA"
	cudaLibsEnv = "WINNOW_CUDA_LIBS"
	cudaOff     = "off"
	cudaFile    = "libggml-cuda.so"
	makeCUDA    = "make cuda, in the source tree of this program"
)

// cudaHost is where the backend is looked for, and what for.
type cudaHost struct {
	lookup func(string) (string, bool) // the environment
	exe    string                      // this program
	root   string                      // "/" but in tests
	engine string                      // version of this program's engine
	driver string                      // the driver's library, a path or a name for the loader
}

func (h *cudaHost) env(name string) string {
	value, _ := h.lookup(name)
	return value
}

// cudaFound is a status in the making.
type cudaFound struct {
	CUDAStatus
	board  bool // an NVIDIA GPU is in this machine
	wanted bool // somebody expects it to be used
}

// refusal is a reason not to use the backend, with its remedy.
type refusal struct{ reason, remedy string }

func (r *refusal) Error() string { return r.reason }

func refuse(remedy, format string, args ...any) *refusal {
	return &refusal{fmt.Sprintf(format, args...), remedy}
}

// load does what LoadCUDA says, for the host.
func (h *cudaHost) load() (s *cudaFound, setMatmul func(int32) int32) {
	s = &cudaFound{}
	setMatmul, r := h.try(s)
	if r != nil {
		s.Reason, s.Remedy = r.reason, r.remedy
	}
	return s, setMatmul
}

// try fills in the status as far as it gets.
func (h *cudaHost) try(s *cudaFound) (setMatmul func(int32) int32, r *refusal) {
	named := h.env(cudaEnv)
	if named == cudaOff {
		return nil, refuse("unset "+cudaEnv, "%s=%s", cudaEnv, cudaOff)
	}
	d := h.findDriver()
	s.Driver, s.board = d.String(), d.boards || len(d.gpus) > 0
	visible, hides := h.lookup("CUDA_VISIBLE_DEVICES")
	hides = hides && (visible == "" || visible == "-1")
	s.wanted = named != "" || s.board && !hides
	s.Path = h.findLibrary()
	if named == "" && len(d.gpus) == 0 {
		return nil, d.refused
	}
	if s.Path == "" {
		return nil, refuse(makeCUDA, "there is no %s (looked for in %s)", cudaFile, strings.Join(h.libraryFolders(), ", "))
	}
	needs, err := neededByELF(s.Path)
	if err != nil {
		return nil, refuse(makeCUDA, "%v", err)
	}
	if major := cudaMajor(needs); d.cuda > 0 && d.cuda/1000 < major {
		return nil, refuse(fmt.Sprintf("a newer driver, or make cuda with CUDA_PATH at a toolkit of CUDA %d", d.cuda/1000),
			"the driver (%s) is too old for CUDA %d, with which %s was compiled", s.Driver, major, s.Path)
	}
	if s.CuBLAS, r = h.loadNeeded(s.Path, needs); r != nil {
		return nil, r
	}
	if setMatmul, r = h.open(s, d.gpus); r != nil {
		return nil, r
	}
	return setMatmul, s.register(d)
}

// open opens the library and checks that it is one for this program and for the
// GPUs, whose compute capabilities are given.
func (h *cudaHost) open(s *cudaFound, gpus []int) (setMatmul func(int32) int32, r *refusal) {
	lib, err := dl.Open(s.Path)
	if err != nil {
		return nil, refuse(makeCUDA, "load %s: %v", s.Path, err)
	}
	var engine, architectures func() string
	for _, f := range []struct {
		name string
		fn   any
	}{
		{"winnow_cuda_engine", &engine}, {"winnow_cuda_architectures", &architectures}, {"winnow_cuda_matmul", &setMatmul},
	} {
		if err := lib.Bind(f.name, f.fn); err != nil {
			return nil, refuse(makeCUDA, "%s was not made by make cuda: it has no %s", s.Path, f.name)
		}
	}
	s.Engine = engine()
	if s.Engine != h.engine {
		return nil, refuse(makeCUDA, "%s was compiled from version %s of the engine's sources, this program from %s", s.Path, s.Engine, h.engine)
	}
	if s.Architectures, err = parseArchitectures(architectures()); err != nil {
		return nil, refuse(makeCUDA, "%s: %v", s.Path, err)
	}
	for _, gpu := range gpus {
		if !covers(s.Architectures, gpu) {
			return nil, refuse(fmt.Sprintf("make cuda CUDA_ARCHS=%d (several with semicolons), or hide the GPU by CUDA_VISIBLE_DEVICES", gpu),
				"%s was compiled for compute capability %s, and a GPU here has %s", s.Path, capabilities(s.Architectures), capabilities([]int{gpu}))
		}
	}
	return setMatmul, nil
}

// register hands the library to ggml, which asks it for its devices.
func (s *cudaFound) register(d cudaDriver) *refusal {
	// A graph is recorded for one context of a device and is of no use for prefill,
	// whose shapes change; with two contexts on a device they are in each other's
	// way. ggml looks whether the variable is there.
	if _, set := os.LookupEnv("GGML_CUDA_DISABLE_GRAPHS"); !set {
		if err := os.Setenv("GGML_CUDA_DISABLE_GRAPHS", "1"); err != nil {
			return refuse("set GGML_CUDA_DISABLE_GRAPHS=1", "switch CUDA graphs off: %v", err)
		}
	}
	path := C.CString(s.Path)
	defer C.free(unsafe.Pointer(path))
	var reg C.ggml_backend_reg_t
	said := logged.capture(func() { reg = C.ggml_backend_load(path) })
	if reg == nil {
		return refuse(makeCUDA, "ggml refuses %s: %s", s.Path, said)
	}
	s.Loaded = true
	for i := range C.ggml_backend_reg_dev_count(reg) {
		d := describe(C.ggml_backend_reg_dev_get(reg, i))
		d.Index = int(i)
		s.Devices = append(s.Devices, d)
	}
	switch {
	case len(s.Devices) > 0:
		return nil
	case d.refused != nil:
		return d.refused
	}
	return refuse("see what nvidia-smi says", "CUDA finds no GPU: %s", said)
}

// parseArchitectures reads nvcc's list: "800,900" is 8.0 and 9.0.
func parseArchitectures(list string) ([]int, error) {
	var found []int
	for _, text := range strings.Split(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 100 {
			return nil, fmt.Errorf("it says that it was compiled for %q, want a list such as 800,900", list)
		}
		found = append(found, n/10)
	}
	return found, nil
}

// covers reports whether machine code for one of the architectures runs on a GPU:
// it does on those of the same major number that are not older.
func covers(architectures []int, gpu int) bool {
	for _, a := range architectures {
		if a/10 == gpu/10 && a <= gpu {
			return true
		}
	}
	return false
}

// capabilities writes architectures as NVIDIA does: "8.0, 9.0".
func capabilities(architectures []int) string {
	var texts []string
	for _, a := range architectures {
		texts = append(texts, fmt.Sprintf("%d.%d", a/10, a%10))
	}
	return strings.Join(texts, ", ")
}

// libraryFolders are the folders that may have the backend.
func (h *cudaHost) libraryFolders() []string {
	if h.exe == "" {
		return nil
	}
	dir := filepath.Dir(h.exe)
	return []string{dir, filepath.Join(dir, "..", "lib", "winnow"), filepath.Join(dir, "..", "build", "cuda")}
}

// findLibrary returns the path of the backend, or "".
func (h *cudaHost) findLibrary() string {
	if named := h.env(cudaEnv); named != "" {
		return named
	}
	for _, dir := range h.libraryFolders() {
		path := filepath.Join(dir, cudaFile)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}
