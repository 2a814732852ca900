package grader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"sync"
	"testing"

	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
)

func testScale() rating.Scale {
	return rating.Scale{Strings: []string{"0", "1", "2.5", "5"}, Values: []float64{0, 1, 2.5, 5}}
}

// fakeEngine answers from a record's key alone: some records do not encode,
// some get a fault from the model, the others a rating. It keeps what it was
// asked.
type fakeEngine struct {
	mu       sync.Mutex
	capacity Capacity
	encoded  int
	batches  [][]record.Key // of each Rate, in order
	measures bool           // signals and hidden states too

	beforeRate func(nth int) error // called before each Rate, from 0; may be nil
}

func newFake() *fakeEngine { return &fakeEngine{capacity: Capacity{Tokens: 400, Prompts: 30}} }

// newMeasuring is a fake engine that gives signals and hidden states.
func newMeasuring() *fakeEngine {
	f := newFake()
	f.measures = true
	return f
}

func (f *fakeEngine) Manifest() journal.Manifest {
	m := journal.Manifest{
		Model:    journal.Model{Name: "fake.gguf", SHA256: "00ff", Format: "F16"},
		Rubrics:  []journal.Rubric{{Name: "test", SHA256: "11ee"}},
		Scale:    journal.Scale(testScale()),
		Template: journal.Template{Source: "plain", SHA256: "22dd"},
		Runtime:  journal.Runtime{Engine: "fake", Device: "CPU"},
		Settings: map[string]string{"ctx_size": "512"},
	}
	if f.measures {
		m.Signals, m.Hidden = []string{"nll", "ppl", "ifd"}, &journal.Hidden{Layer: 2, Size: 4}
	}
	return m
}

func (f *fakeEngine) Capacity() Capacity { return f.capacity }

func (f *fakeEngine) Close() error { return nil }

// The bytes of a key that decide what becomes of its record.
const (
	ofSize     = 0
	ofCut      = 1
	ofEncoding = 2
	ofLogits   = 3
	ofProbs    = 4 // and the next three
	ofOffScale = 8
)

func (f *fakeEngine) Encode(rec *record.Record, p *Prompt) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.encoded++
	if rec.Key[ofEncoding]%11 == 0 {
		return &record.Fault{Status: record.TooLong, Reason: "the prompt does not fit"}
	}
	*p = Prompt{Tokens: p.Tokens[:0], Size: promptSize(rec.Key)}
	p.Total = p.Size + 7
	if rec.Key[ofCut]%5 == 0 {
		p.Cut = 1 + int(rec.Key[ofCut])
	}
	for _, b := range rec.Key {
		p.Tokens = append(p.Tokens, int32(b))
	}
	return nil
}

func promptSize(k record.Key) int { return 5 + int(k[ofSize])%60 }

func (f *fakeEngine) Rate(_ context.Context, batch []*Prompt, out []Outcome) (w Work, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.beforeRate != nil {
		if err := f.beforeRate(len(f.batches)); err != nil {
			return w, err
		}
	}
	if len(out) != len(batch) {
		return w, fmt.Errorf("room for %d outcomes of %d prompts", len(out), len(batch))
	}
	var keys []record.Key
	size := 0
	for i, p := range batch {
		var k record.Key
		for i, t := range p.Tokens {
			k[i] = byte(t)
		}
		keys = append(keys, k)
		size += p.Size
		o := outcome(k)
		out[i].Fault = o.Fault
		out[i].Ratings = append(out[i].Ratings[:0], o.Ratings...)
		if f.measures {
			out[i].Signals = append(out[i].Signals[:0], o.Signals...)
			out[i].Hidden = append(out[i].Hidden[:0], o.Hidden...)
		}
	}
	if len(batch) > f.capacity.Prompts || size > f.capacity.Tokens && len(batch) > 1 {
		return w, fmt.Errorf("%d prompts of %d tokens are more than fit %+v", len(batch), size, f.capacity)
	}
	f.batches = append(f.batches, keys)
	return Work{Layout: 1, Decode: 2, Rows: 3}, nil
}

