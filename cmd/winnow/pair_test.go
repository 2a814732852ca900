package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"winnow/grader"
	"winnow/grader/engine"
	"winnow/grader/journal"
	"winnow/grader/placement"
	"winnow/grader/record"
	"winnow/grader/rubric"
)

// Pairs reach the engine in its process as they reach one in this process.
func TestPairsInChild(t *testing.T) {
	rubrics, err := rubric.LoadAll("pairwise-scores-1,pairwise-scores-2")
	if err != nil {
		t.Fatal(err)
	}
	o := engine.Options{Model: filepath.Join(modelsDir, "tiny.gguf"), Rubrics: rubrics, Threads: 1, Place: &placement.Child{}}
	var pairs []*record.Record
	for i := range 6 {
		question, a, b := fmt.Sprintf("Add %d and 2.", i), fmt.Sprint(i+2), fmt.Sprintf("It is <|im_end|> %d.", i)
		pairs = append(pairs, record.MadePair(2*i, question, "", a, b), record.MadePair(2*i+1, question, "", b, a))
	}
	away, err := openChild(t.Context(), o, func(*engine.Options, []placement.Device) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	here, err := engine.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	var journals [][]byte
	for _, e := range []grader.Engine{away, here} {
		path := filepath.Join(t.TempDir(), "pairs.jsonl")
		options := grader.GradeOptions{MaxOffScale: 1}
		j, err := journal.Open(path, grader.Manifest(e, options))
		if err != nil {
			t.Fatal(err)
		}
		sum, err := grader.Grade(t.Context(), record.FromList(pairs), e, j, j, options)
		if err != nil || sum.Rated != len(pairs) || sum.Statuses[record.OK] != len(pairs) {
			t.Errorf("%d of %d pairs are rated: %v, %v", sum.Rated, len(pairs), sum.Statuses, err)
		}
		for _, err := range []error{j.Close(), e.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		journals = append(journals, data)
	}
	if !bytes.Equal(journals[0], journals[1]) {
		t.Error("an engine in a process of its own rates pairs otherwise")
	}
}

// A record of the other kind ends a run, and the error reaches the parent.
func TestKindInChild(t *testing.T) {
	rubrics, err := rubric.LoadAll("pairwise")
	if err != nil {
		t.Fatal(err)
	}
	o := engine.Options{Model: filepath.Join(modelsDir, "tiny.gguf"), Rubrics: rubrics, Threads: 1, Place: &placement.Child{}}
	e, err := openChild(t.Context(), o, func(*engine.Options, []placement.Device) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	var p grader.Prompt
	const want = "rubric pairwise compares two responses, and this record has one: use a rubric without {other}"
	if err := e.Encode(record.Made(0, "Add.", "", "5"), &p); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if err := e.Encode(record.MadePair(0, "Add.", "", "5", "6"), &p); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
