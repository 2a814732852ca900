package selection

import (
	"cmp"
	"context"
	"math"

	"winnow/kernels"
)

// kcenter picks by kernels.KCenter, or with quotas by quotaCenter.
func (p *Picker) kcenter(ctx context.Context, d *kernels.Device, o Options, picks *Picks, rows []int32) error {
	if len(o.Quotas) > 0 {
		return p.quotaCenter(ctx, o, picks, rows)
	}
	in := kernels.KCenterInput{Dim: Dim, Rows: p.vectors, Weights: p.weights()}
	got, err := kernels.KCenter(ctx, d, in, kernels.KCenterOptions{K: o.N})
	if err != nil {
		return err
	}
	for place, row := range got.Rows {
		picks.fates[rows[row]].rank = int32(place + 1)
		picks.order = append(picks.order, rows[row])
	}
	picks.radii = got.Radii
	return nil
}

// bound is a candidate whose score is at most what stands here: its score with the first
// picks alone that it was compared with.
type bound struct {
	score float64 // square of weight times distance
	near  float64 // square of the distance to the nearest of these picks
	row   int32
	seen  int32 // how many they are
}

// before is the order of picking: the greater score, of equal ones the first row.
func (a bound) before(b bound) bool {
	return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.row, b.row)) < 0
}

// quotaCenter picks as kernels.KCenter does, but passes over what quotas have no room
// for. Scores only sink, so a candidate on top of a heap of bounds whose own is exact is
// the best of all; others are brought up to date as they come to the top, and those without
// room leave. Scores are of sums in single precision in an order of their own: where two
// are within rounding, another one may be picked than without quotas.
func (p *Picker) quotaCenter(ctx context.Context, o Options, picks *Picks, rows []int32) error {
	weights := p.weights()
	var centres []int32
	take := func(row int32, radius float64) {
		p.quotas.take(int(row))
		centres = append(centres, row)
		picks.order, picks.radii = append(picks.order, rows[row]), append(picks.radii, float32(radius))
		picks.fates[rows[row]].rank = int32(len(centres))
	}
	first := int32(-1)
	for row, w := range weights {
		if (first < 0 || w > weights[first]) && p.quotas.full(row) < 0 {
			first = int32(row)
		}
	}
	if first >= 0 {
		take(first, math.Inf(1))
	}
	heap := make(boundHeap, 0, len(rows))
	for row := range int32(len(rows)) {
		if row != first {
			heap = append(heap, bound{score: math.Inf(1), near: math.Inf(1), row: row})
		}
	}
	for len(heap) > 0 && len(centres) < o.N {
		top := &heap[0]
		full := p.quotas.full(int(top.row))
		switch {
		case full >= 0:
			picks.fates[rows[top.row]].full = full
			heap.pop()
		case int(top.seen) == len(centres):
			if err := ctx.Err(); err != nil {
				return err
			}
			take(top.row, math.Sqrt(top.score))
			heap.pop()
		default:
			from := p.vectors[int(top.row)*Dim:][:Dim]
			for _, c := range centres[top.seen:] {
				top.near = min(top.near, square(from, p.vectors[int(c)*Dim:][:Dim]))
			}
			w := float64(weights[top.row])
			top.score, top.seen = w*w*top.near, int32(len(centres))
			heap.down(0)
		}
	}
	for _, b := range heap {
		picks.fates[rows[b.row]].full = p.quotas.full(int(b.row))
	}
	return nil
}

// square is the square of the distance of two vectors.
func square(a, b []float32) float64 {
	b = b[:len(a)]
	// The conversions keep compilers from fusing: the same bits on every processor.
	var s0, s1, s2, s3 float32
	for i := 0; i+4 <= len(a); i += 4 {
		x, y := a[i:i+4:i+4], b[i:i+4:i+4]
		d0, d1, d2, d3 := x[0]-y[0], x[1]-y[1], x[2]-y[2], x[3]-y[3]
		s0 += float32(d0 * d0)
		s1 += float32(d1 * d1)
		s2 += float32(d2 * d2)
		s3 += float32(d3 * d3)
	}
	return float64((s0 + s2) + (s1 + s3))
}

// boundHeap is a binary heap with the first in the order of picking on top. Its pop and
// down are those of container/heap without the interface, which would take most of the
// time.
type boundHeap []bound

func (h *boundHeap) pop() {
	last := len(*h) - 1
	(*h)[0] = (*h)[last]
	*h = (*h)[:last]
	h.down(0)
}

// down moves an element whose score has sunk to its place.
func (h boundHeap) down(at int) {
	for {
		child := 2*at + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h[child+1].before(h[child]) {
			child++
		}
		if !h[child].before(h[at]) {
			return
		}
		h[at], h[child] = h[child], h[at]
		at = child
	}
}
