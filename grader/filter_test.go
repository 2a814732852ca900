package grader

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"winnow/grader/journal"
	"winnow/grader/record"
	"winnow/grader/verdict"
)

func ptr[T any](x T) *T { return &x }

// opener opens data as often as it is asked.
func opener(data []byte) func() (record.Source, error) {
	return func() (record.Source, error) { return reader(data), nil }
}

// array returns the records of data as a JSON array.
func array(t testing.TB, data []byte) []byte {
	var raws [][]byte
	for _, rec := range records(t, data) {
		if rec.Fault == nil || rec.Fault.Status != record.BadJSON { // an open bracket would take in what follows
			raws = append(raws, rec.Raw)
		}
	}
	return slices.Concat([]byte("[\n  "), bytes.Join(raws, []byte(",\n  ")), []byte("\n]\n"))
}

// filterAll filters data by the entries of known and returns both files and the
// verdicts in order.
func filterAll(t testing.TB, data []byte, known Ratings, o FilterOptions) (kept, dropped []byte, verdicts []verdict.Verdict, report *Report) {
	t.Helper()
	var keptBuf, droppedBuf bytes.Buffer
	o.Kept, o.Dropped = &keptBuf, &droppedBuf
	o.Visit = func(_ *record.Record, _ journal.Entry, v verdict.Verdict) { verdicts = append(verdicts, v) }
	report, err := Filter(opener(data), known, o)
	if err != nil {
		t.Fatal(err)
	}
	return keptBuf.Bytes(), droppedBuf.Bytes(), verdicts, report
}

// readBack returns the records of a filtered file, which may be empty.
func readBack(t testing.TB, data []byte) []*record.Record {
	t.Helper()
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	return records(t, data)
}

// original returns the record that an annotated one was made of, and its note.
func original(t testing.TB, raw []byte) ([]byte, note) {
	t.Helper()
	var n struct {
		Note   *note   `json:"winnow"`
		Raw    *string `json:"raw"`
		Base64 *string `json:"raw_base64"`
	}
	if err := json.Unmarshal(raw, &n); err != nil || n.Note == nil {
		t.Fatalf("%q is no object with a verdict: %v", raw, err)
	}
	switch {
	case n.Raw != nil:
		return []byte(*n.Raw), *n.Note
	case n.Base64 != nil:
		b, err := base64.StdEncoding.DecodeString(*n.Base64)
		if err != nil {
			t.Fatal(err)
		}
		return b, *n.Note
	}
	at := bytes.LastIndex(raw, []byte(`"`+record.NoteMember+`":`))
	head := bytes.TrimRight(raw[:at], " \n\t")
	return slices.Concat(bytes.TrimSuffix(head, []byte(",")), []byte("}")), *n.Note
}

// Each record goes to one of the two files, in the source's order: to the kept
// one byte for byte, to the dropped one with its verdict. It does not matter
// in which order the journal has the ratings.
func TestFilterLaws(t *testing.T) {
	lines := corpus(300)
	whole, _, _ := grade(t, lines, GradeOptions{MaxOffScale: 0.3})
	for _, data := range [][]byte{lines, array(t, lines)} {
		recs := records(t, data)
		rapid.Check(t, func(rt *rapid.T) {
			var known []journal.Entry
			share := rapid.IntRange(0, 10).Draw(rt, "tenths that are known")
			random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
			for _, i := range random.Perm(len(whole.entries)) {
				if random.IntN(10) < share {
					known = append(known, whole.entries[i])
				}
			}
			m := newMemory(known...)
			o := FilterOptions{Rule: rapid.SampledFrom([]verdict.Rule{
				{Min: ptr(2.0)}, {Min: ptr(0.0)}, {Top: ptr(20)}, {Top: ptr(0)}, {TopPercent: ptr(30.0)}, {Min: ptr(2.0), MinProb: ptr(0.5)}, {},
			}).Draw(rt, "rule")}
			kept, dropped, verdicts, report := filterAll(t, data, m, o)
			keptRecs, droppedRecs := readBack(t, kept), readBack(t, dropped)
			if len(verdicts) != len(recs) || len(keptRecs)+len(droppedRecs) != len(recs) {
				rt.Fatalf("%d records: %d verdicts, %d kept, %d dropped", len(recs), len(verdicts), len(keptRecs), len(droppedRecs))
			}
			counts := map[verdict.Decision]int{}
			for i, rec := range recs {
				v := verdicts[i]
				counts[v.Decision]++
				if e, ok := m.Lookup(rec.Key); (v.Decision == verdict.Review) != (!ok || e.Status != record.OK) {
					rt.Fatalf("record %d, entry %t with status %q: %s", i, ok, e.Status, v.Decision)
				}
				if v.Decision == verdict.Keep {
					if !bytes.Equal(keptRecs[0].Raw, rec.Raw) {
						rt.Fatalf("kept\n%s, want\n%s", keptRecs[0].Raw, rec.Raw)
					}
					keptRecs = keptRecs[1:]
					continue
				}
				raw, n := original(t, droppedRecs[0].Raw)
				if !bytes.Equal(raw, rec.Raw) {
					rt.Fatalf("dropped\n%s, want\n%s", raw, rec.Raw)
				}
				if n.Verdict != v.Decision || n.Reason != v.Reason || (n.Rating != nil) != (n.Status == record.OK) {
					rt.Fatalf("record %d: note %+v, want that of %+v", i, n, v)
				}
				droppedRecs = droppedRecs[1:]
			}
			if report.Records != len(recs) || report.Kept != counts[verdict.Keep] || report.Dropped != counts[verdict.Drop] || report.Review != counts[verdict.Review] {
				rt.Fatalf("report %+v, verdicts %v", report, counts)
			}
		})
	}
}

