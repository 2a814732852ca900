package engine

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"winnow/grader"
	"winnow/grader/prompt"
	"winnow/grader/record"
)

// cutMark stands where truncation left out the middle of a response.
const cutMark = "\n[…]\n"

// minKept is the number of a response's tokens that truncation leaves at least:
// with fewer, what is rated is no longer the response.
const minKept = 64

// part is one encoded segment of a prompt.
type part struct {
	field  prompt.Field
	tokens []int32
}

// Encode implements grader.Engine.
func (e *Engine) Encode(rec *record.Record) (grader.Prompt, error) {
	parts, cut, err := e.parts(rec)
	if err != nil {
		return grader.Prompt{}, err
	}
	var own []int32
	for _, p := range parts {
		own = append(own, p.tokens...)
	}
	size := len(own) + e.trie.InnerNodes()
	return grader.Prompt{Tokens: own, Size: size, Total: len(e.prefix) + size, Cut: cut}, nil
}

// parts encodes the record's own share of the prompt, cue included.
func (e *Engine) parts(rec *record.Record) (parts []part, cut int, err error) {
	room := e.o.Ctx - len(e.prefix) - e.trie.InnerNodes()
	segments := e.frame.Fill(rec)
	// A text of more bytes than the longest tokens of a whole context need not be
	// encoded to know that it is too long.
	limit := (room + 1) * e.tok.maxPiece
	for i, s := range segments {
		if s.Field == prompt.None || len(s.Text) <= limit {
			continue
		}
		if s.Field != prompt.Response || e.o.TooLong != Truncate {
			return nil, 0, e.tooLong(fmt.Sprintf("its %s has %d bytes", s.Field, len(s.Text)))
		}
		segments[i].Text = cutMiddle(s.Text, 2*limit)
	}
	n, response := len(e.trie.Prefix), -1
	for _, s := range segments {
		p := part{field: s.Field}
		if s.Field == prompt.None {
			p.tokens, err = e.tok.next(nil, s.Text, true)
		} else {
			p.tokens, err = e.tok.record(nil, s.Text)
		}
		if err != nil {
			return nil, 0, err
		}
		if s.Field == prompt.Response {
			response = len(parts)
		}
		n += len(p.tokens)
		parts = append(parts, p)
	}
	parts = append(parts, part{tokens: e.trie.Prefix})
	if n <= room {
		return parts, 0, nil
	}
	if e.o.TooLong != Truncate || response < 0 {
		return nil, 0, e.tooLong(fmt.Sprintf("it has %d tokens", n+len(e.prefix)+e.trie.InnerNodes()))
	}
	mark, err := e.tok.next(nil, cutMark, false)
	if err != nil {
		return nil, 0, err
	}
	toks := parts[response].tokens
	keep := len(toks) - (n - room) - len(mark)
	if keep < minKept {
		return nil, 0, e.tooLong(fmt.Sprintf("it has %d tokens, and truncating would leave %d of its response", n+len(e.prefix)+e.trie.InnerNodes(), max(0, keep)))
	}
	head := (keep + 1) / 2
	parts[response].tokens = slices.Concat(toks[:head], mark, toks[len(toks)-(keep-head):])
	return parts, len(toks) - keep, nil
}

func (e *Engine) tooLong(what string) *record.Fault {
	advice := "raise -c or use --too-long truncate"
	if e.o.TooLong == Truncate {
		advice = "raise -c"
	}
	return &record.Fault{Status: record.TooLong, Reason: fmt.Sprintf("%s, the context holds %d tokens: %s", what, e.o.Ctx, advice)}
}

// cutMiddle removes bytes from the middle of s so that at most n are left,
// without breaking a character.
func cutMiddle(s string, n int) string {
	if len(s) <= n {
		return s
	}
	head, tail := n/2, len(s)-n/2
	for head > 0 && !utf8.RuneStart(s[head]) {
		head--
	}
	for tail < len(s) && !utf8.RuneStart(s[tail]) {
		tail++
	}
	var b strings.Builder
	b.WriteString(s[:head])
	b.WriteString(s[tail:])
	return b.String()
}
