package grader

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/verdict"
)

// second is a ledger that gives each rated entry a rating by a second criterion.
type second struct{ Ledger }

func (s second) Append(entries []journal.Entry) error { return s.Ledger.Append(widened(entries)) }

// widened gives entries a second rating, made of the first one.
func widened(entries []journal.Entry) []journal.Entry {
	entries = slices.Clone(entries)
	for i, e := range entries {
		if len(e.Ratings) == 0 {
			continue
		}
		p := slices.Clone(e.Ratings[0].Probs)
		slices.Reverse(p)
		p[0] /= 2
		var r rating.Rating
		if err := r.Set(testScale(), p); err != nil {
			panic(err) // half of a probability is one
		}
		entries[i].Ratings = []rating.Rating{e.Ratings[0], r}
	}
	return entries
}

// wide is a memory of entries with two ratings.
type wide struct{ *memory }

func (wide) Criteria() []string { return []string{"accuracy", `"b"`} }

// gradeWide grades by two criteria into the journal at path.
func gradeWide(t testing.TB, path string, data []byte) {
	t.Helper()
	e := newMeasuring()
	m := Manifest(e, resumeOptions)
	m.Rubrics = append(m.Rubrics, journal.Rubric{Name: "second", SHA256: "33cc"})
	j, err := journal.Open(path, m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Grade(t.Context(), reader(data), e, second{j}, j, resumeOptions); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// Also with two criteria a run goes on from whatever is left of its journal to
// the same bytes.
func TestResumeTwoCriteria(t *testing.T) {
	data := corpus(300)
	path := filepath.Join(t.TempDir(), "scores.jsonl")
	gradeWide(t, path, data)
	whole := contents(t, path)
	if n := bytes.Count(whole, []byte(`,"criteria":{"test":{"rating":`)); n < 100 {
		t.Fatalf("%d entries with two ratings, want at least 100", n)
	}
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, len(whole)).Draw(rt, "bytes")
		if rapid.Bool().Draw(rt, "at a line's end") {
			n = bytes.LastIndexByte(whole[:n], '\n') + 1
		}
		if err := os.WriteFile(path, whole[:n], 0o666); err != nil {
			rt.Fatal(err)
		}
		gradeWide(t, path, data)
		if got := contents(t, path); !bytes.Equal(got, whole) {
			rt.Fatalf("resumed after %d bytes, the journal has %d bytes, want the same %d", n, len(got), len(whole))
		}
	})
}

// Kept is what both criteria rate well enough; what is dropped says by which it
// is not.
func TestFilterTwoCriteria(t *testing.T) {
	data := corpus(300)
	graded, _, _ := grade(t, data, GradeOptions{MaxOffScale: 0.3})
	m := wide{newMemory(widened(graded.entries)...)}
	kept, dropped, verdicts, report := filterAll(t, data, m, FilterOptions{Rule: verdict.Rule{Min: ptr(2.0)}})
	keptRecs, droppedRecs := readBack(t, kept), readBack(t, dropped)
	reasons := map[string]int{}
	for i, rec := range records(t, data) {
		e, _ := m.Lookup(rec.Key)
		want := verdict.Review
		if len(e.Ratings) == 2 {
			want = verdict.Drop
			if e.Ratings[0].Value >= 2 && e.Ratings[1].Value >= 2 {
				want = verdict.Keep
			}
		}
		if verdicts[i].Decision != want {
			t.Fatalf("record %d, ratings %+v: %+v, want %s", i, e.Ratings, verdicts[i], want)
		}
		if want == verdict.Keep {
			if !bytes.Equal(keptRecs[0].Raw, rec.Raw) {
				t.Fatalf("kept\n%s, want\n%s", keptRecs[0].Raw, rec.Raw)
			}
			keptRecs = keptRecs[1:]
			continue
		}
		_, n := original(t, droppedRecs[0].Raw)
		droppedRecs = droppedRecs[1:]
		if want == verdict.Review {
			if n.Rating != nil || n.Ratings != nil {
				t.Fatalf("record %d has no rating, its note is %+v", i, n)
			}
			continue
		}
		worse := 0
		if e.Ratings[1].Value < e.Ratings[0].Value {
			worse = 1
		}
		name := m.Criteria()[worse]
		if !strings.HasPrefix(n.Reason, name+" rated ") || !strings.HasSuffix(n.Reason, ", below 2") {
			t.Fatalf("record %d: reason %q, want that of %s", i, n.Reason, name)
		}
		reasons[name]++
		number := func(x float64) string { return string(rating.AppendNumber(nil, x)) }
		ratings := `{"accuracy":` + number(e.Ratings[0].Value) + `,"\"b\"":` + number(e.Ratings[1].Value) + `}`
		if n.Rating == nil || n.Rating.String() != number(e.Ratings[worse].Value) || string(n.Ratings) != ratings {
			t.Fatalf("record %d: rating %v and ratings %s, want the least of %s", i, n.Rating, n.Ratings, ratings)
		}
	}
	if report.Kept < 5 || len(reasons) < 2 || len(report.Criteria) != 2 {
		t.Errorf("%d kept, dropped for %v: the test is about more; report %+v", report.Kept, reasons, report)
	}
}

