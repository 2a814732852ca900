package journal

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"winnow/grader/rating"
	"winnow/grader/record"
)

func testScale() rating.Scale {
	return rating.Scale{Strings: []string{"0", "1", "2.5", `"ü`}, Values: []float64{0, 1, 2.5, 5}}
}

// manifestOf has this many criteria.
func manifestOf(criteria int) Manifest {
	return Manifest{
		Kind: "manifest", Version: 2,
		Model:    Model{"a.gguf", strings.Repeat("ab", 32), "F16"},
		Rubrics:  []Rubric{{"accuracy", strings.Repeat("cd", 32)}, {"help \"ü\"", strings.Repeat("de", 32)}, {"third", "00"}}[:criteria],
		Scale:    Scale(testScale()),
		Template: Template{"gguf", strings.Repeat("ef", 32)},
		Runtime:  Runtime{"llama.cpp", "CPU"},
		Settings: map[string]string{"ctx_size": "512", "flash_attn": "on", "a<b": "é"},
	}
}

func testManifest() Manifest { return manifestOf(1) }

// measured is m with signals, a hidden state and a calibration.
func measured(m Manifest) Manifest {
	m.Signals = []string{"response_tokens", "nll", "ppl", "ifd"}
	m.Hidden = &Hidden{Layer: 3, Size: 4}
	m.Calibration = &Calibration{Name: "own.cal.json", SHA256: strings.Repeat("0c", 32)}
	return m
}

// measure gives rated entries what a measured manifest wants of them.
func measure(entries ...Entry) []Entry {
	entries = slices.Clone(entries)
	for i := range entries {
		e := &entries[i]
		if e.Status != record.OK {
			continue
		}
		x := float64(i)
		e.Signals = []float64{x, 1.1 + x, 2e38 * x, 0.1 * x} // from the third on, ppl exceeds single precision
		e.Hidden = []float32{float32(i), -1.5, 0, 0x1p-130}
		e.Calibrated = 1 / (1.1 + x)
		if i%2 == 1 {
			e.Signals[3] = math.NaN()
		}
	}
	return entries
}

// forms are manifests of every kind, each with one entry of each form.
func forms(t *testing.T) map[string]formCase {
	return map[string]formCase{
		"one criterion": {manifestOf(1), someEntries(t, 1)},
		"two criteria":  {manifestOf(2), someEntries(t, 2)},
		"measured":      {measured(manifestOf(1)), measure(someEntries(t, 1)...)},
		"two, measured": {measured(manifestOf(2)), measure(someEntries(t, 2)...)},
	}
}

type formCase struct {
	m       Manifest
	entries []Entry
}

type fataler interface{ Fatal(...any) }

// ratingOf makes a rating of made-up probabilities.
func ratingOf(t fataler, p ...float64) rating.Rating {
	var r rating.Rating
	if err := r.Set(testScale(), p); err != nil {
		t.Fatal(err)
	}
	return r
}

// rated makes an entry with one rating.
func rated(t fataler, n int, p ...float64) Entry {
	return Entry{Key: testKey(n), Index: n, Status: record.OK, Ratings: []rating.Rating{ratingOf(t, p...)}, Tokens: 100 + n}
}

// widened gives rated entries of one criterion a different rating for each of
// several.
func widened(t fataler, criteria int, entries ...Entry) []Entry {
	entries = slices.Clone(entries)
	for i, e := range entries {
		for k := 1; len(e.Ratings) > 0 && k < criteria; k++ {
			p := slices.Clone(e.Ratings[0].Probs)
			slices.Reverse(p)
			p[0] /= float64(k)
			entries[i].Ratings = append(slices.Clip(entries[i].Ratings), ratingOf(t, p...))
		}
	}
	return entries
}

func testKey(n int) record.Key { return record.Key{byte(n >> 16), byte(n >> 8), byte(n), 0xff} }

// someEntries has one entry of each form.
func someEntries(t *testing.T, criteria int) []Entry {
	cut := rated(t, 3, 1e-9, 0, 0, 0.999)
	cut.Cut = 17
	return widened(t, criteria,
		rated(t, 0, 0.1, 0.2, 0.3, 0.4),
		Entry{Key: testKey(1), Index: 1, Status: record.TooLong, Reason: "9000 tokens, at most 4096", Tokens: 9000},
		Entry{Key: testKey(2), Index: 2, Status: "of_a_later_version", Reason: "\"<é\\\n\u2028\x7f"},
		cut,
	)
}