// outcome is what the fake engine makes of a record that encodes.
func outcome(k record.Key) Outcome {
	if k[ofLogits]%13 == 0 {
		return Outcome{Fault: &record.Fault{Status: record.BadLogits, Reason: "a number is not finite"}}
	}
	p, sum := make([]float64, 4), float64(1+k[ofOffScale])
	for i := range p {
		p[i] = float64(1 + k[ofProbs+i])
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	var r rating.Rating
	if err := r.Set(testScale(), p); err != nil {
		panic(err) // the probabilities are sound by construction
	}
	nll := float64(k[ofProbs]) * 0.7 // ppl overflows for the largest
	out := Outcome{Ratings: []rating.Rating{r}, Signals: []float64{nll, math.Exp(nll), float64(k[ofSize]) / 100}}
	if k[ofCut]%7 == 0 {
		out.Signals[2] = math.NaN()
	}
	for _, b := range k[:4] {
		out.Hidden = append(out.Hidden, float32(b)-100)
	}
	return out
}

// sameEntries compares entries, of which one may have signals that are NaN.
func sameEntries(a, b []journal.Entry) bool {
	return reflect.DeepEqual(numbered(a...), numbered(b...))
}

// numbered returns entries with a number where NaN stands, which equals nothing.
func numbered(entries ...journal.Entry) []journal.Entry {
	entries = slices.Clone(entries)
	for i, e := range entries {
		entries[i].Signals = slices.Clone(e.Signals)
		for k, x := range e.Signals {
			if math.IsNaN(x) {
				entries[i].Signals[k] = -987654321
			}
		}
	}
	return entries
}

// memory is a ledger, and what is known of records, without a file.
type memory struct {
	mu      sync.Mutex
	entries []journal.Entry
	byKey   map[record.Key]journal.Entry
}

func newMemory(entries ...journal.Entry) *memory {
	m := &memory{byKey: map[record.Key]journal.Entry{}}
	if err := m.Append(entries); err != nil {
		panic(err) // a test passed the same entry twice
	}
	return m
}

func (m *memory) Append(entries []journal.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range entries {
		e.Ratings = slices.Clone(e.Ratings) // what it points to is reused
		for i, r := range e.Ratings {
			e.Ratings[i].Probs = slices.Clone(r.Probs)
		}
		e.Signals, e.Hidden = slices.Clone(e.Signals), slices.Clone(e.Hidden)
		if _, twice := m.byKey[e.Key]; twice {
			return fmt.Errorf("the key %s gets a second entry", e.Key)
		}
		m.byKey[e.Key] = e
		m.entries = append(m.entries, e)
	}
	return nil
}

func (m *memory) Status(key record.Key) (record.Status, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.byKey[key]
	return e.Status, ok
}

func (m *memory) Has(key record.Key) bool { _, ok := m.Status(key); return ok }

func (m *memory) Lookup(key record.Key) (journal.Entry, bool) { e, ok := m.byKey[key]; return e, ok }

func (m *memory) Scale() rating.Scale { return testScale() }

func (m *memory) Criteria() []string { return []string{"test"} }

// corpus returns n records, one a line: most are good, some stand there twice
// and some are at fault.
func corpus(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		switch i % 17 {
		case 3:
			fmt.Fprintf(&b, "{\"instruction\": \"open %d\n", i)
		case 5:
			fmt.Fprintf(&b, "%d\n", i)
		case 8:
			fmt.Fprintf(&b, "{\"instruction\": \"say nothing %d\", \"output\": \" \"}\n", i)
		case 11:
			b.WriteString(goodLine(i / 2))
		default:
			b.WriteString(goodLine(i))
		}
	}
	return b.Bytes()
}

func goodLine(i int) string {
	return fmt.Sprintf("{\"instruction\": \"count to %d\", \"input\": \"\", \"output\": \"one … %d\", \"id\": %d}\n", i, i, i)
}

func reader(data []byte) *record.Reader {
	return record.NewReader(bytes.NewReader(data), "records.jsonl", record.Options{})
}

// records returns all records of data.
func records(t testing.TB, data []byte) []*record.Record {
	t.Helper()
	var recs []*record.Record
	r := reader(data)
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return recs
		}
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, rec)
	}
}

// distinct returns the records without those that repeat an earlier one.
func distinct(recs []*record.Record) []*record.Record {
	seen := map[record.Key]bool{}
	return slices.DeleteFunc(slices.Clone(recs), func(r *record.Record) bool {
		twice := seen[r.Key]
		seen[r.Key] = true
		return twice
	})
}

// expected is the entry that a record must get.
func expected(rec *record.Record, o GradeOptions) journal.Entry {
	e := journal.Entry{Key: rec.Key, Index: rec.Index}
	fault := rec.Fault
	if fault == nil {
		var p Prompt
		err := newFake().Encode(rec, &p)
		if errors.As(err, &fault) {
			e.Status, e.Reason = fault.Status, fault.Reason
			return e
		}
		e.Tokens, e.Cut = p.Total, p.Cut
		out := outcome(rec.Key)
		if fault = out.Fault; fault == nil {
			if r := out.Ratings[0]; r.OffScale > o.MaxOffScale {
				e.Status = record.OffScale
				e.Reason = fmt.Sprintf("%.4f of the probability is on answers that are no rating, more than %g", r.OffScale, o.MaxOffScale)
			} else {
				e.Status, e.Ratings = record.OK, out.Ratings
			}
			return e
		}
	}
	e.Status, e.Reason = fault.Status, fault.Reason
	return e
}

// grade grades all of data with a fresh engine into a fresh ledger.
func grade(t testing.TB, data []byte, o GradeOptions) (*memory, *fakeEngine, Result) {
	t.Helper()
	m, e := newMemory(), newFake()
	done, err := Grade(t.Context(), reader(data), e, m, m, o)
	if err != nil {
		t.Fatal(err)
	}
	return m, e, done
}

// statuses counts entries by status.
func statuses(entries []journal.Entry) map[record.Status]int {
	counts := map[record.Status]int{}
	for _, e := range entries {
		counts[e.Status]++
	}
	return counts
}

// The corpus must hold every kind of record that the tests are about.
func TestCorpus(t *testing.T) {
	data := corpus(600)
	m, _, _ := grade(t, data, GradeOptions{MaxOffScale: 0.3})
	got := statuses(m.entries)
	for _, s := range []record.Status{record.OK, record.BadJSON, record.WrongType, record.EmptyResponse, record.TooLong, record.BadLogits, record.OffScale} {
		if got[s] < 5 {
			t.Errorf("%d records have the status %s, want at least 5 (all: %v)", got[s], s, slices.Sorted(maps.Keys(got)))
		}
	}
	if recs := records(t, data); len(recs) != 600 || len(distinct(recs)) > 590 {
		t.Errorf("%d records, %d of them distinct; want 600 with at least 10 repeated", len(recs), len(distinct(recs)))
	}
}
