package grader

import (
	"cmp"
	"slices"
)

// pack distributes prompts of the given sizes over batches, first-fit-decreasing:
// the largest first, each into the first batch that has room. It returns indices
// into sizes. Every index stands in exactly one batch; a batch exceeds
// capacity.Tokens only when it holds a single prompt that does. Batches and what
// is in them are in the order of the input, so the result depends on nothing else.
func pack(sizes []int, capacity Capacity) [][]int {
	order := make([]int, len(sizes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(sizes[b], sizes[a]) })
	var batches [][]int
	var room []int
	for _, i := range order {
		at := -1
		for b := range batches {
			if sizes[i] <= room[b] && len(batches[b]) < capacity.Prompts {
				at = b
				break
			}
		}
		if at < 0 {
			batches = append(batches, nil)
			room = append(room, capacity.Tokens)
			at = len(batches) - 1
		}
		batches[at] = append(batches[at], i)
		room[at] -= sizes[i]
	}
	for _, b := range batches {
		slices.Sort(b)
	}
	slices.SortFunc(batches, func(a, b []int) int { return cmp.Compare(a[0], b[0]) })
	return batches
}