// A finished run counts what a filter counts.
func TestStatuses(t *testing.T) {
	data := corpus(300)
	for _, limit := range []int{1, 37, 300, 1000} {
		m, _, done := grade(t, data, GradeOptions{MaxOffScale: 0.3, Limit: limit})
		report, err := Filter(opener(data), m, FilterOptions{Kept: io.Discard, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(done.Statuses, report.Statuses) {
			t.Errorf("limit %d: statuses %v, want %v", limit, done.Statuses, report.Statuses)
		}
	}
}

// The report on two criteria has each one's figures beside those of the least.
func TestReportTwoCriteria(t *testing.T) {
	r := newReport(testScale(), []string{"accuracy", `"b"`})
	r.add(ratedEntry([]float64{1, 5}, []float64{0.25, 0}), verdict.Verdict{Decision: verdict.Keep})
	r.add(ratedEntry([]float64{5, 2}, []float64{0, 0.5}), verdict.Verdict{Decision: verdict.Drop})
	r.add(journal.Entry{Status: record.TooLong}, verdict.Verdict{Decision: verdict.Review})

	var line bytes.Buffer
	if err := r.WriteJSON(&line); err != nil {
		t.Fatal(err)
	}
	want := `{"kind":"summary","records":3,"kept":1,"dropped":1,"review":1,"statuses":{"ok":2,"too_long":1},"truncated":0,` +
		`"histogram":[{"rating":"0","count":0},{"rating":"1","count":1},{"rating":"2.5","count":1},{"rating":"5","count":0}],"mean_rating":1.5,"mean_offscale":0.375,` +
		`"criteria":{"accuracy":{"histogram":[{"rating":"0","count":0},{"rating":"1","count":1},{"rating":"2.5","count":0},{"rating":"5","count":1}],"mean_rating":3,"mean_offscale":0.125},` +
		`"\"b\"":{"histogram":[{"rating":"0","count":0},{"rating":"1","count":0},{"rating":"2.5","count":1},{"rating":"5","count":1}],"mean_rating":3.5,"mean_offscale":0.25}}}` + "\n"
	if line.String() != want || !json.Valid(line.Bytes()) {
		t.Errorf("JSON:\n%s\nwant:\n%s", line.String(), want)
	}

	var text bytes.Buffer
	if err := r.WriteText(&text, 27); err != nil {
		t.Fatal(err)
	}
	wantText := `3 records: 1 kept, 1 dropped, 1 without a rating, for review
       1 too_long
each record's least rating: mean 1.50
accuracy: mean rating 3.00, mean off-scale mass 0.125
       0       0 
       1       1 ██████████
     2.5       0 
       5       1 ██████████
"b": mean rating 3.50, mean off-scale mass 0.250
       0       0 
       1       0 
     2.5       1 ██████████
       5       1 ██████████
`
	if text.String() != wantText {
		t.Errorf("text:\n%s\nwant:\n%s", text.String(), wantText)
	}

	line.Reset()
	if err := newReport(testScale(), []string{"a", "b"}).WriteJSON(&line); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(line.String(), `"mean_rating":null,"mean_offscale":null`); n != 3 {
		t.Errorf("without ratings %d pairs of means are null, want 3:\n%s", n, line.String())
	}
}
