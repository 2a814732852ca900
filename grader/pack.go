package grader

import (
	"cmp"
	"slices"
)

// packer distributes prompts over batches. It keeps its memory from call to
// call.
type packer struct {
	order   []int // prompts that fit into a batch, by size, then as they came
	from    []int // where each size begins in order; one more at the end
	left    []int // how many of each size are in no batch yet
	over    []int // prompts that do not fit, largest first
	batchOf []int // of each prompt
	count   []int // prompts of each batch
	flat    []int
	place   []int // where each batch's list is among batches
	batches [][]int

	least, most int // sizes of the smallest and the largest prompt in no batch yet, if there is one
}

// pack distributes prompts of the given sizes. A batch is begun with the largest
// prompt left and takes the largest that fits while two of the smallest would
// still fit behind it; then the one or two prompts that fill it best. A prompt
// that exceeds capacity.Tokens goes through several passes, and the last of them
// takes others with it.
//
// It returns indices into sizes; every index stands in exactly one batch. Batches
// and what is in them are in the order of the input, so the result depends on
// nothing else. It takes time in proportion to the prompts and their tokens. The
// result is valid until the next call.
func (p *packer) pack(sizes []int, capacity Capacity) [][]int {
	p.sort(sizes, capacity.Tokens)
	for _, i := range p.over {
		b := p.open(i)
		passes := (sizes[i] + capacity.Tokens - 1) / capacity.Tokens
		p.fill(b, min(passes*capacity.Tokens, capacity.Most)-sizes[i], capacity.Prompts)
	}
	for p.settle() {
		b := p.open(p.take(p.most))
		p.fill(b, capacity.Tokens-p.most, capacity.Prompts)
	}
	return p.gather(len(sizes))
}

// sort fills order, from, left and over.
func (p *packer) sort(sizes []int, most int) {
	n := len(sizes)
	p.least, p.most = 0, most
	p.order, p.batchOf = grow(p.order, n), grow(p.batchOf, n)
	p.over, p.count = p.over[:0], p.count[:0]
	p.from, p.left = grow(p.from, most+2), grow(p.left, most+1)
	clear(p.from)
	clear(p.left)
	for i, size := range sizes {
		if size > most {
			p.over = append(p.over, i)
		} else {
			p.from[size+1]++
		}
	}
	for size := range most + 1 {
		p.from[size+1] += p.from[size]
	}
	for i, size := range sizes {
		if size <= most {
			p.order[p.from[size]+p.left[size]] = i
			p.left[size]++
		}
	}
	slices.SortStableFunc(p.over, func(a, b int) int { return cmp.Compare(sizes[b], sizes[a]) })
}

// settle moves least and most to sizes of which a prompt is left. It says
// whether there is one.
func (p *packer) settle() bool {
	for p.least <= p.most && p.left[p.least] == 0 {
		p.least++
	}
	for p.most > p.least && p.left[p.most] == 0 {
		p.most--
	}
	return p.least <= p.most
}

// take returns the first prompt left of a size.
func (p *packer) take(size int) int {
	i := p.order[p.from[size+1]-p.left[size]]
	p.left[size]--
	return i
}

// open begins a batch with prompt i.
func (p *packer) open(i int) (b int) {
	b = len(p.count)
	p.count = append(p.count, 1)
	p.batchOf[i] = b
	return b
}

// fill adds prompts to batch b, which has room for so many tokens and may hold
// so many prompts.
func (p *packer) fill(b, room, prompts int) {
	add := func(size int) {
		p.batchOf[p.take(size)] = b
		p.count[b]++
		room -= size
	}
	for size := room; p.count[b] < prompts && p.settle() && p.least <= room; {
		size = min(size, room, p.most)
		for p.left[size] == 0 {
			size--
		}
		places := prompts - p.count[b]
		if places == 1 || places > 2 && size+2*p.least <= room {
			add(size)
		} else if small, large, ok := p.pair(room, size); ok {
			add(large)
			add(small)
		} else {
			add(size)
		}
	}
}

// pair returns the sizes of two prompts that together fill room best, none larger
// than most. It is false if there are none that fit and fill more than one of
// that size.
func (p *packer) pair(room, most int) (small, large int, ok bool) {
	best := most
	for s, l := p.least, most; s <= l; {
		switch {
		case p.left[s] == 0:
			s++
		case p.left[l] == 0 || s+l > room:
			l--
		default:
			if s+l > best && (s < l || p.left[s] > 1) {
				best, small, large, ok = s+l, s, l, true
			}
			s++
		}
	}
	return small, large, ok
}

// gather turns batchOf into lists. Going through the prompts in order puts both
// batches and what is in them into the order of the input.
func (p *packer) gather(n int) [][]int {
	const none = -1
	p.flat = grow(p.flat, n)
	p.place = grow(p.place, len(p.count))
	for b := range p.place {
		p.place[b] = none
	}
	p.batches = p.batches[:0]
	at := 0
	for i, b := range p.batchOf {
		if p.place[b] == none {
			p.place[b] = len(p.batches)
			p.batches = append(p.batches, p.flat[at:at:at+p.count[b]])
			at += p.count[b]
		}
		p.batches[p.place[b]] = append(p.batches[p.place[b]], i)
	}
	return p.batches
}

// grow returns s with length n, with memory of its own if it has too little.
// What it holds is undefined.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/2)
	}
	return s[:n]
}
