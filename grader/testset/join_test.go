package testset

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var twoSets = []Prompt{
	{Set: "s", ID: "1", Index: 0, Instruction: "Add.", Input: "2 and 3", where: "s:1"},
	{Set: "s", ID: "2", Index: 1, Instruction: "Add.", Input: "4 and 5", where: "s:2"},
	{Set: "s", ID: "3", Index: 2, Instruction: "Twice", where: "s:3"},
	{Set: "s", ID: "4", Index: 3, Instruction: "Twice", where: "s:4"},
	{Set: "v", ID: "1", Index: 0, Instruction: "Sing.", where: "v:1"},
	{Set: "v", ID: "9", Index: 1, Instruction: "Dance.", where: "v:2"},
}

// read makes answers of lines.
func read(t *testing.T, lines ...string) *Answers {
	t.Helper()
	a, err := ReadAnswers(file(t, "a.jsonl", lines...))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// said lists the answers of A, with - where there is none.
func said(j *Joined) string {
	var list []string
	for _, m := range j.Matches {
		text := "-"
		if m.HasA {
			text = m.A
		}
		list = append(list, text)
	}
	return strings.Join(list, " ")
}

func TestJoin(t *testing.T) {
	none := read(t, `{"id":"nothing","output":"x"}`)
	for _, c := range []struct {
		name  string
		lines []string
		want  string
		counts
	}{
		{"by id and set", []string{`{"set":"s","id":1,"output":"a"}`, `{"set":"v","id":"1","output":"b"}`}, "a - - - b -", counts{2, 0, 0}},
		{"by an id that is in one set", []string{`{"id":9,"output":"a"}`}, "- - - - - a", counts{1, 0, 0}},
		{"by id and text", []string{`{"id":1,"instruction":" Sing.\n","output":"a"}`}, "- - - - a -", counts{1, 0, 0}},
		{"by texts", []string{`{"instruction":"Add.","input":"4 and 5","output":"a"}`, `{"prompt":"Dance.","output":"b"}`}, "- a - - - b", counts{2, 0, 0}},
		{"by instruction alone, in order", []string{`{"instruction":"Add.","output":"a"}`, `{"instruction":"Add.","output":"b"}`}, "a b - - - -", counts{2, 0, 0}},
		{"one text, two prompts", []string{`{"instruction":"Twice","output":"a"}`, `{"id":3,"output":"b"}`}, "- - b a - -", counts{2, 0, 0}},
		{"by index", []string{`{"set":"v","index":1,"output":"a"}`, `{"set":"s","index":0,"output":"b"}`}, "b - - - - a", counts{2, 0, 0}},
		{"ids of others, known texts", []string{`{"id":"q77","instruction":"Sing.","output":"a"}`}, "- - - - a -", counts{1, 0, 0}},
		{"sets of other names", []string{`{"set":"?","id":9,"output":"a"}`, `{"set":"?","id":9,"instruction":"Sing.","output":"b"}`, `{"set":"?","index":1,"output":"c"}`}, "- - - - b -", counts{1, 2, 0}},
		{"surplus", []string{`{"id":77,"output":"a"}`, `{"instruction":"Jump.","output":"b"}`, `{"set":"v","index":2,"output":"c"}`, `{"set":"v","id":4,"output":"d"}`}, "- - - - - -", counts{0, 4, 0}},
		{"repeated", []string{`{"id":9,"output":"a"}`, `{"instruction":"Dance.","output":"a"}`, `{"id":9,"output":"a"}`}, "- - - - - a", counts{1, 0, 2}},
		{"empty", []string{`{"id":9,"output":""}`}, "- - - - - ", counts{1, 0, 0}},
	} {
		j, err := Join(twoSets, read(t, c.lines...), none)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := said(j); got != c.want || (counts{j.A.Used, j.A.Surplus, j.A.Repeated}) != c.counts || j.A.Answers != len(c.lines) {
			t.Errorf("%s: %q, %+v, want %q, %+v", c.name, got, j.A, c.want, c.counts)
		}
		if j.B != (Joining{Answers: 1, Surplus: 1}) {
			t.Errorf("%s: B is %+v", c.name, j.B)
		}
	}
}

type counts struct{ used, surplus, repeated int }

func TestJoinErrors(t *testing.T) {
	none := read(t, `{"id":"nothing","output":"x"}`)
	for want, lines := range map[string][]string{
		`a.jsonl:1: the id "1" is in the sets "s" and "v": want a "set"`:                    {`{"id":1,"output":"a"}`},
		`a.jsonl:1: the answer has the id "9", and the instruction or input of another pro`: {`{"id":9,"instruction":"Sing.","output":"a"}`},
		`a.jsonl:2: the answer has the id "1", and the instruction or input of another pro`: {`{"id":9,"output":"a"}`, `{"set":"s","id":1,"instruction":"Add.","input":"4 and 5","output":"a"}`},
		`a.jsonl:2: another answer than at `:                                                {`{"id":9,"output":"a"}`, `{"id":9,"output":"b"}`},
		`a.jsonl:1: another answer than at `:                                                {`{"instruction":"Dance.","output":"a"}`, `{"id":9,"output":"b"}`},
		`a.jsonl:1: the index 1 is of which of 2 sets?`:                                     {`{"index":1,"output":"a"}`},
	} {
		for side, answers := range [][2]*Answers{{read(t, lines...), none}, {none, read(t, lines...)}} {
			if _, err := Join(twoSets, answers[0], answers[1]); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("side %d: %s: %v, want %s", side, lines, err, want)
			}
		}
	}
}

