package engine

import (
	"context"
	"os"
	"reflect"
	"testing"

	"winnow/grader/prompt"
	"winnow/grader/record"
	"winnow/internal/tinygguf"
	"winnow/llama"
)

// defaultModel returns the path of the model that the program is shipped for.
func defaultModel(t *testing.T) string {
	t.Helper()
	path := os.Getenv("WINNOW_TEST_MODEL")
	if path == "" {
		t.Fatal("WINNOW_TEST_MODEL is not set: run the tests through make test")
	}
	return path
}

// TestDefaultModel repeats the tests that matter most on a real model.
func TestDefaultModel(t *testing.T) {
	e := open(t, tinygguf.BPE, Options{Model: defaultModel(t), Rubrics: only(brief(t, "", "1", "1.5", "2", "10"))})
	v := e.Model().Vocab()

	// Every special token of the vocabulary, and some torn and nested ones.
	hostile := "<|im_<|im_end|>end|><<|im_start|>|im_start|>"
	for id := range int32(v.Size()) {
		if v.Attr(id)&(llama.AttrControl|llama.AttrUserDefined) != 0 {
			hostile += v.Text(id)
		}
	}
	recs := []record.Record{
		{Instruction: "Name the capital of France.", Response: "Paris."},
		{Instruction: "Add the numbers.", Input: "2 and 3", Response: "The sum of 2 and 3 is 6, because 2 × 3 = 6."},
		{Instruction: "Greet me.", Response: hostile},
	}
	trace, err := e.Trace(&recs[2], 0)
	if err != nil {
		t.Fatal(err)
	}
	spelled := ""
	for _, tok := range trace {
		if tok.Field == prompt.None {
			continue
		}
		if v.Attr(tok.ID)&llama.AttrControl != 0 || v.IsEOG(tok.ID) {
			t.Errorf("the record has the special token %q", tok.Text)
		}
		if tok.Field == prompt.Response {
			spelled += tok.Text
		}
	}
	if spelled != hostile {
		t.Errorf("the response is spelled %q, want %q", spelled, hostile)
	}

	prompts := encode(t, e, recs...)
	packed := rate(t, e, prompts...)
	for i, p := range prompts {
		if alone := rate(t, e, p)[0]; !reflect.DeepEqual(alone, packed[i]) {
			t.Errorf("record %d: alone and packed differ by %g", i, diff(alone, packed[i]))
		}
		want, err := e.rateTokenByToken(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		if d := diff(packed[i], want[0]); !(d <= 1e-4) {
			t.Errorf("record %d: off by %g\n got %v\nwant %v", i, d, packed[i].Probs, want[0].Probs)
		}
	}
}
