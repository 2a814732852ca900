package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"winnow/grader"
	"winnow/grader/placement"
	"winnow/internal/tinygguf"
	"winnow/llama"
)

// gpus are GPUs with so many GiB free, for plans; none of them exists.
func gpus(capability int, gib ...float64) []placement.Device {
	var list []placement.Device
	for i, g := range gib {
		list = append(list, placement.Device{
			Name: "CUDA" + strconv.Itoa(i), Description: "Card " + strconv.Itoa(capability), Index: i, Capability: capability,
			Total: 80 << 30, Free: uint64(g * (1 << 30)),
		})
	}
	return list
}

// Place gives each engine its GPU and fills in what is open, and nothing else.
func TestPlace(t *testing.T) {
	model := writeTiny(t, tinygguf.Options{})
	for _, c := range []struct {
		name    string
		o       Options
		gpus    []placement.Device
		devices []string // of each engine
		want    Options  // Batch, Lanes, Threads and Matmul of each
	}{
		{"no GPU", Options{GPULayers: -1}, nil, []string{""}, Options{}},
		{"CPU by wish", Options{}, gpus(90, 80, 80), []string{""}, Options{}},
		{"one", Options{GPULayers: -1}, gpus(90, 80), []string{"CUDA0"}, Options{Batch: 1024, Lanes: 2, Threads: 1, Matmul: "int8"}},
		{"two", Options{GPULayers: -1}, gpus(90, 80, 80), []string{"CUDA0", "CUDA1"}, Options{Batch: 1024, Lanes: 2, Threads: 1, Matmul: "int8"}},
		{"the second", Options{GPULayers: -1, Devices: []string{"cuda1"}}, gpus(90, 80, 80), []string{"CUDA1"}, Options{Batch: 1024, Lanes: 2, Threads: 1, Matmul: "int8"}},
		{"layers", Options{GPULayers: -1, Split: placement.ByLayer}, gpus(90, 80, 80), []string{"CUDA0 CUDA1"}, Options{Batch: 1024, Lanes: 2, Threads: 1, Matmul: "int8"}},
		{"as asked", Options{GPULayers: 1, Batch: 64, Lanes: 3, Threads: 5, Matmul: "cublas-f16"}, gpus(90, 80), []string{"CUDA0"}, Options{Batch: 64, Lanes: 3, Threads: 5, Matmul: "cublas-f16"}},
		{"cells", Options{GPULayers: -1, Cells: 512}, gpus(90, 80), []string{"CUDA0"}, Options{Cells: 512, Lanes: 2, Threads: 1, Matmul: "int8"}},
	} {
		c.o.Model = model
		list, plan, err := Place(c.o, c.gpus)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var devices []string
		for _, o := range list {
			var names []string
			for _, s := range o.Place.Shares {
				names = append(names, s.Device.Name)
			}
			devices = append(devices, strings.Join(names, " "))
			got := Options{Batch: o.Batch, Cells: o.Cells, Lanes: o.Lanes, Threads: o.Threads, Matmul: o.Matmul}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
			}
			rest := o
			rest.Place, rest.Batch, rest.Lanes, rest.Threads, rest.Matmul = nil, c.o.Batch, c.o.Lanes, c.o.Threads, c.o.Matmul
			if !reflect.DeepEqual(rest, c.o) {
				t.Errorf("%s: other options changed: %+v, want %+v", c.name, rest, c.o)
			}
			if b, err := json.Marshal(o); err != nil {
				t.Error(err)
			} else {
				var back Options
				if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, o) {
					t.Errorf("%s: as JSON it becomes %+v (%v), want %+v", c.name, back, err, o)
				}
			}
		}
		if !reflect.DeepEqual(devices, c.devices) || len(plan.Children) != len(list) {
			t.Errorf("%s: devices %q, want %q", c.name, devices, c.devices)
		}
	}
}

func TestPlaceErrors(t *testing.T) {
	model := writeTiny(t, tinygguf.Options{})
	_, _, err := Place(Options{Model: model, GPULayers: -1, Devices: []string{"CUDA0", "CUDA5"}}, gpus(90, 80, 80))
	var unknown *DeviceError
	if !errors.As(err, &unknown) || !strings.Contains(err.Error(), "no device CUDA5: want one or several of CUDA0 (Card 90), CUDA1 (Card 90)") {
		t.Errorf("an unknown device: %v", err)
	}
	if _, _, err = Place(Options{Model: model, GPULayers: -1, Devices: []string{"CUDA0"}}, nil); !errors.As(err, &unknown) || !strings.Contains(err.Error(), "sees no GPU") {
		t.Errorf("a device where there is none: %v", err)
	}
	var room *placement.NoRoomError
	if _, _, err = Place(Options{Model: model, GPULayers: AllLayers}, gpus(90, 0.5)); !errors.As(err, &room) || !strings.Contains(err.Error(), model) {
		t.Errorf("no room: %v", err)
	}
	// A model that cannot be read is left to Open, which says what is wrong with it.
	absent := filepath.Join(t.TempDir(), "absent.gguf")
	list, _, err := Place(Options{Model: absent, GPULayers: -1}, gpus(90, 80))
	if err != nil || len(list) != 1 {
		t.Fatalf("an absent model: %d engines, %v", len(list), err)
	}
	list[0].Rubrics = only(load(t, ""))
	if _, err := Open(list[0]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent model is opened: %v", err)
	}
	// A GPU that is gone when the engine is opened.
	list, _, err = Place(Options{Model: model, GPULayers: -1, Rubrics: only(load(t, ""))}, gpus(90, 80))
	if err != nil {
		t.Fatal(err)
	}
	list[0].Place.Shares[0].Device.Name = "CUDA77"
	if _, err := Open(list[0]); err == nil || !strings.Contains(err.Error(), `device "CUDA77": the engine sees`) {
		t.Errorf("a GPU that is gone: %v", err)
	}
}

