package rubric

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const withExamples = `user = '''
{instruction}
{input}
{response}

Rate it.'''
cue = "Score: "
scale.ratings = ["0", "1"]

[[examples]]
instruction = "Add 2 and 3."
response = """
5"""
rating = "1"

# A poor one.
[[ examples ]]
instruction = "Say hello."
input = "in French"
response = "[[examples]] {input}"
rating = "0"
`

func TestExamples(t *testing.T) {
	r, err := Parse("r.toml", []byte(withExamples))
	if err != nil {
		t.Fatal(err)
	}
	want := []Example{{"Add 2 and 3.", "", "5", "", "1"}, {"Say hello.", "in French", "[[examples]] {input}", "", "0"}}
	if !slices.Equal(r.Examples, want) {
		t.Errorf("examples %q, want %q", r.Examples, want)
	}
	user, answer, err := r.Turn(r.Examples[1])
	if err != nil || user != "Say hello.\nin French\n[[examples]] {input}\n\nRate it." || answer != "Score: 0" {
		t.Errorf("Turn: %q, %q, %v", user, answer, err)
	}
	windows := strings.ReplaceAll(withExamples, "\n", "\r\n")
	if same, err := Parse("r.toml", []byte(windows)); err != nil || same.SHA256() != r.SHA256() {
		t.Errorf("with other line ends: %v, %q", err, same.Examples)
	}
	if _, _, err := (Rubric{User: "{x}"}).Turn(want[0]); err == nil {
		t.Error("Turn of a bad user text: no error")
	}
}

// Hashes of rubrics without examples stand in scores files: they must stay.
func TestExamplesKeepHashes(t *testing.T) {
	for name, want := range map[string]string{
		"accuracy":                    "4b99e06e65a2715393b0cd449472c5cf70159f24c098a560d9a85e32a304b405",
		"alpagasus-accuracy":          "45a7ecd1c05a8024e5211e03b1721bc62bb981336c8f6066220c0232cd0b2bf8",
		"alpagasus-accuracy-first":    "b1f76a9cbfd05c3a19f5c69c1b0ec2fd0e746a6a2200c80f449c2359ab8ac242",
		"alpagasus-helpfulness":       "08863df0001d9795633aaa679e052bb7560b4ff840bb7d1d5b3c03f005e815a0",
		"alpagasus-helpfulness-first": "4eedf0fd53959de45236d4cec4b985b08406532c9cb4911802dfc57959fe9d4f",
		"helpfulness":                 "d9c4b8141a1792b5af1432be8edb1846cd153c282ced58f4bfcc09cfbd75be49",
	} {
		r, err := Load(name)
		if err != nil || r.SHA256() != want {
			t.Errorf("%s: hash %s, %v; want %s", name, r.SHA256(), err, want)
		}
	}
}

func TestExamplesCount(t *testing.T) {
	hashes := map[string]string{}
	for _, text := range []string{
		withExamples,
		withExamples[:strings.Index(withExamples, "# A poor")],
		withExamples[:strings.Index(withExamples, "[[")],
		strings.Replace(withExamples, "Add 2", "Add  2", 1),
		strings.Replace(withExamples, "in French", "in Dutch", 1),
		strings.Replace(withExamples, "5", "6", 1),
		strings.Replace(withExamples, `rating = "0"`, `rating = "1"`, 1),
	} {
		r, err := Parse("r.toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if other, seen := hashes[r.SHA256()]; seen {
			t.Errorf("one hash for\n%s\nand\n%s", text, other)
		}
		hashes[r.SHA256()] = text
	}
}

func TestExampleErrors(t *testing.T) {
	replace := func(old, new string) string {
		if strings.Count(withExamples, old) == 0 {
			t.Fatalf("%q is not there", old)
		}
		return strings.Replace(withExamples, old, new, 1)
	}
	head := withExamples[:strings.Index(withExamples, "[[")]
	for _, c := range []struct{ toml, want string }{
		{replace(`rating = "1"`, `rating = "5"`), `r.toml:14: example 1: rating: "5" is not on the scale: want one of 0, 1`},
		{replace(`rating = "1"`, `rating = 1`), `r.toml:14: example 1: rating: want a string, in quotes, found 1`},
		{replace(`rating = "0"`, `rating = "half"`), `r.toml:21: example 2: rating: "half" is not on the scale`},
		{replace("rating = \"1\"\n", ""), `r.toml:10: example 1: rating is missing: want instruction, response, rating, and input`},
		{replace(`response = "[[`, `rasponse = "[[`), `r.toml:20: example 2: unknown key rasponse: want instruction, input, response, other, rating`},
		{replace("response = \"[[examples]] {input}\"\n", ""), `r.toml:17: example 2: response is missing`},
		{replace("response = \"\"\"\n5\"\"\"\n", "response = '''\n[[examples]]\n'''\n") + "x = 1", "r.toml:23: example 2: unknown key x"},
		{replace("response = \"\"\"\n5\"\"\"\n", "response = '''\n[[examples]]\n'''\nx = 1\n"), "r.toml:15: example 1: unknown key x"},
		{replace(`instruction = "Say hello."`, `instruction = " "`), "r.toml:18: example 2: instruction: it is empty"},
		{strings.Replace(withExamples, "{input}", "", 1), "r.toml:19: example 2: input: the rubric's user text has no {input}"},
		{replace("response = \"[[", "other = 'x'\nresponse = \"[["), "r.toml:20: example 2: other: the rubric's user text has no {other}"},
		{strings.Replace(withExamples, "{input}", "{input}{other}", 1), "r.toml:10: example 1: other is missing: want instruction, response, other, rating"},
		{head + "[examples]\nrating = '1'", "r.toml:10: examples: want each under a line [[examples]]"},
		{head + "examples = 3", "r.toml:10: examples: want each under a line [[examples]]"},
		{head + "examples = [\n{ instruction = 'a', response = 'b', rating = '1' },\n{ instruction = 'a', rating = '1' }]", "r.toml:10: examples: want each under a line [[examples]]"},
		{head + "[[examples]]\n[examples.more]\nx = 1", "r.toml:11: example 1: unknown key more"},
		{replace("[[examples]]", `[["examples"]]`) + "x = 1", "r.toml:"}, // the line is not known
	} {
		_, err := Parse("r.toml", []byte(c.toml))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s\n got %v\nwant %s…", c.toml, err, c.want)
		}
	}
}

// The texts of an example arrive as they are, and whatever differs changes the hash.
func TestTurnKeepsText(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[{}a\n]{0,8}`))
	rapid.Check(t, func(t *rapid.T) {
		draw := func() Example {
			return Example{text.Draw(t, "instruction"), text.Draw(t, "input"), text.Draw(t, "response"), text.Draw(t, "other"), text.Draw(t, "rating")}
		}
		a, b := draw(), draw()
		r := Rubric{User: "<{response}|{instruction}|{input}|{other}>", Cue: "c"}
		user, answer, err := r.Turn(a)
		if want := "<" + a.Response + "|" + a.Instruction + "|" + a.Input + "|" + a.Other + ">"; err != nil || user != want || answer != "c"+a.Rating {
			t.Fatalf("Turn: %q, %q, %v", user, answer, err)
		}
		hash := func(list ...Example) string {
			r.Examples = list
			return r.SHA256()
		}
		if same := hash(a) == hash(b); same != (a == b) {
			t.Fatalf("%q and %q: equal hashes %t", a, b, same)
		}
		if hash(a, b) == hash(a) || hash(a) == hash() {
			t.Fatal("one example more, the same hash")
		}
	})
}
