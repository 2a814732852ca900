package kernels

import (
	"context"
	"fmt"
	"math"
	"slices"
	"unsafe"
)

// cosineLaunchers has the launchers of cosine.cu.
type cosineLaunchers struct {
	Prepare func(in devicePtr, rows, dim, stride, first int32, unit, halves, bad devicePtr,
		stream uintptr) int32 `symbol:"winnow_cosine_prepare"`
	Pairs func(rung int32, left, leftHalves devicePtr, leftRows int32, right, rightHalves devicePtr,
		rightRows, stride, diagonal int32, threshold float32, count devicePtr, capacity uint32,
		pairs, values devicePtr, stream uintptr) int32 `symbol:"winnow_cosine_pairs"`
}

// cosineLimits is what a launch and the device's memory may hold.
type cosineLimits struct {
	chunk    int // rows of a side that are in device memory at a time
	band     int // left rows of a launch
	stretch  int // right rows of a launch
	capacity int // candidates of a launch; at least stretch
	staging  int // rows that are uploaded at a time
}

const (
	cosineStrideUnit = 32      // dimensions that a block takes at a time
	cosineCapacity   = 1 << 22 // 50 MB
)

// limits fits the work into the device's free memory.
func (in CosineInput) limits(free uint64) (cosineLimits, error) {
	rows := len(in.Rows) / in.Dim
	if in.Against == nil {
		return newCosineLimits(rows, 0, in.Dim, free)
	}
	return newCosineLimits(rows, len(in.Against)/in.Dim, in.Dim, free)
}

// newCosineLimits is for so many rows with so many others; with none, among themselves.
func newCosineLimits(rows, others, dim int, free uint64) (cosineLimits, error) {
	all, pairs := max(rows, others), rows*max(others, 1)
	if others == 0 {
		pairs = rows * rows
	}
	l := cosineLimits{band: 1 << 13, stretch: min(1<<17, all), staging: min(max(1, (64<<20)/(4*dim)), all)}
	l.capacity = max(l.stretch, min(cosineCapacity, pairs))
	// A fifth is left to others. A row is there in float32 and in fp16.
	room := int64(free)/5*4 - int64(l.capacity)*12 - int64(l.staging)*4*int64(dim)
	fit := int(max(0, min(room/(6*int64(cosineStride(dim))), math.MaxInt32)))
	l.chunk = min(fit/2, all)
	if others == 0 && all <= fit {
		l.chunk = all // one copy serves both sides
	}
	if least := min(all, 1024); l.chunk < least {
		return l, fmt.Errorf("cosine: %w: %d MiB are free on the GPU, and %d rows of %d elements with their workspace need more: free some or use the CPU", ErrNoMemory, free>>20, least, dim)
	}
	return l, nil
}

func cosineStride(dim int) int {
	return (dim + cosineStrideUnit - 1) / cosineStrideUnit * cosineStrideUnit
}

// cosineDevice is CosineEach on a GPU.
func cosineDevice(ctx context.Context, d *Device, in CosineInput, o CosineOptions, each func([]CosinePair) error) error {
	return cosineOnDevice(ctx, d, in, o, nil, each)
}

// available is the device's free memory, with what the Device keeps from earlier
// sessions: it is given back where an allocation needs it.
func (s *session) available() (uint64, error) {
	if err := s.d.readInfo(); err != nil {
		return 0, err
	}
	bytes := s.d.info.Load().FreeBytes
	for _, b := range s.d.free {
		bytes += uint64(b.bytes)
	}
	return bytes, nil
}

// cosineOnDevice computes on the device's thread while the calling one sorts and
// hands over what is there. Without limits they follow the device's memory.
func cosineOnDevice(ctx context.Context, d *Device, in CosineInput, o CosineOptions, limits *cosineLimits, each func([]CosinePair) error) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	type band struct {
		first, end int
		pairs      []CosinePair
	}
	bands := make(chan band, 2)
	done := make(chan error, 1)
	go func() {
		done <- d.run(inner, "cosine", func(s *session) error {
			r := cosineRun{s: s, in: in, o: o}
			if limits != nil {
				r.l = *limits
			} else if free, err := s.available(); err != nil {
				return err
			} else if r.l, err = in.limits(free); err != nil {
				return err
			}
			return r.run(inner, func(first, end int, pairs []CosinePair) error {
				select {
				case bands <- band{first, end, pairs}:
					return nil
				case <-inner.Done():
					return inner.Err()
				}
			})
		})
		close(bands)
	}()
	var failed error
	for b := range bands {
		if failed != nil {
			continue // wait for the device to come to its end
		}
		if len(b.pairs) > 0 {
			failed = each(cosineSorted(b.pairs, b.first, b.end-b.first))
		}
		if failed != nil {
			cancel()
			continue
		}
		o.progress(in.pairs(b.end), in.pairs(len(in.Rows)/in.Dim))
	}
	if err := <-done; failed == nil {
		failed = err
	}
	return failed
}

