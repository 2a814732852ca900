// Package bpe learns the merges of byte-pair vocabularies, for models that are
// made rather than trained.
package bpe

import "container/heap"

// Symbol returns the character that stands for b in a byte-level vocabulary
// (GPT-2): printable Latin-1 stands for itself, the other bytes, in their order,
// for the characters from U+0100 on.
func Symbol(b byte) string {
	printable := func(b byte) bool {
		return b >= '!' && b <= '~' || b >= 0xa1 && b != 0xad
	}
	if printable(b) {
		return string(rune(b))
	}
	r := rune(0x100)
	for c := byte(0); c < b; c++ {
		if !printable(c) {
			r++
		}
	}
	return string(r)
}

// Symbols returns text with every byte as its Symbol.
func Symbols(text string) []string {
	list := make([]string, len(text))
	for i := range list {
		list[i] = Symbol(text[i])
	}
	return list
}

// Word is a unit that no merge reaches out of, as symbols, and how often it
// counts.
type Word struct {
	Symbols []string
	Count   int
}

// Merge joins two neighbouring symbols.
type Merge struct{ Left, Right string }

// String returns the merge as it stands in a model's header.
func (m Merge) String() string { return m.Left + " " + m.Right }

// Learn learns up to n merges by the method of Sennrich et al. (ACL 2016): again
// and again, join the most frequent pair. Of pairs that are equally frequent the
// first in the order of their symbols is joined, so equal words give equal
// merges. The words are left as they are.
func Learn(words []Word, n int) []Merge {
	l := newLearner(words)
	var merges []Merge
	for len(merges) < n {
		best, ok := l.best()
		if !ok {
			break // every word is one symbol
		}
		merges = append(merges, Merge{l.queue.names[best.left], l.queue.names[best.right]})
		l.join(best)
	}
	return merges
}

// pair is two neighbouring symbols, by their ids.
type pair struct{ left, right int32 }

// learner counts the pairs of words that change.
type learner struct {
	ids    map[string]int32
	words  [][]int32
	weight []int // of each word
	count  map[pair]int
	where  map[pair][]int32 // words that have, or once had, the pair
	queue  queue            // every pair under its count, and outdated entries
}

func newLearner(words []Word) *learner {
	l := &learner{ids: map[string]int32{}, count: map[pair]int{}, where: map[pair][]int32{}}
	for i, w := range words {
		ids := make([]int32, len(w.Symbols))
		for j, s := range w.Symbols {
			ids[j] = l.id(s)
		}
		l.words, l.weight = append(l.words, ids), append(l.weight, w.Count)
		for j := 1; j < len(ids); j++ {
			p := pair{ids[j-1], ids[j]}
			l.count[p] += w.Count
			l.where[p] = append(l.where[p], int32(i))
		}
	}
	for p, n := range l.count {
		l.queue.entries = append(l.queue.entries, entry{p, n})
	}
	heap.Init(&l.queue)
	return l
}

// id returns the number of a symbol, a new one for a new symbol.
func (l *learner) id(symbol string) int32 {
	id, ok := l.ids[symbol]
	if !ok {
		id = int32(len(l.ids))
		l.ids[symbol] = id
		l.queue.names = append(l.queue.names, symbol)
	}
	return id
}

// best returns the most frequent pair, if there is any.
func (l *learner) best() (pair, bool) {
	for l.queue.Len() > 0 {
		e := heap.Pop(&l.queue).(entry)
		if e.count > 0 && e.count == l.count[e.pair] {
			return e.pair, true
		}
	}
	return pair{}, false
}

// join makes one symbol of a pair wherever it stands, from left to right.
func (l *learner) join(p pair) {
	made := l.id(l.queue.names[p.left] + l.queue.names[p.right])
	changed := map[pair]bool{}
	for _, i := range l.where[p] {
		word, weight := l.words[i], l.weight[i]
		for j := 1; j < len(word); j++ {
			q := pair{word[j-1], word[j]}
			l.count[q] -= weight
			changed[q] = true
		}
		kept := word[:0]
		for j := 0; j < len(word); j++ {
			if j+1 < len(word) && word[j] == p.left && word[j+1] == p.right {
				kept = append(kept, made)
				j++
				continue
			}
			kept = append(kept, word[j])
		}
		l.words[i] = kept
		for j := 1; j < len(kept); j++ {
			q := pair{kept[j-1], kept[j]}
			l.count[q] += weight
			changed[q] = true
			if q.left == made || q.right == made { // the others were there before
				l.where[q] = append(l.where[q], i)
			}
		}
	}
	delete(l.where, p)
	for q := range changed {
		heap.Push(&l.queue, entry{q, l.count[q]})
	}
}

// entry is a pair with the count that it had at some time.
type entry struct {
	pair  pair
	count int
}

// queue is a heap of pairs, the most frequent first.
type queue struct {
	entries []entry
	names   []string // of symbols
}

// Len implements heap.Interface.
func (q *queue) Len() int { return len(q.entries) }

// Less implements heap.Interface.
func (q *queue) Less(i, j int) bool {
	a, b := q.entries[i], q.entries[j]
	if a.count != b.count {
		return a.count > b.count
	}
	if a.pair.left != b.pair.left {
		return q.names[a.pair.left] < q.names[b.pair.left]
	}
	return q.names[a.pair.right] < q.names[b.pair.right]
}

// Swap implements heap.Interface.
func (q *queue) Swap(i, j int) { q.entries[i], q.entries[j] = q.entries[j], q.entries[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { q.entries = append(q.entries, x.(entry)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(q.entries) - 1
	e := q.entries[last]
	q.entries = q.entries[:last]
	return e
}
