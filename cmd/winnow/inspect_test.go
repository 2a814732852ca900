package main

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"winnow/grader"
	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
)

// inspected is what inspect shows of a record with these ratings.
func inspected(t *testing.T, criteria ...string) (text, asJSON string) {
	t.Helper()
	m := journal.Manifest{Scale: journal.Scale{Strings: []string{"0", "1"}, Values: []float64{0, 1}}}
	var ratings []rating.Rating
	for i, name := range criteria {
		m.Rubrics = append(m.Rubrics, journal.Rubric{Name: name})
		var r rating.Rating
		if err := r.Set(rating.Scale(m.Scale), []float64{0.25 / float64(i+1), 0.5}); err != nil {
			t.Fatal(err)
		}
		ratings = append(ratings, r)
	}
	x := &inspection{Status: record.OK}
	x.rate(m, ratings)
	var b, line bytes.Buffer
	if err := x.writeText(&b, "data.json"); err != nil {
		t.Fatal(err)
	}
	if err := printJSON(&line, x); err != nil {
		t.Fatal(err)
	}
	return b.String(), line.String()
}

// One rating stands alone, several have the names of their criteria.
func TestInspectRatings(t *testing.T) {
	text, asJSON := inspected(t, "accuracy")
	if want := "\nRATING 0.6667  mode 1  entropy 0.637 nats  off-scale 0.2500\n     0  0.25000  " + strings.Repeat("█", 24) + "\n     1  0.50000  " + strings.Repeat("█", 48) + "\n"; !strings.HasSuffix(text, want) {
		t.Errorf("text %q, want at its end %q", text, want)
	}
	first := `{"rating":0.6666666666666666,"mode":"1","probs":{"0":0.25,"1":0.5},"off_scale":0.25,"entropy":0.6365141682948128}`
	if want := `"rating":` + first + "}\n"; !strings.HasSuffix(asJSON, want) {
		t.Errorf("JSON %s, want at its end %s", asJSON, want)
	}

	text, asJSON = inspected(t, "accuracy", "helpfulness")
	for _, want := range []string{"\nRATING by accuracy: 0.6667  mode 1 ", "\nRATING by helpfulness: 0.8000  mode 1 "} {
		if !strings.Contains(text, want) {
			t.Errorf("text %q, want in it %q", text, want)
		}
	}
	want := `"ratings":[{"criterion":"accuracy",` + first[1:] + `,{"criterion":"helpfulness","rating":0.8,"mode":"1","probs":{"0":0.125,"1":0.5},"off_scale":0.375,`
	if !strings.Contains(asJSON, want) || strings.Contains(asJSON, `"rating":{`) {
		t.Errorf("JSON %s, want in it %s", asJSON, want)
	}
}

// Signals stand behind the rating, as a scores file spells them.
func TestInspectSignals(t *testing.T) {
	x := &inspection{Status: record.OK}
	x.measure(journal.Manifest{Signals: []string{"nll", "ppl", "ifd"}, Hidden: &journal.Hidden{Layer: 2, Size: 2}},
		&grader.Outcome{Signals: []float64{1.5, math.Inf(1), math.NaN()}, Hidden: []float32{0.5, -2}})
	var text, line bytes.Buffer
	if err := errors.Join(x.writeText(&text, "data.json"), printJSON(&line, x)); err != nil {
		t.Fatal(err)
	}
	want := "\nSIGNALS\nnll                 1.5\nppl                 +Inf\nifd                 undefined\n\nHIDDEN STATE of layer 3: 2 numbers; --json shows them\n"
	if !strings.HasSuffix(text.String(), want) {
		t.Errorf("text %q, want at its end %q", &text, want)
	}
	if want := `"signals":{"nll":1.5,"ppl":"Infinity","ifd":null},"hidden":{"layer":2,"values":[0.5,-2]}}` + "\n"; !strings.HasSuffix(line.String(), want) {
		t.Errorf("JSON %s, want at its end %s", &line, want)
	}
}
