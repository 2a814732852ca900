package dedup

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"winnow/grader/record"
	"winnow/kernels"
)

// Records are hashed together, on all cores, when there are as many or as many
// bytes of texts.
const (
	batchRecords = 4096
	batchBytes   = 8 << 20
)

// Builder takes the records among which duplicates are sought. It is for one
// goroutine.
type Builder struct {
	mode        Mode
	threshold   float64
	bands, rows int // no bands unless the mode is Near

	at    []int32 // of each record added its item, or -1
	items []item
	links []uint64 // for each item its bands; see link

	pending      [][3]string // texts of the last items
	pendingBytes int
	workers      []worker
}

// item is a record that takes part.
type item struct {
	key         record.Key
	value       float64
	set         []uint64 // sorted shingles
	file        string
	line, index int
	n           int32 // its place among all records added
	of          int32 // the survivor's item, or -1
	similarity  float64
}

// New returns an empty Builder.
func New(o Options) (*Builder, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	b := &Builder{mode: o.Mode, threshold: o.threshold()}
	if b.mode == Near {
		b.bands, b.rows = split(b.threshold)
		b.workers = make([]worker, runtime.GOMAXPROCS(0))
	}
	return b, nil
}

// Add takes the next record: its key, where it stands and its texts. Of a
// conversation that is its last turn, whose input is all that was said before,
// with the key of the whole. Only a rated record can be a duplicate or have one.
// With the mode Off nothing is kept.
func (b *Builder) Add(rec *record.Record, key record.Key, rated bool, value float64) {
	switch {
	case b.mode != Exact && b.mode != Near:
		return
	case !rated:
		b.at = append(b.at, -1)
		return
	}
	n := int32(len(b.at))
	b.at = append(b.at, int32(len(b.items)))
	b.items = append(b.items, item{key: key, value: value, file: rec.File, line: rec.Line, index: rec.Index, n: n, of: -1})
	if b.mode != Near {
		return
	}
	b.pending = append(b.pending, [3]string{rec.Instruction, rec.Input, rec.Response})
	b.pendingBytes += len(rec.Instruction) + len(rec.Input) + len(rec.Response)
	if len(b.pending) >= batchRecords || b.pendingBytes >= batchBytes {
		b.hash()
	}
}

// runRecords is how many records' shingles are hashed in one call.
const runRecords = 32

// hash makes sets and bands of the texts that are pending.
func (b *Builder) hash() {
	n := len(b.pending)
	first := len(b.items) - n
	b.links = append(b.links, make([]uint64, n*b.bands)...)
	share(b.workers, (n+runRecords-1)/runRecords, func(w *worker, run int) {
		from, to := run*runRecords, min((run+1)*runRecords, n)
		links := b.links[(first+from)*b.bands : (first+to)*b.bands]
		w.hash(b.items[first+from:first+to], b.pending[from:to], links, kernels.MinHashBands{Bands: b.bands, Rows: b.rows})
	})
	clear(b.pending)
	b.pending, b.pendingBytes = b.pending[:0], 0
}

// hash makes the sets of some items and fills in their bands.
func (w *worker) hash(items []item, texts [][3]string, links []uint64, bands kernels.MinHashBands) {
	w.sets, w.offsets = w.sets[:0], append(w.offsets[:0], 0)
	for _, t := range texts {
		w.sets = append(w.sets, w.shingles(t)...)
		w.offsets = append(w.offsets, int64(len(w.sets)))
	}
	sets := w.keep(w.sets)
	for i := range items {
		items[i].set = sets[w.offsets[i]:w.offsets[i+1]:w.offsets[i+1]]
	}
	in := kernels.MinHashInput{Values: sets, Offsets: w.offsets}
	if err := kernels.MinHash(links, in, family, bands, 1); err != nil {
		panic(err) // bands are those of split
	}
}

// link returns an item's bands: first their hashes; from chain on for each band
// the item before it in the same bucket, plus 1, or 0.
func (b *Builder) link(i int32) []uint64 {
	return b.links[int(i)*b.bands : (int(i)+1)*b.bands]
}

// share has workers do n jobs between them.
func share(workers []worker, n int, job func(w *worker, i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for k := range workers[:min(n, len(workers))] {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				job(&workers[k], i)
			}
		})
	}
	all.Wait()
}

// chainWorkers bounds how many tables of all records there are at once.
const chainWorkers = 4

// chain replaces the hashes of each band by links from each item to the one
// before it, in order, that has the same hash.
func (b *Builder) chain(order []int32) {
	share(b.workers[:min(chainWorkers, len(b.workers))], b.bands, func(w *worker, band int) {
		w.bucket = w.bucket[:0]
		for rank, i := range order {
			w.bucket = append(w.bucket, slot{b.link(i)[band], int32(rank)})
		}
		slices.SortFunc(w.bucket, func(x, y slot) int {
			if c := cmp.Compare(x.hash, y.hash); c != 0 {
				return c
			}
			return cmp.Compare(x.rank, y.rank)
		})
		for k, s := range w.bucket {
			before := uint64(0)
			if k > 0 && w.bucket[k-1].hash == s.hash {
				before = uint64(order[w.bucket[k-1].rank]) + 1
			}
			b.link(order[s.rank])[band] = before
		}
	})
}

// worker is what one core needs.
type worker struct {
	words, set []uint64
	sets       []uint64 // of a run of records
	offsets    []int64  // where each begins, and the end
	arena      []uint64
	bucket     []slot
}

// slot is an item in the bucket of its hash in one band.
type slot struct {
	hash uint64
	rank int32
}

// arenaSize is how many shingles are allocated at once.
const arenaSize = 64 << 10

// keep copies sets to where they can stay.
func (w *worker) keep(set []uint64) []uint64 {
	if cap(w.arena)-len(w.arena) < len(set) {
		w.arena = make([]uint64, 0, max(arenaSize, len(set)))
	}
	from := len(w.arena)
	w.arena = append(w.arena, set...)
	return w.arena[from:len(w.arena):len(w.arena)]
}
