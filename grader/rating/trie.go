package rating

import (
	"fmt"
	"slices"
)

// Trie holds the token sequences of a scale's strings, so that one pass of the
// model gives the probability of each.
//
// Node 0 is the root: the place where the rating begins. A node that has
// children needs the model's distribution over the next token; such inner nodes
// (but for the root) are decoded as tokens of their own, beside the record.
type Trie struct {
	Prefix []int32 // tokens that all strings begin with; they are part of the cue
	Nodes  []Node  // parents stand before their children
	scale  Scale
	leaf   []int // node of each of the scale's strings
}

// Node is one token of a Trie.
type Node struct {
	Token    int32
	Parent   int // -1 for the root
	Depth    int // 0 for the root: position behind the cue's last token
	Children []int
}

// Inner reports whether a rating goes on behind the node.
func (n Node) Inner() bool { return len(n.Children) > 0 }

// NewTrie builds the trie of a scale. tokens holds, for each of the scale's
// strings, the tokens of the cue and the string together.
func NewTrie(s Scale, tokens [][]int32) (*Trie, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if len(tokens) != len(s.Strings) {
		return nil, fmt.Errorf("%d token sequences for a scale of %d ratings", len(tokens), len(s.Strings))
	}
	t := &Trie{Nodes: []Node{{Parent: -1}}, scale: s, leaf: make([]int, len(tokens))}
	t.Prefix = CommonPrefix(tokens)
	for i, seq := range tokens {
		at := 0
		for _, tok := range seq[len(t.Prefix):] {
			at = t.child(at, tok)
		}
		t.leaf[i] = at
		if at == 0 {
			return nil, fmt.Errorf("the tokenizer makes rating %q the beginning of every other: choose other rating strings", s.Strings[i])
		}
	}
	for i, n := range t.leaf {
		if j := slices.Index(t.leaf[:i], n); j >= 0 {
			return nil, fmt.Errorf("the tokenizer does not tell ratings %q and %q apart", s.Strings[j], s.Strings[i])
		}
	}
	return t, nil
}

// CommonPrefix returns what all sequences, one or more, begin with.
func CommonPrefix(seqs [][]int32) []int32 {
	p := seqs[0]
	for _, s := range seqs[1:] {
		n := 0
		for n < len(p) && n < len(s) && p[n] == s[n] {
			n++
		}
		p = p[:n]
	}
	return slices.Clone(p)
}

func (t *Trie) child(at int, token int32) int {
	for _, c := range t.Nodes[at].Children {
		if t.Nodes[c].Token == token {
			return c
		}
	}
	t.Nodes = append(t.Nodes, Node{Token: token, Parent: at, Depth: t.Nodes[at].Depth + 1})
	c := len(t.Nodes) - 1
	t.Nodes[at].Children = append(t.Nodes[at].Children, c)
	return c
}

// Rater computes ratings from a trie's probabilities. It keeps its memory and
// belongs to one goroutine.
type Rater struct {
	trie    *Trie
	ends    []bool // whether a string of the scale ends at the node
	reach   []float64
	claimed []float64 // probability that a string of the scale ends at the node or behind it
	probs   []float64
}

// NewRater returns a Rater of the trie.
func NewRater(t *Trie) *Rater {
	r := &Rater{
		trie:    t,
		ends:    make([]bool, len(t.Nodes)),
		reach:   make([]float64, len(t.Nodes)),
		claimed: make([]float64, len(t.Nodes)),
		probs:   make([]float64, len(t.leaf)),
	}
	for _, n := range t.leaf {
		r.ends[n] = true
	}
	return r
}

// Rate sets out to the rating, reusing its memory. edge holds, for each node but
// the root, the probability of its token given its parent; edge[0] is not read.
//
// P(string) is the probability of its path, less that of the longer strings of
// the scale that continue it.
func (r *Rater) Rate(edge []float64, out *Rating) error {
	t, reach, claimed := r.trie, r.reach, r.claimed
	if len(edge) != len(t.Nodes) {
		return fmt.Errorf("%d probabilities for a trie of %d nodes", len(edge), len(t.Nodes))
	}
	reach[0] = 1
	for i := 1; i < len(t.Nodes); i++ {
		reach[i] = reach[t.Nodes[i].Parent] * edge[i]
	}
	for i := len(t.Nodes) - 1; i >= 0; i-- {
		behind := 0.0
		for _, c := range t.Nodes[i].Children {
			behind += claimed[c]
		}
		claimed[i] = behind
		if r.ends[i] {
			claimed[i] = reach[i]
			reach[i] = max(0, reach[i]-behind)
		}
	}
	for i, n := range t.leaf {
		r.probs[i] = reach[n]
	}
	return out.Set(t.scale, r.probs)
}
