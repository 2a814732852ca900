package selection

import (
	"fmt"
	"math"
)

// Picks is what was picked.
type Picks struct {
	ranks []int32 // for each record added: its place, from 1; 0 if it was not picked; -1 if it was no candidate
	radii []float32
}

// Len returns how many records were picked.
func (p *Picks) Len() int { return len(p.radii) }

// Lookup returns what became of the nth record added, from 0, and whether it was
// a candidate.
func (p *Picks) Lookup(n int) (pick Pick, candidate bool) {
	rank := int(p.ranks[n])
	if rank < 0 {
		return Pick{}, false
	}
	pick = Pick{Rank: rank, Of: len(p.radii)}
	if rank > 0 {
		pick.Radius = float64(p.radii[rank-1])
	} else if len(p.radii) > 0 {
		pick.Radius = float64(p.radii[len(p.radii)-1])
	}
	return pick, true
}

// Pick is what became of a candidate.
type Pick struct {
	Rank int // in the order of picking, from 1; 0 if it was not picked
	Of   int // picks there are

	// Radius is, of a pick, its weight times its distance to the nearest record that
	// was picked before it, +Inf of the first one. Of another record that product is at
	// most Radius.
	Radius float64
}

// Reason tells people of the pick.
func (p Pick) Reason() string {
	switch {
	case p.Rank == 1:
		return fmt.Sprintf("pick 1 of %d", p.Of)
	case p.Rank > 0:
		return fmt.Sprintf("pick %d of %d, %.3f from those before", p.Rank, p.Of, p.Radius)
	case p.Of == 0 || math.IsInf(p.Radius, 1):
		return fmt.Sprintf("not among the %d picks", p.Of)
	}
	return fmt.Sprintf("not among the %d picks, at most %.3f from one of them", p.Of, p.Radius)
}
