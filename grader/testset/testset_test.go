package testset

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// file writes a file and returns its path.
func file(t *testing.T, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// The forms of Koala, Self-Instruct, Vicuna, WizardLM and Alpaca.
func TestReadPrompts(t *testing.T) {
	for _, c := range []struct {
		name string
		line string
		want Prompt
	}{
		{"koala.jsonl", `{"id": "koala_0", "prompt": "List films."}`, Prompt{Set: "koala", ID: "koala_0", Instruction: "List films."}},
		{"sinstruct.jsonl", `{"id": "task_7", "motivation_app": "Mail", "instruction": "Rewrite.", "instances": [{"input": "Hi Jen", "output": "Hello"}]}`,
			Prompt{Set: "sinstruct", ID: "task_7", Instruction: "Rewrite.", Input: "Hi Jen"}},
		{"vicuna.jsonl", `{"question_id": 1, "text": "How?", "category": "generic"}`, Prompt{Set: "vicuna", ID: "1", Instruction: "How?"}},
		{"wizardlm.jsonl", `{"idx": 12, "Skill": "Math", "Difficulty": 1, "Instruction": "Add."}`, Prompt{Set: "wizardlm", ID: "12", Instruction: "Add."}},
		{"plain.json", `[{"instruction": "Add.", "input": "2 and 3", "output": "5"}]`, Prompt{Set: "plain", ID: "0", Instruction: "Add.", Input: "2 and 3"}},
		{"own.json", `[{"set": "mine", "id": "x", "instruction": "Add.", "input": null}]`, Prompt{Set: "mine", ID: "x", Instruction: "Add."}},
		{"chat.jsonl", `{"instruction": "Add.", "instances": [{}]}`, Prompt{Set: "chat", ID: "0", Instruction: "Add."}},
	} {
		got, err := ReadPrompts(file(t, c.name, c.line))
		if err != nil || len(got) != 1 {
			t.Errorf("%s: %v, %v", c.name, got, err)
			continue
		}
		got[0].where = ""
		if got[0] != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got[0], c.want)
		}
	}
}

func TestPromptErrors(t *testing.T) {
	for want, lines := range map[string][]string{
		`p.jsonl:2: the set "p" has the id "1" already, at`:    {`{"id":1,"prompt":"a"}`, `{"id":"1","prompt":"b"}`},
		`p.jsonl:1: this is no prompt: want one of instruct`:   {`{"id":1}`},
		`p.jsonl:1: "prompt" is empty, want the text`:          {`{"prompt":" \n"}`},
		`p.jsonl:1: "prompt" is 7, want a string`:              {`{"prompt":7}`},
		`p.jsonl:1: "id" is true, want a string or a number`:   {`{"prompt":"a","id":true}`},
		`p.jsonl:1: "id" is empty, want a name or a number`:    {`{"prompt":"a","id":""}`},
		`p.jsonl:1: "set" is [], want a string`:                {`{"prompt":"a","set":[]}`},
		`p.jsonl:1: "input" is 0, want a string`:               {`{"prompt":"a","input":0}`},
		`p.jsonl:1: "instances" is [], want a list of one`:     {`{"prompt":"a","instances":[]}`},
		`p.jsonl:1: "instances" is 3, want a list of one`:      {`{"prompt":"a","instances":3}`},
		`p.jsonl:1: "instances" is [{"input":1}], want a list`: {`{"prompt":"a","instances":[{"input":1}]}`},
		`p.jsonl:2: line 2, byte `:                             {`{"prompt":"a"}`, `{"prompt":`},
		`p.jsonl:2: found 7, want an object`:                   {`{"prompt":"a"}`, `7`},
		`p.jsonl:2: found null, want an object`:                {`{"prompt":"a"}`, `null`},
		`p.jsonl: the file is empty`:                           {``},
		`p.jsonl:1: byte 12 of the record is 0xff`:             {"{\"prompt\":\"\xff\"}"},
	} {
		_, err := ReadPrompts(file(t, "p.jsonl", lines...))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", lines, err, want)
		}
	}
	if _, err := ReadPrompts(file(t, "p.json", `[]`)); err == nil || !strings.Contains(err.Error(), "holds nothing") {
		t.Errorf("an empty list: %v", err)
	}
	if _, err := ReadPrompts(filepath.Join(t.TempDir(), "absent.jsonl")); err == nil {
		t.Error("a file that is not there is read")
	}
}

