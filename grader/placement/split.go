package placement

// split shares n layers among the GPUs, in their order: equally if that fits, and
// otherwise so that the fullest is as empty as can be.
func (p *planner) split(c setting, n int) *Plan {
	l := p.load(c)
	if len(p.s.Proportions) > 0 {
		return p.shared(l, n, p.proportional(p.s.Proportions, n))
	}
	equal := make([]float64, len(p.devices))
	for i := range equal {
		equal[i] = 1
	}
	if plan := p.shared(l, n, p.proportional(equal, n)); plan != nil {
		return plan
	}
	low, high := 0.0, 1.0
	if p.fill(l, n, high) == nil {
		return nil
	}
	for range 20 {
		if mid := (low + high) / 2; p.fill(l, n, mid) != nil {
			high = mid
		} else {
			low = mid
		}
	}
	return p.shared(l, n, p.fill(l, n, high))
}

// shared returns the plan in which the GPUs have so many of n layers, or nil if one
// lacks the room.
func (p *planner) shared(l *load, n int, counts []int) *Plan {
	child, at := Child{GPULayers: n}, p.first(n)
	for i, d := range p.devices {
		if counts[i] == 0 {
			continue
		}
		need := l.need(d, at, at+counts[i], p.m.Layers()-n, true)
		if need.Total() > d.Free {
			return nil
		}
		child.Shares = append(child.Shares, Share{d, counts[i], need})
		at += counts[i]
	}
	plan := &Plan{Layers: p.m.Layers(), Batch: l.batch, Contexts: l.contexts, Children: []Child{child}}
	p.threads(plan)
	return plan
}

// fill gives each GPU in turn as many of n layers as make at most a share of its
// free memory full, and returns how many, or nil if that does not place all.
func (p *planner) fill(l *load, n int, share float64) []int {
	counts, at, end := make([]int, len(p.devices)), p.first(n), p.first(n)+n
	for i, d := range p.devices {
		room := uint64(share * float64(d.Free))
		for at+counts[i] < end && l.need(d, at, at+counts[i]+1, p.m.Layers()-n, true).Total() <= room {
			counts[i]++
		}
		at += counts[i]
	}
	if at < end {
		return nil
	}
	return counts
}

// proportional shares n layers as llama.cpp's tensor_split does.
func (p *planner) proportional(shares []float64, n int) []int {
	total := 0.0
	for _, x := range shares {
		total += x
	}
	counts := make([]int, len(p.devices))
	for i := range n {
		upTo := 0.0
		for k, x := range shares {
			upTo += x
			if upTo/total > float64(i)/float64(n) || k == len(counts)-1 {
				counts[k]++
				break
			}
		}
	}
	return counts
}
