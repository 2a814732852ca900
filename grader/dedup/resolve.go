package dedup

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
)

// Found is what a Builder found.
type Found struct {
	at               []int32
	items            []item // without their sets
	number, compared int
}

// Resolve finds the duplicates among the records added. The Builder is spent.
func (b *Builder) Resolve() *Found {
	b.hash()
	order := make([]int32, len(b.items))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, b.inOrder)
	first := b.firstOfKeys(order)
	b.chain(order)

	f := &Found{at: b.at, items: b.items}
	asked := make([]int32, len(b.items)) // the last item that each was compared with, plus 1
	for _, i := range order {
		it := &b.items[i]
		if k := first[i]; k != i {
			// The first with these texts stands before it. If that is a duplicate,
			// its comparison holds for the same texts as well.
			it.of, it.similarity = k, 1
			if one := &b.items[k]; one.of >= 0 {
				it.of, it.similarity = one.of, one.similarity
			}
		} else {
			f.compared += b.compare(i, asked)
		}
		if it.of >= 0 {
			f.number++
		}
	}
	for i := range b.items {
		b.items[i].set = nil
	}
	*b = Builder{mode: Off}
	return f
}

// inOrder compares items: the better rated one first, then that which comes first.
func (b *Builder) inOrder(x, y int32) int {
	if c := cmp.Compare(b.items[y].value, b.items[x].value); c != 0 {
		return c
	}
	return cmp.Compare(x, y)
}

// firstOfKeys returns for each item the first one in order with the same key.
func (b *Builder) firstOfKeys(order []int32) []int32 {
	first, byKey := make([]int32, len(order)), slices.Clone(order)
	slices.SortFunc(byKey, func(x, y int32) int {
		if c := bytes.Compare(b.items[x].key[:], b.items[y].key[:]); c != 0 {
			return c
		}
		return b.inOrder(x, y)
	})
	for k, i := range byKey {
		first[i] = i
		if k > 0 && b.items[byKey[k-1]].key == b.items[i].key {
			first[i] = first[byKey[k-1]]
		}
	}
	return first
}

// compare finds the survivor before an item that is most like it, of several the
// first, and returns with how many it was compared.
func (b *Builder) compare(i int32, asked []int32) (n int) {
	it := &b.items[i]
	better := func(s float64, k int32) bool {
		return it.of < 0 || s > it.similarity || s == it.similarity && b.inOrder(k, it.of) < 0
	}
	for band := range b.bands {
		from := &b.link(i)[band]
		for *from > 0 {
			k := int32(*from - 1)
			next := &b.link(k)[band]
			if b.items[k].of >= 0 {
				*from = *next // nobody asks a duplicate again
				continue
			}
			from = next
			if asked[k] == i+1 {
				continue
			}
			asked[k] = i + 1
			n++
			if s, ok := similar(it.set, b.items[k].set, b.threshold); ok && better(s, k) {
				it.of, it.similarity = k, s
			}
		}
	}
	return n
}

// Lookup returns of which record the nth one added, from 0, is a duplicate, if
// it is one.
func (f *Found) Lookup(n int) (Duplicate, bool) {
	if n < 0 || n >= len(f.at) || f.at[n] < 0 {
		return Duplicate{}, false
	}
	it := &f.items[f.at[n]]
	if it.of < 0 {
		return Duplicate{}, false
	}
	s := &f.items[it.of]
	return Duplicate{
		Of: int(s.n), Index: s.index, File: s.file, Line: s.line,
		Same: it.key == s.key, Similarity: it.similarity,
	}, true
}

// Len returns the number of duplicates.
func (f *Found) Len() int { return f.number }

// Compared returns how many pairs of records had their shingles compared.
func (f *Found) Compared() int { return f.compared }

// All returns the places of all duplicates among the records added, in order.
func (f *Found) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for n, i := range f.at {
			if i >= 0 && f.items[i].of >= 0 && !yield(n) {
				return
			}
		}
	}
}
