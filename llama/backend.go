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
	Name        string `json:"name"`        // "CPU", "CUDA0"
	Description string `json:"description"` // "NVIDIA H100 80GB HBM3"
	GPU         bool   `json:"gpu"`
	Index       int    `json:"index"`                  // among the GPUs, or among the other devices
	Capability  int    `json:"capability,omitempty"`   // a CUDA card's compute capability times ten, 90 is 9.0; 0 for other devices
	ID          string `json:"id,omitempty"`           // unique name of a card, "GPU-…"
	PCI         string `json:"pci,omitempty"`          // "0000:01:00.0"; may be empty
	MemoryFree  uint64 `json:"memory_free,omitempty"`  // bytes; 0 where unknown
	MemoryTotal uint64 `json:"memory_total,omitempty"` // bytes; 0 where unknown
}

// Devices lists the processors of every backend that is loaded: with GPUs only
// after LoadCUDA. Asking a card for its memory may start CUDA on it.
func Devices() []Device {
	Init()
	var list []Device
	var gpus, others int
	for i := range C.ggml_backend_dev_count() {
		dev := C.ggml_backend_dev_get(i)
		d := describe(dev)
		var free, total C.size_t
		C.ggml_backend_dev_memory(dev, &free, &total)
		d.MemoryFree, d.MemoryTotal = uint64(free), uint64(total)
		if d.GPU {
			d.Index = gpus
			gpus++
		} else {
			d.Index = others
			others++
		}
		list = append(list, d)
	}
	return list
}

// describe returns what a device says of itself, without its memory and index.
func describe(dev C.ggml_backend_dev_t) Device {
	var props C.struct_ggml_backend_dev_props
	C.ggml_backend_dev_get_props(dev, &props)
	kind := C.ggml_backend_dev_type(dev)
	d := Device{
		Name:        C.GoString(C.ggml_backend_dev_name(dev)),
		Description: C.GoString(C.ggml_backend_dev_description(dev)),
		GPU:         kind == C.GGML_BACKEND_DEVICE_TYPE_GPU || kind == C.GGML_BACKEND_DEVICE_TYPE_IGPU,
		PCI:         C.GoString(props.device_id),
	}
	if d.GPU {
		d.ID = C.GoString(props.id)
		d.Capability = int(10*props.compute_major + props.compute_minor)
	}
	return d
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
