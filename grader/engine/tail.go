package engine

import (
	"fmt"
	"slices"

	"winnow/grader/rating"
)

// tail is what follows every record: for each criterion the words up to its
// rating, and the inner nodes of its scale's trie. Tokens that all criteria go on
// with belong to the prompt itself; the rest is a tree behind the prompt's last
// token, whose branches share the record's cells.
type tail struct {
	shared   []int32
	nodes    []tailNode // parents before children; the first stands for the prompt's last token
	tries    []*rating.Trie
	edgesAt  []int // where each trie's nodes begin among those of all
	edges    int   // nodes of all tries
	branches int   // sequences that a prompt takes
}

// tailNode is one token of the tree.
type tailNode struct {
	token    int32
	parent   int
	depth    int // positions behind the prompt's last token
	from, to int // the branches that pass it
	reads    []read
}

// read is a use of a node's row: it gives the probabilities of the children of a
// trie's node.
type read struct{ criterion, node int }

// newTail plants a tree. words holds, for each criterion, the tokens between the
// record and the place where its trie begins.
func newTail(words [][]int32, tries []*rating.Trie) (*tail, error) {
	t := &tail{nodes: []tailNode{{parent: -1}}, tries: tries}
	t.shared = rating.CommonPrefix(words)
	for c, trie := range tries {
		t.edgesAt = append(t.edgesAt, t.edges)
		t.edges += len(trie.Nodes)
		at := 0
		for _, tok := range words[c][len(t.shared):] {
			at = t.child(at, tok)
		}
		place := make([]int, len(trie.Nodes)) // of the trie's nodes in the tree
		for n, node := range trie.Nodes {
			if !node.Inner() {
				continue
			}
			if n > 0 {
				at = t.child(place[node.Parent], node.Token)
			}
			place[n] = at
			t.nodes[at].reads = append(t.nodes[at].reads, read{c, n})
		}
	}
	t.branch(0)
	if t.branches > maxBranches {
		return nil, fmt.Errorf("a record needs %d sequences, llama.cpp has %d for them: use fewer ratings or fewer criteria at a time", t.branches, maxBranches)
	}
	return t, nil
}

func (t *tail) child(at int, token int32) int {
	for i := at + 1; i < len(t.nodes); i++ {
		if t.nodes[i].parent == at && t.nodes[i].token == token {
			return i
		}
	}
	t.nodes = append(t.nodes, tailNode{token: token, parent: at, depth: t.nodes[at].depth + 1})
	return len(t.nodes) - 1
}

// branch numbers the leaves behind a node, so that those of any node follow one
// another.
func (t *tail) branch(at int) {
	t.nodes[at].from = t.branches
	for i := at + 1; i < len(t.nodes); i++ {
		if t.nodes[i].parent == at {
			t.branch(i)
		}
	}
	if t.nodes[at].from == t.branches {
		t.branches++ // a leaf
	}
	t.nodes[at].to = t.branches
}

// size is the number of tokens that the tree costs beside the prompt's own.
func (t *tail) size() int { return len(t.nodes) - 1 }

// path returns the tokens from the prompt's end to a node.
func (t *tail) path(at int) []int32 {
	var toks []int32
	for ; at > 0; at = t.nodes[at].parent {
		toks = append(toks, t.nodes[at].token)
	}
	slices.Reverse(toks)
	return toks
}

// root returns the node at which a criterion's rating begins.
func (t *tail) root(criterion int) int {
	return slices.IndexFunc(t.nodes, func(n tailNode) bool { return slices.Contains(n.reads, read{criterion, 0}) })
}
