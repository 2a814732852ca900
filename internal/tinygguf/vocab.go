package tinygguf

import (
	"fmt"
	"strings"
)

// TokenType is the format's number for what a token is.
type TokenType int32

// The types of tokens that the models have.
const (
	Normal      TokenType = 1
	Unknown     TokenType = 2
	Control     TokenType = 3 // found in text only where special tokens are parsed
	UserDefined TokenType = 4 // found in all text, before anything else
	Byte        TokenType = 6
)

// Token is one entry of a vocabulary; its id is its index.
type Token struct {
	Text  string // as it stands in the file: a space is "Ġ" (BPE) or "▁" (SPM)
	Type  TokenType
	Score float32 // SPM: pieces of higher score are merged first
}

// Tokens returns the whole vocabulary of models with tokenizer t.
func (t Tokenizer) Tokens() []Token {
	return newVocab(t).tokens
}

// Special returns the text of all tokens that are more than text: control,
// user-defined and unknown ones.
func (t Tokenizer) Special() []string {
	var list []string
	for _, tok := range t.Tokens() {
		switch tok.Type {
		case Control, UserDefined, Unknown:
			list = append(list, tok.Text)
		}
	}
	return list
}

// The special tokens of both vocabularies, and those of one.
const (
	endOfText = "<|endoftext|>" // BPE
	turnStart = "<|im_start|>"
	turnEnd   = "<|im_end|>"
	repoName  = "<repo_name>" // BPE
	toolStart = "<tool_call>"
	toolEnd   = "</tool_call>"
	unknown   = "<unk>" // SPM
	seqStart  = "<s>"   // SPM
	seqEnd    = "</s>"  // SPM
)

// vocab is a vocabulary and what the weights and the header need of it.
type vocab struct {
	kind   Tokenizer
	tokens []Token
	merges []string // BPE
	id     map[string]int
	space  string // the token that is a bare space
}

// newVocab makes the one vocabulary of the tokenizer t.
func newVocab(t Tokenizer) *vocab {
	v := &vocab{kind: t, id: make(map[string]int)}
	if t == SPM {
		v.space = "▁"
		v.addSPM()
	} else {
		v.space = byteSymbol(' ')
		v.addBPE()
	}
	return v
}

func (v *vocab) add(typ TokenType, score float32, texts ...string) {
	for _, s := range texts {
		v.id[s] = len(v.tokens)
		v.tokens = append(v.tokens, Token{s, typ, score})
	}
}

// addBPE adds the special tokens, one token a byte, and the merges.
func (v *vocab) addBPE() {
	v.add(Control, 0, endOfText, turnStart, turnEnd, repoName)
	v.add(UserDefined, 0, toolStart, toolEnd)
	for b := range 256 {
		v.add(Normal, 0, byteSymbol(byte(b)))
	}
	newline := byteSymbol('\n')
	for _, m := range append(learnMerges(v.space), merge{newline, newline}) {
		v.merges = append(v.merges, m.left+" "+m.right)
		v.add(Normal, 0, m.left+m.right)
	}
}

// addSPM adds the special tokens, one token a byte for the fallback, the
// printable ASCII characters and the pieces.
func (v *vocab) addSPM() {
	v.add(Unknown, 0, unknown)
	v.add(Control, 0, seqStart, seqEnd)
	for b := range 256 {
		v.add(Byte, 0, fmt.Sprintf("<0x%02X>", b))
	}
	rank := 0
	piece := func(s string) {
		rank++
		v.add(Normal, float32(-rank), s)
	}
	for _, m := range learnMerges(v.space) {
		piece(m.left + m.right)
	}
	// On the way to the control tokens <s> and </s>, as in Llama 2's vocabulary.
	for _, s := range []string{"</", "</s", "<s"} {
		piece(s)
	}
	piece(v.space)
	for c := '!'; c <= '~'; c++ {
		piece(string(c))
	}
	v.add(Control, 0, turnStart, turnEnd)
	v.add(UserDefined, 0, toolStart, toolEnd)
}