// Filter sees duplicates once each: all get the verdict of their one rating.
func TestFilterDuplicates(t *testing.T) {
	data := []byte(goodLine(1) + goodLine(2) + goodLine(1))
	m, _, _ := grade(t, data, GradeOptions{MaxOffScale: 1})
	kept, _, verdicts, report := filterAll(t, data, m, FilterOptions{Rule: verdict.Rule{Min: ptr(0.0)}})
	if !bytes.Equal(kept, data) || len(m.entries) != 2 || report.Kept != 3 || verdicts[0] != verdicts[2] {
		t.Errorf("%d entries, %+v, verdicts %v, kept:\n%s", len(m.entries), report, verdicts, kept)
	}
}

// A limited filter is a filter of the source's first records.
func TestFilterLimit(t *testing.T) {
	data := corpus(100)
	m, _, _ := grade(t, data, GradeOptions{MaxOffScale: 0.3})
	lines := bytes.SplitAfter(data, []byte("\n"))
	rule := verdict.Rule{TopPercent: ptr(50.0)}
	for _, n := range []int{1, 37, 100, 1000} {
		kept, dropped, _, report := filterAll(t, data, m, FilterOptions{Rule: rule, Limit: n})
		wantKept, wantDropped, _, want := filterAll(t, bytes.Join(lines[:min(n, 100)], nil), m, FilterOptions{Rule: rule})
		if !bytes.Equal(kept, wantKept) || !bytes.Equal(dropped, wantDropped) || !reflect.DeepEqual(report, want) {
			t.Errorf("limit %d: %+v, want %+v", n, report, want)
		}
	}
}

// What is unknown is for review: its own fault is told, or that nobody graded it.
func TestFilterNotGraded(t *testing.T) {
	data := []byte(goodLine(1) + `{"instruction":"a"}` + "\n" + goodLine(2))
	known, _, _ := grade(t, []byte(goodLine(2)), GradeOptions{MaxOffScale: 1})
	kept, dropped, verdicts, report := filterAll(t, data, known, FilterOptions{Rule: verdict.Rule{Top: ptr(9)}})
	if string(kept) != goodLine(2) {
		t.Errorf("kept %q, want %q", kept, goodLine(2))
	}
	want := map[record.Status]int{record.OK: 1, record.NotGraded: 1, record.NoResponse: 1}
	if !maps.Equal(report.Statuses, want) || report.Review != 2 {
		t.Errorf("report %+v, want statuses %v and 2 for review", report, want)
	}
	if v := verdicts[0]; v.Decision != verdict.Review || !strings.Contains(v.Reason, "run winnow grade") {
		t.Errorf("verdict of a record that was not graded: %+v", v)
	}
	if v := verdicts[1]; v.Decision != verdict.Review || !strings.HasPrefix(v.Reason, "no_response: ") {
		t.Errorf("verdict of a record without a response: %+v", v)
	}
	if n := len(readBack(t, dropped)); n != 2 {
		t.Errorf("%d records in the dropped file, want 2", n)
	}
}

// What is no object is wrapped in one, so that the dropped file can be read.
func TestFilterWraps(t *testing.T) {
	good := strings.TrimSuffix(goodLine(1), "\n")
	for name, elements := range map[string][]string{
		"array": {good, `5`, `"text \" with \\ quotes"`, `[1, {"a": 2}]`, `null`, `nul`, `{"instruction": }`, "\"\xff\"", "{\"instruction\": \"\xff\", \"output\": \"x\"}", `{}`, "{\n\t\"a\": 1\n}"},
		"lines": {good, `5`, `"<b>&"`, `[`, `{"instruction": "open`, "\xff\xfe", "{\"output\": \"\xff\"}", `{}`, "{\"a\": \"\x01\"}"},
	} {
		data := strings.Join(elements, "\n") + "\n"
		if name == "array" {
			data = "[" + strings.Join(elements, ", ") + "]"
		}
		kept, dropped, _, report := filterAll(t, []byte(data), newMemory(), FilterOptions{})
		if len(readBack(t, kept)) != 0 || report.Review != len(elements) {
			t.Errorf("%s: %d for review, want all %d; kept: %q", name, report.Review, len(elements), kept)
		}
		if name == "array" && !json.Valid(dropped) {
			t.Errorf("the dropped array is not JSON:\n%s", dropped)
		}
		recs := readBack(t, dropped)
		if len(recs) != len(elements) {
			t.Fatalf("%s: %d records in the dropped file, want %d", name, len(recs), len(elements))
		}
		for i, rec := range recs {
			raw, n := original(t, rec.Raw)
			if !json.Valid(rec.Raw) || n.Status == "" || n.Verdict != verdict.Review || n.Rating != nil {
				t.Errorf("%s: %q has the note %+v", name, rec.Raw, n)
			}
			if want := strings.ReplaceAll(elements[i], "\n}", "}"); string(raw) != want {
				t.Errorf("%s: dropped %q, made of %q", name, rec.Raw, elements[i])
			}
		}
	}
}

