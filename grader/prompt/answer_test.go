package prompt

import (
	"reflect"
	"testing"

	"winnow/internal/tinygguf"
)

func TestNewAnswerFrame(t *testing.T) {
	const ask = "<|im_end|>\n<|im_start|>assistant\n"
	for _, c := range []struct {
		name, template string
		input          bool
		prefix         string
		want           []Segment
	}{
		{"chat", tinygguf.ChatML, false, "<|im_start|>user\n", []Segment{{Field: Instruction}, {Text: ask}}},
		{"chat with input", tinygguf.ChatML, true, "<|im_start|>user\n", []Segment{{Field: Instruction}, {Text: "\n\n"}, {Field: Input}, {Text: ask}}},
		{"plain", "", true, "", []Segment{{Field: Instruction}, {Text: "\n\n"}, {Field: Input}, {Text: "\n\n### Response:\n"}}},
	} {
		f, err := NewAnswerFrame(Model{Template: c.template}, c.input)
		if err != nil {
			t.Fatal(err)
		}
		if f.Prefix() != c.prefix || !reflect.DeepEqual(f.Segments(), c.want) {
			t.Errorf("%s: %q, then %+v, want %q and %+v", c.name, f.Prefix(), f.Segments(), c.prefix, c.want)
		}
	}
	// A broken template falls back to the plain layout.
	f, err := NewAnswerFrame(Model{Template: "{{ raise_exception('no') }}"}, false)
	if err != nil || f.Source() != SourcePlain {
		t.Errorf("a template that refuses: %+v, %v, want the plain layout", f, err)
	}
}
