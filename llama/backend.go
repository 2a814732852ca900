package llama

// #include "shim.h"
import "C"

import (
	"strings"
	"sync"
)

var (
	initOnce     sync.Once
	ownAttention bool // set by Init
)

// OwnAttention says whether flash attention on the CPU is that of this package,
// which is made for packed batches, and not ggml's.
func OwnAttention() bool {
	Init()
	return ownAttention
}

// UseOwnAttention turns it off and on again, for every context: for comparing the
// two. Without it in the build, it does nothing.
func UseOwnAttention(on bool) {
	Init()
	C.shim_attention_use(C.bool(on))
}

// Init prepares the engine and routes its messages to slog. It may be called
// any number of times; opening a model calls it.
func Init() {
	initOnce.Do(func() {
		C.shim_log_to_go()
		C.llama_backend_init()
		ownAttention = bool(C.shim_attention_install())
	})
}

// Device is one processor that the engine can compute on.
type Device struct {
	Name        string // "CPU", "CUDA0"
	Description string // "NVIDIA H100 80GB HBM3"
	GPU         bool
	MemoryFree  uint64 // bytes; 0 where unknown
	MemoryTotal uint64 // bytes; 0 where unknown
}

// Devices lists the processors of every backend that is loaded.
func Devices() []Device {
	Init()
	var list []Device
	for i := range C.ggml_backend_dev_count() {
		d := C.ggml_backend_dev_get(i)
		var free, total C.size_t
		C.ggml_backend_dev_memory(d, &free, &total)
		kind := C.ggml_backend_dev_type(d)
		list = append(list, Device{
			Name:        C.GoString(C.ggml_backend_dev_name(d)),
			Description: C.GoString(C.ggml_backend_dev_description(d)),
			GPU:         kind == C.GGML_BACKEND_DEVICE_TYPE_GPU || kind == C.GGML_BACKEND_DEVICE_TYPE_IGPU,
			MemoryFree:  uint64(free),
			MemoryTotal: uint64(total),
		})
	}
	return list
}

var systemInfoMu sync.Mutex // llama_print_system_info fills a static string

// Features returns what each backend was compiled for, such as "CPU.AVX2" = "1".
func Features() map[string]string {
	Init()
	systemInfoMu.Lock()
	info := C.GoString(C.llama_print_system_info())
	systemInfoMu.Unlock()
	features := make(map[string]string)
	backend := ""
	for _, part := range strings.Split(info, "|") {
		if name, rest, ok := strings.Cut(part, " : "); ok {
			backend, part = strings.TrimSpace(name), rest
		}
		if key, value, ok := strings.Cut(part, "="); ok {
			features[backend+"."+strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return features
}
