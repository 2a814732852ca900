package llama

// #include "shim.h"
import "C"

import (
	"fmt"
	"strings"
	"unsafe"
)

// places is the C memory that says where a model's layers are. The model keeps
// pointers into it.
type places struct {
	devices *C.ggml_backend_dev_t
	split   *C.float
}

func (p places) free() {
	C.free(unsafe.Pointer(p.devices))
	C.free(unsafe.Pointer(p.split))
}

// place fills in where a model's layers go.
func place(params *C.struct_llama_model_params, o ModelOptions) (p places, err error) {
	params.n_gpu_layers = C.int32_t(o.GPULayers)
	if o.GPULayers < 0 {
		params.n_gpu_layers = 1 << 16
	}
	if o.GPULayers == 0 {
		// Without layers on a GPU, llama.cpp would still send large batches there.
		params.split_mode, params.main_gpu = C.LLAMA_SPLIT_MODE_NONE, -1
		return p, nil
	}
	if most := int(C.llama_max_devices()); len(o.Devices) > most {
		return p, fmt.Errorf("%d devices, llama.cpp knows at most %d", len(o.Devices), most)
	}
	if len(o.TensorSplit) > 0 && len(o.TensorSplit) != len(o.Devices) {
		return p, fmt.Errorf("proportions for %d devices, given are %d", len(o.TensorSplit), len(o.Devices))
	}
	if len(o.Devices) == 0 {
		return p, nil
	}
	found := make([]C.ggml_backend_dev_t, len(o.Devices), len(o.Devices)+1)
	for i, name := range o.Devices {
		if found[i] = gpu(name); found[i] == nil {
			return p, fmt.Errorf("device %q: %s", name, gpuNames())
		}
	}
	found = append(found, nil) // ends the list
	p.devices = (*C.ggml_backend_dev_t)(C.calloc(C.size_t(len(found)), C.size_t(unsafe.Sizeof(found[0]))))
	copy(unsafe.Slice(p.devices, len(found)), found)
	params.devices = p.devices
	if len(o.TensorSplit) > 0 {
		p.split = (*C.float)(C.calloc(C.llama_max_devices(), C.size_t(unsafe.Sizeof(C.float(0)))))
		for i, x := range o.TensorSplit {
			unsafe.Slice(p.split, len(o.TensorSplit))[i] = C.float(x)
		}
		params.tensor_split = p.split
	}
	return p, nil
}

// gpu returns the GPU of that name, or nil.
func gpu(name string) C.ggml_backend_dev_t {
	for i := range C.ggml_backend_dev_count() {
		d := C.ggml_backend_dev_get(i)
		if isGPU(d) && C.GoString(C.ggml_backend_dev_name(d)) == name {
			return d
		}
	}
	return nil
}

func isGPU(d C.ggml_backend_dev_t) bool {
	kind := C.ggml_backend_dev_type(d)
	return kind == C.GGML_BACKEND_DEVICE_TYPE_GPU || kind == C.GGML_BACKEND_DEVICE_TYPE_IGPU
}

// gpuNames says which GPUs there are, without asking them for anything.
func gpuNames() string {
	var list []string
	for i := range C.ggml_backend_dev_count() {
		if d := C.ggml_backend_dev_get(i); isGPU(d) {
			list = append(list, C.GoString(C.ggml_backend_dev_name(d))+" ("+C.GoString(C.ggml_backend_dev_description(d))+")")
		}
	}
	if len(list) == 0 {
		return "the engine sees no GPU"
	}
	return "the engine sees " + strings.Join(list, ", ")
}
