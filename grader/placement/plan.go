package placement

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Device is a GPU as the engine lists it.
type Device struct {
	Name        string `json:"name"`         // "CUDA0"
	Description string `json:"description"`  // "NVIDIA H100 80GB HBM3"
	Index       int    `json:"index"`        // among the GPUs that a process like this one sees
	ID          string `json:"id,omitempty"` // unique, "GPU-…"; empty where unknown
	Capability  int    `json:"capability"`   // CUDA's compute capability times ten, 90 is 9.0; 0 where unknown
	Total       uint64 `json:"total_bytes"`
	Free        uint64 `json:"free_bytes"`
}

func (d Device) large() bool { return float64(d.Total) >= largeCard }

// Split says how several GPUs share the work.
type Split string

// The ways to use several GPUs.
const (
	Whole   Split = ""      // a whole model on each GPU that has room for it; where none has, ByLayer
	ByLayer Split = "layer" // one model over all GPUs
	NoSplit Split = "none"  // a whole model on each GPU that has room for it, or what of it fits there
)

// Settings are what is asked for. What is 0 is chosen.
type Settings struct {
	GPULayers   int // negative: as many as fit; else so many, or all if the model has fewer
	Split       Split
	Proportions []float64 // of the layers on each device; implies ByLayer
	Batch       int       // tokens
	Contexts    int       // of each process
	Ctx         int       // tokens that one record's prompt may have
	Prefix      int       // tokens that all prompts share, as far as known
	Beside      bool      // a record has sequences that do not share the prefix and may have Ctx tokens each
	Threads     int       // of each context
	Cores       int       // that the run may use
	NoFlash     bool      // attention without flash attention
	Kernels     Kernels
}

// Plan is which process computes what.
type Plan struct {
	Children []Child // processes; at least one
	Layers   int     // of the model, what is behind the last one included
	Batch    int     // tokens; 0 on the CPU, whose defaults are the engine's
	Contexts int     // of each process; 0 on the CPU
	Warnings []string
}

// Child is one process.
type Child struct {
	Shares    []Share `json:"shares"`     // none: on the CPU
	GPULayers int     `json:"gpu_layers"` // the sum of the shares'
	Threads   int     `json:"threads"`    // of each context; 0 on the CPU
}

// Share is a GPU's part of a process's model.
type Share struct {
	Device Device `json:"device"`
	Layers int    `json:"layers"`
	Need   Bytes  `json:"need"`
}

// cpu is the plan without GPUs.
func cpu(m *Model) *Plan {
	p := &Plan{Children: []Child{{}}}
	if m != nil {
		p.Layers = m.Layers()
	}
	return p
}

const (
	// smallBatch is the default of small models and of consumer cards, largeBatch
	// of others, leastBatch the least that is chosen.
	smallBatch, largeBatch, leastBatch = 1024, 2048, 512
	// smallModel is the most bytes in weights of a small one: 1 B weights in half
	// precision.
	smallModel = 2 << 30
	// contexts hide from the GPU what the host does between two batches.
	contexts = 2
	// cellStep is what llama.cpp rounds the cells of a cache up to.
	cellStep = 256
	// unknownPrefix is what prompts share where that is not known yet.
	unknownPrefix = 512
	// childThreads are enough where the GPU computes: the CPU looks up embeddings.
	childThreads = 2
	// copyRate is about what copying weights that are not pinned to a GPU reaches,
	// in bytes a second: an estimate for PCI Express 4.
	copyRate = 10e9
)

// Make plans. Without devices, or for no layers, everything is on the CPU. What
// was asked for and cannot be gives a *NoRoomError.
func Make(m *Model, devices []Device, s Settings) (*Plan, error) {
	if len(devices) == 0 || s.GPULayers == 0 {
		return cpu(m), nil
	}
	if n := len(s.Proportions); n > 0 && n != len(devices) {
		return nil, fmt.Errorf("%d proportions for %d devices (%s): want one for each", n, len(devices), names(devices))
	}
	if len(s.Proportions) > 0 {
		if total := slices.Max(s.Proportions); !(slices.Min(s.Proportions) >= 0 && total > 0 && !math.IsInf(total, 0)) {
			return nil, fmt.Errorf("proportions %v: want numbers of 0 or more, one of them above 0", s.Proportions)
		}
		s.Split = ByLayer
	}
	if len(devices) == 1 {
		s.Split = NoSplit
	}
	p := planner{m: m, devices: devices, s: s, want: m.Layers()}
	if s.GPULayers > 0 {
		p.want = min(p.want, s.GPULayers)
	}
	return p.plan()
}

// planner is the state of one Make.
type planner struct {
	m       *Model
	devices []Device
	s       Settings
	want    int // layers on GPUs
}

// setting is a choice of what was left open.
type setting struct{ batch, contexts int }

// choices are the settings to try, the best first. What is asked for is not
// changed.
func (p *planner) choices() []setting {
	batches, lanes := []int{p.s.Batch}, []int{p.s.Contexts}
	if p.s.Batch == 0 {
		batches = nil
		for n := p.batch(); n >= leastBatch; n /= 2 {
			batches = append(batches, n)
		}
	}
	if p.s.Contexts == 0 {
		lanes = nil
		for n := contexts; n >= 1; n-- {
			lanes = append(lanes, n)
		}
	}
	var list []setting
	for _, b := range batches {
		for _, c := range lanes {
			list = append(list, setting{b, c})
		}
	}
	return list
}

