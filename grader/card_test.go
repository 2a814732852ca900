package grader

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"winnow/grader/journal"
	"winnow/grader/record"
)

// cardData is six records of which the last is damaged and the fourth a copy of the first.
func cardData() []byte {
	var b bytes.Buffer
	for _, r := range [][3]string{
		{"Please write a poem of spring.", "", "Ten little words of spring."},
		{"What is two and two?", "", "Four."},
		{"List three colours of the flag.", "the flag of France", "Blue, white, red."},
		{"Please write a poem of spring.", "", "Ten little words of spring."},
		{"Write it again.", "", "Encore une fois, été."},
	} {
		fmt.Fprintf(&b, "{\"instruction\":%q,\"input\":%q,\"output\":%q}\n", r[0], r[1], r[2])
	}
	return append(b.Bytes(), "5\n"...)
}

func lines(data []byte, numbers ...int) []byte {
	all := bytes.SplitAfter(data, []byte("\n"))
	var out []byte
	for _, n := range numbers {
		out = append(out, all[n]...)
	}
	return out
}

func cardOf(t *testing.T, data, kept []byte, values ...float64) (*Card, CardText) {
	t.Helper()
	known := valued(t, data, values...)
	j := Judged{Ratings: known, Manifest: newFake().Manifest()}
	c, err := NewCard(j, CardOptions{Data: opener(data), Kept: opener(kept)})
	if err != nil {
		t.Fatal(err)
	}
	return c, CardText{Name: "test", Manifest: j.Manifest}
}

func TestCard(t *testing.T) {
	data := cardData()
	c, text := cardOf(t, data, lines(data, 0, 2), 4.5, 2, 4.7654, 4.5, 4.4)
	if c.Records != 6 || c.Kept != 2 || c.Dropped != 3 || c.Copies != 1 || c.Unrated[record.WrongType] != 1 || len(c.Unrated) != 1 || len(c.KeptUnrated) != 0 {
		t.Errorf("counts %+v", c)
	}
	if c.Cut.Min == nil || *c.Cut.Min != 4.5 || c.Cut.LeastKept != 4.5 || c.Cut.GreatestDropped != 4.4 || c.Cut.Above != 0 {
		t.Errorf("cut %+v", c.Cut)
	}
	if r := c.Ratings[0]; r.Before.Records != 5 || math.Abs(float64(r.Before.Mean)-4.03308) > 1e-9 || r.Before.Median != 4.5 || r.After.Records != 2 || math.Abs(float64(r.After.P90)-4.73886) > 1e-9 {
		t.Errorf("ratings %+v", r)
	}
	for _, want := range []struct {
		name          string
		before, after int
		mean, kept    float64
	}{
		{"instruction, characters", 5, 2, (30 + 20 + 31 + 30 + 15) / 5.0, 30.5},
		{"input, where there is one, characters", 1, 1, 18, 18},
		{"response, characters", 5, 2, (27 + 5 + 17 + 27 + 21) / 5.0, 22},
		{"response, words", 5, 2, (5 + 1 + 3 + 5 + 4) / 5.0, 4},
	} {
		found := false
		for _, r := range c.Lengths {
			if r.Name == want.name {
				found = true
				if r.Before.Records != want.before || r.After.Records != want.after || math.Abs(float64(r.Before.Mean)-want.mean) > 1e-9 || math.Abs(float64(r.After.Mean)-want.kept) > 1e-9 {
					t.Errorf("%s: %+v", want.name, r)
				}
			}
		}
		if !found {
			t.Errorf("no row %s", want.name)
		}
	}
	if got := fmt.Sprint(c.Verbs); got != "[{write 3 1} {(a question) 1 0} {list 1 1}]" {
		t.Errorf("verbs %s", got)
	}
	var out, again bytes.Buffer
	if err := c.WriteMarkdown(&out, text); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteMarkdown(&again, text); err != nil || !bytes.Equal(out.Bytes(), again.Bytes()) {
		t.Errorf("another time the card differs; error %v", err)
	}
	for _, want := range []string{
		"# license: not stated\n# language: not stated\n", "size_categories:\n- n<1K\n",
		"The kept ones are exactly the rated records with a rating of 4.5 or more", "1 dropped records have the texts of a kept one.",
		"| without a rating: wrong\\_type | 1 |", "| write | 3 (60.0 %) | 1 (50.0 %) |", " --min 4.5 ", " --dedup exact ",
		"whose name does not tell its size", "was not measured for this card", "| Model | `fake.gguf`, weights F16, SHA-256 `00ff` |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the card lacks %q:\n%s", want, &out)
		}
	}
	if b, err := json.Marshal(c); err != nil || !json.Valid(b) {
		t.Errorf("JSON: %v", err)
	}
}

