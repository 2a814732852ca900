package grader

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
)

func TestGrade(t *testing.T) {
	data := corpus(600)
	recs := records(t, data)
	var steps []Progress
	o := GradeOptions{MaxOffScale: 0.3, Progress: func(p Progress) { steps = append(steps, p) }}
	m, e, done := grade(t, data, o)

	want := map[record.Key]journal.Entry{}
	tokens := 0
	for _, rec := range distinct(recs) {
		want[rec.Key] = expected(rec, o)
		if want[rec.Key].Tokens > 0 {
			tokens += promptSize(rec.Key)
		}
	}
	if len(m.entries) != len(want) {
		t.Errorf("%d entries for %d different records", len(m.entries), len(want))
	}
	for _, got := range m.entries {
		if !reflect.DeepEqual(got, want[got.Key]) {
			t.Errorf("entry\n%+v, want\n%+v", got, want[got.Key])
		}
	}

	for i, p := range steps[1:] {
		if before := steps[i]; p.Read < before.Read || p.Rated < before.Rated || p.Tokens < before.Tokens || p.Took < before.Took {
			t.Errorf("progress goes from %+v to %+v", before, p)
		}
	}
	if done.Read != len(recs) || done.Rated != len(want) || done.Tokens != tokens {
		t.Errorf("at the end %+v, want %d read, %d rated, %d tokens", done, len(recs), len(want), tokens)
	}
	if last := steps[len(steps)-1]; last != done {
		t.Errorf("the last progress is %+v, the result %+v", last, done)
	}
	if len(e.batches) < 10 {
		t.Errorf("%d batches, want at least 10", len(e.batches))
	}
}

// Of records that differ in nothing but their members beside the three texts,
// the first gets the entry.
func TestGradeSameContent(t *testing.T) {
	data := []byte(`{"id":1,"instruction":"a","output":"b"}
{"instruction":"c","output":"d"}
{"id":2,"output":"b","instruction":"a","input":""}
`)
	m, _, done := grade(t, data, GradeOptions{MaxOffScale: 1})
	var index []int
	for _, e := range m.entries {
		index = append(index, e.Index)
	}
	slices.Sort(index)
	if !slices.Equal(index, []int{0, 1}) || done.Read != 3 {
		t.Errorf("entries for records %v after %d records, want [0 1] after 3", index, done.Read)
	}
}

func TestGradeKnown(t *testing.T) {
	data := corpus(300)
	m, _, _ := grade(t, data, GradeOptions{})
	n := len(m.entries)
	e := newFake()
	done, err := Grade(t.Context(), reader(data), e, m, m, GradeOptions{})
	if err != nil || done.Read != 300 || done.Rated != 0 || len(m.entries) != n {
		t.Errorf("second run: %+v, %v, %d more entries; want 300 read and nothing else", done, err, len(m.entries)-n)
	}
	if e.encoded > 0 || len(e.batches) > 0 {
		t.Errorf("the engine encoded %d records and rated %d batches that were known", e.encoded, len(e.batches))
	}
}

// oneOutcome is an engine with the same answer to everything.
type oneOutcome struct {
	fakeEngine
	answer Outcome
}

func (o *oneOutcome) Encode(*record.Record) (Prompt, error) { return Prompt{Size: 1, Total: 1}, nil }

func (o *oneOutcome) Rate(_ context.Context, batch []Prompt) ([]Outcome, error) {
	return slices.Repeat([]Outcome{o.answer}, len(batch)), nil
}

func TestGradeOffScale(t *testing.T) {
	for _, tc := range []struct {
		offScale, most float64
		want           record.Status
	}{
		{0, 0, record.OK},
		{0.5, 0.5, record.OK},
		{math.Nextafter(0.5, 1), 0.5, record.OffScale},
		{1e-9, 0, record.OffScale},
		{1, 1, record.OK},
		{math.NaN(), 1, record.OffScale},
	} {
		m, e := newMemory(), &oneOutcome{*newFake(), Outcome{Rating: rating.Rating{Value: 5, OffScale: tc.offScale}}}
		if _, err := Grade(t.Context(), reader([]byte(goodLine(1))), e, m, m, GradeOptions{MaxOffScale: tc.most}); err != nil {
			t.Fatal(err)
		}
		got := m.entries[0]
		if got.Status != tc.want || (len(got.Ratings) == 1) != (tc.want == record.OK) || (got.Reason == "") != (tc.want == record.OK) {
			t.Errorf("off-scale mass %v, at most %v: %+v, want status %s", tc.offScale, tc.most, got, tc.want)
		}
	}
}

// A limited run is a run over the source's first records, and reads no others.
func TestGradeLimit(t *testing.T) {
	data := corpus(600)
	lines := bytes.SplitAfter(data, []byte("\n"))
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 600).Draw(rt, "limit")
		want, _, _ := grade(t, bytes.Join(lines[:n], nil), GradeOptions{})
		got, _, done := grade(t, data, GradeOptions{Limit: n})
		if !reflect.DeepEqual(got.entries, want.entries) || done.Read != n {
			rt.Fatalf("limit %d: %d read, %d entries, want %d", n, done.Read, len(got.entries), len(want.entries))
		}
	})
	broken := append(bytes.Join(lines[:7], nil), "\x00\n"...)
	if _, _, done := grade(t, broken, GradeOptions{Limit: 7}); done.Read != 7 {
		t.Errorf("%d read, want 7", done.Read)
	}
}