// batch is the default batch: the matrix kernels of large GPUs want more tokens,
// and the host's share of the work grows with the batch, which small models show.
func (p *planner) batch() int {
	for _, d := range p.devices {
		if !d.large() {
			return smallBatch
		}
	}
	if p.m.Weights() <= smallModel {
		return smallBatch
	}
	return largeBatch
}

func (p *planner) load(c setting) *load {
	prefix := cmp.Or(p.s.Prefix, unknownPrefix)
	longest := cmp.Or(p.s.Ctx, min(4096, p.m.CtxTrain))
	if p.s.Beside {
		longest += prefix
	}
	cells := max(longest, prefix+c.batch)
	return &load{m: p.m, batch: c.batch, contexts: c.contexts, cells: (cells + cellStep - 1) / cellStep * cellStep, flash: !p.s.NoFlash, kernels: p.s.Kernels}
}

func (p *planner) plan() (*Plan, error) {
	if plan := p.fits(p.want); plan != nil {
		return plan, nil
	}
	if err := p.blame(); err != nil {
		return nil, err
	}
	if plan, n := p.partial(); plan != nil {
		plan.Warnings = append(plan.Warnings, p.partly(plan, n))
		return plan, nil
	}
	plan := cpu(p.m)
	plan.Warnings = []string{fmt.Sprintf("not one layer of the model fits %s: it computes on the CPU (%v)", names(p.devices), p.noRoom())}
	return plan, nil
}

// fits returns a plan with n layers on GPUs, or nil. One model on each GPU comes
// before one over several, and more GPUs before larger batches.
func (p *planner) fits(n int) *Plan {
	var best *Plan
	if p.s.Split != ByLayer {
		for _, c := range p.choices() {
			if plan := p.whole(c, n); plan != nil && (best == nil || len(plan.Children) > len(best.Children)) {
				best = plan
			}
		}
	}
	if best != nil || p.s.Split == NoSplit {
		return best
	}
	for _, c := range p.choices() {
		if plan := p.split(c, n); plan != nil {
			return plan
		}
	}
	return nil
}

// partial returns the plan, with how many layers it has on GPUs, that copies the
// fewest bytes a token, or nil if not one layer fits. That need not be the one with
// the most layers: larger batches copy less often. A second context would have to
// copy, too, and hides nothing.
func (p *planner) partial() (best *Plan, layers int) {
	free := *p
	free.s.Contexts = cmp.Or(p.s.Contexts, 1)
	list := []setting{{p.s.Batch, free.s.Contexts}}
	if p.s.Batch == 0 {
		list = nil
		for batch := 2 * largeBatch; batch >= leastBatch; batch /= 2 {
			list = append(list, setting{batch, free.s.Contexts})
		}
	}
	least := math.Inf(1)
	for _, c := range list {
		free.s.Batch = c.batch
		for n := p.want - 1; n > 0; n-- {
			plan := free.fits(n)
			if plan == nil {
				continue
			}
			if cost := float64(p.host(n)) / float64(c.batch); cost < least {
				best, layers, least = plan, n, cost
			}
			break
		}
	}
	return best, layers
}

// host is the size of the weights that are not on GPUs if n layers are, in bytes.
func (p *planner) host(n int) uint64 {
	if n == p.m.Layers() {
		return 0
	}
	return sum(p.m.LayerBytes[:p.first(n)]) + p.m.OutputBytes
}

// whole puts n layers on each GPU that has room for them.
func (p *planner) whole(c setting, n int) *Plan {
	l, host := p.load(c), p.m.Layers()-n
	plan := &Plan{Layers: p.m.Layers(), Batch: c.batch, Contexts: c.contexts}
	for _, d := range p.devices {
		if need := l.need(d, p.first(n), p.first(n)+n, host, false); need.Total() <= d.Free {
			plan.Children = append(plan.Children, Child{Shares: []Share{{d, n, need}}, GPULayers: n})
		}
	}
	if len(plan.Children) == 0 {
		return nil
	}
	p.threads(plan)
	return plan
}

// first is the first of n layers that are on GPUs. llama.cpp takes the last of the
// layers proper, and what is behind them only if all are there.
func (p *planner) first(n int) int { return max(0, len(p.m.LayerBytes)-n) }

// threads gives each context of a GPU's process few threads.
func (p *planner) threads(plan *Plan) {
	n := p.s.Threads
	if n == 0 {
		n = max(1, min(childThreads, p.s.Cores/(len(plan.Children)*plan.Contexts)))
	}
	for i := range plan.Children {
		plan.Children[i].Threads = n
	}
}

// partly warns of layers that are not on a GPU. What they cost is that they are
// copied to one for each batch.
func (p *planner) partly(plan *Plan, n int) string {
	host := p.host(n)
	seconds := float64(host) / copyRate
	return fmt.Sprintf("%d of %d layers fit %s: the other %d stay in the computer's memory, and each batch of %d tokens copies their %s to the GPU, about %.2f s a batch (an estimate, at %.0f GB/s); a smaller model or format, or a larger GPU, does without",
		n, plan.Layers, names(devicesOf(plan)), plan.Layers-n, plan.Batch, gib(host), seconds, copyRate/1e9)
}

func devicesOf(p *Plan) []Device {
	var list []Device
	for _, c := range p.Children {
		for _, s := range c.Shares {
			list = append(list, s.Device)
		}
	}
	return list
}

func names(devices []Device) string {
	var list []string
	for _, d := range devices {
		list = append(list, d.Name)
	}
	return strings.Join(list, ", ")
}
