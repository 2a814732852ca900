package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"winnow/grader/journal"
	"winnow/grader/record"
)

// winnow runs the program within the test and returns its exit code and output.
func winnow(args ...string) (code int, stdout, stderr string) {
	var out, talk bytes.Buffer
	code = run(context.Background(), append([]string{"winnow"}, args...), &out, &talk)
	return code, out.String(), talk.String()
}

// The default model grades example records: every entry is sound, a second run
// adds nothing, and the filter keeps what the ratings say.
func TestDefaultModel(t *testing.T) {
	model := os.Getenv("WINNOW_TEST_MODEL")
	if model == "" {
		t.Fatal("WINNOW_TEST_MODEL is not set: run the tests through make test")
	}
	const limit = 12
	dir := t.TempDir()
	data := filepath.Join("..", "..", "examples", "records.json")
	scores := filepath.Join(dir, "scores.jsonl")
	grade := []string{"grade", data, "-m", model, "-o", scores, "--limit", "12", "--json"}

	code, stdout, stderr := winnow(grade...)
	var sum gradeSummary
	if err := json.Unmarshal([]byte(stdout), &sum); err != nil {
		t.Fatalf("exit code %d, summary %q: %v: %s", code, stdout, err, stderr)
	}
	if code != exitUngraded || sum.Records != limit || sum.Graded != limit || sum.Statuses[record.EmptyResponse] == 0 {
		t.Fatalf("exit code %d, summary %+v: want %d, because blank responses are not rated: %s", code, sum, exitUngraded, stderr)
	}
	first, err := os.ReadFile(scores)
	if err != nil {
		t.Fatal(err)
	}
	m, index, err := journal.Read(scores)
	if err != nil {
		t.Fatal(err)
	}
	if index.Len() != limit || m.Model.Name != filepath.Base(model) {
		t.Errorf("%d entries of model %s, want %d of %s", index.Len(), m.Model.Name, limit, model)
	}
	rated, values := 0, map[float64]bool{}
	for e := range index.All() {
		if e.Status != record.OK {
			continue
		}
		rated++
		values[e.Value()] = true
		mass := e.Ratings[0].OffScale
		for _, p := range e.Ratings[0].Probs {
			mass += p
		}
		if !(math.Abs(mass-1) < 1e-4) || !(e.Value() >= 0 && e.Value() <= 5) || e.Tokens < 50 {
			t.Errorf("record %d: rating %g, probabilities sum up to %g, %d tokens", e.Index, e.Value(), mass, e.Tokens)
		}
	}
	if rated != sum.Statuses[record.OK] || len(values) < rated/2 {
		t.Errorf("%d entries with a rating, %d different ones, want %d", rated, len(values), sum.Statuses[record.OK])
	}

	code, stdout, stderr = winnow(grade...)
	if err := json.Unmarshal([]byte(stdout), &sum); err != nil || code != exitUngraded || sum.Graded != 0 || sum.Known != limit {
		t.Errorf("again: exit code %d, summary %q, %v: %s", code, stdout, err, stderr)
	}
	if again, err := os.ReadFile(scores); err != nil || !bytes.Equal(first, again) {
		t.Errorf("the second run changed the scores file (%v)", err)
	}

	code, stdout, stderr = winnow("filter", data, "--scores", scores, "--limit", "12", "--top", "4", "-o", "-", "--dropped", filepath.Join(dir, "dropped.json"))
	var kept []map[string]string
	if err := json.Unmarshal([]byte(stdout), &kept); err != nil || len(kept) != 4 || code != exitUngraded {
		t.Errorf("filter: exit code %d, %d kept, %v: %s", code, len(kept), err, stderr)
	}
	dropped, err := os.ReadFile(filepath.Join(dir, "dropped.json"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(dropped), `"verdict":"review"`); n != limit-rated {
		t.Errorf("%d records for review, want %d", n, limit-rated)
	}
	if n := strings.Count(string(dropped), `"verdict":"drop"`); n != rated-4 {
		t.Errorf("%d records dropped, want %d", n, rated-4)
	}
}