// numbered is e with a number where NaN stands, which equals nothing.
func numbered(e Entry) Entry {
	e.Signals = slices.Clone(e.Signals)
	for i, x := range e.Signals {
		if math.IsNaN(x) {
			e.Signals[i] = -987654321
		}
	}
	return e
}

// rounded is e as a journal keeps it.
func rounded(e Entry) Entry {
	e.Reason = string([]rune(e.Reason)) // U+FFFD for each byte that is not UTF-8
	round := func(x float64) float64 {
		x, _ = strconv.ParseFloat(string(rating.AppendNumber(nil, x)), 64)
		return x
	}
	e.Signals, e.Calibrated = slices.Clone(e.Signals), round(e.Calibrated)
	for i, x := range e.Signals {
		e.Signals[i] = round(x)
	}
	e.Ratings = slices.Clone(e.Ratings)
	for k := range e.Ratings {
		r := &e.Ratings[k]
		r.Value, r.OffScale, r.Entropy = round(r.Value), round(r.OffScale), round(r.Entropy)
		r.Probs = slices.Clone(r.Probs)
		for i := range r.Probs {
			r.Probs[i] = round(r.Probs[i])
		}
	}
	return e
}

func roundAll(entries []Entry) []Entry {
	var out []Entry
	for _, e := range entries {
		out = append(out, rounded(e))
	}
	return out
}

type helper interface {
	Helper()
	Fatalf(string, ...any)
}

// sameEntries fails unless x has these entries of a journal under m, but for their
// hidden states.
func sameEntries(t helper, what string, m Manifest, x *Index, want []Entry) {
	t.Helper()
	got := slices.Collect(x.All())
	if len(got) != len(want) || x.Len() != len(want) {
		t.Fatalf("%s: %d entries, Len %d; want %d", what, len(got), x.Len(), len(want))
	}
	if _, ok := x.Lookup(record.Key{}); ok || has(x, record.Key{}) {
		t.Fatalf("%s: there is an entry that nobody wrote", what)
	}
	if !reflect.DeepEqual(x.Scale(), rating.Scale(m.Scale)) || !slices.Equal(x.Criteria(), m.Criteria()) {
		t.Fatalf("%s: the scale is %v, the criteria are %q", what, x.Scale(), x.Criteria())
	}
	if !slices.Equal(x.Signals(), m.Signals) || x.Calibrated() != (m.Calibration != nil) {
		t.Fatalf("%s: the signals are %q, calibrated %t", what, x.Signals(), x.Calibrated())
	}
	for i, w := range want {
		found, ok := x.Lookup(w.Key)
		w.Hidden = nil
		w = numbered(w)
		if !reflect.DeepEqual(numbered(got[i]), w) || !ok || !reflect.DeepEqual(numbered(found), w) || !has(x, w.Key) {
			t.Fatalf("%s: entry %d is %+v (looked up %+v, %t), want %+v", what, i, got[i], found, ok, w)
		}
	}
}

// sameKnown fails unless j knows of these entries and no others.
func sameKnown(t helper, what string, j *Journal, want []Entry) {
	t.Helper()
	if j.Len() != len(want) || has(j, record.Key{}) {
		t.Fatalf("%s: %d entries, want %d; one that nobody wrote: %t", what, j.Len(), len(want), has(j, record.Key{}))
	}
	for _, w := range want {
		if s, ok := j.Status(w.Key); !ok || s != w.Status || !has(j, w.Key) {
			t.Fatalf("%s: entry %s has the status %q (%t), want %q", what, w.Key, s, ok, w.Status)
		}
	}
}

// written returns the path and the bytes of a journal under m with these
// entries.
func written(t *testing.T, m Manifest, entries []Entry) (string, []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scores.jsonl")
	j, err := Open(path, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.Append(entries), j.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, b
}

// fiveLines returns the lines of a journal of four entries, with their newlines.
func fiveLines(t *testing.T) (Manifest, [][]byte) {
	t.Helper()
	m := manifestOf(1)
	_, b := written(t, m, someEntries(t, 1))
	return m, bytes.SplitAfter(b, []byte("\n"))[:5]
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
