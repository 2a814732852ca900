package record

import (
	"fmt"
	"strings"
)

// Fields names the object keys that hold a record's texts. An empty name
// stands for its default.
type Fields struct {
	Instruction, Input, Response string

	// Messages holds the list of a conversation's messages. By default there are
	// two names: messages, and where that is missing conversations.
	Messages string
}

// DefaultFields returns the keys of the Alpaca format: instruction, input and
// output.
func DefaultFields() Fields {
	return Fields{Instruction: "instruction", Input: "input", Response: "output"}
}

// ParseFields reads a list such as "instruction=prompt,output=completion". On
// the left stands instruction, input, output (or response, which means the same)
// or messages, on the right a key of the source's objects. What is not named
// keeps its default.
func ParseFields(s string) (Fields, error) {
	f := Fields{}
	if strings.TrimSpace(s) == "" {
		return f.orDefault(), nil
	}
	for part := range strings.SplitSeq(s, ",") {
		left, key, ok := strings.Cut(part, "=")
		left, key = strings.TrimSpace(left), strings.TrimSpace(key)
		var to *string
		switch left {
		case "instruction":
			to = &f.Instruction
		case "input":
			to = &f.Input
		case "output", "response":
			to = &f.Response
		case "messages":
			to = &f.Messages
		default:
			return Fields{}, fmt.Errorf("fields %q: unknown name %q, want instruction, input, output or messages", s, left)
		}
		if !ok || key == "" {
			return Fields{}, fmt.Errorf("fields %q: no key for %s, want %s=KEY", s, left, left)
		}
		if *to != "" {
			return Fields{}, fmt.Errorf("fields %q: %s is named twice", s, left)
		}
		*to = key
	}
	f = f.orDefault()
	for _, p := range [...]struct{ a, b, keyA, keyB string }{
		{"instruction", "input", f.Instruction, f.Input},
		{"instruction", "output", f.Instruction, f.Response},
		{"input", "output", f.Input, f.Response},
		{"instruction", "messages", f.Instruction, f.Messages},
		{"input", "messages", f.Input, f.Messages},
		{"output", "messages", f.Response, f.Messages},
	} {
		if p.keyA == p.keyB {
			return Fields{}, fmt.Errorf("fields %q: %s and %s would both be read from %q; name another key for one of them (for input, a key that no record has means no input)", s, p.a, p.b, p.keyA)
		}
	}
	return f, nil
}

func (f Fields) orDefault() Fields {
	d := DefaultFields()
	if f.Instruction == "" {
		f.Instruction = d.Instruction
	}
	if f.Input == "" {
		f.Input = d.Input
	}
	if f.Response == "" {
		f.Response = d.Response
	}
	return f
}
