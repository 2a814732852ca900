package llama

import (
	"slices"
	"strings"
	"testing"

	"winnow/internal/tinygguf"
)

// Devices that are not there, and shares that do not go with the devices, are
// refused before llama.cpp sees them.
func TestPlaceErrors(t *testing.T) {
	path := writeTiny(t, tinygguf.Options{})
	for want, o := range map[string]ModelOptions{
		`device "CUDA99": the engine sees`:        {GPULayers: -1, Devices: []string{"CUDA99"}},
		`device "CPU": the engine sees`:           {GPULayers: 1, Devices: []string{"CPU"}},
		"proportions for 2 devices, given are 0":  {GPULayers: -1, TensorSplit: []float32{1, 2}},
		"17 devices, llama.cpp knows at most 16":  {GPULayers: -1, Devices: slices.Repeat([]string{"CUDA0"}, 17)},
		"proportions for 2 devices, given are 1 ": {GPULayers: -1, Devices: []string{"CUDA0"}, TensorSplit: []float32{1, 2}},
	} {
		m, err := LoadModel(path, o)
		if err == nil {
			_ = m.Close()
		}
		if err == nil || !strings.Contains(err.Error()+" ", want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%+v: error %v, want %q and the path in it", o, err, want)
		}
	}
	// On the CPU, devices do not matter.
	m, err := LoadModel(path, ModelOptions{Devices: []string{"CUDA99"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}
