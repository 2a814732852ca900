//go:build !cgo

package kernels

import "context"

// cosineCPU without C: every pair is computed as it is defined. The results are
// those of the C form.
type cosineCPU struct {
	in            CosineInput
	rows, columns int
	same          bool
	band          int
	tileColumns   int
	threshold     float32
	left, right   []float32
}

func newCosineCPU(ctx context.Context, in CosineInput, o CosineOptions) (*cosineCPU, error) {
	left, err := cosineUnitGo(in.Rows, in.Dim)
	if err != nil {
		return nil, err
	}
	right := left
	if in.Against != nil {
		if right, err = cosineUnitGo(in.Against, in.Dim); err != nil {
			err.(*RowError).Against = true
			return nil, err
		}
	}
	return &cosineCPU{
		in: in, rows: len(left) / in.Dim, columns: len(right) / in.Dim, same: in.Against == nil,
		band: 64, tileColumns: 1, threshold: o.Threshold, left: left, right: right,
	}, ctx.Err()
}

func (c *cosineCPU) close() {}

func (c *cosineCPU) scan(first, end, from, to int, skip []uint32, buffer []CosinePair, found func([]CosinePair)) {
	dim, n := c.in.Dim, 0
	for j := from; j < to; j++ {
		for i := first; i < end; i++ {
			if c.same && j <= i || skip != nil && (skip[i] != 0 || skip[j] != 0) {
				continue
			}
			value := cosineGo(c.left[i*dim:(i+1)*dim], c.right[j*dim:(j+1)*dim])
			if value < c.threshold {
				continue
			}
			buffer[n] = CosinePair{int32(i), int32(j), value}
			if n++; n == len(buffer) {
				found(buffer)
				n = 0
			}
		}
	}
	if n > 0 {
		found(buffer[:n])
	}
}
