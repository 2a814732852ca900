package rubric

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestShipped(t *testing.T) {
	all := Shipped()
	var names []string
	for _, r := range all {
		names = append(names, r.Name)
		if r.System == "" || !strings.Contains(r.Description, "criterion") {
			t.Errorf("%s: want a system text, and a description that says where the criterion stands: %+v", r.Name, r)
		}
		values, want := []float64{0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5}, []Field{Instruction, Input, Response}
		if r.Name == "correct" {
			values = []float64{0, 1}
		}
		if strings.HasPrefix(r.Name, "pairwise") {
			values, want = []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, append(want, Other)
			if r.Name == "pairwise" {
				values = values[:2]
			}
		}
		if !slices.Equal(r.Scale.Values, values) {
			t.Errorf("%s: values %v, want %v", r.Name, r.Scale.Values, values)
		}
		if pairwise := slices.Contains(want, Other); r.Pairwise() != pairwise || strings.Contains(r.Description, "pairwise") != pairwise {
			t.Errorf("%s: pairwise is %t, want %t, and a description that says so: %s", r.Name, r.Pairwise(), pairwise, r.Description)
		}
		parts, err := r.Parts()
		if err != nil {
			t.Fatal(err)
		}
		var fields []Field
		for i, p := range parts {
			if p.Field == None {
				continue
			}
			fields = append(fields, p.Field)
			if i == 0 || !strings.HasSuffix(parts[i-1].Text, ":\n") {
				t.Errorf("%s: {%s} does not stand alone under its header", r.Name, p.Field)
			}
		}
		if !slices.Equal(fields, want) {
			t.Errorf("%s: fields %v, want %v", r.Name, fields, want)
		}
	}
	if want := []string{Default, "accuracy", "alpagasus-accuracy-first", "alpagasus-helpfulness", "alpagasus-helpfulness-first", "correct", "helpfulness", "pairwise", "pairwise-scores-1", "pairwise-scores-2"}; !slices.Equal(names, want) {
		t.Errorf("shipped rubrics %q, want %q", names, want)
	}
	hashes := map[string]string{}
	for _, r := range all {
		if other, ok := hashes[r.SHA256()]; ok {
			t.Errorf("%s and %s have one hash", other, r.Name)
		}
		hashes[r.SHA256()] = r.Name
	}
}

// What `rubrics show` prints is a file that means the same.
func TestSourceLoads(t *testing.T) {
	for _, r := range Shipped() {
		file := filepath.Join(t.TempDir(), "mine.toml")
		text := "# my copy\n" + strings.ReplaceAll(r.Source(), "\n", "\r\n")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		mine, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		if mine.SHA256() != r.SHA256() {
			t.Errorf("%s: a comment and other line ends changed the hash", r.Name)
		}
		if mine.Name != "mine" || mine.Source() != text {
			t.Errorf("name %q, source %q", mine.Name, mine.Source())
		}
	}
}