// cosineSorted sorts pairs of the rows from first on by I and J.
func cosineSorted(pairs []CosinePair, first, rows int) []CosinePair {
	pairs = cosineByRow(pairs, first, rows)
	for begin := 0; begin < len(pairs); {
		end := begin + 1
		for end < len(pairs) && pairs[end].I == pairs[begin].I {
			end++
		}
		slices.SortFunc(pairs[begin:end], func(a, b CosinePair) int { return int(a.J) - int(b.J) })
		begin = end
	}
	return pairs
}

// cosineChunk is rows in device memory.
type cosineChunk struct {
	first, rows  int
	unit, halves devicePtr
}

// cosineRun is one search in a session.
type cosineRun struct {
	s  *session
	in CosineInput
	o  CosineOptions
	l  cosineLimits

	fns                          *cosineLaunchers
	staging, bad                 devicePtr
	count, candidates, values    devicePtr
	found                        [][2]int32
	similarity                   []float32
	stride, leftRows, rightTotal int
}

// run hands over the pairs of bands of rows, in order, unsorted within each.
func (r *cosineRun) run(ctx context.Context, emit func(first, end int, pairs []CosinePair) error) error {
	r.stride = cosineStride(r.in.Dim)
	r.leftRows = len(r.in.Rows) / r.in.Dim
	same, others := r.in.Against == nil, r.in.Against
	if same {
		others = r.in.Rows
	}
	r.rightTotal = len(others) / r.in.Dim
	if err := r.open(); err != nil {
		return err
	}
	left, err := r.room(r.leftRows)
	if err != nil {
		return err
	}
	right := left
	if !same || r.leftRows > r.l.chunk {
		if right, err = r.room(r.rightTotal); err != nil {
			return err
		}
	}
	for l0 := 0; l0 < r.leftRows; l0 += r.l.chunk {
		if err := r.load(&left, r.in.Rows, l0, false); err != nil {
			return err
		}
		bands := make([][]CosinePair, (left.rows+r.l.band-1)/r.l.band)
		r0 := 0
		if same {
			r0 = l0
		}
		for ; r0 < r.rightTotal; r0 += r.l.chunk {
			with := &left
			if !same || r0 != l0 {
				with = &right
				if right.rows == 0 || right.first != r0 {
					if err := r.load(with, others, r0, !same); err != nil {
						return err
					}
				}
			}
			for b := range bands {
				if bands[b], err = r.band(ctx, bands[b], &left, with, b*r.l.band, min((b+1)*r.l.band, left.rows)); err != nil {
					return err
				}
				if r0+r.l.chunk < r.rightTotal {
					continue
				}
				if err := emit(l0+b*r.l.band, l0+min((b+1)*r.l.band, left.rows), bands[b]); err != nil {
					return err
				}
				bands[b] = nil
			}
		}
	}
	return nil
}

// open makes the workspace.
func (r *cosineRun) open() error {
	var err error
	if r.fns, err = launchers[cosineLaunchers](r.s.lib); err != nil {
		return err
	}
	for _, w := range []struct {
		to    *devicePtr
		bytes int
	}{
		{&r.staging, 4 * r.in.Dim * min(r.l.staging, r.l.chunk)}, {&r.bad, 4},
		{&r.count, 4}, {&r.candidates, 8 * r.l.capacity}, {&r.values, 4 * r.l.capacity},
	} {
		if *w.to, err = r.s.alloc(w.bytes); err != nil {
			return err
		}
	}
	return nil
}

// room makes device memory for a chunk of a side of that many rows.
func (r *cosineRun) room(rows int) (cosineChunk, error) {
	var c cosineChunk
	var err error
	elements := min(rows, r.l.chunk) * r.stride
	if c.unit, err = allocSlice[float32](r.s, elements); err == nil {
		c.halves, err = allocSlice[uint16](r.s, elements)
	}
	return c, err
}

