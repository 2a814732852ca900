package bpe

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestSymbol(t *testing.T) {
	seen := make(map[string]byte)
	for b := range 256 {
		s := Symbol(byte(b))
		if other, twice := seen[s]; twice || utf8.RuneCountInString(s) != 1 {
			t.Errorf("byte %#02x has the symbol %q, as has %#02x", b, s, other)
		}
		seen[s] = byte(b)
	}
	for b, want := range map[byte]string{' ': "Ġ", '\n': "Ċ", '\t': "ĉ", 'A': "A", 0: "Ā", 0x7f: "ġ", 0xa0: "ł", 0xad: "Ń", 0xff: "ÿ"} {
		if got := Symbol(b); got != want {
			t.Errorf("byte %#02x has the symbol %q, want %q", b, got, want)
		}
	}
	if got, want := Symbols(" é"), []string{"Ġ", "Ã", "©"}; !slices.Equal(got, want) {
		t.Errorf("Symbols: %q, want %q", got, want)
	}
}

func TestLearn(t *testing.T) {
	words := []Word{{strings.Split("aab", ""), 3}, {strings.Split("abab", ""), 2}, {strings.Split("c", ""), 9}}
	want := []Merge{{"a", "b"}, {"a", "ab"}, {"ab", "ab"}}
	if got := Learn(words, 10); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Learn(words, 1); !slices.Equal(got, want[:1]) {
		t.Errorf("the first merge: %q, want %q", got, want[:1])
	}
	if got := strings.Join(words[0].Symbols, ""); len(words[0].Symbols) != 3 || got != "aab" {
		t.Errorf("the words were changed to %q", words[0].Symbols)
	}
	if got := Learn(nil, 5); len(got) != 0 {
		t.Errorf("nothing to learn from: %q", got)
	}
}

// TestLearnLaws compares with counting everything anew for each merge.
func TestLearnLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var words []Word
		for _, w := range rapid.SliceOfN(rapid.StringMatching(`[ab]{1,4}[abc]{0,6}`), 1, 8).Draw(t, "words") {
			words = append(words, Word{strings.Split(w, ""), rapid.IntRange(1, 3).Draw(t, "count")})
		}
		got := Learn(words, 20)
		for i, m := range got {
			count := map[Merge]int{}
			for _, w := range words {
				for j := 1; j < len(w.Symbols); j++ {
					count[Merge{w.Symbols[j-1], w.Symbols[j]}] += w.Count
				}
			}
			most := slices.Max(slices.Collect(maps.Values(count)))
			first := slices.MinFunc(slices.Collect(maps.Keys(count)), func(a, b Merge) int {
				if count[a] != count[b] {
					return count[b] - count[a]
				}
				return strings.Compare(a.Left+"\x00"+a.Right, b.Left+"\x00"+b.Right)
			})
			if m != first {
				t.Fatalf("merge %d is %q (%d times), want %q (%d times)", i, m, count[m], first, most)
			}
			for j := range words {
				words[j].Symbols = apply(m, words[j].Symbols)
			}
		}
		if len(got) < 20 {
			for _, w := range words {
				if len(w.Symbols) > 1 {
					t.Fatalf("stopped after %d merges with %q left", len(got), w.Symbols)
				}
			}
		}
	})
}

// apply joins the pair wherever it stands in t, from left to right.
func apply(m Merge, t []string) []string {
	var out []string
	for i := 0; i < len(t); i++ {
		if i+1 < len(t) && t[i] == m.Left && t[i+1] == m.Right {
			out = append(out, m.Left+m.Right)
			i++
			continue
		}
		out = append(out, t[i])
	}
	return out
}
