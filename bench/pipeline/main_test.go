package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"winnow/grader/journal"
	"winnow/grader/record"
)

func TestGrade(t *testing.T) {
	const n = 3000
	dir := t.TempDir()
	got, err := grade(dir, n)
	if err != nil {
		t.Fatal(err)
	}
	data, scores := paths(dir, n)
	info, err := os.Stat(data)
	if err != nil {
		t.Fatal(err)
	}
	if got.Records != n || got.Bytes != info.Size() {
		t.Errorf("%d records in %d bytes, want %d in %d", got.Records, got.Bytes, n, info.Size())
	}
	if !(got.Fill > 0.9 && got.Fill <= 1) {
		t.Errorf("batches are filled to %v, want more than 0.9", got.Fill)
	}
	if !(got.Seconds > 0) || math.Abs(got.RecordRate*got.Seconds-n) > 1e-6*n || got.Heap == 0 || got.PeakRSS < int64(got.Heap) {
		t.Errorf("%+v, want a time, the rate that belongs to it, and no more heap than resident memory", got)
	}
	for _, stage := range []string{"read", "encode", "pack", "write"} {
		if !(got.Busy[stage] > 0) {
			t.Errorf("stage %s was busy for %v s", stage, got.Busy[stage])
		}
	}
	checkEntries(t, data, scores, n)
}

// checkEntries checks that the journal has one rating for each of n records and
// nothing else.
func checkEntries(t *testing.T, data, scores string, n int) {
	t.Helper()
	_, entries, err := journal.Read(scores) // refuses a second entry for a record
	if err != nil {
		t.Fatal(err)
	}
	if entries.Len() != n {
		t.Errorf("%d entries for %d records", entries.Len(), n)
	}
	lines, err := os.ReadFile(scores)
	if err != nil {
		t.Fatal(err)
	}
	if got := bytes.Count(lines, []byte("\n")); got != n+1 {
		t.Errorf("the journal has %d lines, want a manifest and %d entries", got, n)
	}
	src, err := record.Open(data, record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}()
	read := 0
	for ; ; read++ {
		rec, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		e, ok := entries.Lookup(rec.Key)
		if !ok || e.Index != rec.Index || e.Status != record.OK || len(e.Ratings) != 1 {
			t.Fatalf("record %d: %+v, want an entry with a rating", rec.Index, e)
		}
	}
	if read != n {
		t.Errorf("the file has %d records, want %d", read, n)
	}
}

// TestHeap holds what a run keeps of a record to 100 bytes. Both runs are long
// enough to have filled what they reuse.
func TestHeap(t *testing.T) {
	const n = 20_000
	dir := t.TempDir()
	var heap [2]float64
	for i, records := range []int{n, 4 * n} {
		r, err := grade(dir, records)
		if err != nil {
			t.Fatal(err)
		}
		heap[i] = float64(r.Heap)
	}
	const key = 16 // bytes; less would mean that what is kept was gone when it was counted
	if perRecord := (heap[1] - heap[0]) / (3 * n); !(perRecord >= key && perRecord <= 100) {
		t.Errorf("%.0f bytes on the heap after %d records, %.0f after %d: %.1f a record, want %d to 100", heap[0], n, heap[1], 4*n, perRecord, key)
	}
}

func TestMeasure(t *testing.T) {
	dir := t.TempDir()
	r, err := measure(dir, 1005)
	if err != nil {
		t.Fatal(err)
	}
	if r.Cores < 1 || r.Tenth.Records != 100 || r.Whole.Records != 1005 {
		t.Errorf("%+v, want 100 and 1005 records", r)
	}
	if !(r.Tenth.Reopen > 0 && r.Whole.Reopen > 0) {
		t.Errorf("opening the journals again took %v and %v s", r.Tenth.Reopen, r.Whole.Reopen)
	}
	if want := r.Whole.Seconds / r.Tenth.Seconds; r.TimeGrowth != want {
		t.Errorf("time grew to %v times, want %v", r.TimeGrowth, want)
	}
	if want := (float64(r.Whole.Heap) - float64(r.Tenth.Heap)) / 905; r.HeapGrowth != want {
		t.Errorf("the heap grew by %v bytes a record, want %v", r.HeapGrowth, want)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	if _, err := measure(filepath.Join(dir, "absent"), 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
}

func TestMedian(t *testing.T) {
	r, err := median(100, 3)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Growths) != 3 || !slices.IsSorted(r.Growths) || r.TimeGrowth != r.Growths[1] || r.Whole.Records != 100 {
		t.Errorf("%+v, want the middle one of three", r)
	}
}

// An open journal keeps its keys and little more.
func TestReopen(t *testing.T) {
	const n = 40_000
	r, err := gradeAndReopen(t.TempDir(), n)
	if err != nil {
		t.Fatal(err)
	}
	if perEntry := float64(r.ReopenHeap) / n; !(perEntry >= 16 && perEntry <= 100) || !(r.Reopen > 0) {
		t.Errorf("opened in %v s, the journal keeps %.1f bytes an entry, want 16 to 100", r.Reopen, perEntry)
	}
}
