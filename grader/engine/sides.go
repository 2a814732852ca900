package engine

import (
	"fmt"
	"slices"

	"winnow/grader"
	"winnow/grader/prompt"
	"winnow/grader/record"
	"winnow/grader/signal"
	"winnow/llama"
)

// passage is a sequence in which a response stands and has a loss.
type passage int

const (
	rated    passage = iota // the prompt itself
	answer                  // the answer to the instruction, in the chat template
	alone                   // nothing before it but a token to start with
	plain                   // the bare instruction before it
	passages = iota
)

// sides is what Encode needs for the sequences beside a prompt.
type sides struct {
	list  []passage // those that each prompt has, in their order
	start int32     // what the response alone begins behind

	frames  [2][]part // of an answer, up to the response: without an input, and with one
	newline []int32
	bos     []int32 // what the bare instruction begins behind; none or one
}

// encodeSides prepares for the sequences that the signals need.
func (e *Engine) encodeSides(m prompt.Model) error {
	s := &e.sides
	follow, bare := e.o.Signals.Has(signal.Follow), e.o.Signals.Has(signal.Plain)
	if !follow && !bare {
		return nil
	}
	v := e.model.Vocab()
	if v.AddBOS() && v.BOS() != llama.NoToken {
		s.bos = []int32{v.BOS()}
	}
	starts := append(slices.Clone(s.bos), v.EOT(), v.EOS(), v.BOS())
	i := slices.IndexFunc(starts, func(t int32) bool { return t != llama.NoToken })
	if i < 0 {
		return fmt.Errorf("its vocabulary has no token that a text begins or ends with, behind which a response could stand alone: leave ifd and ifd-plain out of --signals")
	}
	s.start = starts[i]
	if follow {
		s.list = append(s.list, answer)
		if err := e.encodeAnswer(m); err != nil {
			return err
		}
	}
	s.list = append(s.list, alone)
	if bare {
		s.list = append(s.list, plain)
		var err error
		if s.newline, err = e.tok.next(nil, "\n", false); err != nil {
			return err
		}
	}
	return nil
}

// encodeAnswer tokenizes the frames of answers.
func (e *Engine) encodeAnswer(m prompt.Model) error {
	for i := range e.sides.frames {
		f, err := prompt.NewAnswerFrame(m, i == 1)
		if err != nil {
			return err
		}
		prefix, err := e.tok.prefix(f.Prefix())
		if err != nil {
			return err
		}
		e.sides.frames[i] = []part{{tokens: prefix}}
		for _, s := range f.Segments() {
			p := part{field: s.Field}
			if s.Field == prompt.None {
				if p.tokens, err = e.tok.next(nil, s.Text, true); err != nil {
					return err
				}
			}
			e.sides.frames[i] = append(e.sides.frames[i], p)
		}
	}
	return nil
}

// addSides adds to an encoded prompt what signals need: how many tokens were asked,
// and the sequences beside it. Their response is the prompt's, cut as it is there.
func (e *Engine) addSides(rec *record.Record, p *grader.Prompt) (err error) {
	if p.Asked == uncounted {
		if p.Asked, err = e.countAsked(rec); err != nil {
			return err
		}
	}
	if p.From == p.To {
		return nil
	}
	response := p.Tokens[p.From:p.To]
	if have, want := cap(p.Sides), len(e.sides.list); have < want {
		p.Sides = append(p.Sides[:have], make([]grader.Side, want-have)...)
	}
	p.Sides = p.Sides[:len(e.sides.list)]
	for i, kind := range e.sides.list {
		side := &p.Sides[i]
		side.Tokens = side.Tokens[:0]
		switch kind {
		case answer:
			frame := e.sides.frames[0]
			if rec.Input != "" {
				frame = e.sides.frames[1]
			}
			for _, part := range frame {
				if part.field == prompt.None {
					side.Tokens = append(side.Tokens, part.tokens...)
				} else if side.Tokens, err = e.field(side.Tokens, rec, part.field); err != nil {
					return err
				}
			}
		case plain:
			side.Tokens = append(side.Tokens, e.sides.bos...)
			for _, f := range []prompt.Field{prompt.Instruction, prompt.Input} {
				if prompt.Text(rec, f) == "" && f == prompt.Input {
					continue
				}
				if side.Tokens, err = e.field(side.Tokens, rec, f); err != nil {
					return err
				}
				side.Tokens = append(side.Tokens, e.sides.newline...)
			}
		}
		if len(side.Tokens) == 0 {
			side.Tokens = append(side.Tokens, e.sides.start)
		}
		side.From = len(side.Tokens)
		side.Tokens = append(side.Tokens, response...)
		if len(side.Tokens) > e.o.Ctx {
			return e.tooLong(fmt.Sprintf("behind its instruction alone, for its signals, its response ends at token %d", len(side.Tokens)))
		}
		p.Size += len(side.Tokens)
		p.Total += len(side.Tokens)
	}
	return nil
}

// field appends the tokens of one of the record's texts, which must not be longer
// than a context.
func (e *Engine) field(dst []int32, rec *record.Record, f prompt.Field) ([]int32, error) {
	text := prompt.Text(rec, f)
	if len(text) > e.o.Ctx*e.tok.maxPiece {
		return dst, e.tooLong(fmt.Sprintf("its %s has %d bytes", f, len(text)))
	}
	return e.tok.record(dst, text)
}

// countAsked counts the tokens of the instruction and the input.
func (e *Engine) countAsked(rec *record.Record) (int, error) {
	toks, err := e.field(nil, rec, prompt.Instruction)
	if err == nil {
		toks, err = e.field(toks, rec, prompt.Input)
	}
	return len(toks), err
}

// checkPrompt refuses prompts whose parts do not belong together: they may come from
// another process.
func (e *Engine) checkPrompt(p *grader.Prompt) error {
	ok := len(p.Tokens) > 0 && 0 <= p.From && p.From <= p.To && p.To <= len(p.Tokens) && len(p.Sides) <= len(e.sides.list)
	unknown := func(t int32) bool { return t < 0 || int(t) >= e.model.Vocab().Size() }
	ok = ok && !slices.ContainsFunc(p.Tokens[p.From:p.To], unknown) // their rows are read before they are decoded
	for _, s := range p.Sides {
		ok = ok && 1 <= s.From && s.From <= len(s.Tokens) && !slices.ContainsFunc(s.Tokens, unknown)
	}
	if !ok {
		return fmt.Errorf("a prompt of %d tokens with its response from %d to %d and %d sequences beside it: this engine has not made it", len(p.Tokens), p.From, p.To, len(p.Sides))
	}
	return nil
}
