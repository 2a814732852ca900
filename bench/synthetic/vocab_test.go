package synthetic

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestVocab(t *testing.T) {
	words := wordsOf("")
	marks := map[string]map[int]string{ // where the real vocabularies have them
		"smollm2-135m": {0: "<|endoftext|>", 1: "<|im_start|>", 2: "<|im_end|>", 17: "Ā"},
		"qwen2.5-1.5b": {0: "Ā", 151643: "<|endoftext|>", 151645: "<|im_end|>", 151657: "<tool_call>", 151664: "<|file_sep|>", 151665: "<|unused_151665|>"},
		"llama-3.1-8b": {128000: "<|begin_of_text|>", 128002: "<|reserved_special_token_0|>", 128009: "<|eot_id|>", 128255: "<|reserved_special_token_247|>"},
	}
	for name, at := range marks {
		s, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		v := s.Family.spec().newVocab(s.Vocab, words)
		if len(v.texts) != s.Vocab || len(v.types) != s.Vocab {
			t.Fatalf("%s: %d tokens of %d types, want %d", name, len(v.texts), len(v.types), s.Vocab)
		}
		id := map[string]int32{}
		for i, text := range v.texts {
			if _, twice := id[text]; twice || text == "" {
				t.Errorf("%s: token %d, %q, is empty or there twice", name, i, text)
			}
			id[text] = v.types[i]
		}
		for i, text := range at {
			if v.texts[i] != text {
				t.Errorf("%s: token %d is %q, want %q", name, i, v.texts[i], text)
			}
		}
		for _, m := range v.merges {
			left, right, _ := strings.Cut(m, " ")
			if id[left] != normalToken || id[right] != normalToken || id[left+right] != normalToken {
				t.Errorf("%s: merge %q of or into no normal token", name, m)
			}
			if strings.ContainsAny(left+right, "0123456789") {
				t.Errorf("%s: merge %q of digits", name, m)
			}
		}
		for _, w := range []string{"Ġthe", "Ġresponse", "The", "ĠWhat", "ĊĊ"} {
			if id[w] != normalToken {
				t.Errorf("%s: no token %q", name, w)
			}
		}
		if n := len(v.merges); n < 5000 || n > 25_000 {
			t.Errorf("%s: %d merges", name, n)
		}
	}
}

// TestSmallVocab checks the smallest vocabularies, and those without room for
// all merges.
func TestSmallVocab(t *testing.T) {
	words := wordsOf(brief)
	for _, f := range []Family{SmolLM, Qwen2, Llama3} {
		for _, more := range []int{0, 1, 7, 500} {
			n := leastTokens(f) + more
			v := f.spec().newVocab(n, words)
			if len(v.texts) != n || len(v.merges) > more || more > 0 && len(v.merges) == 0 {
				t.Errorf("family %d: %d tokens and %d merges, want %d tokens", f, len(v.texts), len(v.merges), n)
			}
			for _, text := range f.spec().special {
				if i := slices.Index(v.texts, text); i < 0 || v.types[i] != controlToken && v.types[i] != userToken {
					t.Errorf("family %d with %d tokens: %q is token %d", f, n, text, i)
				}
			}
		}
	}
}

// TestOwnText checks that a caller's text is what is learned from.
func TestOwnText(t *testing.T) {
	v := SmolLM.spec().newVocab(1000, wordsOf("grommet 4711 grommet\n\ngrommet: Öl, Öl"))
	for _, w := range []string{"Ġgrommet", "ĊĊ", "ĠÃĸl"} {
		if !slices.Contains(v.texts, w) {
			t.Errorf("no token %q", w)
		}
	}
	for _, w := range []string{"Ġthe", "47", "11"} {
		if slices.Contains(v.texts, w) {
			t.Errorf("there is a token %q", w)
		}
	}
}

// TestRopeFreqs checks where Llama 3.1's factors begin and cease to grow:
// wavelengths of 2048 and 8192 tokens.
func TestRopeFreqs(t *testing.T) {
	s, err := Find("llama-3.1-8b")
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4*s.headWidth()/2)
	s.fillRopeFreqs(b, nil)
	last := 0.0
	for i := range s.headWidth() / 2 {
		x := float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
		switch {
		case i <= 28 && x != 1, i >= 35 && x != 8, i > 28 && i < 35 && !(x > max(1, last) && x < 8):
			t.Errorf("factor %d is %v, after %v", i, x, last)
		}
		last = x
	}
}
