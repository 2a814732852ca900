package llama

import (
	"bytes"
	"fmt"
	"math"
	"slices"
)

// The keys with one item a token, or one a merge.
const (
	keyTokens = "tokenizer.ggml.tokens"
	keyScores = "tokenizer.ggml.scores"
	keyTypes  = "tokenizer.ggml.token_type"
	keyMerges = "tokenizer.ggml.merges"
)

// vocabulary sees a header's texts as they are read.
type vocabulary struct {
	index map[string]uint64 // of each token
}

// visit checks that no two tokens have the same text, by which llama.cpp finds
// them.
func (v *vocabulary) visit(key string, i uint64, text []byte) error {
	if key != keyTokens {
		return nil
	}
	if v.index == nil {
		v.index = make(map[string]uint64)
	}
	text, _, _ = bytes.Cut(text, []byte{0}) // what llama.cpp sees of it
	word := string(text)
	if word == "" {
		word = fmt.Sprintf("[EMPTY_%d]", i) // what llama.cpp makes of it
	}
	if first, ok := v.index[word]; ok {
		return fmt.Errorf("tokens %d and %d are both %q", first, i, word)
	}
	v.index[word] = i
	return nil
}

// specialByDefault are the tokens that llama.cpp takes for special ones if the file does
// not say which are.
var specialByDefault = map[string]map[string]uint64{
	"llama": {"bos": 1, "eos": 2, "unknown": 0},
	"gpt2":  {"bos": 11, "eos": 11},
}

// check checks the vocabulary: the kinds of tokenizers that decoders have, and
// that what is read at a token's place is there.
func (v *vocabulary) check(h *header) error {
	const model = "tokenizer.ggml.model"
	kind, ok := h.text(model)
	if !ok {
		return fmt.Errorf("%s does not say what kind of vocabulary there is", model)
	}
	special, known := specialByDefault[kind]
	if !known {
		return fmt.Errorf("%s is %q: models that can rate text have %q or %q", model, kind, "llama", "gpt2")
	}
	n := h.keys[keyTokens].n
	for _, a := range []struct {
		key       string
		min, most uint64
		types     []typ
	}{
		{keyTokens, 1, math.MaxInt32, []typ{typString}},
		{keyScores, n, n, []typ{typF32}},
		{keyTypes, n, n, []typ{typI32, typU32}},
		{keyMerges, 0, maxItems, []typ{typString}},
	} {
		list, ok := h.keys[a.key]
		switch {
		case !ok && a.key != keyTokens:
			continue
		case !ok || !list.array:
			return fmt.Errorf("%s is no array", a.key)
		case !slices.Contains(a.types, list.typ):
			return fmt.Errorf("%s holds items of type %v, want %v", a.key, list.typ, a.types[0])
		case list.n < a.min:
			return fmt.Errorf("%s has %d items, want at least %d", a.key, list.n, a.min)
		case list.n > a.most:
			return fmt.Errorf("%s has %d items, want %d: one a token", a.key, list.n, a.most)
		}
	}
	for name, id := range special {
		// An id that is out of range is passed over for the default.
		if said, ok := h.u32("tokenizer.ggml." + name + "_token_id"); ok && uint64(said) < n {
			continue
		}
		if id >= n {
			return fmt.Errorf("tokenizer.ggml.%s_token_id names none of the %d tokens", name, n)
		}
	}
	return nil
}

// archName returns the architecture, by which a model's other keys begin.
func (h *header) archName() string {
	name, _ := h.text("general.architecture")
	return name
}
