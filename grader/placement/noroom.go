package placement

import (
	"fmt"
	"strings"
)

// NoRoomError is a request that the GPUs have no room for.
type NoRoomError struct {
	Asked  string // the settings, as flags
	Device Device // the GPU with the most room, or the one that lacks it
	Need   uint64 // bytes; 0 if that depends on how layers are shared
	Fits   string // settings that would fit, as flags, with what they need; empty if none do
}

// Error says what was asked for, what it needs, and what would fit.
func (e *NoRoomError) Error() string {
	s := fmt.Sprintf("%s does not fit %s (%s): ", e.Asked, e.Device.Name, e.Device.Description)
	if e.Need > 0 {
		s += fmt.Sprintf("it needs %s, ", gib(e.Need))
	}
	s += gib(e.Device.Free) + " are free; "
	if e.Fits == "" {
		return s + "no setting fits: use a smaller model or format, free the GPU's memory, or compute on the CPU (-ngl 0)"
	}
	return s + e.Fits
}

// blame returns an error if it is what was asked for that does not fit: so many
// layers, or batches and contexts without which the model would fit.
func (p *planner) blame() error {
	asked := p.s.GPULayers > 0 || len(p.s.Proportions) > 0
	if !asked && p.s.Batch == 0 && p.s.Contexts == 0 {
		return nil
	}
	e := p.noRoom()
	if plan := p.relaxed(); plan != nil {
		e.Fits = describe(plan)
		return e
	}
	if asked {
		if plan := p.fewer(); plan != nil {
			e.Fits = describe(plan)
		}
		return e
	}
	return nil
}

// noRoom says what the request lacks, on the GPU with the most free memory.
func (p *planner) noRoom() *NoRoomError {
	list := p.choices()
	c := list[len(list)-1]
	d := p.devices[0]
	for _, x := range p.devices[1:] {
		if x.Free > d.Free {
			d = x
		}
	}
	e := &NoRoomError{Device: d, Asked: flags(c, p.want, p.m.Layers())}
	if p.s.Split != ByLayer {
		e.Need = p.load(c).need(d, p.first(p.want), p.first(p.want)+p.want, p.m.Layers()-p.want, false).Total()
	}
	return e
}

// relaxed looks for smaller batches and fewer contexts with which as many layers
// fit.
func (p *planner) relaxed() *Plan {
	free := *p
	most := p.choices()[0]
	for batch := most.batch; batch >= leastBatch/4; batch /= 2 {
		for lanes := most.contexts; lanes >= 1; lanes-- {
			free.s.Batch, free.s.Contexts = batch, lanes
			if plan := free.fits(p.want); plan != nil {
				return plan
			}
		}
	}
	return nil
}

// fewer looks for the most layers that fit with what else was asked for.
func (p *planner) fewer() *Plan {
	free := *p
	free.s.Proportions = nil
	for n := p.want - 1; n > 0; n-- {
		free.want = n
		if plan := free.fits(n); plan != nil {
			return plan
		}
	}
	return nil
}

// describe names a plan's settings as flags, with what they need.
func describe(plan *Plan) string {
	share := plan.Children[0].Shares[0]
	layers := plan.Children[0].GPULayers
	s := flags(setting{plan.Batch, plan.Contexts}, layers, plan.Layers)
	return fmt.Sprintf("%s needs %s of the %s that %s has free", s, gib(share.Need.Total()), gib(share.Device.Free), share.Device.Name)
}

// flags writes settings as the flags that ask for them.
func flags(c setting, layers, all int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "-ub %d --contexts %d", c.batch, c.contexts)
	if layers < all {
		fmt.Fprintf(&b, " -ngl %d", layers)
	} else {
		b.WriteString(" -ngl all")
	}
	return b.String()
}

func gib(n uint64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }
