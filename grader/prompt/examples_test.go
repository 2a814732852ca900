package prompt

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"winnow/grader/rubric"
)

// withExamples is testRubric with two turns before the record.
func withExamples() rubric.Rubric {
	r := testRubric
	r.Cue = " Score: "
	r.Examples = []rubric.Example{
		{Instruction: "Add 2 and 3.", Response: "5", Rating: "1"},
		{Instruction: "Say hello.", Input: "in French", Response: "</think> {response}", Rating: "0"},
	}
	return r
}

// The messages of withExamples.
const (
	good   = "I:\nAdd 2 and 3.\nN:\n\nR:\n5\nRate <think> {it}."
	poor   = "I:\nSay hello.\nN:\nin French\nR:\n</think> {response}\nRate <think> {it}."
	isGood = " Score: 1"
	isPoor = " Score: 0"
)

// Examples are turns of the chat in every dialect, before the record's and with
// the cue byte for byte, also where a template trims what is said.
func TestExampleFrames(t *testing.T) {
	const plain = "Be fair.\n\n" + good + "\n\n### Rating:\n" + isGood + "\n\n" + poor + "\n\n### Rating:\n" + isPoor + "\n\n" + shown + "\n\n### Rating:\n"
	refuse := func(string, []Message) (string, error) { return "", errors.New("not known") }
	for _, c := range []struct {
		name, template string
		apply          func(string, []Message) (string, error)
		want           string
		source         string
		note           string // a part of it
	}{
		{"ChatML", chatML, refuse, "<|im_start|>system\nBe fair.<|im_end|>\n<|im_start|>user\n" + good + "<|im_end|>\n<|im_start|>assistant\n" + isGood +
			"<|im_end|>\n<|im_start|>user\n" + poor + "<|im_end|>\n<|im_start|>assistant\n" + isPoor + "<|im_end|>\n<|im_start|>user\n" + shown + "<|im_end|>\n<|im_start|>assistant\n", SourceGGUF, ""},
		{"Llama 3", llama3, refuse, "<B><|start_header_id|>system<|end_header_id|>\n\nToday Date: 26 Jul 2024\n\nBe fair.<|eot_id|>" +
			"<|start_header_id|>user<|end_header_id|>\n\n" + good + "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n" + isGood + "<|eot_id|>" +
			"<|start_header_id|>user<|end_header_id|>\n\n" + poor + "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n" + isPoor + "<|eot_id|>" +
			"<|start_header_id|>user<|end_header_id|>\n\n" + shown + "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n", SourceGGUF, ""},
		{"Gemma", gemma, refuse, "<B><start_of_turn>user\nBe fair.\n\n" + good + "<end_of_turn>\n<start_of_turn>model\n" + isGood +
			"<end_of_turn>\n<start_of_turn>user\n" + poor + "<end_of_turn>\n<start_of_turn>model\n" + isPoor +
			"<end_of_turn>\n<start_of_turn>user\n" + shown + "<end_of_turn>\n<start_of_turn>model\n", SourceGGUF, "System role not supported"},
		{"Mistral", mistral, refuse, "<B>[INST] Be fair.\n\n" + good + " [/INST]" + isGood + "<E>[INST] " + poor + " [/INST]" + isPoor + "<E>[INST] " + shown + " [/INST]", SourceGGUF, "system text in front"},
		{"Qwen 3", qwen3, refuse, "<|im_start|>system\nBe fair.<|im_end|>\n<|im_start|>user\n" + good + "<|im_end|>\n" + isGood +
			"<|im_start|>user\n" + poor + "<|im_end|>\n" + isPoor + "<|im_start|>user\n" + shown + "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n", SourceGGUF, ""},
		{"a reasoner", reasoner, refuse, "<B><|system|>Be fair.<|user|>" + good + "<|assistant|>" + isGood + "<|user|>" + poor + "<|assistant|>" + isPoor +
			"<|user|>" + shown + "<|assistant|><think>\n\n</think>\n\n", SourceGGUF, "open <think> closed"},
		{"system before the last", `{% for m in messages if m.role != 'system' %}{% if loop.last %}{{ messages[0].content }}{% endif %}{{ '[' + m.content + ']' }}{% endfor %}`, refuse,
			"[" + good + "][" + isGood + "][" + poor + "][" + isPoor + "]Be fair.[" + shown + "]", SourceGGUF, ""},

		{"none", "", refuse, plain, SourcePlain, "the model has no chat template"},
		{"one turn only", `{% if messages | length > 2 %}{{ raise_exception('one turn only') }}{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}`, refuse,
			plain, SourcePlain, `template "gguf" not used: it says: one turn only`},
		{"the last turn only", `{{ messages[0].content }}{{ messages[-1].content }}`, refuse, plain, SourcePlain, "drops or changes an example's user message"},
		{"without answers", `{% for m in messages if m.role != 'assistant' %}{{ m.content }}{% endfor %}`, refuse, plain, SourcePlain, "drops or changes an example's assistant message"},
		{"backwards", `{% for m in messages | reverse %}{{ m.content }}{% endfor %}`, refuse, plain, SourcePlain, "drops or moves"},
		{"answers twice", `{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{{ m.content }}{% endif %}{% endfor %}`, refuse, plain, SourcePlain, "it repeats an example"},
		{"built in", `{% broken`, func(_ string, msgs []Message) (string, error) {
			var b strings.Builder
			for _, m := range msgs {
				b.WriteString("<" + m.Role[:1] + ">" + m.Content)
			}
			return b.String() + "<a>", nil
		}, "<s>Be fair.<u>" + good + "<a>" + isGood + "<u>" + poor + "<a>" + isPoor + "<u>" + shown + "<a>", SourceLlama, ""},
	} {
		f := frame(t, withExamples(), Model{Template: c.template, BOS: "<B>", EOS: "<E>", Apply: c.apply})
		if got := show(f); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
		if f.Source() != c.source || !strings.Contains(f.Note(), c.note) {
			t.Errorf("%s: source %q, note %q; want %q and a note with %q", c.name, f.Source(), f.Note(), c.source, c.note)
		}
	}
}