func TestCardCuts(t *testing.T) {
	data := cardData()
	values := []float64{4.5, 2, 4.7654, 4.5, 4.4}
	for name, tc := range map[string]struct {
		kept []byte
		min  float64 // NaN for none
		want string
	}{
		"overlap":         {lines(data, 1, 2), math.NaN(), "No cut in the rating alone separates them: kept ratings begin at 2.0000, dropped ones end at 4.5000, and 3 dropped records"},
		"all":             {lines(data, 0, 1, 2, 3, 4), 2, "Every rated record was kept; the least rating is 2.0000."},
		"all but copies":  {lines(data, 0, 1, 2, 4), 2, "Every rated record was kept, but for copies"},
		"more than rated": {data, math.NaN(), "of the kept, without a rating: wrong\\_type | 1 |"},
		"none":            {[]byte("[]\n"), math.NaN(), "Kept: 0 of 6 records (0.0 %)."},
		"a long cut":      {lines(data, 2), 4.7, "a rating of 4.7 or more"},
	} {
		c, text := cardOf(t, data, tc.kept, values...)
		got := math.NaN()
		if c.Cut.Min != nil {
			got = *c.Cut.Min
		}
		var out strings.Builder
		if err := c.WriteMarkdown(&out, text); err != nil {
			t.Fatal(err)
		}
		if got != tc.min && !(math.IsNaN(got) && math.IsNaN(tc.min)) || !strings.Contains(out.String(), tc.want) {
			t.Errorf("%s: cut %v, want %v and %q in\n%s", name, got, tc.min, tc.want, &out)
		}
	}
	for _, x := range []struct{ a, b, want float64 }{{4.4, 4.5, 4.5}, {4.49, 4.5123, 4.5}, {1.4202, 1.4691, 1.43}, {0.1, 0.30000001192092896, 0.2}, {2, math.Nextafter(2, 3), math.Nextafter(2, 3)}, {math.Inf(-1), 3.7, 3}} {
		got := between(x.a, x.b)
		if !(got > x.a && got <= x.b) || x.want != 1.43 && x.want != 0.2 && got != x.want {
			t.Errorf("between %v and %v: %v, want %v", x.a, x.b, got, x.want)
		}
	}
}

// Kept records that the data lacks, or has less often, are an error that names the first.
func TestCardForeign(t *testing.T) {
	data := cardData()
	known := valued(t, data, 4.5, 2, 4.7654, 4.5, 4.4)
	for want, kept := range map[string][]byte{
		"records.jsonl:2: record 1 of the kept ones is not in the data": append(lines(data, 0), `{"instruction":"Another.","output":"One."}`...),
		"records.jsonl:1: record 0 of the kept ones is not in the data": lines(data, 0, 0, 0),
	} {
		_, err := NewCard(Judged{Ratings: known, Manifest: newFake().Manifest()}, CardOptions{Data: opener(data), Kept: opener(kept)})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// Nothing that comes from elsewhere gets out of its place.
func TestCardEscapes(t *testing.T) {
	data := cardData()
	c, text := cardOf(t, data, lines(data, 0), 4.5, 2, 4.7654, 4.5, 4.4)
	const evil = "a`|<script>\n# x\n---\n```\n$(rm -r /)'; [b](c)"
	text.Name, text.License, text.Languages, text.Rule = evil, evil, []string{evil}, evil
	text.Manifest.Model = journal.Model{Name: evil, SHA256: evil, Format: evil}
	text.Manifest.Rubrics = []journal.Rubric{{Name: evil, SHA256: evil}}
	text.Manifest.Settings = map[string]string{evil: evil}
	c.Files[0].Name = evil
	c.Unrated[record.Status(evil)] = 2
	var b strings.Builder
	if err := c.WriteMarkdown(&b, text); err != nil {
		t.Fatal(err)
	}
	fences, rules := 0, 0
	for _, l := range strings.Split(b.String(), "\n") {
		switch {
		case strings.HasPrefix(l, "```"):
			fences++
		case l == "---":
			rules++
		case strings.HasPrefix(l, "# x"):
			t.Errorf("the line %q is a heading", l)
		case strings.Contains(l, "<script>") && !strings.Contains(l, "`") && !strings.Contains(l, `"`) && fences != 1:
			t.Errorf("the line %q is HTML", l)
		case strings.HasPrefix(l, "winnow ") && strings.Contains(strings.ReplaceAll(l, `'\''`, ""), "rm") && !strings.Contains(l, "'"):
			t.Errorf("the line %q runs another command", l)
		}
	}
	if fences != 2 || rules != 2 {
		t.Errorf("%d fences and %d rules:\n%s", fences, rules, &b)
	}
}

func TestFirstVerb(t *testing.T) {
	for text, want := range map[string]string{
		"Describe the sea.":             "describe",
		"Could you please explain it?":  "explain",
		"Given the text, SUMMARIZE it.": "summarize",
		"What’s the plan?":              questionVerb,
		"How would you describe it?":    questionVerb,
		"":                              otherVerb,
		"Bonjour tout le monde":         otherVerb,
		strings.Repeat("so ", verbWords) + "write it": otherVerb,
	} {
		if got := firstVerb(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestReadCardEvaluation(t *testing.T) {
	m := newFake().Manifest()
	for text, want := range map[string]string{
		`{"kind":"evaluation","judge":{"model":"fake.gguf","criteria":["test"]},"labels":{"labels":9,"rated":8,"readings":[{"name":"rating","auc":{"value":0.6,"low":0.5,"high":0.7}}]}}`: "",
		`{"kind":"evaluation","judge":{"model":"other.gguf","criteria":["test"]},"labels":{}}`:                                                                                            "evaluate this judge",
		`{"kind":"comparison"}`: "its kind is",
		`{`:                     "winnow evaluate --json prints",
	} {
		path := filepath.Join(t.TempDir(), "e.json")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		e, err := ReadCardEvaluation(path, m)
		if want == "" && (err != nil || !strings.Contains(e.told(), "9 labels of which 8 have ratings. The AUC of the rating is 0.600 [0.500, 0.700].")) {
			t.Errorf("error %v; %+v", err, e)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}
