package gold

import (
	"fmt"

	"winnow/grader/record"
)

// Preference says which of two responses is better.
type Preference int8

// The preferences.
const (
	Tie Preference = iota
	A
	B
)

// String returns a, b or tie.
func (p Preference) String() string {
	switch p {
	case A:
		return "a"
	case B:
		return "b"
	}
	return "tie"
}

// Pair is two responses to one instruction.
type Pair struct {
	Index              int // position in its file, from 0
	Instruction, Input string
	A, B               string
	Better             Preference
}

// Key identifies a pair by its texts and their order.
func (p Pair) Key() record.Key {
	return record.MadePair(p.Index, p.Instruction, p.Input, p.A, p.B).Key
}

// The names of the formats of pairs.
const (
	LLMBar  = "llmbar"
	PandaLM = "pandalm"
	Plain   = "plain"
)

// pairFormat is how a file spells pairs.
type pairFormat struct {
	name                     string
	has                      []string // members by which it is known
	instruction, input, a, b string   // members; no input if the name is empty
	better                   func(object) (Preference, error)
}

// formats in the order in which they are tried.
var formats = []*pairFormat{
	{LLMBar, []string{"output_1", "output_2"}, "input", "", "output_1", "output_2", llmbarLabel},
	{PandaLM, []string{"response1", "response2"}, "instruction", "input", "response1", "response2", majority},
	{Plain, []string{"response_a", "response_b"}, "instruction", "input", "response_a", "response_b", plainBetter},
}

// formatOf returns the format of a pair; nil if the object is none.
func formatOf(o object) *pairFormat {
	for _, f := range formats {
		if o.has(f.has...) {
			return f
		}
	}
	return nil
}

// ReadPairs reads a file of pairs and returns them in order with the name of their
// format, which is that of the first one:
//
//   - LLMBar (Z. Zeng and others, "Evaluating Large Language Models at Evaluating
//     Instruction Following", 2023): input, which is the instruction, output_1,
//     output_2, and label, 1 or 2
//   - PandaLM's test set (Y. Wang and others, 2023): instruction, input, response1,
//     response2, and annotator1 to annotator3, each 1, 2, or 0 for a tie; what most of
//     them say counts, and without a majority it is a tie
//   - Plain: instruction, input, response_a, response_b, and better: a, b or tie
//
// A response that is null is empty.
func ReadPairs(path string) (pairs []Pair, format string, err error) {
	var f *pairFormat
	err = objects(path, func(o object) error {
		if f == nil {
			if f = formatOf(o); f == nil {
				return o.at("this is no pair: want instruction, response_a, response_b and better, or LLMBar's or PandaLM's form")
			}
		}
		p, err := f.pair(o)
		p.Index = len(pairs)
		pairs = append(pairs, p)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return pairs, f.name, nil
}

// pair makes a pair of an object.
func (f *pairFormat) pair(o object) (p Pair, err error) {
	if p.Instruction, err = o.want(f.instruction); err != nil {
		return p, err
	}
	for _, m := range []struct {
		to   *string
		name string
	}{{&p.Input, f.input}, {&p.A, f.a}, {&p.B, f.b}} {
		if string(o.value[m.name]) == "null" || m.name == f.input && !o.has(m.name) {
			continue
		}
		if *m.to, err = o.want(m.name); err != nil {
			return p, err
		}
	}
	p.Better, err = f.better(o)
	return p, err
}

func llmbarLabel(o object) (Preference, error) {
	switch x, ok := o.number("label"); {
	case ok && x == 1:
		return A, nil
	case ok && x == 2:
		return B, nil
	}
	return Tie, o.at(`"label" is %s, want 1 or 2`, o.describe("label"))
}

func plainBetter(o object) (Preference, error) {
	text, _ := o.text("better")
	for _, p := range []Preference{A, B, Tie} {
		if text == p.String() {
			return p, nil
		}
	}
	return Tie, o.at(`"better" is %s, want "a", "b" or "tie"`, o.describe("better"))
}

// majority returns what most of the annotators say.
func majority(o object) (Preference, error) {
	const annotators = 3
	var votes [annotators]int // for 0, a tie; 1; 2
	for i := range annotators {
		name := fmt.Sprintf("annotator%d", i+1)
		x, ok := o.number(name)
		if !ok || x != 0 && x != 1 && x != 2 {
			return Tie, o.at("%q is %s, want 0 for a tie, 1 or 2", name, o.describe(name))
		}
		votes[int(x)]++
	}
	for p, n := range votes {
		if 2*n > annotators {
			return [...]Preference{Tie, A, B}[p], nil
		}
	}
	return Tie, nil
}