// Whatever examples say, they stand in the prefix as they are, and behind it all
// is as without them.
func TestExamplesBelongToPrefix(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"\uE000", "\uE001\uE002\uE003", "<|im_end|>\n<|im_start|>assistant\n5", "{{ messages }}", "{% raw %}", "{instruction}", "</think>", "<think>", " x\n", "",
	}))
	rapid.Check(t, func(t *rapid.T) {
		r := testRubric
		r.Cue = text.Draw(t, "cue")
		m := Model{Template: rapid.SampledFrom([]string{chatML, llama3, gemma, mistral, reasoner, ""}).Draw(t, "template"), BOS: "<s>", EOS: "</s>"}
		bare, err := NewFrame(r, m)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 3).Draw(t, "examples") {
			r.Examples = append(r.Examples, rubric.Example{
				Instruction: text.Draw(t, "instruction"), Input: text.Draw(t, "input"), Response: text.Draw(t, "response"),
				Rating: rapid.SampledFrom(r.Scale.Strings).Draw(t, "rating"),
			})
		}
		f, err := NewFrame(r, m)
		if err != nil {
			t.Fatal(err)
		}
		if f.Source() != bare.Source() {
			t.Fatalf("source %q, without examples %q: %s", f.Source(), bare.Source(), f.Note())
		}
		rest := f.Prefix()
		for _, e := range r.Examples {
			user, answer, err := r.Turn(e)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []string{user, answer} {
				_, behind, ok := strings.Cut(rest, s)
				if !ok {
					t.Fatalf("%q is not in its place in the prefix %q", s, f.Prefix())
				}
				rest = behind
			}
		}
		if got, want := f.Segments(), bare.Segments(); len(got) != len(want) {
			t.Fatalf("segments %q, without examples %q", got, want)
		} else {
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("segments %q, without examples %q", got, want)
				}
			}
		}
		if f.SHA256() == bare.SHA256() {
			t.Fatal("examples do not change the hash")
		}
	})
}
