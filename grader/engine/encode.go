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
	if err := e.checkKind(rec); err != nil {
		return err
	}
	room := e.o.Ctx - len(e.prefix) - e.tail.size()
	// A text of more bytes than the longest tokens of a whole context need not be
	// encoded to know that it is too long.
	limit := (room + 1) * e.tok.maxPiece
	p.Tokens, p.Cut = p.Tokens[:0], 0
	var both [2]hole
	responses := both[:0]
	signals, asked, input := len(e.o.Signals) > 0, 0, rec.Input == ""
	for i, part := range e.head {
		begin := len(p.Tokens)
		if part.field == prompt.None {
			p.Tokens = append(p.Tokens, part.tokens...)
		} else {
			text := prompt.Text(rec, part.field)
			if len(text) > limit {
				if !isResponse(part.field) || e.o.TooLong != Truncate {
					return e.tooLong(fmt.Sprintf("its %s has %d bytes", part.field, len(text)))
				}
				text = cutMiddle(text, 2*limit)
			}
			if p.Tokens, err = e.tok.record(p.Tokens, text); err != nil {
				return err
			}
		}
		switch part.field {
		case prompt.Response, prompt.Other:
			responses = append(responses, hole{i, begin, len(p.Tokens)})
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
		if e.o.TooLong != Truncate {
			return e.tooLong(fmt.Sprintf("it has %d tokens", len(p.Tokens)+len(e.prefix)+e.tail.size()))
		}
		if err = e.truncate(p, responses, over, ends); err != nil {
			return err
		}
	}
	if signals {
		p.Asked = asked
		if !input {
			p.Asked = uncounted
		}
		for _, h := range responses {
			if e.head[h.part].field == prompt.Response { // of a pair, the first
				p.From, p.To = h.from, h.to
			}
		}
	}
	p.Size = len(p.Tokens) + e.tail.size()
	p.Total = len(e.prefix) + p.Size
	return nil
}

// hole is where a text of the record stands in a prompt's tokens, and which part of
// the head it is.
type hole struct{ part, from, to int }

func (h hole) len() int { return h.to - h.from }

func isResponse(f prompt.Field) bool { return f == prompt.Response || f == prompt.Other }

// checkKind makes sure that the record has as many responses as the rubric asks for.
// What has not is no fault of the record: the run cannot go on.
func (e *Engine) checkKind(rec *record.Record) error {
	pairwise := slices.ContainsFunc(e.head, func(p part) bool { return p.field == prompt.Other })
	switch name := e.o.Rubrics[0].Name; {
	case pairwise && !rec.Pair:
		return fmt.Errorf("rubric %s compares two responses, and this record has one: use a rubric without {other}", name)
	case !pairwise && rec.Pair:
		return fmt.Errorf("rubric %s rates one response, and this record is a pair of them: use a rubric with {other}, such as pairwise", name)
	}
	return nil
}

// truncate replaces the middle of the responses so that the prompt loses over tokens
// or, of a pair, perhaps one more. The longer response of a pair is cut to the length
// of the other one first, then both alike: neither the order of the two nor a
// response that was short before decides what is left. The holes are then where the
// responses are.
func (e *Engine) truncate(p *grader.Prompt, responses []hole, over int, ends []int) error {
	mark, err := e.tok.next(nil, cutMark, false)
	if err != nil {
		return err
	}
	room := roomOf(responses, over)
	if room < minKept+len(mark) {
		return e.tooLong(fmt.Sprintf("it has %d tokens, and truncating would leave %d of its response", len(p.Tokens)+len(e.prefix)+e.tail.size(), max(0, room-len(mark))))
	}
	keep := room - len(mark)
	for n := len(responses) - 1; n >= 0; n-- { // what stands before it stays where it is
		h := &responses[n]
		lost := h.len() - room
		if lost <= 0 {
			continue
		}
		head := (keep + 1) / 2
		p.Tokens = slices.Replace(p.Tokens, h.from+head, h.to-(keep-head), mark...)
		p.Cut += h.len() - keep
		h.to -= lost
		for k := n + 1; k < len(responses); k++ {
			responses[k].from -= lost
			responses[k].to -= lost
		}
		for i := h.part; ends != nil && i < len(ends); i++ {
			ends[i] -= lost
		}
	}
	return nil
}

// roomOf returns how many tokens each response may have, so that all of them lose
// over.
func roomOf(responses []hole, over int) int {
	longest, sum := 0, 0
	for _, h := range responses {
		longest, sum = max(longest, h.len()), sum+h.len()
	}
	// The longest alone, if it stays the longest, or else an equal share.
	return max(longest-over, (sum-over)/len(responses))
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