// The source is read twice; it must be the same both times.
func TestFilterChangedSource(t *testing.T) {
	line := func(ids ...int) (s string) {
		for _, i := range ids {
			s += goodLine(i)
		}
		return s
	}
	first := line(1, 2, 3)
	for name, tc := range map[string]struct{ second, want string }{
		"other record": {line(1, 4, 3), "records.jsonl:2: record 1 changed while it was being filtered"},
		"other order":  {line(1, 3, 2), "records.jsonl:2: record 1 changed while it was being filtered"},
		"longer":       {line(1, 2, 3, 4), "records.jsonl:4: record 3 changed while it was being filtered"},
		"shorter":      {line(1, 2), "the source had 3 records and now has 2"},
	} {
		passes := 0
		_, err := Filter(func() (record.Source, error) {
			if passes++; passes == 1 {
				return reader([]byte(first)), nil
			}
			return reader([]byte(tc.second)), nil
		}, newMemory(), FilterOptions{Kept: io.Discard, Dropped: io.Discard})
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "run again") {
			t.Errorf("%s: error %v, want %q and what to do", name, err, tc.want)
		}
	}
}

// full is a writer that fails behind its first bytes.
type full struct{ room int }

func (f *full) Write(b []byte) (int, error) {
	if f.room -= len(b); f.room < 0 {
		return 0, errDisk
	}
	return len(b), nil
}

func TestFilterErrors(t *testing.T) {
	data := corpus(2000) // more than a writer holds back
	m, _, _ := grade(t, data, GradeOptions{MaxOffScale: 0.3})
	good := opener(data)
	gone := errors.New("no such file")
	keepAll, keepNone := verdict.Rule{Min: ptr(0.0)}, verdict.Rule{Top: ptr(0)}
	kept, _, _, _ := filterAll(t, data, m, FilterOptions{Rule: keepAll})
	_, dropped, _, _ := filterAll(t, data, m, FilterOptions{Rule: keepNone})
	for name, tc := range map[string]struct {
		open func() (record.Source, error)
		o    FilterOptions
		want string
	}{
		"rule":         {func() (record.Source, error) { panic("a rule that keeps nothing needs no source") }, FilterOptions{Rule: verdict.Rule{Min: ptr(9.0)}}, "the scale's highest is 5"},
		"open":         {func() (record.Source, error) { return nil, gone }, FilterOptions{}, gone.Error()},
		"damage":       {opener(append(corpus(20), "\x00\n"...)), FilterOptions{}, "records.jsonl:21: "},
		"kept":         {good, FilterOptions{Rule: keepAll, Kept: &full{}}, errDisk.Error()},
		"kept end":     {good, FilterOptions{Rule: keepAll, Kept: &full{len(kept) - 1}}, errDisk.Error()},
		"dropped":      {good, FilterOptions{Rule: keepNone, Dropped: &full{}}, errDisk.Error()},
		"dropped end":  {good, FilterOptions{Rule: keepNone, Dropped: &full{len(dropped) - 1}}, errDisk.Error()},
		"nothing kept": {good, FilterOptions{Rule: keepNone, Kept: &full{}}, ""},
	} {
		if tc.o.Kept == nil {
			tc.o.Kept = io.Discard
		}
		report, err := Filter(tc.open, m, tc.o)
		if tc.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) || report != nil {
			t.Errorf("%s: report %+v, error %v; want none and %q", name, report, err, tc.want)
		}
	}
}

// The kept file of a rule that keeps all is the source.
func TestFilterKeepsFrame(t *testing.T) {
	for _, data := range []string{
		goodLine(1) + goodLine(2),
		strings.ReplaceAll(goodLine(1)+goodLine(2), "\n", "\r\n"),
		fmt.Sprintf("[\n    %s,\n    %s\n]", strings.TrimSpace(goodLine(1)), strings.TrimSpace(goodLine(2))),
		"[]\n",
	} {
		m, _, _ := grade(t, []byte(data), GradeOptions{MaxOffScale: 1})
		kept, dropped, _, _ := filterAll(t, []byte(data), m, FilterOptions{Rule: verdict.Rule{Min: ptr(0.0)}})
		if string(kept) != data || len(readBack(t, dropped)) != 0 {
			t.Errorf("kept %q and dropped %q of %q", kept, dropped, data)
		}
	}
}
