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
	"time"

	"pgregory.net/rapid"

	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
)

func TestGrade(t *testing.T) {
	data := corpus(600)
	recs := records(t, data)
	var steps []Progress
	o := GradeOptions{MaxOffScale: 0.3, window: 100, Progress: func(p Progress) { steps = append(steps, p) }}
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
		if before := steps[i]; p.Done < before.Done || p.Rated < before.Rated || p.Tokens < before.Tokens || p.Took < before.Took {
			t.Errorf("progress goes from %+v to %+v", before, p)
		}
	}
	if done.Done != len(recs) || done.Rated != len(want) || done.Tokens != tokens || done.Passes != len(e.batches) {
		t.Errorf("at the end %+v, want %d done, %d rated, %d tokens in %d passes", done, len(recs), len(want), tokens, len(e.batches))
	}
	if last := steps[len(steps)-1]; last != done.Progress {
		t.Errorf("the last progress is %+v, the result %+v", last, done)
	}
	if w := done.Stages.Work; w != (Work{time.Duration(done.Passes), time.Duration(2 * done.Passes), time.Duration(3 * done.Passes)}) {
		t.Errorf("the engine was busy for %+v in %d batches", w, done.Passes)
	}
	counts := map[record.Status]int{}
	for _, rec := range recs {
		counts[want[rec.Key].Status]++
	}
	if !reflect.DeepEqual(done.Statuses, counts) {
		t.Errorf("statuses %v, want %v", done.Statuses, counts)
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
	if !slices.Equal(index, []int{0, 1}) || done.Done != 3 {
		t.Errorf("entries for records %v after %d records, want [0 1] after 3", index, done.Done)
	}
}

func TestGradeKnown(t *testing.T) {
	data := corpus(300)
	m, _, _ := grade(t, data, GradeOptions{})
	n := len(m.entries)
	e := newFake()
	done, err := Grade(t.Context(), reader(data), e, m, m, GradeOptions{})
	if err != nil || done.Done != 300 || done.Rated != 0 || len(m.entries) != n {
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

func (o *oneOutcome) Encode(_ *record.Record, p *Prompt) error {
	*p = Prompt{Size: 1, Total: 1}
	return nil
}

func (o *oneOutcome) Rate(_ context.Context, _ []*Prompt, out []Outcome) (w Work, err error) {
	for i := range out {
		out[i] = o.answer
	}
	return w, nil
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
		m, e := newMemory(), &oneOutcome{fakeEngine{capacity: newFake().capacity}, Outcome{Ratings: []rating.Rating{{Value: 5, OffScale: tc.offScale}}}}
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
		if !reflect.DeepEqual(got.entries, want.entries) || done.Done != n {
			rt.Fatalf("limit %d: %d read, %d entries, want %d", n, done.Done, len(got.entries), len(want.entries))
		}
	})
	broken := append(bytes.Join(lines[:7], nil), "\x00\n"...)
	if _, _, done := grade(t, broken, GradeOptions{Limit: 7}); done.Done != 7 {
		t.Errorf("%d read, want 7", done.Done)
	}
}

// What was read before the damage is graded, with the entries that a source
// ending there would have.
func TestGradeSourceError(t *testing.T) {
	data := corpus(600)
	lines := bytes.SplitAfter(data, []byte("\n"))
	for _, n := range []int{0, 1, 40, 100, 400} {
		whole := bytes.Join(lines[:n], nil)
		broken := append(slices.Clone(whole), "\x00\n"...)
		want := newMemory()
		if n > 0 {
			want, _, _ = grade(t, whole, GradeOptions{window: 100})
		}
		m, e := newMemory(), newFake()
		done, err := Grade(t.Context(), reader(broken), e, m, m, GradeOptions{window: 100})
		var damage *record.SourceError
		if !errors.As(err, &damage) {
			t.Fatalf("%d good records: error %v, want a *record.SourceError", n, err)
		}
		if n > 0 && damage.Line != n+1 {
			t.Errorf("%d good records: damage in line %d, want %d", n, damage.Line, n+1)
		}
		if !reflect.DeepEqual(m.entries, want.entries) || done.Done != n {
			t.Errorf("%d good records: %d read, %d entries, want %d", n, done.Done, len(m.entries), len(want.entries))
		}
	}
}

// An error of the engine names the records; all batches before it stand.
func TestGradeEngineError(t *testing.T) {
	data := corpus(600)
	o := GradeOptions{window: 100}
	_, whole, _ := grade(t, data, o)
	broken := errors.New("the device is gone")
	for fail := range whole.batches {
		m, e := newMemory(), newFake()
		e.beforeRate = func(nth int) error {
			if nth == fail {
				return broken
			}
			return nil
		}
		done, err := Grade(t.Context(), reader(data), e, m, m, o)
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

// odd is an engine that cannot encode one record.
type odd struct {
	fakeEngine
	bad string // its instruction
}

var errClosed = errors.New("the model is closed")

func (o *odd) Encode(rec *record.Record, p *Prompt) error {
	if rec.Instruction == o.bad {
		return errClosed
	}
	return o.fakeEngine.Encode(rec, p)
}

// A record that cannot be encoded through no fault of its own ends the run with
// its place. The windows before stand.
func TestGradeEncodeError(t *testing.T) {
	data := corpus(300)
	o := GradeOptions{MaxOffScale: 1, window: 50}
	whole, _, _ := grade(t, data, o)
	e := &odd{*newFake(), "count to 213"}
	m := newMemory()
	done, err := Grade(t.Context(), reader(data), e, m, m, o)
	if want := "encode record 213 (line 214): the model is closed"; !errors.Is(err, errClosed) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if n := len(m.entries); n < 100 || !reflect.DeepEqual(m.entries, whole.entries[:n]) || done.Rated != n || done.Statuses != nil {
		t.Errorf("%d entries, %+v; want those of the windows before, and no statuses", n, done)
	}
}

// Whatever number of batches is rated at a time, the ledger gets the same.
func TestGradeLanes(t *testing.T) {
	data := corpus(600)
	o := GradeOptions{MaxOffScale: 0.3, window: 70}
	want, _, _ := grade(t, data, o)
	for _, lanes := range []int{2, 3, 8} {
		m, e := newMemory(), newFake()
		e.capacity.Lanes = lanes
		if _, err := Grade(t.Context(), reader(data), e, m, m, o); err != nil || !reflect.DeepEqual(m.entries, want.entries) {
			t.Errorf("%d lanes: %d entries, %v; want the same %d as with one", lanes, len(m.entries), err, len(want.entries))
		}
	}
}

// When the ledger fails, the run ends with its error.
func TestGradeLedgerError(t *testing.T) {
	data := corpus(600)
	for _, nth := range []int{0, 1, 300} {
		m := newMemory()
		done, err := Grade(t.Context(), reader(data), newFake(), &failing{m, nth, false}, m, GradeOptions{MaxOffScale: 1, window: 50})
		if !errors.Is(err, errDisk) || done.Rated > nth || len(m.entries) != nth || done.Statuses != nil {
			t.Errorf("failing at entry %d: %v, %d entries, %d announced", nth, err, len(m.entries), done.Rated)
		}
	}
}

// silent is a source without records.
type silent struct{}

func (silent) Next() (*record.Record, error) { return nil, io.EOF }

func TestGradeNothing(t *testing.T) {
	m, e := newMemory(), newFake()
	done, err := Grade(t.Context(), silent{}, e, m, m, GradeOptions{})
	if err != nil || done.Done != 0 || done.Rated != 0 || len(m.entries) != 0 || e.encoded != 0 {
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
