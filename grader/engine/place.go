package engine

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	gguf "github.com/gpustack/gguf-parser-go"

	"winnow/grader/placement"
	"winnow/grader/signal"
	"winnow/llama"
)

// GPUs lists the GPUs that the engine can compute on. It starts CUDA on each of
// them, which takes some hundred megabytes there for as long as the process lives:
// a process that is to rate on one of several should be told which.
func GPUs() []placement.Device {
	llama.LoadCUDA()
	var list []placement.Device
	for _, d := range llama.Devices() {
		if d.GPU {
			list = append(list, placement.Device{
				Name: d.Name, Description: d.Description, Index: d.Index, ID: d.ID, Capability: d.Capability,
				Total: d.MemoryTotal, Free: d.MemoryFree,
			})
		}
	}
	return list
}

// DeviceError is a GPU that was asked for and is not there.
type DeviceError struct {
	Name string
	GPUs []placement.Device // that are there
}

// Error lists the GPUs that are there.
func (e *DeviceError) Error() string {
	if len(e.GPUs) == 0 {
		return fmt.Sprintf("there is no device %s: the engine sees no GPU; winnow doctor says why, --device none computes on the CPU", e.Name)
	}
	var list []string
	for _, d := range e.GPUs {
		list = append(list, d.Name+" ("+d.Description+")")
	}
	return fmt.Sprintf("there is no device %s: want one or several of %s, or none for the CPU", e.Name, strings.Join(list, ", "))
}

// Allowed returns the GPUs that o may use, in the order in which it names
// them: none if it is to compute on the CPU. One that is not there is a
// *DeviceError.
func Allowed(o Options, gpus []placement.Device) ([]placement.Device, error) {
	if o.GPULayers == 0 {
		return nil, nil
	}
	if len(o.Devices) == 0 {
		return gpus, nil
	}
	var list []placement.Device
	for _, name := range o.Devices {
		i := slices.IndexFunc(gpus, func(d placement.Device) bool { return strings.EqualFold(d.Name, name) })
		if i < 0 {
			return nil, &DeviceError{name, gpus}
		}
		list = append(list, gpus[i])
	}
	return list, nil
}

// Place decides which of the GPUs compute what, and returns the options of each
// engine that should rate, one a process: with Place, Batch, Lanes, Threads and
// Matmul filled in where they were open. Without a GPU it is one engine on the
// CPU. A request that does not fit is a *placement.NoRoomError.
func Place(o Options, gpus []placement.Device) ([]Options, *placement.Plan, error) {
	gpus, err := Allowed(o, gpus)
	if err != nil {
		return nil, nil, err
	}
	o.limitRows()
	if len(gpus) == 0 {
		o.Place = &placement.Child{}
		return []Options{o}, &placement.Plan{Children: []placement.Child{*o.Place}}, nil
	}
	if err := llama.Check(o.Model); err != nil {
		o.Place = &placement.Child{}
		return []Options{o}, &placement.Plan{Children: []placement.Child{*o.Place}}, nil // opening it says what is wrong
	}
	var plan *placement.Plan
	quantized := true
	m, err := modelFacts(o.Model)
	if err != nil {
		plan = unplanned(o, gpus[0], err)
	} else {
		quantized = m.Largest > 0
		if plan, err = placement.Make(m, gpus, o.placement()); err != nil {
			return nil, nil, fmt.Errorf("model %s: %w", o.Model, err)
		}
	}
	if err := o.chooseMatmul(plan, quantized); err != nil {
		return nil, nil, err
	}
	var list []Options
	for _, c := range plan.Children {
		p := o
		p.Place = &c
		if len(c.Shares) > 0 {
			if p.Batch == 0 && p.Cells == 0 {
				p.Batch = plan.Batch
			}
			if p.Lanes == 0 {
				p.Lanes = plan.Contexts
			}
			if p.Threads == 0 {
				p.Threads = c.Threads
			}
		}
		list = append(list, p)
	}
	return list, plan, nil
}

// placement are the settings that a plan takes from the options.
func (o Options) placement() placement.Settings {
	s := placement.Settings{
		GPULayers: o.GPULayers, Split: o.Split, Proportions: o.TensorSplit,
		Batch: o.Batch, Contexts: o.Lanes, Ctx: o.Ctx, Threads: o.Threads, Cores: cores(),
		NoFlash: o.NoFlashAttention, Kernels: placement.Kernels(o.Matmul),
		Beside: o.Signals.Has(signal.Follow) || o.Signals.Has(signal.Plain),
	}
	if s.Batch == 0 {
		s.Batch = o.Cells // which the batch stays below
	}
	if m, _, err := llama.ChooseMatmul(llama.Device{}, "", 0); err == nil && o.Matmul == "" && m != llama.MatmulInt8 {
		s.Kernels = placement.Kernels(m) // the environment asks for it
	}
	return s
}

