package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"winnow/grader"
	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
)

// byKey is an engine whose answers are made of a record's key.
type byKey struct{}

var twoRatings = rating.Scale{Strings: []string{"0", "1"}, Values: []float64{0, 1}}

func (byKey) Manifest() journal.Manifest {
	return journal.Manifest{
		Model:    journal.Model{Name: "by key", SHA256: "00", Format: "F16"},
		Rubrics:  []journal.Rubric{{Name: "test", SHA256: "11"}},
		Scale:    journal.Scale(twoRatings),
		Template: journal.Template{Source: "plain", SHA256: "22"},
		Runtime:  journal.Runtime{Engine: "by key", Device: "CPU"},
	}
}

func (byKey) Capacity() grader.Capacity { return grader.Capacity{Tokens: 100, Prompts: 8, Lanes: 2} }

func (byKey) Close() error { return nil }

func (byKey) Encode(rec *record.Record, p *grader.Prompt) error {
	if rec.Key[0]%16 == 0 {
		return &record.Fault{Status: record.TooLong, Reason: "its key says so"}
	}
	*p = grader.Prompt{Tokens: append(p.Tokens[:0], int32(rec.Key[1])), Size: 10 + int(rec.Key[2])%20, Total: 50}
	return nil
}

func (byKey) Rate(_ context.Context, batch []*grader.Prompt, out []grader.Outcome) (w grader.Work, err error) {
	for i, p := range batch {
		x := float64(1+p.Tokens[0]) / 512
		out[i].Ratings = append(out[i].Ratings[:0], rating.Rating{})
		if err := out[i].Ratings[0].Set(twoRatings, []float64{x, 0.5}); err != nil {
			return w, err
		}
	}
	return w, nil
}

// Whichever call to the disk fails in a grading run, the run ends with the cause,
// and the next one makes the journal what one without a fault makes it.
func TestGradeFaults(t *testing.T) {
	var data bytes.Buffer
	for i := range 60 {
		fmt.Fprintf(&data, "{\"instruction\":\"count to %d\",\"output\":\"…\"}\n", i)
	}
	path := filepath.Join(t.TempDir(), "scores.jsonl")
	o := grader.GradeOptions{MaxOffScale: 1}
	grade := func(f journal.Fault) (acknowledged int, err error) {
		j, err := journal.OpenFaulty(path, grader.Manifest(byKey{}, o), f)
		if err != nil {
			return 0, err
		}
		src := record.NewReader(bytes.NewReader(data.Bytes()), "data.jsonl", record.Options{})
		_, err = grader.Grade(t.Context(), src, byKey{}, j, j, o)
		acknowledged = j.Len()
		return acknowledged, errors.Join(err, j.Close())
	}
	if n, err := grade(journal.NoFault()); err != nil || n != 60 {
		t.Fatalf("%d entries, %v", n, err)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	journal.EveryFault(t, func(what string, f journal.Fault) error {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		acknowledged, told := grade(f)
		left, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(want, left) || bytes.Count(left, []byte("\n")) < min(1, acknowledged)+acknowledged {
			t.Fatalf("%s: %d entries are acknowledged, %d bytes are left: %q", what, acknowledged, len(left), left)
		}
		if told == nil && !bytes.Equal(left, want) {
			t.Fatalf("%s: no error, and %d of %d bytes", what, len(left), len(want))
		}
		if n, err := grade(journal.NoFault()); err != nil || n != 60 {
			t.Fatalf("%s: again: %d entries, %v", what, n, err)
		}
		if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, want) {
			t.Fatalf("%s: resumed, the journal has %d bytes (%v), want %d others", what, len(again), err, len(want))
		}
		return told
	})
}
