package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"winnow/grader/dedup"
)

func TestRunFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data.jsonl")
	const data = `{"instruction":"Name a colour.","output":"Blue."}
{"instruction":"Name a tree.","output":"Oak."}
{"instruction":"Name a colour.","output":"Blue.","id":2}
{"instruction":"name a COLOUR","output":"blue!"}
{"instruction":"no response"}
`
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := run(dedup.Options{Mode: dedup.Near, Threshold: 0.8}, 0, 0, path)
	if err != nil {
		t.Fatal(err)
	}
	if r.Records != 5 || r.Duplicates != 2 || r.Same != 1 || r.Compared != 1 || r.Bands != 16 || r.Rows != 8 || r.TextBytes == 0 {
		t.Errorf("%+v, want 2 duplicates in 5 records, one with the same texts, and one comparison", r)
	}
	if r.Seconds != r.AddSeconds+r.FindS || !(r.FindS > 0) || r.Heap == 0 || r.PeakRSS < int64(r.Heap) || r.PerRecord != float64(r.Heap)/5 {
		t.Errorf("%+v, want times and sizes that agree", r)
	}
	if r, err = run(dedup.Options{Mode: dedup.Exact}, 0, 3, path); err != nil || r.Records != 3 || r.Duplicates != 1 || r.Bands != 0 {
		t.Errorf("the first three: %+v, error %v; want one duplicate", r, err)
	}
	if _, err := run(dedup.Options{Mode: dedup.Near}, 0, 0, path+".absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: error %v", err)
	}
}

// Of the made records nearly a tenth are duplicates, and comparing them costs
// little.
func TestRunMade(t *testing.T) {
	const n = 20_000
	r, err := run(dedup.Options{Mode: dedup.Near, Threshold: 0.8}, n, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	if r.Records != n || r.Duplicates < n/20 || r.Duplicates > n/10 || r.Compared < r.Duplicates || r.Compared > n {
		t.Errorf("%+v, want %d to %d duplicates of %d records and no more comparisons", r, n/20, n/10, n)
	}
	if again, err := run(dedup.Options{Mode: dedup.Near, Threshold: 0.8}, n, 0, ""); err != nil || again.Duplicates != r.Duplicates || again.Compared != r.Compared {
		t.Errorf("a second time: %+v, error %v; first %+v", again, err, r)
	}
}

// TestHeap holds what is kept of a record to what the documentation says, with a
// fifth more for what growing leaves over: 230 bytes and 8 a word.
func TestHeap(t *testing.T) {
	const n = 50_000
	r, err := run(dedup.Options{Mode: dedup.Near, Threshold: 0.8}, n, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	if most := 1.2 * (230 + 8*65); !(r.PerRecord > 300 && r.PerRecord < most) {
		t.Errorf("%.0f bytes a record, want 300 to %.0f", r.PerRecord, most)
	}
}
