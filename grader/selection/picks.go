package selection

import (
	"fmt"
	"math"
)

// Picks is what was picked.
type Picks struct {
	rule      Rule
	threshold float64
	fates     []fate    // of each record added
	radii     []float32 // of each pick of KCenter
	order     []int32   // of each pick its record
	rows      int       // candidates there were
	names     []string  // of the counters of quotas
	limits    []int
}

// fate is what became of a record.
type fate struct {
	rank       int32 // as a pick, from 1; 0 if it was not picked; -1 if it was no candidate
	place      int32 // of Deita: in the order in which records were looked at, from 1
	full       int32 // the counter that had no room for it, or -1
	like       int32 // the pick's record that it is too similar to, or -1
	similarity float32
	index      int32
	line       int32
	file       string
}

// Len returns how many records were picked.
func (p *Picks) Len() int { return len(p.order) }

// Records returns the picks in their order: their places among the records added, from 0.
func (p *Picks) Records() []int {
	list := make([]int, len(p.order))
	for i, n := range p.order {
		list[i] = int(n)
	}
	return list
}

// Lookup returns what became of the nth record added, from 0, and whether it was
// a candidate.
func (p *Picks) Lookup(n int) (pick Pick, candidate bool) {
	f := &p.fates[n]
	if f.rank < 0 {
		return Pick{}, false
	}
	pick = Pick{Rule: p.rule, Rank: int(f.rank), Of: len(p.order), Place: int(f.place), Candidates: p.rows, Threshold: p.threshold}
	if f.full >= 0 {
		pick.Full, pick.Quota = p.names[f.full], p.limits[f.full]
	}
	if f.like >= 0 {
		like := &p.fates[f.like]
		pick.Like = &Like{Index: int(like.index), File: like.file, Line: int(like.line), Rank: int(like.rank), Similarity: float64(f.similarity)}
	}
	switch {
	case len(p.radii) == 0:
	case f.rank > 0:
		pick.Radius = float64(p.radii[f.rank-1])
	default:
		pick.Radius = float64(p.radii[len(p.radii)-1])
	}
	return pick, true
}

// Pick is what became of a candidate.
type Pick struct {
	Rule Rule
	Rank int // in the order of picking, from 1; 0 if it was not picked
	Of   int // picks there are

	// Radius is, of a pick of KCenter, its weight times its distance to the nearest record
	// that was picked before it, +Inf of the first one. Of another record that no quota
	// left out that product is at most Radius.
	Radius float64

	Place      int     // of Deita: where it stands in the order of worth, from 1
	Candidates int     // that were in that order
	Threshold  float64 // of Deita
	Like       *Like   // of Deita: the pick that it is too similar to, the most similar of all; nil if there is none

	Full  string // the field and its value whose quota was used up, so that it was left out; empty if none was
	Quota int    // that quota
}

// Like is a pick that another record is too similar to.
type Like struct {
	Index      int // in its source
	File       string
	Line       int
	Rank       int // in the order of picking
	Similarity float64
}

// Reason tells people of the pick.
func (p Pick) Reason() string {
	switch {
	case p.Like != nil:
		return fmt.Sprintf("cosine %s > %g to record %d (%s:%d), pick %d", above(p.Like.Similarity, p.Threshold), p.Threshold, p.Like.Index, p.Like.File, p.Like.Line, p.Like.Rank)
	case p.Full != "":
		return fmt.Sprintf("%s has its quota of %d", p.Full, p.Quota)
	case p.Rule == Deita && p.Rank > 0:
		return fmt.Sprintf("pick %d of %d, place %d of %d", p.Rank, p.Of, p.Place, p.Candidates)
	case p.Rule == Deita:
		return fmt.Sprintf("place %d of %d, behind the %d picks", p.Place, p.Candidates, p.Of)
	case p.Rank == 1:
		return fmt.Sprintf("pick 1 of %d", p.Of)
	case p.Rank > 0:
		return fmt.Sprintf("pick %d of %d, %.3f from those before", p.Rank, p.Of, p.Radius)
	case p.Of == 0 || math.IsInf(p.Radius, 1):
		return fmt.Sprintf("not among the %d picks", p.Of)
	}
	return fmt.Sprintf("not among the %d picks, at most %.3f from one of them", p.Of, p.Radius)
}

// above writes a number that is above another one with as many digits as show it.
func above(x, limit float64) string {
	for digits := 2; digits < 9; digits++ {
		cut := math.Pow10(digits)
		if math.Floor(x*cut)/cut > limit {
			return fmt.Sprintf("%.*f", digits, math.Floor(x*cut)/cut)
		}
	}
	return fmt.Sprint(x)
}
