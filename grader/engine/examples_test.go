package engine

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"winnow/grader"
	"winnow/grader/rubric"
	"winnow/internal/tinygguf"
)

// withExamples shows the grader two turns before the record.
func withExamples(r rubric.Rubric) rubric.Rubric {
	r.Examples = []rubric.Example{
		{Instruction: "Add 2 and 3.", Response: "It is 5.", Rating: r.Scale.Strings[len(r.Scale.Strings)-1]},
		{Instruction: "Say hello.", Input: "in French", Response: "No.", Rating: r.Scale.Strings[0]},
	}
	return r
}

// TestExamples rates behind examples: they are in the prefix and nowhere else, so
// a record costs what it costs without, and its rating is the one it has alone.
func TestExamples(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		for _, template := range []string{"", tinygguf.NoTemplate} {
			model := writeTiny(t, tinygguf.Options{Tokenizer: kind, Template: template})
			bareRubric := brief(t, "Score: ", "0", "0.5", "1")
			bare := open(t, kind, Options{Model: model, Rubrics: only(bareRubric)})
			e := open(t, kind, Options{Model: model, Rubrics: only(withExamples(bareRubric))})
			if e.PrefixTokens() <= bare.PrefixTokens()+20 {
				t.Errorf("a prefix of %d tokens, without examples %d", e.PrefixTokens(), bare.PrefixTokens())
			}
			recs := records(12)
			prompts, without := encode(t, e, recs...), encode(t, bare, recs...)
			unlike := 0
			plain := rateAll(t, bare, without...)
			for i, packed := range rateAll(t, e, prompts...) {
				if got, want := prompts[i].Total-e.PrefixTokens(), without[i].Total-bare.PrefixTokens(); got != want {
					t.Errorf("record %d has %d tokens of its own, without examples %d", i, got, want)
				}
				if alone := rate(t, e, prompts[i])[0]; !reflect.DeepEqual(packed, alone) {
					t.Errorf("record %d: packed %v, alone %v", i, packed, alone)
				}
				if !reflect.DeepEqual(packed, plain[i]) {
					unlike++
				}
			}
			if unlike != len(recs) {
				t.Errorf("examples changed %d ratings of %d", unlike, len(recs))
			}
			trace, err := e.Trace(&recs[0], 0)
			if err != nil {
				t.Fatal(err)
			}
			var shared strings.Builder
			for _, tok := range trace[:e.PrefixTokens()] {
				shared.WriteString(tok.Text)
			}
			for _, want := range []string{"Add 2 and 3.", "It is 5.", "Score: 1", "in French", "Score: 0"} {
				if !strings.Contains(shared.String(), want) {
					t.Errorf("the prefix %q lacks %q", shared.String(), want)
				}
			}
		}
	})
}

// TestExamplesTogether shares a pass between criteria whose examples are told
// alike, and says why where they are not.
func TestExamplesTogether(t *testing.T) {
	a := withExamples(brief(t, "Score: ", "0", "1"))
	b := a
	b.Name = "b"
	e := open(t, tinygguf.BPE, Options{Rubrics: []rubric.Rubric{a, b}})
	if got := e.Manifest().Criteria(); !slices.Equal(got, []string{a.Name, "b"}) {
		t.Errorf("criteria %q", got)
	}
	model := writeTiny(t, tinygguf.Options{})
	for _, other := range []func(r *rubric.Rubric){
		func(r *rubric.Rubric) { r.Cue = "Rating: " },
		func(r *rubric.Rubric) { r.User += " Now." },
		func(r *rubric.Rubric) { r.Examples = r.Examples[:1] },
		func(r *rubric.Rubric) { r.Examples = nil },
	} {
		b := a
		b.Name = "b"
		other(&b)
		e, err := Open(Options{Model: model, Rubrics: []rubric.Rubric{a, b}, Threads: 1})
		if err == nil {
			err = e.Close()
			t.Errorf("examples that differ share a pass (%v)", err)
		} else if !strings.Contains(err.Error(), "rubrics brief and b differ before the end of the record (examples stand there too") {
			t.Errorf("err = %v", err)
		}
	}
}

// TestVariants opens an engine for each group that bench/rubrics.sh measures.
func TestVariants(t *testing.T) {
	const folder = "../../bench/rubrics/"
	list, err := os.ReadFile(folder + "groups")
	if err != nil {
		t.Fatal(err)
	}
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		model := writeTiny(t, tinygguf.Options{Tokenizer: kind, Ctx: 4096})
		for line := range strings.Lines(string(list)) {
			line, _, _ = strings.Cut(line, "#")
			var group []rubric.Rubric
			for i, name := range strings.Fields(line) {
				if i == 0 {
					continue
				}
				if file := folder + name + ".toml"; !slices.ContainsFunc(rubric.Shipped(), func(r rubric.Rubric) bool { return r.Name == name }) {
					name = file
				}
				group = append(group, load(t, name))
			}
			if len(group) == 0 {
				continue
			}
			e := open(t, kind, Options{Model: model, Rubrics: group, Ctx: 4096})
			outcomes := make([]grader.Outcome, 1)
			if _, err := e.Rate(t.Context(), encode(t, e, records(1)...), outcomes); err != nil || len(outcomes[0].Ratings) != len(group) {
				t.Errorf("%s: %d ratings, %v, %v", line, len(outcomes[0].Ratings), outcomes[0].Fault, err)
			}
		}
	})
}
