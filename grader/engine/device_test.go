package engine

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"winnow/internal/tinygguf"
	"winnow/llama"
)

// The tests of this file compute on a GPU where WINNOW_TEST_DEVICE=gpu says that
// there is one, and fail if there is none after all. Elsewhere they compute on the
// CPU, where device and reference are the same.

// onDevice reports whether the tests are to use a GPU, and makes sure that they do.
func onDevice(t *testing.T) bool {
	t.Helper()
	switch want := os.Getenv("WINNOW_TEST_DEVICE"); want {
	case "", "cpu":
		return false
	case "gpu":
		llama.LoadCUDA()
		for _, d := range llama.Devices() {
			if d.GPU {
				return true
			}
		}
		t.Fatalf("WINNOW_TEST_DEVICE=gpu, but there is no GPU: %s", llama.CUDA().Reason)
	default:
		t.Fatalf("WINNOW_TEST_DEVICE=%s: want gpu or cpu", want)
	}
	return false
}

// deviceModels are tiny models with heads of a width that GPU kernels know, in
// each kind of weights that has matrix kernels of its own.
func deviceModels(t *testing.T) map[string]string {
	t.Helper()
	shape := tinygguf.Options{Embd: 256, Heads: 4, HeadsKV: 2, FF: 512, F16: true}
	models := map[string]string{"F16": writeTiny(t, shape)}
	for _, format := range []string{"Q8_0", "Q4_0", "Q4_K_M"} {
		models[format] = filepath.Join(t.TempDir(), format+".gguf")
		if err := llama.Quantize(models["F16"], models[format], format, 1); err != nil {
			t.Fatal(err)
		}
	}
	return models
}

// TestDevice compares the device with the CPU, and the device with itself.
func TestDevice(t *testing.T) {
	most := 0.0 // that a probability may differ
	if onDevice(t) {
		most = 0.02
	}
	for format, model := range deviceModels(t) {
		cpu := open(t, tinygguf.BPE, Options{Model: model})
		prompts := encode(t, cpu, records(20)...)
		want := rateAll(t, cpu, prompts...)
		for _, batch := range []int{62, 64, 301, 2048} {
			device := open(t, tinygguf.BPE, Options{Model: model, GPULayers: -1, Batch: batch})
			if onGPU := device.Manifest().Runtime.Device != "CPU"; onGPU != onDevice(t) {
				t.Fatalf("it computes on %s", device.Manifest().Runtime.Device)
			}
			got := rateAll(t, device, prompts...)
			worst := 0.0
			for i := range got {
				d := diff(got[i], want[i])
				if !(d <= most) {
					t.Errorf("%s, batches of %d, record %d: a probability is %g from the CPU's, want at most %g", format, batch, i, d, most)
				}
				worst = max(worst, d)
			}
			t.Logf("%s, batches of %d: probabilities differ by at most %.3g", format, batch, worst)
			if again := rateAll(t, device, prompts...); !reflect.DeepEqual(again, got) {
				t.Errorf("%s, batches of %d: the second run gave other bits", format, batch)
			}
		}
	}
}

// TestSibling rates with engines that share a model.
func TestSibling(t *testing.T) {
	model := writeTiny(t, tinygguf.Options{Embd: 256, Heads: 4, HeadsKV: 2, F16: true})
	layers := 0
	if onDevice(t) {
		layers = -1
	}
	first := open(t, tinygguf.BPE, Options{Model: model, GPULayers: layers, Batch: 256})
	want := rateAll(t, first, encode(t, first, records(20)...)...)
	for _, lanes := range []int{1, 2} {
		o := first.Options()
		o.Model, o.Lanes = "nothing.gguf", lanes
		e, err := first.Sibling(o)
		if err != nil {
			t.Fatal(err)
		}
		if got := rateAll(t, e, encode(t, e, records(20)...)...); !reflect.DeepEqual(got, want) {
			t.Errorf("%d contexts: a sibling with the same settings gave other ratings", lanes)
		}
		if !reflect.DeepEqual(e.Manifest(), first.Manifest()) {
			t.Error("the manifests differ")
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := rateAll(t, first, encode(t, first, records(20)...)...); !reflect.DeepEqual(got, want) {
		t.Error("after its siblings were closed, the first engine gave other ratings")
	}
	bad := first.Options()
	bad.Batch = 1
	if _, err := first.Sibling(bad); err == nil {
		t.Error("a batch of one token: no error")
	}
	if _, err := new(Engine).Sibling(first.Options()); err == nil {
		t.Error("a sibling of an engine without a model: no error")
	}
}
