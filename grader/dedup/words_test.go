package dedup

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"
)

// naiveShingles returns the shingles of a record as strings.
func naiveShingles(texts [3]string) map[string]bool {
	var words []string
	for i, s := range texts {
		words = append(words, fmt.Sprintf("<%d>", i))
		words = append(words, strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })...)
	}
	set := map[string]bool{}
	for i := range max(1, len(words)-4) {
		set[strings.Join(words[i:min(i+5, len(words))], " ")] = true
	}
	return set
}

func naiveSimilarity(a, b map[string]bool) float64 {
	shared := 0
	for s := range a {
		if b[s] {
			shared++
		}
	}
	return float64(shared) / float64(len(a)+len(b)-shared)
}

// similarity compares two records by their hashed shingles.
func similarity(a, b [3]string) float64 {
	var x, y worker
	s, _ := similar(x.shingles(a), y.shingles(b), 0)
	return s
}

// sentence returns n words of a vocabulary with punctuation and capitals here and
// there.
func sentence(random *rand.Rand, n, vocabulary int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = word(random, vocabulary)
	}
	return words
}

func word(random *rand.Rand, vocabulary int) string {
	return fmt.Sprintf([]string{"word%d", "Wörter%d,", "(mot%d)", "слово%d"}[random.IntN(4)], random.IntN(vocabulary))
}

// edited returns words with k of them replaced.
func edited(random *rand.Rand, words []string, k, vocabulary int) []string {
	out := append([]string(nil), words...)
	for _, i := range random.Perm(len(out))[:min(k, len(out))] {
		out[i] = word(random, vocabulary)
	}
	return out
}

// three deals words out to a record's texts.
func three(words []string) [3]string {
	a, b := len(words)/4, len(words)/3
	return [3]string{strings.Join(words[:a], " "), strings.Join(words[a:b], " "), strings.Join(words[b:], " ")}
}

func TestSimilarityIsJaccard(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	between := 0
	for range 3000 {
		n, vocabulary := random.IntN(40), 1+random.IntN(30)
		a := sentence(random, n, vocabulary)
		b := edited(random, a, random.IntN(1+n/5), vocabulary)
		x, y := three(a), three(b)
		want := naiveSimilarity(naiveShingles(x), naiveShingles(y))
		if got := similarity(x, y); got != want {
			t.Fatalf("%q\n%q\nsimilarity %v, want %v", x, y, got, want)
		}
		if want > 0 && want < 1 {
			between++
		}
	}
	if between < 500 {
		t.Errorf("%d pairs are neither equal nor disjoint, want 500 for the test to mean something", between)
	}
}

func TestWords(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{"Name a colour.", "name a COLOUR", true},
		{"Äpfel und BIRNEN", "äpfel, und birnen!", true},
		{"Один  два", "один\n\tдва.", true},
		{"don't", "don t", true},
		{"", " \n", true},
		{"a b", "b a", false},
		{"ab", "a b", false},
		{"", "x", false},
		{"x", "x x", false},
		{"?", "!", false},
		{"?", "?!", false},
		{"?", "", false},
		{"...", ". . .", true},
		{"2 < 3", "2 > 3", false},
		{"a+b", "a|b", false},
		{"cost 5 €", "cost 5 £", false},
		{"mood 😀", "mood 😢", false},
		{"日本語", "日 本 語", true},
		{"日本語を", "日本語が", false},
		{"\x00", "\x01", false},
		{"\xff", "\xff", true},
	} {
		for field := range 3 {
			var a, b [3]string
			a[field], b[field] = tc.a, tc.b
			if s := similarity(a, b); (s == 1) != tc.same {
				t.Errorf("text %d: %q and %q have the similarity %v, the same: want %t", field, tc.a, tc.b, s, tc.same)
			}
		}
	}
}

// Words belong to their text.
func TestFieldMarks(t *testing.T) {
	for _, other := range [][3]string{{"", "one", "two"}, {"one two", "", ""}, {"", "", "one two"}, {"two", "", "one"}} {
		if s := similarity([3]string{"one", "", "two"}, other); s == 1 {
			t.Errorf("%q is like one, two", other)
		}
	}
}

// In a script without spaces one character more or less is a small difference.
func TestUnspacedScripts(t *testing.T) {
	const text = "我们今天学习如何用水和光让植物长得又高又绿并且在整个夏天都保持健康的状态"
	if s := similarity([3]string{"", "", text}, [3]string{"", "", strings.Replace(text, "夏", "冬", 1)}); !(s > 0.6 && s < 1) {
		t.Errorf("similarity %v with one of %d characters replaced, want more than 0.6", s, len([]rune(text)))
	}
}
