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

// uncounted stands for Prompt.Asked where the rubric does not show the input.
const uncounted = -1

// part is one segment of a prompt: trusted text with its tokens, or a hole for a
// text of the record.
type part struct {
	field  prompt.Field
	tokens []int32
}

// Encode implements grader.Engine.
func (e *Engine) Encode(rec *record.Record, p *grader.Prompt) error {
	p.Asked, p.From, p.To, p.Sides = 0, 0, 0, p.Sides[:0]
	if err := e.encode(rec, p, nil); err != nil || len(e.o.Signals) == 0 {
		return err
	}
	return e.addSides(rec, p)
}

// encode makes the prompt. ends, if not nil, gets the place in p.Tokens where each
// part of the head ends.
func (e *Engine) encode(rec *record.Record, p *grader.Prompt, ends []int) (err error) {
	room := e.o.Ctx - len(e.prefix) - e.tail.size()
	// A text of more bytes than the longest tokens of a whole context need not be
	// encoded to know that it is too long.
	limit := (room + 1) * e.tok.maxPiece
	p.Tokens, p.Cut = p.Tokens[:0], 0
	response, from, to := -1, 0, 0
	signals, asked, input := len(e.o.Signals) > 0, 0, rec.Input == ""
	for i, part := range e.head {
		begin := len(p.Tokens)
		if part.field == prompt.None {
			p.Tokens = append(p.Tokens, part.tokens...)
		} else {
			text := prompt.Text(rec, part.field)
			if len(text) > limit {
				if part.field != prompt.Response || e.o.TooLong != Truncate {
					return e.tooLong(fmt.Sprintf("its %s has %d bytes", part.field, len(text)))
				}
				text = cutMiddle(text, 2*limit)
			}
			if p.Tokens, err = e.tok.record(p.Tokens, text); err != nil {
				return err
			}
		}
		switch part.field {
		case prompt.Response:
			response, from, to = i, begin, len(p.Tokens)
		case prompt.Input:
			input = true
			asked += len(p.Tokens) - begin
		case prompt.Instruction:
			asked += len(p.Tokens) - begin
		}
		if ends != nil {
			ends[i] = len(p.Tokens)
		}
	}
	p.Tokens = append(p.Tokens, e.tail.shared...)
	if len(p.Tokens) == 0 {
		return &record.Fault{Status: record.EmptyResponse, Reason: "its prompt has no tokens: its texts are empty and the rubric has no words between them"}
	}
	if over := len(p.Tokens) - room; over > 0 {
		if e.o.TooLong != Truncate || response < 0 {
			return e.tooLong(fmt.Sprintf("it has %d tokens", len(p.Tokens)+len(e.prefix)+e.tail.size()))
		}
		if p.Cut, err = e.truncate(p, from, to, over); err != nil {
			return err
		}
		for i := response; ends != nil && i < len(ends); i++ {
			ends[i] -= over
		}
		to -= over
	}
	if signals {
		p.Asked, p.From, p.To = asked, from, to
		if !input {
			p.Asked = uncounted
		}
	}
	p.Size = len(p.Tokens) + e.tail.size()
	p.Total = len(e.prefix) + p.Size
	return nil
}

// truncate replaces the middle of the response, which stands at from to to, so
// that the prompt loses over tokens. It returns how many of the response's tokens
// it cut.
func (e *Engine) truncate(p *grader.Prompt, from, to, over int) (cut int, err error) {
	mark, err := e.tok.next(nil, cutMark, false)
	if err != nil {
		return 0, err
	}
	keep := to - from - over - len(mark)
	if keep < minKept {
		return 0, e.tooLong(fmt.Sprintf("it has %d tokens, and truncating would leave %d of its response", len(p.Tokens)+len(e.prefix)+e.tail.size(), max(0, keep)))
	}
	head := (keep + 1) / 2
	p.Tokens = slices.Replace(p.Tokens, from+head, to-(keep-head), mark...)
	return to - from - keep, nil
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
