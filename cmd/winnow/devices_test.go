package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"winnow/grader"
	"winnow/grader/child"
	"winnow/grader/engine"
	"winnow/grader/journal"
	"winnow/grader/placement"
	"winnow/grader/record"
	"winnow/grader/rubric"
)

// deviceArgs reads the options that a command line asks for.
func deviceArgs(t *testing.T, args ...string) (o engine.Options, err error) {
	t.Helper()
	app := cli.NewApp()
	app.Flags, app.ExitErrHandler = deviceFlags(), func(*cli.Context, error) {}
	app.Action = func(c *cli.Context) error { return deviceOptions(c, &o) }
	err = app.Run(append([]string{"winnow"}, args...))
	return o, err
}

func TestDeviceOptions(t *testing.T) {
	for args, want := range map[string]engine.Options{
		"":                              {GPULayers: -1},
		"-ngl auto":                     {GPULayers: -1},
		"-ngl -1":                       {GPULayers: -1},
		"-ngl all":                      {GPULayers: engine.AllLayers},
		"-ngl 100000":                   {GPULayers: engine.AllLayers},
		"--n-gpu-layers 0":              {},
		"--gpu-layers 12":               {GPULayers: 12},
		"-dev none":                     {},
		"--device CPU":                  {},
		"--device none -ngl 0":          {},
		"--device CUDA1,CUDA0":          {GPULayers: -1, Devices: []string{"CUDA1", "CUDA0"}},
		"-sm layer -ts 3,1":             {GPULayers: -1, Split: placement.ByLayer, TensorSplit: []float64{3, 1}},
		"-ts 0.5,0 --device CUDA2,CUDA": {GPULayers: -1, TensorSplit: []float64{0.5, 0}, Devices: []string{"CUDA2", "CUDA"}},
		"--split-mode none":             {GPULayers: -1, Split: placement.NoSplit},
		"--gpu-kernels cublas-f16":      {GPULayers: -1, Matmul: "cublas-f16"},
	} {
		if got, err := deviceArgs(t, strings.Fields(args)...); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", args, got, err, want)
		}
	}
	for args, want := range map[string]string{
		"-ngl many":                  "--gpu-layers many: want auto, all, or a number",
		"-ngl -2":                    "--gpu-layers -2",
		"--device CUDA0,":            "want names of GPUs",
		"--device CUDA0,none":        "want names of GPUs",
		"--device CUDA0,cuda0":       "cuda0 is there twice",
		"--device none -ngl 4":       "leaves no GPU for -ngl 4",
		"-sm row":                    "--split-mode row: want layer or none",
		"-sm none -ts 1,1":           "needs --split-mode layer",
		"-ts 1,x":                    "want numbers of 0 or more",
		"-ts 1,-1":                   "want numbers of 0 or more",
		"-ts NaN":                    "want numbers of 0 or more",
		"-ts 0,0":                    "must be above 0",
		"-ts 1,1,1 -dev CUDA0,CUDA1": "3 shares for 2 devices",
		"--gpu-kernels best":         "want auto, int8, cublas, cublas-f16",
	} {
		_, err := deviceArgs(t, strings.Fields(args)...)
		if err == nil || !strings.Contains(err.Error(), want) || exitCode(err) != exitUsage {
			t.Errorf("%s: %v (exit code %d), want a usage error with %q", args, err, exitCode(err), want)
		}
	}
}

// somewhere is the place of an engine on GPUs of these numbers.
func somewhere(numbers ...int) placement.Child {
	c := placement.Child{GPULayers: 3, Threads: 1}
	for _, n := range numbers {
		c.Shares = append(c.Shares, placement.Share{Device: placement.Device{Name: fmt.Sprint("CUDA", n), Description: "Card", Index: n}, Layers: 1})
	}
	return c
}

// A process is shown its own GPUs alone, by the words of the user's list if there
// is one, and counts them from 0.
func TestNarrow(t *testing.T) {
	withID := somewhere(2)
	withID.Shares[0].Device.ID = "GPU-1234"
	other := somewhere(1)
	other.Shares[0].Device.Name = "Vulkan1"
	for _, c := range []struct {
		name    string
		place   placement.Child
		gpus    int
		visible string // "-" if it is not set
		env     string
		devices []string
	}{
		{"the CPU", placement.Child{}, 4, "-", "", nil},
		{"the only one", somewhere(0), 1, "-", "", []string{"CUDA0"}},
		{"all of them", somewhere(0, 1), 2, "3,1", "", []string{"CUDA0", "CUDA1"}},
		{"one of four", somewhere(2), 4, "-", "2", []string{"CUDA0"}},
		{"by its id", withID, 4, "-", "GPU-1234", []string{"CUDA0"}},
		{"two of four", somewhere(3, 1), 4, "-", "3,1", []string{"CUDA0", "CUDA1"}},
		{"of the user's list", withID, 3, "7, GPU-a ,MIG-b", "MIG-b", []string{"CUDA0"}},
		{"beyond the user's list", somewhere(2), 3, "7", "", []string{"CUDA2"}},
		{"no CUDA", other, 2, "-", "", []string{"Vulkan1"}},
	} {
		t.Setenv(visibleEnv, c.visible)
		if c.visible == "-" {
			if err := os.Unsetenv(visibleEnv); err != nil {
				t.Fatal(err)
			}
		}
		before, err := json.Marshal(c.place)
		if err != nil {
			t.Fatal(err)
		}
		place, env := narrow(c.place, c.gpus)
		if c.env != "" {
			c.env = visibleEnv + "=" + c.env
		}
		var devices []string
		for _, s := range place.Shares {
			devices = append(devices, s.Device.Name)
		}
		if env != c.env || !slices.Equal(devices, c.devices) {
			t.Errorf("%s: %q, %q, want %q, %q", c.name, env, devices, c.env, c.devices)
		}
		if after, err := json.Marshal(c.place); err != nil || !bytes.Equal(after, before) {
			t.Errorf("%s: the plan itself was changed to %s (%v)", c.name, after, err)
		}
	}
}

