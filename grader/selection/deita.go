package selection

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"math"
	"slices"

	"winnow/kernels"
)

// ranking is the order of Deita: the greater worth first, undefined ones last; of equal
// ones the greater rating, then the smaller key, then the earlier record.
func (p *Picker) ranking(rows []int32) []int32 {
	order := make([]int32, len(rows))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		x, y := &p.candidates[a], &p.candidates[b]
		return cmp.Or(
			cmp.Compare(y.worth, x.worth), // NaN is less than all others
			cmp.Compare(y.rating, x.rating),
			bytes.Compare(x.key[:], y.key[:]),
			cmp.Compare(a, b),
		)
	})
	return order
}

// errEnough ends a search when all is picked.
var errEnough = errors.New("enough picks")

// deita picks by the rule of that name. Pairs above the threshold come from
// kernels.CosineEach by the place of their better record, whose fate is known by then:
// all pairs with those before it have come. They are the same bits on any number of
// threads.
func (p *Picker) deita(ctx context.Context, d *kernels.Device, o Options, picks *Picks, rows []int32) error {
	order := p.ranking(rows)
	vectors := make([]float32, 0, len(p.vectors))
	for _, row := range order {
		vectors = append(vectors, p.vectors[int(row)*Dim:][:Dim]...)
	}
	best := make([]float32, len(order)) // of each place: its similarity to the most similar pick before it
	like := slices.Repeat([]int32{-1}, len(order))
	next := 0
	// decide settles all places before end, in order.
	decide := func(end int) bool {
		for ; next < end; next++ {
			f := &picks.fates[rows[order[next]]]
			f.place = int32(next + 1)
			if o.N > 0 && len(picks.order) == o.N {
				continue
			}
			if like[next] >= 0 {
				f.like, f.similarity = rows[order[like[next]]], best[next]
				continue
			}
			if f.full = p.quotas.full(int(order[next])); f.full >= 0 {
				continue
			}
			p.quotas.take(int(order[next]))
			picks.order = append(picks.order, rows[order[next]])
			f.rank = int32(len(picks.order))
		}
		return o.N == 0 || len(picks.order) < o.N
	}
	t := o.threshold()
	least := float32(t)
	if float64(least) > t {
		least = math.Nextafter32(least, 0)
	}
	in := kernels.CosineInput{Dim: Dim, Rows: vectors}
	err := kernels.CosineEach(ctx, d, in, kernels.CosineOptions{Threshold: least}, func(pairs []kernels.CosinePair) error {
		for _, pair := range pairs {
			if !decide(int(pair.I) + 1) {
				return errEnough
			}
			if picked := picks.fates[rows[order[pair.I]]].rank > 0; picked && float64(pair.Similarity) > t && pair.Similarity > best[pair.J] {
				best[pair.J], like[pair.J] = pair.Similarity, pair.I
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	decide(len(order))
	return nil
}