func TestReadAnswers(t *testing.T) {
	a, err := ReadAnswers(file(t, "a.jsonl",
		`{"set":"s","id":"x","instruction":"I","input":"J","output":"O","model":"m.gguf"}`,
		`{"question_id":3,"text":"O"}`,
		`{"prompt":"I","response":"O","generator":"g"}`,
		`{"text":"I","answer":"O"}`,
		`{"id":1,"output":null}`,
		`{"id":1,"output":null,"response":"O"}`,
		`{"id":1,"output":"O","response":"O"}`,
		`{"index":2,"output":"O"}`,
	))
	if err != nil {
		t.Fatal(err)
	}
	want := []answer{
		{Answer: Answer{"s", "x", "I", "J", "O", "m.gguf"}, index: -1, hasText: true, hasInput: true},
		{Answer: Answer{ID: "3", Output: "O"}, index: -1},
		{Answer: Answer{Instruction: "I", Output: "O", Model: "g"}, index: -1, hasText: true},
		{Answer: Answer{Instruction: "I", Output: "O"}, index: -1, hasText: true},
		{Answer: Answer{ID: "1"}, index: -1},
		{Answer: Answer{ID: "1", Output: "O"}, index: -1},
		{Answer: Answer{ID: "1", Output: "O"}, index: -1},
		{Answer: Answer{Output: "O"}, index: 2},
	}
	for i, x := range a.list {
		x.where = ""
		if x != want[i] {
			t.Errorf("answer %d: %+v, want %+v", i, x, want[i])
		}
	}
	if a.Len() != len(want) || strings.Join(a.Models, " ") != "g m.gguf" {
		t.Errorf("%d answers of %v", a.Len(), a.Models)
	}
	for want, line := range map[string]string{
		`a.jsonl:1: this is no answer: want one of output`:       `{"id":1,"prompt":"I"}`,
		`a.jsonl:1: the answer names no prompt: want an id`:      `{"output":"O"}`,
		`a.jsonl:1: "output" is 1, want a string`:                `{"id":1,"output":1}`,
		`a.jsonl:1: "response" is 1, want a string`:              `{"id":1,"output":"O","response":1}`,
		`a.jsonl:1: "output" and "response" are different`:       `{"id":1,"output":"O","response":"P"}`,
		`a.jsonl:1: "index" is -1, want a position from 0`:       `{"index":-1,"output":"O"}`,
		`a.jsonl:1: "index" is 1.5, want a position from 0`:      `{"index":1.5,"output":"O"}`,
		`a.jsonl:1: "index" is 99999999999999999999, want a`:     `{"index":99999999999999999999,"output":"O"}`,
		`a.jsonl:1: "instruction" is {}, want a string`:          `{"instruction":{},"output":"O"}`,
		`a.jsonl:1: "input" is 3, want a string`:                 `{"instruction":"I","input":3,"output":"O"}`,
		`a.jsonl:1: "set" is 3, want a string`:                   `{"set":3,"id":1,"output":"O"}`,
		`a.jsonl:1: "id" is {}, want a string or a number`:       `{"id":{},"output":"O"}`,
		`a.jsonl:1: line 1, byte 3 of the record: found 'x'`:     `{ x`,
		`a.jsonl:1: "instances" is 1, want a list of one object`: `{"instruction":"I","instances":1,"output":"O"}`,
	} {
		if _, err := ReadAnswers(file(t, "a.jsonl", line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}

// No file makes the readers panic.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"id":1,"prompt":"a","instances":[{"input":"b"}],"output":"c"}`))
	f.Add([]byte(`[{"instruction":"a","index":3,"text":null,"answer":"d"},7]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "f.jsonl")
		if err := os.WriteFile(path, text, 0o666); err != nil {
			t.Fatal(err)
		}
		prompts, err := ReadPrompts(path)
		for _, p := range prompts {
			if err == nil && blank(p.Instruction) {
				t.Errorf("a prompt without a text: %+v", p)
			}
		}
		a, err := ReadAnswers(path)
		if err != nil {
			return
		}
		if j, err := Join(prompts, a, a); err == nil {
			if j.A != j.B || j.A.Answers != a.Len() || j.A.Used+j.A.Surplus+j.A.Repeated != a.Len() {
				t.Errorf("%d answers become %+v", a.Len(), j.A)
			}
		}
	})
}