// An unknown device is a usage error where there are GPUs, and a device that is
// unavailable where there are none.
func TestPlaceErrors(t *testing.T) {
	o := engine.Options{GPULayers: -1, Devices: []string{"CUDA9"}}
	if _, err := usable(o, []placement.Device{{Name: "CUDA0", Description: "Card"}}); exitCode(err) != exitUsage || !strings.Contains(err.Error(), "CUDA0 (Card)") {
		t.Errorf("another GPU: %v", err)
	}
	if _, err := usable(o, nil); exitCode(err) != exitModel {
		t.Errorf("no GPU: %v", err)
	}
	if err := placeError(&placement.NoRoomError{}); exitCode(err) != exitModel {
		t.Errorf("no room: %v", err)
	}
}

// What depends on the GPUs is filled in for those that may be used, before it is
// planned: one engine for each.
func TestPlaced(t *testing.T) {
	var gpus []placement.Device
	for i := range 3 {
		gpus = append(gpus, placement.Device{Name: fmt.Sprint("CUDA", i), Description: fmt.Sprint("Card ", i), Index: i, Total: 80 << 30, Free: 80 << 30})
	}
	o := engine.Options{Model: filepath.Join(modelsDir, "tiny.gguf"), GPULayers: -1, Devices: []string{"CUDA2", "CUDA1"}}
	list, err := placed(o, gpus, func(o *engine.Options, gpus []placement.Device) error {
		if got := kinds(gpus); !slices.Equal(got, []string{"Card 2", "Card 1"}) {
			t.Errorf("the profile is that of %q", got)
		}
		o.Batch = 640
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range list {
		names = append(names, deviceNames(p.Place))
		if p.Batch != 640 || p.Lanes != 2 {
			t.Errorf("%s: -ub %d, %d contexts", names, p.Batch, p.Lanes)
		}
	}
	if !slices.Equal(names, []string{"CUDA2", "CUDA1"}) {
		t.Errorf("engines on %q", names)
	}
	wrong := errors.New("a damaged profile")
	if _, err := placed(o, gpus, func(*engine.Options, []placement.Device) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("error %v", err)
	}
}

// A scores file goes on with the attention and the kernels that it was begun with.
func TestKeepJudge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scores.jsonl")
	j, err := journal.Open(path, journal.Manifest{
		Model: journal.Model{Name: "m", SHA256: "00"}, Rubrics: []journal.Rubric{{Name: "r", SHA256: "11"}}, Scale: journal.Scale{Strings: []string{"0", "1"}, Values: []float64{0, 1}},
		Settings: map[string]string{"flash_attention": "false", "kernels": "cublas"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]engine.Options{
		"":                   {GPULayers: -1, NoFlashAttention: true, Matmul: "cublas"},
		"-fa on":             {GPULayers: -1, Matmul: "cublas"},
		"--gpu-kernels int8": {GPULayers: -1, NoFlashAttention: true, Matmul: "int8"},
	} {
		var o engine.Options
		app := cli.NewApp()
		app.Flags = engineFlags()
		app.Action = func(c *cli.Context) error {
			err := deviceOptions(c, &o)
			keepJudge(c, &o, &grader.GradeOptions{}, !c.IsSet("signals"), path)
			return err
		}
		if err := app.Run(append([]string{"winnow"}, strings.Fields(args)...)); err != nil || !reflect.DeepEqual(o, want) {
			t.Errorf("%q: %+v, %v, want %+v", args, o, err, want)
		}
	}
}

// Two engines over one queue, each in a process of its own, write the journal that
// one engine writes.
func TestTwoEngines(t *testing.T) {
	rub, err := rubric.Load(rubric.Default)
	if err != nil {
		t.Fatal(err)
	}
	o := engine.Options{Model: filepath.Join(modelsDir, "tiny.gguf"), Rubrics: []rubric.Rubric{rub}, Batch: 128, Threads: 1, Place: &placement.Child{}}
	var members []child.Member
	for range 2 {
		m, err := member(os.Args[0], slog.LevelWarn, o, 0)
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, m)
	}
	group, err := child.StartGroup(t.Context(), members, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lanes := group.Capacity().Lanes; lanes != 2 {
		t.Errorf("%d batches are rated side by side, want 2", lanes)
	}
	one, err := engine.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	var journals [][]byte
	for _, e := range []grader.Engine{group, one} {
		journals = append(journals, journalOf(t, e))
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(journals[0]) == 0 || !bytes.Equal(journals[0], journals[1]) {
		t.Error("two engines have written another journal than one")
	}
}

// journalOf grades records and returns the journal's bytes.
func journalOf(t *testing.T, e grader.Engine) []byte {
	t.Helper()
	var data bytes.Buffer
	for i := range 60 {
		fmt.Fprintf(&data, "{\"instruction\": \"Count to %d.\", \"output\": %q}\n", i, strings.Repeat("one more ", i%17+1))
	}
	path := filepath.Join(t.TempDir(), "scores.jsonl")
	opts := grader.GradeOptions{MaxOffScale: 0.99}
	j, err := journal.Open(path, grader.Manifest(e, opts))
	if err != nil {
		t.Fatal(err)
	}
	_, err = grader.Grade(t.Context(), record.NewReader(&data, "records.jsonl", record.Options{}), e, j, j, opts)
	if err = errors.Join(err, j.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