// load fills a chunk with the rows from first on.
func (r *cosineRun) load(c *cosineChunk, rows []float32, first int, against bool) error {
	dim := r.in.Dim
	c.first, c.rows = first, min(r.l.chunk, len(rows)/dim-first)
	if err := uploadSlice(r.s, r.bad, []int32{math.MaxInt32}); err != nil {
		return err
	}
	for at := 0; at < c.rows; at += r.l.staging {
		n := min(r.l.staging, c.rows-at)
		if err := uploadSlice(r.s, r.staging, rows[(first+at)*dim:(first+at+n)*dim]); err != nil {
			return err
		}
		code := r.fns.Prepare(r.staging, int32(n), int32(dim), int32(r.stride), int32(first+at),
			c.unitAt(at*r.stride), c.halvesAt(at*r.stride), r.bad, r.s.stream)
		if err := r.s.launch("prepare", code); err != nil {
			return err
		}
	}
	bad := make([]int32, 1)
	if err := downloadSlice(r.s, bad, r.bad); err != nil {
		return err
	}
	if bad[0] != math.MaxInt32 {
		return &RowError{Row: int(bad[0]), Against: against}
	}
	return nil
}

func (c *cosineChunk) unitAt(element int) devicePtr   { return at[float32](c.unit, element) }
func (c *cosineChunk) halvesAt(element int) devicePtr { return at[uint16](c.halves, element) }

// band adds to pairs those of the rows [first, end) of a chunk with all of another.
func (r *cosineRun) band(ctx context.Context, pairs []CosinePair, left, right *cosineChunk, first, end int) ([]CosinePair, error) {
	from := 0
	if r.in.Against == nil && right.first == left.first {
		from = first // what is before is not wanted
	}
	for ; from < right.rows; from += r.l.stretch {
		var err error
		if pairs, err = r.tiles(ctx, pairs, left, right, first, end, from, min(from+r.l.stretch, right.rows)); err != nil {
			return nil, err
		}
		if r.o.MaxPairs > 0 && len(pairs) > r.o.MaxPairs {
			return nil, r.o.tooMany()
		}
	}
	return pairs, nil
}

// tiles compares the rows [first, end) of left with [from, to) of right. Where there
// are more candidates than fit it takes the rows by halves.
func (r *cosineRun) tiles(ctx context.Context, pairs []CosinePair, left, right *cosineChunk, first, end, from, to int) ([]CosinePair, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	diagonal := int32(math.MinInt32 / 2)
	if r.in.Against == nil {
		diagonal = int32(left.first + first - right.first - from)
	}
	if err := r.s.fill(r.count, 0, 4); err != nil {
		return nil, err
	}
	rung := int32(r.o.Rung)
	if rung == 0 {
		rung = CosineRungs
	}
	code := r.fns.Pairs(rung, left.unitAt(first*r.stride), left.halvesAt(first*r.stride), int32(end-first),
		right.unitAt(from*r.stride), right.halvesAt(from*r.stride), int32(to-from), int32(r.stride), diagonal, r.o.Threshold,
		r.count, uint32(r.l.capacity), r.candidates, r.values, r.s.stream)
	if err := r.s.launch("pairs", code); err != nil {
		return nil, err
	}
	counted := make([]uint32, 1)
	if err := downloadSlice(r.s, counted, r.count); err != nil {
		return nil, err
	}
	n := int(counted[0])
	if n > r.l.capacity {
		middle := first + (end-first)/2
		pairs, err := r.tiles(ctx, pairs, left, right, first, middle, from, to)
		if err != nil {
			return nil, err
		}
		if r.o.MaxPairs > 0 && len(pairs) > r.o.MaxPairs {
			return nil, r.o.tooMany()
		}
		return r.tiles(ctx, pairs, left, right, middle, end, from, to)
	}
	if n == 0 {
		return pairs, nil
	}
	r.found = slices.Grow(r.found[:0], n)[:n]
	r.similarity = slices.Grow(r.similarity[:0], n)[:n]
	if err := r.s.download(unsafe.Pointer(&r.found[0]), r.candidates, 8*n); err != nil {
		return nil, err
	}
	if err := downloadSlice(r.s, r.similarity, r.values); err != nil {
		return nil, err
	}
	for at, p := range r.found {
		if v := r.similarity[at]; v >= r.o.Threshold {
			pairs = append(pairs, CosinePair{int32(left.first+first) + p[0], int32(right.first+from) + p[1], v})
		}
	}
	return pairs, nil
}
