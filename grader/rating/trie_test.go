package rating

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func halves() Scale {
	return Scale{
		Strings: []string{"0", "0.5", "1", "1.5", "2", "2.5", "3", "3.5", "4", "4.5", "5"},
		Values:  []float64{0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5},
	}
}

// bytesAsTokens tokenizes a cue and the scale's strings byte by byte.
func bytesAsTokens(cue string, s Scale) [][]int32 {
	seqs := make([][]int32, len(s.Strings))
	for i, str := range s.Strings {
		for _, b := range []byte(cue + str) {
			seqs[i] = append(seqs[i], int32(b))
		}
	}
	return seqs
}

func TestTrie_halvesCostTenTokens(t *testing.T) {
	trie, err := NewTrie(halves(), bytesAsTokens("Score: ", halves()))
	if err != nil {
		t.Fatal(err)
	}
	inner := 0
	for _, n := range trie.Nodes[1:] {
		if n.Inner() {
			inner++
		}
	}
	if inner != 10 { // a digit and its dot, five times
		t.Errorf("%d inner nodes behind the root, want 10", inner)
	}
	if got := len(trie.Prefix); got != len("Score: ") {
		t.Errorf("Prefix has %d tokens, want those of the cue", got)
	}
}

func TestTrie_refusesWhatTokensCannotTellApart(t *testing.T) {
	s := Scale{Strings: []string{"a", "b"}, Values: []float64{0, 1}}
	if _, err := NewTrie(s, [][]int32{{1, 2}, {1, 2}}); err == nil {
		t.Error("two ratings of the same tokens were accepted")
	}
	if _, err := NewTrie(s, [][]int32{{1}, {1, 2}}); err == nil {
		t.Error("a rating that is nothing but the common prefix was accepted")
	}
}

// next is a made-up model: a distribution over the bytes used, for any text.
func next(seed uint64, text string) map[byte]float64 {
	const alphabet = "0123456789.xyz"
	h := seed
	for _, b := range []byte(text) {
		h = (h ^ uint64(b)) * 0x100000001b3
	}
	sum, p := 0.0, map[byte]float64{}
	for i := range len(alphabet) {
		h = h*6364136223846793005 + 1442695040888963407
		x := math.Exp(float64(h>>40) / (1 << 22))
		p[alphabet[i]] = x
		sum += x
	}
	for b := range p {
		p[b] /= sum
	}
	return p
}

// TestTrie_equalsEnumeration compares the trie with the definition: run through
// every text up to the longest rating's length and give its probability to the
// longest rating that it begins with.
func TestTrie_equalsEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 6).Draw(t, "n")
		strs := rapid.SliceOfNDistinct(rapid.StringMatching(`[0-2][.x]?[05]?`), n, n, rapid.ID[string]).Draw(t, "ratings")
		s := Scale{Strings: strs}
		longest := 0
		for i, str := range strs {
			s.Values = append(s.Values, float64(i))
			longest = max(longest, len(str))
		}
		seed := rapid.Uint64().Draw(t, "seed")
		trie, err := NewTrie(s, bytesAsTokens("", s))
		if err != nil {
			return // one rating is the beginning of all: refused, see above
		}
		// The trie conditions on the common prefix; so does the enumeration.
		cue := ""
		for _, tok := range trie.Prefix {
			cue += string(rune(tok))
		}
		edge := make([]float64, len(trie.Nodes))
		text := make([]string, len(trie.Nodes))
		text[0] = cue
		for i := 1; i < len(trie.Nodes); i++ {
			at := trie.Nodes[i]
			edge[i] = next(seed, text[at.Parent])[byte(at.Token)]
			text[i] = text[at.Parent] + string(rune(at.Token))
		}
		var got Rating
		if err := NewRater(trie).Rate(edge, &got); err != nil {
			t.Fatal(err)
		}
		want := make([]float64, n)
		var walk func(text string, p float64)
		walk = func(text string, p float64) {
			if len(text) < longest {
				for b, q := range next(seed, text) {
					walk(text+string(rune(b)), p*q)
				}
				return
			}
			best := -1
			for i, str := range strs {
				if len(str) <= len(text) && text[:len(str)] == str && (best < 0 || len(str) > len(strs[best])) {
					best = i
				}
			}
			if best >= 0 {
				want[best] += p
			}
		}
		walk(cue, 1)
		sum := 0.0
		for i, w := range want {
			sum += w
			if d := math.Abs(got.Probs[i] - w); !(d <= 1e-9) {
				t.Fatalf("P(%q) = %v, enumeration gives %v", strs[i], got.Probs[i], w)
			}
		}
		if d := math.Abs(got.OffScale - (1 - sum)); !(d <= 1e-9) {
			t.Fatalf("off-scale mass %v, enumeration gives %v", got.OffScale, 1-sum)
		}
	})
}
