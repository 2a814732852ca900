package grader

import (
	"cmp"
	"slices"
)

// packer distributes prompts over batches. It keeps its memory from call to
// call.
type packer struct {
	order   []int
	batchOf []int // of each prompt
	count   []int // prompts of each batch
	room    []int // a tournament over batches: see firstFit
	flat    []int
	batches [][]int
}

// pack distributes prompts of the given sizes first-fit-decreasing: the largest
// first, each into the first batch that has room. It returns indices into sizes.
// Every index stands in exactly one batch. A prompt that exceeds capacity.Tokens goes
// through several passes, and the last of them takes others with it. Batches and what is in them are in the
// order of the input, so the result depends on nothing else. It takes O(n log n)
// steps. The result is valid until the next call.
func (p *packer) pack(sizes []int, capacity Capacity) [][]int {
	n := len(sizes)
	p.order, p.batchOf, p.count = grow(p.order, n), grow(p.batchOf, n), grow(p.count, n)
	leaves := 1
	for leaves < n {
		leaves *= 2
	}
	p.room = grow(p.room, 2*leaves)
	for i := range p.room {
		p.room[i] = capacity.Tokens
	}
	for i := range n {
		p.order[i], p.count[i] = i, 0
	}
	slices.SortStableFunc(p.order, func(a, b int) int { return cmp.Compare(sizes[b], sizes[a]) })
	for _, i := range p.order {
		b := p.firstFit(min(sizes[i], capacity.Tokens), leaves)
		room := p.room[leaves+b] - sizes[i]
		if room < 0 {
			passes := (sizes[i] + capacity.Tokens - 1) / capacity.Tokens
			room = min(passes*capacity.Tokens, capacity.Most) - sizes[i]
		}
		if p.count[b]++; p.count[b] == capacity.Prompts || room < 0 {
			room = -1 // not even a prompt of no tokens fits
		}
		p.setRoom(leaves+b, room)
		p.batchOf[i] = b
	}
	return p.gather(n)
}

// firstFit returns the first batch with room for size tokens. room is a binary
// tree in an array: node k's children are 2k and 2k+1, a leaf is a batch's room,
// an inner node the larger of its children. There is a leaf for every prompt, so
// a batch that is still empty always stands at the end.
func (p *packer) firstFit(size, leaves int) int {
	at := 1
	for at < leaves {
		if at *= 2; p.room[at] < size {
			at++
		}
	}
	return at - leaves
}

func (p *packer) setRoom(at, room int) {
	p.room[at] = room
	for at /= 2; at > 0; at /= 2 {
		p.room[at] = max(p.room[2*at], p.room[2*at+1])
	}
}

// gather turns batchOf into lists. Going through the prompts in order puts both
// batches and what is in them into the order of the input.
func (p *packer) gather(n int) [][]int {
	const none = -1
	p.flat = grow(p.flat, n)
	place := p.order // no longer needed: where each batch's list is among batches
	for b := range n {
		place[b] = none
	}
	p.batches = p.batches[:0]
	at := 0
	for i, b := range p.batchOf {
		if place[b] == none {
			place[b] = len(p.batches)
			p.batches = append(p.batches, p.flat[at:at:at+p.count[b]])
			at += p.count[b]
		}
		p.batches[place[b]] = append(p.batches[place[b]], i)
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