// Without prompts, both files say what they are.
func TestJoinWithoutPrompts(t *testing.T) {
	a := read(t,
		`{"set":"s","id":"2","instruction":"Sing.","output":"la"}`,
		`{"set":"s","id":"1","instruction":"Add.","input":"2 and 3","output":"5"}`,
		`{"set":"r","id":"1","instruction":"Jump.","output":"up"}`)
	b := read(t,
		`{"instruction":"Add.","input":"2 and 3","output":"6"}`,
		`{"id":"2","instruction":" Sing.","output":"lo"}`,
		`{"instruction":"Dance.","output":"so"}`)
	j, err := Join(nil, a, b)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range j.Matches {
		got = append(got, fmt.Sprintf("%s/%s %s %s: %s|%s", m.Set, m.ID, m.Instruction, m.Input, m.A, m.B))
	}
	want := "/ Dance. : |so\nr/1 Jump. : up|\ns/1 Add. 2 and 3: 5|6\ns/2 Sing. : la|lo"
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("%s\nwant\n%s", s, want)
	}
	for want, bad := range map[string]*Answers{
		"a.jsonl:1: the answer has no instruction: the prompts are needed too": read(t, `{"id":"2","output":"a"}`),
		`the id "2" of the set "s" has other texts than at`:                    read(t, `{"set":"s","id":"2","instruction":"Whistle.","output":"a"}`),
	} {
		for _, sides := range [][2]*Answers{{a, bad}, {bad, a}} {
			if _, err := Join(nil, sides[0], sides[1]); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
		}
	}
}

// B against A is A against B with the sides exchanged, with prompts and without.
func TestJoinMirror(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(name string) *Answers {
			a := &Answers{}
			for i := range rapid.IntRange(1, 6).Draw(rt, name) {
				p := twoSets[rapid.IntRange(0, len(twoSets)-1).Draw(rt, "prompt")]
				x := answer{Answer: Answer{Instruction: p.Instruction, Input: p.Input, Output: rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "text")},
					where: fmt.Sprint(name, ":", i), index: -1, hasText: true, hasInput: rapid.Bool().Draw(rt, "input")}
				if rapid.Bool().Draw(rt, "set") {
					x.Set = p.Set
				}
				if rapid.Bool().Draw(rt, "id") {
					x.ID = p.ID
				}
				a.list = append(a.list, x)
			}
			return a
		}
		a, b := draw("a"), draw("b")
		for _, prompts := range [][]Prompt{nil, twoSets} {
			j, err := Join(prompts, a, b)
			k, err2 := Join(prompts, b, a)
			if (err == nil) != (err2 == nil) {
				rt.Fatalf("%v, mirrored %v", err, err2)
			}
			if err != nil {
				continue
			}
			for i := range k.Matches {
				m := &k.Matches[i]
				m.A, m.B, m.HasA, m.HasB, m.where = m.B, m.A, m.HasB, m.HasA, j.Matches[i].where
			}
			k.A, k.B = k.B, k.A
			if !reflect.DeepEqual(j, k) {
				rt.Fatalf("%+v, mirrored %+v", j, k)
			}
		}
	})
}

// Answers to another set are not taken for answers to the only one that is read, though
// ids and positions are the same.
func TestJoinOtherSet(t *testing.T) {
	only := []Prompt{{Set: "v", ID: "1", Instruction: "Sing.", where: "v:1"}}
	j, err := Join(only, read(t, `{"set":"w","id":1,"output":"a"}`, `{"set":"w","index":0,"output":"b"}`), read(t, `{"index":0,"output":"c"}`))
	if err != nil {
		t.Fatal(err)
	}
	if m := j.Matches[0]; m.HasA || m.B != "c" || j.A.Surplus != 2 {
		t.Errorf("%+v", j)
	}
}