func TestLoad(t *testing.T) {
	r, err := Load("alpagasus-helpfulness")
	if err != nil || r.Name != "alpagasus-helpfulness" || !strings.Contains(r.User, "helpfulness") {
		t.Errorf("Load: %q, %v", r.Name, err)
	}
	if r, err := Load(""); err != nil || r.Name != Default {
		t.Errorf("Load without a name: %q, %v; want the default", r.Name, err)
	}
	if _, err := Load("nope"); err == nil || !strings.Contains(err.Error(), "alpagasus-accuracy, accuracy, alpagasus-accuracy-first, alpagasus-helpfulness, alpagasus-helpfulness-first, correct, helpfulness, pairwise, pairwise-scores-1, pairwise-scores-2") {
		t.Errorf("an unknown name: %v; want the shipped names", err)
	}
	if list, err := LoadAll("accuracy, helpfulness"); err != nil || len(list) != 2 || list[0].Name != "accuracy" || list[1].Name != "helpfulness" {
		t.Errorf("LoadAll: %v, %v", list, err)
	}
	if list, err := LoadAll(""); err != nil || len(list) != 1 || list[0].Name != Default {
		t.Errorf("LoadAll without a name: %v, %v; want the default", list, err)
	}
	for _, bad := range []string{"accuracy,", ",", "accuracy,nope"} {
		if _, err := LoadAll(bad); err == nil {
			t.Errorf("LoadAll(%q): no error", bad)
		}
	}
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("a folder was read as a rubric")
	}
	big := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(big, make([]byte, maxBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(big); err == nil || !strings.Contains(err.Error(), "rubrics show") {
		t.Errorf("a large file: %v; want to be told where a rubric comes from", err)
	}
}

const minimal = "user = '''\n{instruction}\n{response}'''\nscale = { ratings = ['0', '1'] }\n"

func TestHash(t *testing.T) {
	base, err := Parse("a.toml", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	for _, same := range []string{
		"# comment\n" + minimal,
		"description = 'other'\n" + minimal,
		"system = ''\ncue = ''\n" + minimal,
		"user = \"{instruction}\\n{response}\"\n[scale]\nvalues = [0.0, 1]\nratings = ['0', '1']\n",
	} {
		r, err := Parse("b.toml", []byte(same))
		if err != nil || r.SHA256() != base.SHA256() {
			t.Errorf("%q: another hash than %q (%v)", same, minimal, err)
		}
	}
	for _, other := range []string{
		"system = 's'\n" + minimal,
		"cue = 's'\n" + minimal,
		strings.Replace(minimal, "{response}", "{response} ", 1),
		strings.Replace(minimal, "'0'", "'00'", 1),
		strings.Replace(minimal, "'1'] ", "'1'], values = [0, 2] ", 1),
	} {
		r, err := Parse("b.toml", []byte(other))
		if err != nil || r.SHA256() == base.SHA256() {
			t.Errorf("%q: the same hash as %q (%v)", other, minimal, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const user = "user = '''\n{instruction}\n{response}'''\n"
	for _, c := range []struct{ toml, want string }{
		{"user = ", "x/r.toml:1: not valid TOML"},
		{"\nuser = '\n", "x/r.toml:2: not valid TOML"},
		{user + "user = 'x'", "x/r.toml:4: not valid TOML: Key 'user' has already been defined"},
		{"a\x00", "x/r.toml:1: not valid TOML"},
		{user + "\ncues = 'x'", "x/r.toml:5: unknown key cues: want description"},
		{user + "User = 'x'", "x/r.toml:4: unknown key User"},
		{user + "[scale]\nvalue = [1]", "x/r.toml:5: unknown key scale.value"},
		{user + "[more.keys]\nx = 1", "x/r.toml:4: unknown key more.keys"},
		{user + "scale.ratings.x = 1", "x/r.toml:4: unknown key scale.ratings.x"},
		{"", "x/r.toml: user: want the text"},
		{"\nuser = 5", "x/r.toml:2: user: want a string, found 5"},
		{"\nuser = '{instruction}'", "x/r.toml:2: user: {response} is missing"},
		{"\nuser = '''\n{response}\n\nabc'''", "x/r.toml:3: user: {instruction} is missing"},
		{"\nuser = \"\"\"\na\n{foo}\n{instruction}\n{response}\"\"\"", "x/r.toml:4: user: unknown placeholder {foo}"},
		{"\nuser = '''a\n{foo}\n{instruction}\n{response}'''", "x/r.toml:3: user: unknown placeholder {foo}"},
		{"\nuser = '{ instruction }'", "x/r.toml:2: user: unknown placeholder { instruction }"},
		{"user = '''\n{instruction}\n{response}\n{response}'''", "x/r.toml:4: user: {response} stands here a second time"},
		{"user = '''\n{instruction}\n{\n}'''", `x/r.toml:3: user: found a single "{": write "{{"`},
		{"user = '''\n{instruction}\n}'''", `x/r.toml:3: user: found a single "}": write "}}"`},
		{"user = '{instruction'", `x/r.toml:1: user: found a single "{"`},
		{user + "system = 'about {input}'", "x/r.toml:4: system: found {input}"},
		{user + "cue = '{response}'", "x/r.toml:4: cue: found {response}"},
		{user + "cue = '{other}'", "x/r.toml:4: cue: found {other}"},
		{"user = '''\n{instruction}\n{response}\n{other}{other}'''", "x/r.toml:4: user: {other} stands here a second time"},
		{"user = '{instruction}{other}'", "x/r.toml:1: user: {response} is missing"},
		{user, "x/r.toml: scale: want scale ="},
		{user + "scale = 3", "x/r.toml:4: scale: want scale ="},
		{user + "scale.ratings = '0'", "x/r.toml:4: scale.ratings: want a list of strings"},
		{user + "[scale]\n\nratings = [0, 1]", "x/r.toml:6: scale.ratings: rating 1 is 0: want a string, in quotes"},
		{user + "[scale]\nratings = ['a', 'b']", `x/r.toml:5: scale.ratings: "a" is not a number: add scale.values`},
		{user + "[scale]\nratings = ['a', 'b']\nvalues = 1", "x/r.toml:6: scale.values: want a list of numbers"},
		{user + "[scale]\nratings = ['a', 'b']\nvalues = [0, '1']", "x/r.toml:6: scale.values: value 2 is 1: want a number"},
		{user + "[scale]\nratings = ['a', 'b']\nvalues = [0]", "x/r.toml:4: scale: a scale needs one value for each rating"},
		{user + "scale.ratings = ['1', '0']", "x/r.toml:4: scale: the scale's values must be finite and increase"},
		{user + "scale.ratings = ['0', 'NaN']", "x/r.toml:4: scale: the scale's values must be finite and increase"},
	} {
		_, err := Parse("x/r.toml", []byte(c.toml))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q:\n got %v\nwant %s…", c.toml, err, c.want)
		}
	}
}

func TestParts(t *testing.T) {
	r := Rubric{User: "{{{instruction}}}{response}{input} {{x}}{other}{{other}}"}
	got, err := r.Parts()
	want := []Part{{"{", None}, {"", Instruction}, {"}", None}, {"", Response}, {"", Input}, {" {x}", None}, {"", Other}, {"{other}", None}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Parts() = %q, %v; want %q", got, err, want)
	}
	for text, want := range map[string]bool{r.User: true, "{other}{instruction}{response}": true, "{instruction}{response}{{other}}": false, "{other}": false, "": false} {
		if got := (Rubric{User: text}).Pairwise(); got != want {
			t.Errorf("%q: pairwise is %t, want %t", text, got, want)
		}
	}
	if _, err := (Rubric{Name: "n", User: "\n{x}"}).Parts(); err == nil || !strings.HasPrefix(err.Error(), "rubric n: user text, line 2: unknown placeholder {x}") {
		t.Errorf("a bad user text: %v", err)
	}
}

// Any text can be written in a rubric by doubling its braces.
func TestPartsKeepText(t *testing.T) {
	double := strings.NewReplacer("{", "{{", "}", "}}")
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[{}a\n]{0,8}`))
	rapid.Check(t, func(t *rapid.T) {
		a, b, c, d := text.Draw(t, "a"), text.Draw(t, "b"), text.Draw(t, "c"), text.Draw(t, "d")
		r := Rubric{User: double.Replace(a) + "{instruction}" + double.Replace(b) + "{response}" + double.Replace(c) + "{other}" + double.Replace(d)}
		parts, err := r.Parts()
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, p := range parts {
			got.WriteString(p.Text)
			if p.Field != None {
				got.WriteString("\x00" + p.Field.String() + "\x00")
			}
		}
		if want := a + "\x00instruction\x00" + b + "\x00response\x00" + c + "\x00other\x00" + d; got.String() != want {
			t.Fatalf("got %q, want %q", got.String(), want)
		}
	})
}

// No bytes make Parse panic, and its errors name the file.
func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte("user = \"\"\"\n{\\u007b}\"\"\""))
	f.Add([]byte(withExamples))
	f.Add([]byte("[[user]]\nscale.x = 1"))
	f.Add([]byte("user = '{other}{instruction}{response}'\nscale.ratings = ['1', '2']"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse("r.toml", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "r.toml:") {
				t.Errorf("the error does not name the file: %v", err)
			}
			return
		}
		if _, err := r.Parts(); err != nil {
			t.Errorf("Parse accepts what Parts refuses: %v", err)
		}
		if err := r.Scale.Validate(); err != nil {
			t.Errorf("Parse accepts a bad scale: %v", err)
		}
		for _, e := range r.Examples {
			if _, _, err := r.Turn(e); err != nil {
				t.Errorf("Parse accepts an example that has no turn: %v", err)
			}
		}
	})
}
