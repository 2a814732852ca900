package engine

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"winnow/grader/prompt"
	"winnow/grader/record"
	"winnow/llama"
)

// tokenizer encodes the parts of a prompt one by one: trusted text with special
// tokens parsed, a record's text without. Parts are never joined as strings, so
// a record cannot forge what stands around it.
type tokenizer struct {
	vocab       *llama.Vocab
	spacePrefix bool    // the vocabulary puts a space before every text
	newline     []int32 // tokens of "\n", with that space if there is one
	maxPiece    int     // bytes of the longest token
	forbidden   map[int32]string
}

func newTokenizer(v *llama.Vocab) *tokenizer {
	t := &tokenizer{vocab: v, forbidden: map[int32]string{}}
	var buf []byte
	for id := range int32(v.Size()) {
		buf, _ = v.Piece(buf[:0], id, true)
		t.maxPiece = max(t.maxPiece, len(buf))
		if v.Attr(id)&llama.AttrControl != 0 || v.IsEOG(id) {
			t.forbidden[id] = string(buf)
		}
	}
	if toks, err := v.Tokenize(nil, "a", false); err == nil && len(toks) > 0 {
		buf, _ = v.Piece(buf[:0], toks[0], false)
		t.spacePrefix = len(buf) > 0 && buf[0] == ' '
	}
	t.newline, _ = v.Tokenize(nil, "\n", false)
	return t
}

// special returns the text of a special token, or "" if there is none.
func (t *tokenizer) special(id llama.Token) string {
	if id == llama.NoToken {
		return ""
	}
	return t.vocab.Text(id)
}

// prefix encodes the text that opens every prompt, behind BOS if the model
// wants it and the template has not written it.
func (t *tokenizer) prefix(text string) ([]int32, error) {
	toks, err := t.vocab.Tokenize(nil, text, true)
	if err != nil {
		return nil, err
	}
	bos := t.vocab.BOS()
	if t.vocab.AddBOS() && bos != llama.NoToken && (len(toks) == 0 || toks[0] != bos) {
		toks = slices.Insert(toks, 0, bos)
	}
	return toks, nil
}

// protect also forbids in records the user-defined tokens that the template
// uses as marks: llama.cpp recognizes those in any text.
func (t *tokenizer) protect(prefix string, segments []prompt.Segment) error {
	texts := []string{prefix}
	for _, s := range segments {
		if s.Field == prompt.None {
			texts = append(texts, s.Text)
		}
	}
	for _, text := range texts {
		toks, err := t.vocab.Tokenize(nil, text, true)
		if err != nil {
			return err
		}
		for _, id := range toks {
			if t.vocab.Attr(id)&llama.AttrUserDefined == 0 {
				continue
			}
			piece, err := t.vocab.Piece(nil, id, true)
			if err != nil {
				return err
			}
			// White space is user-defined in some vocabularies and harmless.
			if strings.TrimSpace(string(piece)) != "" {
				t.forbidden[id] = string(piece)
			}
		}
	}
	return nil
}

// next appends the tokens of text that continues a prompt: without the space
// that some vocabularies put before every text.
func (t *tokenizer) next(dst []int32, text string, special bool) ([]int32, error) {
	if text == "" {
		return dst, nil
	}
	if t.spacePrefix {
		toks, err := t.vocab.Tokenize(nil, "\n"+text, special)
		if err != nil {
			return dst, err
		}
		if n := len(t.newline); len(toks) >= n && slices.Equal(toks[:n], t.newline) {
			return append(dst, toks[n:]...), nil
		}
	}
	return t.vocab.Tokenize(dst, text, special)
}

// answer encodes the beginning of the assistant's turn, which stands behind the
// trusted text before.
func (t *tokenizer) answer(before, text string) ([]int32, error) {
	last, _ := utf8.DecodeLastRuneInString(before)
	if strings.ContainsRune(" \n\t", last) || !t.spacePrefix {
		return t.next(nil, text, false)
	}
	return t.vocab.Tokenize(nil, text, false)
}

// record appends the tokens of a record's text. No control token, no end of
// generation and no mark of the template is ever among them: text that would
// become one is cut in two and encoded in parts.
func (t *tokenizer) record(dst []int32, text string) ([]int32, error) {
	start := len(dst)
	dst, err := t.next(dst, text, false)
	if err != nil {
		return dst, &record.Fault{Status: record.BadTokens, Reason: err.Error()}
	}
	bad := t.firstForbidden(dst[start:])
	if bad == "" {
		return dst, nil
	}
	dst = dst[:start]
	for _, part := range t.split(text) {
		if dst, err = t.next(dst, part, false); err != nil {
			return dst, &record.Fault{Status: record.BadTokens, Reason: err.Error()}
		}
	}
	if bad = t.firstForbidden(dst[start:]); bad != "" {
		return dst, &record.Fault{Status: record.BadTokens, Reason: fmt.Sprintf("the tokenizer makes the special token %q of its text", bad)}
	}
	return dst, nil
}

// firstForbidden returns the text of the first special token, or "".
func (t *tokenizer) firstForbidden(toks []int32) string {
	for _, id := range toks {
		if piece, ok := t.forbidden[id]; ok {
			return fmt.Sprintf("%s (token %d)", piece, id)
		}
	}
	return ""
}

// split cuts text behind the first character of every special token's text, so
// that no part holds one. Where occurrences overlap, each is cut.
func (t *tokenizer) split(text string) []string {
	var cuts []int
	for _, piece := range t.forbidden {
		cuts = appendCuts(cuts, text, piece)
		// In some vocabularies this character stands for a space.
		if spaced := strings.ReplaceAll(piece, "▁", " "); spaced != piece {
			cuts = appendCuts(cuts, text, spaced)
		}
	}
	slices.Sort(cuts)
	parts := make([]string, 0, len(cuts)+1)
	at := 0
	for _, c := range slices.Compact(cuts) {
		parts = append(parts, text[at:c])
		at = c
	}
	return append(parts, text[at:])
}

// appendCuts appends where the first character of each occurrence of piece ends.
func appendCuts(cuts []int, text, piece string) []int {
	_, first := utf8.DecodeRuneInString(piece)
	if first == len(piece) { // also where there is none
		return cuts
	}
	for at := 0; ; {
		i := strings.Index(text[at:], piece)
		if i < 0 {
			return cuts
		}
		at += i + first
		cuts = append(cuts, at)
	}
}
