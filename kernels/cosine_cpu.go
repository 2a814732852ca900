//go:build cgo

package kernels

// #include "cosine_fast.h"
import "C"

import (
	"context"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"unsafe"
)

// The pairs that C writes are CosinePair: both differences are 0.
var (
	_ [unsafe.Sizeof(CosinePair{}) - C.sizeof_struct_winnow_cosine_pair]byte
	_ [C.sizeof_struct_winnow_cosine_pair - unsafe.Sizeof(CosinePair{})]byte
)

// cosineCPU has the rows coded for cosine_fast.c. It is used by several goroutines
// at once. close lets go of the memory that C points at.
type cosineCPU struct {
	in            CosineInput
	rows, columns int
	same          bool // columns are the rows
	band          int  // rows of a band; whole panels
	tileColumns   int

	coding C.struct_winnow_cosine_coding
	left   C.struct_winnow_cosine_side
	right  C.struct_winnow_cosine_side
	pinner runtime.Pinner
}

func newCosineCPU(ctx context.Context, in CosineInput, o CosineOptions) (*cosineCPU, error) {
	tileRows := int(C.winnow_cosine_tile_rows())
	c := &cosineCPU{
		in: in, rows: len(in.Rows) / in.Dim, same: in.Against == nil,
		band: 32 * tileRows, tileColumns: int(C.winnow_cosine_tile_columns()),
	}
	stride, threads := (in.Dim+15)/16*16, o.threads() // whole vectors of any kind
	rows, err := cosineUnit(in.Rows, in.Dim, stride, threads)
	if err != nil {
		return nil, err
	}
	columns := rows
	if !c.same {
		if columns, err = cosineUnit(in.Against, in.Dim, stride, threads); err != nil {
			err.(*RowError).Against = true
			return nil, err
		}
	}
	c.columns = len(columns) / stride
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.code(rows, columns, stride, o.Threshold)
	c.left = c.side(rows, c.rows, tileRows, false)
	c.right = c.side(columns, c.columns, c.tileColumns, true)
	inParts(int(c.left.panels), 64, threads, func(first, end int) {
		C.winnow_cosine_encode(&c.coding, &c.left, 0, C.int32_t(first), C.int32_t(end))
	})
	inParts(int(c.right.panels), 32, threads, func(first, end int) {
		C.winnow_cosine_encode(&c.coding, &c.right, 1, C.int32_t(first), C.int32_t(end))
	})
	return c, nil
}

func (c *cosineCPU) close() { c.pinner.Unpin() }

// cosineUnit brings rows to length 1, with zeros up to stride.
func cosineUnit(rows []float32, dim, stride, threads int) ([]float32, error) {
	n := len(rows) / dim
	if n == 0 {
		return nil, nil
	}
	unit := make([]float32, n*stride)
	var bad atomic.Int64
	bad.Store(math.MaxInt64)
	inParts(n, 1024, threads, func(first, end int) {
		at := C.winnow_cosine_normalise((*C.float)(&rows[first*dim]), C.int64_t(end-first), C.int32_t(dim), C.int32_t(stride), (*C.float)(&unit[first*stride]))
		for at >= 0 {
			old := bad.Load()
			if old <= int64(first)+int64(at) || bad.CompareAndSwap(old, int64(first)+int64(at)) {
				break
			}
		}
	})
	if row := bad.Load(); row < int64(n) {
		return nil, &RowError{Row: int(row)}
	}
	return unit, nil
}

// cosineSample is how many rows of a side the coding is made from.
const cosineSample = 4096