// What was read before the damage is graded, with the entries that a source
// ending there would have.
func TestGradeSourceError(t *testing.T) {
	data := corpus(600)
	lines := bytes.SplitAfter(data, []byte("\n"))
	for _, n := range []int{0, 1, 40, window, 400} {
		whole := bytes.Join(lines[:n], nil)
		broken := append(slices.Clone(whole), "\x00\n"...)
		want := newMemory()
		if n > 0 {
			want, _, _ = grade(t, whole, GradeOptions{})
		}
		m, e := newMemory(), newFake()
		done, err := Grade(t.Context(), reader(broken), e, m, m, GradeOptions{})
		var damage *record.SourceError
		if !errors.As(err, &damage) {
			t.Fatalf("%d good records: error %v, want a *record.SourceError", n, err)
		}
		if n > 0 && damage.Line != n+1 {
			t.Errorf("%d good records: damage in line %d, want %d", n, damage.Line, n+1)
		}
		if !reflect.DeepEqual(m.entries, want.entries) || done.Read != n {
			t.Errorf("%d good records: %d read, %d entries, want %d", n, done.Read, len(m.entries), len(want.entries))
		}
	}
}

// An error of the engine names the records; all batches before it stand.
func TestGradeEngineError(t *testing.T) {
	data := corpus(600)
	_, whole, _ := grade(t, data, GradeOptions{})
	broken := errors.New("the device is gone")
	for fail := range whole.batches {
		m, e := newMemory(), newFake()
		e.beforeRate = func(nth int) error {
			if nth == fail {
				return broken
			}
			return nil
		}
		done, err := Grade(t.Context(), reader(data), e, m, m, GradeOptions{})
		if !errors.Is(err, broken) || !strings.Contains(err.Error(), "rate records ") {
			t.Fatalf("batch %d fails: error %v, want %v with the records' numbers", fail, err, broken)
		}
		if len(e.batches) != fail || done.Rated != len(m.entries) {
			t.Errorf("batch %d fails: %d batches rated, %d entries of %d announced", fail, len(e.batches), len(m.entries), done.Rated)
		}
		for _, keys := range e.batches {
			for _, k := range keys {
				if !m.Has(k) {
					t.Fatalf("batch %d fails: a record of an earlier batch has no entry", fail)
				}
			}
		}
	}
}

// odd is an engine that does not keep to its contract.
type odd struct {
	fakeEngine
	encodeErr error
	outcomes  int
}

func (o *odd) Encode(*record.Record) (Prompt, error) { return Prompt{Size: 1}, o.encodeErr }

func (o *odd) Rate(context.Context, []Prompt) ([]Outcome, error) {
	return make([]Outcome, o.outcomes), nil
}

func TestGradeOddEngine(t *testing.T) {
	closed := errors.New("the model is closed")
	for _, tc := range []struct {
		engine odd
		want   string
	}{
		{odd{encodeErr: closed}, "encode record 1 (line 2): the model is closed"},
		{odd{outcomes: 0}, "the engine returned 0 outcomes for 2 prompts"},
		{odd{outcomes: 3}, "the engine returned 3 outcomes for 2 prompts"},
	} {
		tc.engine.capacity = newFake().capacity
		m := newMemory()
		data := "{}\n" + goodLine(1) + goodLine(2)
		_, err := Grade(t.Context(), reader([]byte(data)), &tc.engine, m, m, GradeOptions{})
		if err == nil || err.Error() != tc.want {
			t.Errorf("error %v, want %s", err, tc.want)
		}
		for _, e := range m.entries {
			if e.Status != record.NoInstruction {
				t.Errorf("an entry that the engine did not make: %+v", e)
			}
		}
	}
}

// silent is a source without records.
type silent struct{}

func (silent) Next() (*record.Record, error) { return nil, io.EOF }

func TestGradeNothing(t *testing.T) {
	m, e := newMemory(), newFake()
	done, err := Grade(t.Context(), silent{}, e, m, m, GradeOptions{})
	if err != nil || done.Read != 0 || done.Rated != 0 || len(m.entries) != 0 || e.encoded != 0 {
		t.Errorf("%+v, %v, %d entries, %d encoded; want nothing", done, err, len(m.entries), e.encoded)
	}
}

// The bound on off-scale mass decides which records have a rating, so ratings
// under different bounds may not be mixed.
func TestManifest(t *testing.T) {
	e := newFake()
	m := Manifest(e, GradeOptions{MaxOffScale: 0.25})
	want := map[string]string{"ctx_size": "512", "max_off_scale": "0.25"}
	if !reflect.DeepEqual(m.Settings, want) {
		t.Errorf("settings %v, want %v", m.Settings, want)
	}
	m.Settings = e.Manifest().Settings
	if !reflect.DeepEqual(m, e.Manifest()) {
		t.Errorf("beside its settings the manifest is %+v, want the engine's %+v", m, e.Manifest())
	}
	path := t.TempDir() + "/scores.jsonl"
	j, err := journal.Open(path, Manifest(e, GradeOptions{MaxOffScale: 0.25}))
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = journal.Open(path, Manifest(e, GradeOptions{MaxOffScale: 0.5}))
	var mismatch *journal.MismatchError
	if !errors.As(err, &mismatch) || len(mismatch.Differences) != 1 || !strings.Contains(mismatch.Differences[0], "max_off_scale") {
		t.Errorf("reopened with another bound: %v, want a mismatch of max_off_scale", err)
	}
}
