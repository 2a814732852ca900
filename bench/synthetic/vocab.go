package synthetic

import (
	_ "embed"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"winnow/internal/bpe"
	"winnow/internal/gguf"
	"winnow/internal/tinygguf"
)

// Family is a line of models that share architecture, tokenizer and chat
// template.
type Family int

// The families of Shapes.
const (
	SmolLM Family = iota // architecture llama, ChatML
	Qwen2                // architecture qwen2: as llama, with biases at queries, keys and values; ChatML
	Llama3               // architecture llama with stretched rotations, Llama 3's turns
)

// spec is what the shapes of a family have in common.
type spec struct {
	arch     string
	pre      string // the pre-tokenizer's name in llama.cpp
	template string // chat template, in Jinja

	first   int // id of the first special token in the real vocabulary
	special []string

	bos, eos, pad string
	addBOS        bool
}

const llama3Template = `{% for message in messages %}` +
	`{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] + '<|eot_id|>' }}` +
	`{% endfor %}` +
	`{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}`

// spec returns what the family has in common, nil for an unknown family.
func (f Family) spec() *spec {
	switch f {
	case SmolLM:
		return &spec{
			arch: "llama", pre: "smollm", template: tinygguf.ChatML,
			special: strings.Fields(`<|endoftext|> <|im_start|> <|im_end|> <repo_name> <reponame> <file_sep> <filename>
				<gh_stars> <issue_start> <issue_comment> <issue_closed> <jupyter_start> <jupyter_text> <jupyter_code>
				<jupyter_output> <jupyter_script> <empty_output>`),
			bos: "<|im_start|>", eos: "<|im_end|>", pad: "<|im_end|>",
		}
	case Qwen2:
		return &spec{
			arch: "qwen2", pre: "qwen2", template: tinygguf.ChatML,
			first: 151643,
			special: strings.Fields(`<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|>
				<|box_start|> <|box_end|> <|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|>
				<|image_pad|> <|video_pad|> <tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|>
				<|fim_pad|> <|repo_name|> <|file_sep|>`),
			bos: "<|endoftext|>", eos: "<|im_end|>", pad: "<|endoftext|>",
		}
	case Llama3:
		// Between and behind the named ones stand reserved ones, 256 in all.
		named := map[int]string{0: "<|begin_of_text|>", 1: "<|end_of_text|>", 4: "<|finetune_right_pad_id|>",
			6: "<|start_header_id|>", 7: "<|end_header_id|>", 8: "<|eom_id|>", 9: "<|eot_id|>", 10: "<|python_tag|>"}
		s := &spec{
			arch: "llama", pre: "llama-bpe", template: llama3Template,
			first: 128000,
			bos:   "<|begin_of_text|>", eos: "<|eot_id|>", pad: "<|finetune_right_pad_id|>", addBOS: true,
		}
		for i, reserved := 0, 0; i < 256; i++ {
			text, ok := named[i]
			if !ok {
				text = fmt.Sprintf("<|reserved_special_token_%d|>", reserved)
				reserved++
			}
			s.special = append(s.special, text)
		}
		return s
	}
	return nil
}

// leastTokens returns the size of the family's smallest vocabulary.
func leastTokens(f Family) int {
	s := f.spec()
	if s == nil {
		return 0
	}
	return 256 + len(s.special)
}

// The format's numbers of kinds of tokens.
const (
	normalToken  = 1
	controlToken = 3
	userToken    = 4
	unusedToken  = 5
)

// vocab is a byte-level vocabulary.
type vocab struct {
	texts  []string
	types  []int32
	merges []string
}

// newVocab makes a vocabulary of n tokens: the special ones at their place, one
// token a byte, those that merges make, and unused ones for the rest.
func (s *spec) newVocab(n int, words []bpe.Word) *vocab {
	v := &vocab{}
	seen := map[string]bool{}
	add := func(typ int32, text string) {
		v.texts, v.types = append(v.texts, text), append(v.types, typ)
		seen[text] = true
	}
	first := min(s.first, n-len(s.special))
	special := func() {
		for _, text := range s.special {
			if strings.HasSuffix(text, "tool_call>") {
				add(userToken, text) // found in all text
			} else {
				add(controlToken, text)
			}
		}
	}
	if first == 0 {
		special()
	}
	for b := range 256 {
		add(normalToken, bpe.Symbol(byte(b)))
	}
	room := n
	if first > 0 {
		room = first
	}
	for _, m := range bpe.Learn(words, room-len(v.texts)) {
		v.merges = append(v.merges, m.String())
		if text := m.Left + m.Right; !seen[text] { // two merges may make the same
			add(normalToken, text)
		}
	}
	for len(v.texts) < n {
		if len(v.texts) == first {
			special()
			continue
		}
		add(unusedToken, fmt.Sprintf("<|unused_%d|>", len(v.texts)))
	}
	return v
}

// metadata lists the tokenizer's keys of the header.
func (s *spec) metadata(v *vocab) []gguf.Pair {
	id := func(text string) uint32 {
		for i, t := range v.texts {
			if t == text {
				return uint32(i)
			}
		}
		panic("synthetic: no token " + text)
	}
	return []gguf.Pair{
		{Key: "tokenizer.ggml.model", Value: "gpt2"},
		{Key: "tokenizer.ggml.pre", Value: s.pre},
		{Key: "tokenizer.ggml.tokens", Value: v.texts},
		{Key: "tokenizer.ggml.token_type", Value: v.types},
		{Key: "tokenizer.ggml.merges", Value: v.merges},
		{Key: "tokenizer.ggml.bos_token_id", Value: id(s.bos)},
		{Key: "tokenizer.ggml.eos_token_id", Value: id(s.eos)},
		{Key: "tokenizer.ggml.padding_token_id", Value: id(s.pad)},
		{Key: "tokenizer.ggml.add_bos_token", Value: s.addBOS},
		{Key: "tokenizer.ggml.add_space_prefix", Value: false},
		{Key: "tokenizer.chat_template", Value: s.template},
	}
}

// english lists common English words and marks, roughly the most frequent first.
//
//go:embed words.txt
var english string

// unit is what pre-tokenizers keep together, numbers left out: no merge makes
// tokens of several digits.
var unit = regexp.MustCompile(` ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+`)

// wordsOf counts the units of a text. Without a text they come from the list of
// English words, counted by Zipf's law: the k-th word as often as 1/k.
func wordsOf(text string) []bpe.Word {
	count := map[string]int{}
	if text != "" {
		for _, u := range unit.FindAllString(text, -1) {
			count[u]++
		}
	} else {
		for i, w := range strings.Fields(english) {
			n := 1_000_000 / (i + 10)
			count[" "+w] += n
			count[w] += n/10 + 1
			first, size := utf8.DecodeRuneInString(w)
			if title := string(unicode.ToUpper(first)) + w[size:]; title != w {
				count[" "+title] += n/20 + 1
				count[title] += n/20 + 1
			}
		}
		for _, blank := range []string{"\n\n", "  ", "    ", "        "} {
			count[blank] += 1000
		}
	}
	var words []bpe.Word
	for u, n := range count {
		words = append(words, bpe.Word{Symbols: bpe.Symbols(u), Count: n})
	}
	return words
}