// code chooses how rows become bytes, from a sample: whatever it chooses, the
// results are the same.
func (c *cosineCPU) code(rows, columns []float32, stride int, threshold float32) {
	dim := c.in.Dim
	sum, square := make([]float64, dim), make([]float64, dim)
	var most, n float64
	sides := [][]float32{rows}
	if !c.same {
		sides = append(sides, columns)
	}
	visit := func(f func(row []float32)) {
		for _, side := range sides {
			step := max(1, len(side)/stride/cosineSample) * stride
			for at := 0; at < len(side); at += step {
				f(side[at : at+dim])
			}
		}
	}
	visit(func(row []float32) {
		n++
		for k, x := range row {
			sum[k] += float64(x)
		}
	})
	mean := make([]float32, dim)
	for k := range mean {
		mean[k] = float32(sum[k] / n)
	}
	visit(func(row []float32) {
		for k, x := range row {
			d := float64(x) - float64(mean[k])
			square[k] += d * d
			most = max(most, math.Abs(d))
		}
	})
	var all, length float64
	order := make([]int32, dim)
	for k := range order {
		order[k] = int32(k)
		all += square[k]
		length += float64(mean[k]) * float64(mean[k])
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		switch {
		case square[a] > square[b]:
			return -1
		case square[a] < square[b]:
			return 1
		}
		return 0
	})
	// Elements beyond the reach are cut, which the bounds allow for. Few are.
	reach := max(1.0/32, min(most, 6*math.Sqrt(all/n/float64(dim))))
	groups := (dim + 3) / 4
	c.coding = C.struct_winnow_cosine_coding{
		dim: C.int32_t(dim), stride: C.int32_t(stride), groups: C.int32_t(groups),
		stages:    C.winnow_cosine_stages(C.int32_t(groups)),
		longest:   C.double((1 + math.Sqrt(length)) * (1 + 1e-6)),
		threshold: C.float(threshold),
		reach:     C.float(threshold - 1e-6),
		mean:      (*C.float)(c.pin(unsafe.Pointer(&mean[0]))),
		order:     (*C.int32_t)(c.pin(unsafe.Pointer(&order[0]))),
	}
	for side := range c.coding.step {
		c.coding.step[side] = C.double(reach / float64(C.winnow_cosine_most(C.int32_t(side))))
	}
}

func (c *cosineCPU) pin(p unsafe.Pointer) unsafe.Pointer {
	c.pinner.Pin(p)
	return p
}

// side makes the memory of one side's codes.
func (c *cosineCPU) side(unit []float32, rows, wide int, right bool) C.struct_winnow_cosine_side {
	panels := (rows + wide - 1) / wide
	bases, rests := panels*wide, panels*int(c.coding.stages)
	if right {
		bases *= int(c.coding.stages)
		rests *= wide
	}
	codes, base, rest := make([]byte, panels*int(c.coding.groups)*wide*4), make([]int32, bases), make([]float32, rests)
	return C.struct_winnow_cosine_side{
		rows: C.int32_t(rows), panels: C.int32_t(panels),
		unit:  (*C.float)(c.pin(unsafe.Pointer(&unit[0]))),
		codes: (*C.uint8_t)(c.pin(unsafe.Pointer(&codes[0]))),
		base:  (*C.int32_t)(c.pin(unsafe.Pointer(&base[0]))),
		rest:  (*C.float)(c.pin(unsafe.Pointer(&rest[0]))),
	}
}

// scan compares the rows [first, end), which are a band, with the columns [from,
// to), which begin with a tile, and hands the pairs found over by parts of buffer:
// the rows of one column in order, the columns of one row in order. Rows and
// columns that skip marks are left out; it may change meanwhile.
func (c *cosineCPU) scan(first, end, from, to int, skip []uint32, buffer []CosinePair, found func([]CosinePair)) {
	tileRows := c.band / 32
	leftFirst, leftEnd := C.int32_t(first/tileRows), C.int32_t((end+tileRows-1)/tileRows)
	rightEnd := C.int32_t((to + c.tileColumns - 1) / c.tileColumns)
	same := C.int32_t(0)
	if c.same {
		same = 1
	}
	at := [2]C.int32_t{C.int32_t(from / c.tileColumns), leftFirst}
	for at[0] < rightEnd {
		n := C.winnow_cosine_scan(&c.coding, &c.left, &c.right, same, (*C.uint32_t)(unsafe.SliceData(skip)), leftFirst, leftEnd, &at[0], rightEnd,
			(*C.struct_winnow_cosine_pair)(unsafe.Pointer(&buffer[0])), C.int32_t(len(buffer)))
		if n > 0 {
			found(buffer[:n])
		}
	}
}
