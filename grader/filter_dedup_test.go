package grader

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"winnow/grader/dedup"
	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/verdict"
)

// valued knows the records of data by these values, in order. One that stands
// there before keeps its rating; one at fault has none.
func valued(t testing.TB, data []byte, values ...float64) *memory {
	t.Helper()
	m := newMemory()
	for i, rec := range records(t, data) {
		if m.Has(rec.Key) || rec.Fault != nil {
			continue
		}
		e := journal.Entry{Key: rec.Key, Index: i, Status: record.OK, Ratings: []rating.Rating{{Value: values[i], Probs: []float64{0.25, 0.25, 0.25, 0.25}}}}
		if err := m.Append([]journal.Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestFilterDedup(t *testing.T) {
	line := func(response string, id int) string {
		return fmt.Sprintf("{\"instruction\":\"Say what trees need.\",\"output\":%q,\"id\":%d}\n", response, id)
	}
	const long = "Trees need light, water and air, and they make sugar of all three while the sun is in the sky"
	data := []byte(line(long, 0) + line(long+".", 1) + line("Room.", 2) + line(long, 3) + line("Time.", 4) + "5\n")
	known := valued(t, data, 3, 4, 2, 0, 1)
	top := verdict.Rule{Top: ptr(3)}
	for name, tc := range map[string]struct {
		o    FilterOptions
		want []string
		of   []int // of the dropped ones, in order; -1 for no duplicate
		kept string
	}{
		"off": {FilterOptions{Rule: top}, []string{
			"keep: rank 2 of 5, budget 3", "keep: rank 1 of 5, budget 3", "drop: rank 4 of 5, budget 3", "keep: rank 3 of 5, budget 3", "drop: rank 5 of 5, budget 3",
		}, []int{-1, -1, -1}, "013"},
		"exact": {FilterOptions{Rule: top, Dedup: dedup.Options{Mode: dedup.Exact}}, []string{
			"keep: rank 2 of 4, budget 3", "keep: rank 1 of 4, budget 3", "keep: rank 3 of 4, budget 3", "drop: same texts as record 0 (records.jsonl:1)", "drop: rank 4 of 4, budget 3",
		}, []int{0, -1, -1}, "012"},
		"near": {FilterOptions{Rule: top, Dedup: dedup.Options{Mode: dedup.Near}}, []string{
			"drop: duplicate of record 1 (records.jsonl:2), similarity 1.00", "keep: rank 1 of 3, budget 3", "keep: rank 2 of 3, budget 3", "drop: duplicate of record 1 (records.jsonl:2), similarity 1.00", "keep: rank 3 of 3, budget 3",
		}, []int{1, 1, -1}, "124"},
		"percent": {FilterOptions{Rule: verdict.Rule{TopPercent: ptr(67.0)}, Dedup: dedup.Options{Mode: dedup.Near}}, []string{
			"drop: duplicate of record 1 (records.jsonl:2), similarity 1.00", "keep: rank 1 of 3, budget 2", "keep: rank 2 of 3, budget 2", "drop: duplicate of record 1 (records.jsonl:2), similarity 1.00", "drop: rank 3 of 3, budget 2",
		}, []int{1, 1, -1, -1}, "12"},
		"limit of the rule": {FilterOptions{Rule: verdict.Rule{Min: ptr(4.5)}, Dedup: dedup.Options{Mode: dedup.Exact}}, []string{
			"drop: rating 3.00 < 4.5", "drop: rating 4.00 < 4.5", "drop: rating 2.00 < 4.5", "drop: same texts as record 0 (records.jsonl:1)", "drop: rating 1.00 < 4.5",
		}, []int{-1, -1, -1, 0, -1, -1}, ""},
		"limit of records": {FilterOptions{Rule: top, Limit: 1, Dedup: dedup.Options{Mode: dedup.Near}}, []string{"keep: rank 1 of 1, budget 3"}, nil, "0"},
	} {
		kept, dropped, verdicts, report := filterAll(t, data, known, tc.o)
		var got []string
		for _, v := range verdicts[:len(tc.want)] {
			got = append(got, string(v.Decision)+": "+v.Reason)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s:\n%q\nwant\n%q", name, got, tc.want)
		}
		ids := ""
		for _, rec := range readBack(t, kept) {
			ids += strings.TrimSuffix(string(rec.Raw[bytes.LastIndexByte(rec.Raw, ':')+1:]), "}")
		}
		if ids != tc.kept {
			t.Errorf("%s: the records %s are kept, want %s", name, ids, tc.kept)
		}
		number := 0
		for i, rec := range readBack(t, dropped) {
			_, n := original(t, rec.Raw)
			if of := tc.of[i]; of < 0 && (n.DuplicateOf != nil || n.Similarity != nil) || of >= 0 && (n.DuplicateOf == nil || *n.DuplicateOf != of || n.Similarity == nil || *n.Similarity != 1 || n.Rating == nil) {
				t.Errorf("%s: dropped record %d has the note %+v, want a duplicate of %d", name, i, n, of)
			} else if of >= 0 {
				number++
			}
		}
		if on := tc.o.Dedup.On(); on != (report.Duplicates != nil) || on && *report.Duplicates != number {
			t.Errorf("%s: %v duplicates are reported, want %d", name, report.Duplicates, number)
		}
		var text, line bytes.Buffer
		if err := report.WriteText(&text, 72); err != nil {
			t.Fatal(err)
		}
		if err := report.WriteJSON(&line); err != nil {
			t.Fatal(err)
		}
		told := strings.Contains(text.String(), fmt.Sprintf("\n  %6d dropped as duplicates\n", number)) && strings.Contains(line.String(), fmt.Sprintf(`"truncated":0,"duplicates":%d,`, number))
		if told != tc.o.Dedup.On() {
			t.Errorf("%s: the report says\n%s%s", name, &text, &line)
		}
	}
}

func TestFilterDedupOptions(t *testing.T) {
	open := func() (record.Source, error) { panic("options that mean nothing need no source") }
	report, err := Filter(open, newMemory(), FilterOptions{Kept: io.Discard, Dedup: dedup.Options{Mode: dedup.Near, Threshold: 2}})
	if err == nil || report != nil || !strings.Contains(err.Error(), "want a similarity") {
		t.Errorf("report %+v, error %v", report, err)
	}
}