// metadata lists the tokenizer's keys of the header.
func (v *vocab) metadata() []pair {
	var (
		texts  []string
		scores []float32
		types  []int32
	)
	for _, t := range v.tokens {
		texts = append(texts, t.Text)
		scores = append(scores, t.Score)
		types = append(types, int32(t.Type))
	}
	special := func(name, text string) pair {
		return pair{"tokenizer.ggml." + name + "_token_id", uint32(v.id[text])}
	}
	if v.kind == SPM {
		return []pair{
			{"tokenizer.ggml.model", "llama"},
			{"tokenizer.ggml.tokens", texts},
			{"tokenizer.ggml.scores", scores},
			{"tokenizer.ggml.token_type", types},
			special("bos", seqStart),
			special("eos", seqEnd),
			special("unknown", unknown),
			special("padding", seqEnd),
			{"tokenizer.ggml.add_bos_token", true},
			{"tokenizer.ggml.add_eos_token", false},
			{"tokenizer.ggml.add_space_prefix", true},
		}
	}
	return []pair{
		{"tokenizer.ggml.model", "gpt2"},
		{"tokenizer.ggml.pre", "smollm"}, // splits digits one by one
		{"tokenizer.ggml.tokens", texts},
		{"tokenizer.ggml.token_type", types},
		{"tokenizer.ggml.merges", v.merges},
		special("bos", endOfText),
		special("eos", turnEnd),
		special("unknown", endOfText),
		special("padding", turnEnd),
		{"tokenizer.ggml.add_bos_token", false},
		{"tokenizer.ggml.add_space_prefix", false},
	}
}

// byteSymbol returns the character that stands for b in a byte-level
// vocabulary (GPT-2): printable Latin-1 stands for itself, the other bytes, in
// their order, for the characters from U+0100 on.
func byteSymbol(b byte) string {
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

// merge joins two neighbouring symbols.
type merge struct{ left, right string }

// mergeCount keeps the models under 600 KB.
const mergeCount = 160

// learnMerges learns merges from a list of words, by the method of Sennrich et
// al. (ACL 2016): again and again, join the most frequent pair. The earlier a
// word stands in the list, the more often it counts. A space before a word is
// written as the given symbol.
func learnMerges(space string) []merge {
	list := strings.Fields(words)
	texts := make([][]string, len(list))
	for i, w := range list {
		texts[i] = append([]string{space}, strings.Split(w, "")...)
	}
	var merges []merge
	for len(merges) < mergeCount {
		count := make(map[merge]int)
		for i, t := range texts {
			for j := 1; j < len(t); j++ {
				count[merge{t[j-1], t[j]}] += len(texts) - i
			}
		}
		var best merge
		for m, n := range count {
			b := count[best]
			if n > b || n == b && (m.left < best.left || m.left == best.left && m.right < best.right) {
				best = m
			}
		}
		if count[best] == 0 {
			break // every word is one symbol
		}
		merges = append(merges, best)
		for i, t := range texts {
			texts[i] = best.apply(t)
		}
	}
	return merges
}

// apply joins the pair wherever it stands in t, from left to right.
func (m merge) apply(t []string) []string {
	var out []string
	for i := 0; i < len(t); i++ {
		if i+1 < len(t) && t[i] == m.left && t[i+1] == m.right {
			out = append(out, m.left+m.right)
			i++
			continue
		}
		out = append(out, t[i])
	}
	return out
}

// words are what merges are learned from, in the order of their weight.
const words = `
the of and to in is that for it as was with on be by are this not you have from
or an at which one all we there can has more if will would their what so when
who them some time these two may then do first any my now such like our over
only new than other how after also into most made many way where use people well
response instruction input score scale rate rating accuracy accurate helpful
answer question following given value write give list example describe explain
summarize sentence word text number line code function return data model language
performance level higher please feedback according assistant system user request
output provide compare translate classify generate create rewrite identify name
good bad better best wrong right correct incorrect true false yes no because
world water food city country life day year work school health body energy
story poem letter email article paragraph topic reason idea problem solution
learn teach read find make take help need know think want say see come go get
long short large small great high low old young important different possible
should could must about between through before during under without again`