// chooseMatmul fixes the kernels, which a smaller batch must not change later on.
func (o *Options) chooseMatmul(plan *placement.Plan, quantized bool) error {
	if o.Matmul != "" || len(plan.Children[0].Shares) == 0 {
		return nil
	}
	format := "F16"
	if quantized {
		format = "quantized"
	}
	batch := o.Batch
	if batch == 0 {
		batch = plan.Batch
	}
	d := plan.Children[0].Shares[0].Device
	m, why, err := llama.ChooseMatmul(llama.Device{Name: d.Name, Description: d.Description, GPU: true, Capability: d.Capability}, format, batch)
	if err != nil {
		return err
	}
	slog.Debug("kernels of matrix products", "kernels", m, "why", why)
	o.Matmul = string(m)
	return nil
}

// unplanned is what is done with a model of whose memory the header does not tell:
// all that is asked for on the first GPU, with small batches.
func unplanned(o Options, d placement.Device, why error) *placement.Plan {
	const batch, lanes, threads = 512, 1, 2
	n := o.GPULayers
	if n < 0 {
		n = AllLayers
	}
	return &placement.Plan{
		Batch: batch, Contexts: lanes, Layers: n,
		Children: []placement.Child{{Shares: []placement.Share{{Device: d, Layers: n}}, GPULayers: n, Threads: threads}},
		Warnings: []string{fmt.Sprintf("how much of the GPU's memory %s needs cannot be planned (%v): its layers go to %s; if memory runs out, give -ngl and -ub", o.Model, why, d.Name)},
	}
}

// modelFacts reads a model's header, which must have been checked: the parser
// believes numbers that it allocates by. It panics on values of an unexpected
// type, which comes back as an error.
func modelFacts(path string) (m *placement.Model, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, fmt.Errorf("%v", p)
		}
	}()
	f, err := gguf.ParseGGUFFile(path, gguf.SkipLargeMetadata(), gguf.UseMMap())
	if err != nil {
		return nil, err
	}
	return placement.FromGGUF(f)
}

// place fills in Place for an engine that is opened without: the first process of
// the plan.
func (o *Options) place() error {
	if o.Place != nil {
		return nil
	}
	if o.GPULayers == 0 {
		o.Place = &placement.Child{}
		return nil
	}
	list, plan, err := Place(*o, GPUs())
	if err != nil {
		return err
	}
	Tell(plan)
	if len(list) > 1 {
		slog.Info("one GPU of several is used: this engine is in one process", "device", list[0].Place.Shares[0].Device.Name)
	}
	*o = list[0]
	return nil
}

// Tell logs a plan: its warnings, and for who asks for it which GPU takes what.
func Tell(p *placement.Plan) {
	for _, w := range p.Warnings {
		slog.Warn(w)
	}
	if len(p.Children[0].Shares) > 0 {
		for line := range strings.Lines(p.String()) {
			slog.Info(strings.TrimSpace(line))
		}
	}
}

// modelOptions says where the model's layers go. Proportions that are the numbers
// of layers give just these.
func (o *Options) modelOptions() llama.ModelOptions {
	m := llama.ModelOptions{GPULayers: o.Place.GPULayers}
	for _, s := range o.Place.Shares {
		m.Devices = append(m.Devices, s.Device.Name)
		m.TensorSplit = append(m.TensorSplit, float32(s.Layers))
	}
	return m
}

// onGPU reports whether a GPU computes.
func (o *Options) onGPU() bool { return o.Place != nil && len(o.Place.Shares) > 0 }

// device names what computes: the CPU, or the kinds of the GPUs that take layers.
// Which of several GPUs of a kind it is does not matter to a rating, so it is not
// named, and a run can go on with another one.
func (e *Engine) device() string {
	var kinds []string
	for _, s := range e.o.Place.Shares {
		if !slices.Contains(kinds, s.Device.Description) {
			kinds = append(kinds, s.Device.Description)
		}
	}
	if e.o.Place.GPULayers <= e.info.Layers {
		kinds = append(kinds, "CPU")
	}
	return strings.Join(kinds, " + ")
}
