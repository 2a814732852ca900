package tinygguf

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestVocab checks what llama.cpp takes for granted and what other tests use.
func TestVocab(t *testing.T) {
	for _, kind := range []Tokenizer{BPE, SPM} {
		t.Run(kind.String(), func(t *testing.T) {
			v := newVocab(kind)
			if len(v.id) != len(v.tokens) {
				t.Errorf("%d tokens, but %d different texts", len(v.tokens), len(v.id))
			}
			for _, c := range "0123456789." {
				id, ok := v.id[string(c)]
				if !ok || v.tokens[id].Type != Normal {
					t.Errorf("%q is no normal token", c)
				}
			}
			for _, tok := range v.tokens {
				if tok.Type == Normal && len(tok.Text) > 1 && strings.ContainsAny(tok.Text, "0123456789") {
					t.Errorf("token %q merges a digit", tok.Text)
				}
				if tok.Text == "" || !utf8.ValidString(tok.Text) {
					t.Errorf("token %q is empty or no UTF-8", tok.Text)
				}
			}
			if !slices.Equal(kind.Tokens(), v.tokens) {
				t.Error("Tokens differs from one call to the next")
			}
		})
	}
}

func TestSpecial(t *testing.T) {
	for kind, want := range map[Tokenizer][]string{
		BPE: {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<tool_call>", "</tool_call>"},
		SPM: {"<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"},
	} {
		if got := kind.Special(); !slices.Equal(got, want) {
			t.Errorf("%v: %q, want %q", kind, got, want)
		}
	}
	if got := fmt.Sprint(Tokenizer(5)); got != "Tokenizer(5)" {
		t.Errorf("an unknown tokenizer prints as %q", got)
	}
}

// TestMerges checks that every merge joins two tokens into a third and that
// whole words come out.
func TestMerges(t *testing.T) {
	v := newVocab(BPE)
	if len(v.merges) != mergeCount+1 {
		t.Errorf("%d merges, want %d", len(v.merges), mergeCount+1)
	}
	for _, m := range v.merges {
		left, right, ok := strings.Cut(m, " ")
		for _, s := range []string{left, right, left + right} {
			if _, has := v.id[s]; !has || !ok {
				t.Errorf("merge %q: %q is no token", m, s)
			}
		}
	}
	for _, w := range []string{"Ġthe", "Ġof", "Ġand", "ĊĊ"} {
		if _, ok := v.id[w]; !ok {
			t.Errorf("%q is no token", w)
		}
	}
}

// TestPieces checks that merging by score reaches the words and, with nothing
// in the way, the control tokens that Llama 2's vocabulary lets text reach.
func TestPieces(t *testing.T) {
	v := newVocab(SPM)
	for text, want := range map[string][]string{
		"▁the▁of": {"▁the", "▁of"},
		"▁</s>":   {"▁", "</s>"},
		"a<s>":    {"a", "<s>"},
		"4.5":     {"4", ".", "5"},
		"<unk>":   {"<", "u", "n", "k", ">"},
	} {
		if got := v.join(text); !slices.Equal(got, want) {
			t.Errorf("%q splits into %q, want %q", text, got, want)
		}
	}
}

// join splits text into pieces as SentencePiece does: the neighbours that form
// the piece of highest score are joined first.
func (v *vocab) join(text string) []string {
	parts := strings.Split(text, "")
	for {
		best, score := -1, float32(0)
		for i := 1; i < len(parts); i++ {
			id, ok := v.id[parts[i-1]+parts[i]]
			if ok && (best < 0 || v.tokens[id].Score > score) {
				best, score = i, v.tokens[id].Score
			}
		}
		if best < 0 {
			return parts
		}
		parts = slices.Replace(parts, best-1, best+1, parts[best-1]+parts[best])
	}
}
