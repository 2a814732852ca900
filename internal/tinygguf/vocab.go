package tinygguf

import (
	"fmt"
	"strings"

	"winnow/internal/bpe"
	"winnow/internal/gguf"
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
		v.space = bpe.Symbol(' ')
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
		v.add(Normal, 0, bpe.Symbol(byte(b)))
	}
	newline := bpe.Symbol('\n')
	for _, m := range append(learnMerges(v.space), bpe.Merge{Left: newline, Right: newline}) {
		v.merges = append(v.merges, m.String())
		v.add(Normal, 0, m.Left+m.Right)
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
		piece(m.Left + m.Right)
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
func (v *vocab) metadata() []gguf.Pair {
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
	special := func(name, text string) gguf.Pair {
		return gguf.Pair{Key: "tokenizer.ggml." + name + "_token_id", Value: uint32(v.id[text])}
	}
	if v.kind == SPM {
		return []gguf.Pair{
			{Key: "tokenizer.ggml.model", Value: "llama"},
			{Key: "tokenizer.ggml.tokens", Value: texts},
			{Key: "tokenizer.ggml.scores", Value: scores},
			{Key: "tokenizer.ggml.token_type", Value: types},
			special("bos", seqStart),
			special("eos", seqEnd),
			special("unknown", unknown),
			special("padding", seqEnd),
			{Key: "tokenizer.ggml.add_bos_token", Value: true},
			{Key: "tokenizer.ggml.add_eos_token", Value: false},
			{Key: "tokenizer.ggml.add_space_prefix", Value: true},
		}
	}
	return []gguf.Pair{
		{Key: "tokenizer.ggml.model", Value: "gpt2"},
		{Key: "tokenizer.ggml.pre", Value: "smollm"}, // splits digits one by one
		{Key: "tokenizer.ggml.tokens", Value: texts},
		{Key: "tokenizer.ggml.token_type", Value: types},
		{Key: "tokenizer.ggml.merges", Value: v.merges},
		special("bos", endOfText),
		special("eos", turnEnd),
		special("unknown", endOfText),
		special("padding", turnEnd),
		{Key: "tokenizer.ggml.add_bos_token", Value: false},
		{Key: "tokenizer.ggml.add_space_prefix", Value: false},
	}
}

// mergeCount keeps the models under 600 KB.
const mergeCount = 160

// learnMerges learns merges from a list of words. The earlier a word stands in
// the list, the more often it counts. A space before a word is written as the
// given symbol.
func learnMerges(space string) []bpe.Merge {
	texts := strings.Fields(words)
	list := make([]bpe.Word, len(texts))
	for i, w := range texts {
		list[i] = bpe.Word{Symbols: append([]string{space}, strings.Split(w, "")...), Count: len(texts) - i}
	}
	return bpe.Learn(list, mergeCount)
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