// The device in the manifest has no number, so that a run can go on with another
// GPU of the same kind.
func TestDeviceName(t *testing.T) {
	card := func(kind string) placement.Share {
		return placement.Share{Device: placement.Device{Name: "CUDA1", Description: kind}, Layers: 1}
	}
	for want, place := range map[string]placement.Child{
		"CPU":         {},
		"H100":        {Shares: []placement.Share{card("H100")}, GPULayers: 3},
		"H100 + A100": {Shares: []placement.Share{card("H100"), card("A100"), card("H100")}, GPULayers: 3},
		"H100 + CPU":  {Shares: []placement.Share{card("H100")}, GPULayers: 2},
	} {
		e := &Engine{o: Options{Place: &place}, info: llama.Info{Layers: 2}}
		if got := e.device(); got != want {
			t.Errorf("device %q, want %q", got, want)
		}
	}
}

// The warm-up fills a batch to the last token, within the capacity, and leaves
// ratings as they are.
func TestWarmUp(t *testing.T) {
	e := open(t, tinygguf.BPE, Options{Batch: 300, Lanes: 2})
	list := encode(t, e, records(4)...)
	before := rate(t, e, list...)
	if err := e.warmUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // in both contexts
		if after := rate(t, e, list...); !reflect.DeepEqual(after, before) {
			t.Errorf("after the warm-up %+v, before %+v", after, before)
		}
	}
	for _, batch := range []int{MinBatch, 64, 300, 1000, 2048} {
		e.o.Batch = batch
		prompts, size := e.fullBatch(), 0
		for _, p := range prompts {
			size += p.Size
			if len(p.Tokens) == 0 || p.Size != len(p.Tokens)+e.tail.size() {
				t.Errorf("batches of %d: a prompt of size %d with %d tokens", batch, p.Size, len(p.Tokens))
			}
		}
		if c := e.Capacity(); size != batch || len(prompts) > c.Prompts || batch >= 1000 && len(prompts) < 10 {
			t.Errorf("%d prompts of %d tokens together, want %d tokens and at most %d prompts", len(prompts), size, batch, c.Prompts)
		}
	}
	e.o.Batch = 300
	if _, err := e.Rate(context.Background(), e.fullBatch(), make([]grader.Outcome, len(e.fullBatch()))); err != nil {
		t.Errorf("a full batch cannot be rated: %v", err)
	}
}

// The plan's memory is what llama.cpp reserves: caches to the byte, compute
// buffers from above and within a third.
func TestPlannedMemory(t *testing.T) {
	models := []string{writeTiny(t, tinygguf.Options{}), writeTiny(t, tinygguf.Options{Layers: 3, Embd: 128, Heads: 8, HeadsKV: 4, FF: 1024, F16: true})}
	if real := os.Getenv("WINNOW_TEST_MODEL"); real != "" {
		models = append(models, real)
	}
	for _, model := range models {
		for _, batch := range []int{256, 1024} {
			var log bytes.Buffer
			old := slog.Default()
			slog.SetDefault(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
			e, err := Open(Options{Model: model, Rubrics: only(load(t, "")), Batch: batch, Threads: 1})
			slog.SetDefault(old)
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			cache, compute := mebibytes(t, log.String(), "KV buffer size"), mebibytes(t, log.String(), "compute buffer size")
			list, _, err := Place(Options{Model: model, GPULayers: -1, Batch: batch, Lanes: 1}, gpus(89, 1000))
			if err != nil {
				t.Fatal(err)
			}
			need := list[0].Place.Shares[0].Need
			const slack = 0.01 // llama.cpp's log has two digits
			if got := float64(need.Cache) / (1 << 20); got < cache-slack || got > cache+slack {
				t.Errorf("%s, batches of %d: a cache of %.3f MiB, llama.cpp's has %.2f", filepath.Base(model), batch, got, cache)
			}
			if got := float64(need.Compute) / (1 << 20); got < compute-slack || got > 1.35*compute {
				t.Errorf("%s, batches of %d: compute buffers of %.3f MiB, llama.cpp's have %.2f", filepath.Base(model), batch, got, compute)
			}
		}
	}
}

// mebibytes returns the size that a line of llama.cpp's log tells.
func mebibytes(t *testing.T, log, what string) float64 {
	t.Helper()
	m := regexp.MustCompile(regexp.QuoteMeta(what) + ` = *([0-9.]+) MiB`).FindStringSubmatch(log)
	if m == nil {
		t.Fatalf("the log has no %s: %s", what, log)
	}
	x, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}
