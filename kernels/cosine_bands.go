package kernels

import (
	"context"
	"sync"
	"sync/atomic"
)

// How the CPU form goes through all pairs: a band of rows at a time against
// stretches of columns. cosineCPU has the rows and compares a band with a stretch.

const (
	cosineStretch = 1 << 14 // columns between two looks at the context; a multiple of every tile
	cosineBuffer  = 1 << 13 // pairs that a comparison hands over at once
)

// each hands all pairs over by rows, bands computed in parallel.
func (c *cosineCPU) each(ctx context.Context, o CosineOptions, each func([]CosinePair) error) error {
	bands := (c.rows + c.band - 1) / c.band
	compute := func(ctx context.Context, b int) ([]CosinePair, error) {
		first, end := b*c.band, min((b+1)*c.band, c.rows)
		var pairs []CosinePair
		buffer := make([]CosinePair, cosineBuffer)
		for at := c.from(first); at < c.columns; at += cosineStretch {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			c.scan(first, end, at, min(at+cosineStretch, c.columns), nil, buffer, func(found []CosinePair) {
				pairs = append(pairs, found...)
			})
			if o.MaxPairs > 0 && len(pairs) > o.MaxPairs {
				return nil, o.tooMany()
			}
		}
		return cosineByRow(pairs, first, end-first), nil
	}
	return inOrder(ctx, bands, min(o.threads(), bands), compute, func(b int, pairs []CosinePair) error {
		if len(pairs) > 0 {
			if err := each(pairs); err != nil {
				return err
			}
		}
		o.progress(c.in.pairs(min((b+1)*c.band, c.rows)), c.in.pairs(c.rows))
		return nil
	})
}

// from is the first column that row first has to be compared with, rounded down to
// a tile.
func (c *cosineCPU) from(first int) int {
	if !c.same {
		return 0
	}
	return first / c.tileColumns * c.tileColumns
}

// greedy fills of, by rank: -1 for a row that is kept, else the first kept row that
// is within the threshold. A band is decided within itself, and then its kept rows
// are compared with everything behind it, in parallel: each column has one owner,
// which sees the rows of the band in order.
func (c *cosineCPU) greedy(ctx context.Context, o CosineOptions, of []int32) error {
	dropped := make([]uint32, c.rows)
	buffers := make([][]CosinePair, o.threads())
	for w := range buffers {
		buffers[w] = make([]CosinePair, cosineBuffer)
	}
	for first := 0; first < c.rows; first += c.band {
		if err := ctx.Err(); err != nil {
			return err
		}
		end := min(first+c.band, c.rows)
		within := min((end+c.tileColumns-1)/c.tileColumns*c.tileColumns, c.columns)
		var own []CosinePair
		c.scan(first, end, c.from(first), within, dropped, buffers[0], func(found []CosinePair) {
			own = append(own, found...)
		})
		for _, p := range cosineByRow(own, first, end-first) {
			// Columns behind the band belong to rows not dropped yet, too.
			if of[p.I] < 0 && of[p.J] < 0 {
				of[p.J] = p.I
			}
		}
		for r := first; r < within; r++ {
			if of[r] >= 0 {
				dropped[r] = 1
			}
		}
		stretch := max(c.tileColumns, ((c.columns-within)/(4*len(buffers))/c.tileColumns+1)*c.tileColumns)
		stretch = min(stretch, cosineStretch)
		var next atomic.Int64
		var wait sync.WaitGroup
		for _, buffer := range buffers {
			wait.Go(func() {
				for ctx.Err() == nil {
					at := within + (int(next.Add(1))-1)*stretch
					if at >= c.columns {
						return
					}
					c.scan(first, end, at, min(at+stretch, c.columns), dropped, buffer, func(found []CosinePair) {
						for _, p := range found {
							if of[p.J] < 0 {
								of[p.J] = p.I
								atomic.StoreUint32(&dropped[p.J], 1)
							}
						}
					})
				}
			})
		}
		wait.Wait()
		o.progress(c.in.pairs(end), c.in.pairs(c.rows))
	}
	return ctx.Err()
}

// inOrder computes the parts 0 to parts-1 by several goroutines and hands the
// results over in order, in the calling one. Only a few parts are held at a time.
func inOrder[T any](ctx context.Context, parts, workers int, compute func(context.Context, int) (T, error), emit func(int, T) error) error {
	type result struct {
		value T
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	results := make([]chan result, parts)
	for b := range results {
		results[b] = make(chan result, 1)
	}
	tickets := make(chan struct{}, 2*workers)
	var next atomic.Int64
	for range workers {
		wait.Go(func() {
			for {
				select {
				case tickets <- struct{}{}:
				case <-ctx.Done():
					return
				}
				b := int(next.Add(1)) - 1
				if b >= parts {
					return
				}
				value, err := compute(ctx, b)
				results[b] <- result{value, err}
			}
		})
	}
	for b := range parts {
		select {
		case r := <-results[b]:
			if r.err != nil {
				return r.err
			}
			if err := emit(b, r.value); err != nil {
				return err
			}
			<-tickets
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// inParts calls f for each part of [0, n) by several goroutines, about size at a time.
func inParts(n, size, workers int, f func(first, end int)) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for {
				first := (int(next.Add(1)) - 1) * size
				if first >= n {
					return
				}
				f(first, min(first+size, n))
			}
		})
	}
	wait.Wait()
}
