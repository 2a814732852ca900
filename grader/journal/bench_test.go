package journal

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"

	"winnow/grader/rating"
	"winnow/grader/record"
)

// halves is a manifest with the default scale.
func halves(criteria int) Manifest {
	m := manifestOf(criteria)
	m.Scale = Scale{}
	for i := range 11 {
		m.Scale.Strings = append(m.Scale.Strings, strconv.FormatFloat(float64(i)/2, 'g', -1, 64))
		m.Scale.Values = append(m.Scale.Values, float64(i)/2)
	}
	return m
}

// randomEntries are rated under m.
func randomEntries(tb testing.TB, m Manifest, n int) []Entry {
	tb.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	entries := make([]Entry, n)
	p := make([]float64, len(m.Scale.Strings))
	for i := range entries {
		e := Entry{Index: i, Status: record.OK, Ratings: make([]rating.Rating, len(m.Rubrics)), Tokens: 124}
		for c := range e.Ratings {
			for k := range p {
				p[k] = random.Float64() / float64(len(p))
			}
			if err := e.Ratings[c].Set(rating.Scale(m.Scale), p); err != nil {
				tb.Fatal(err)
			}
		}
		for k := range e.Key {
			e.Key[k] = byte(random.Uint32())
		}
		entries[i] = e
	}
	return entries
}

// renumber gives the entries keys that no call before has given.
func renumber(entries []Entry, call int) {
	for i := range entries {
		for k := range 4 {
			entries[i].Key[k] = byte(call >> (8 * k))
		}
	}
}

// BenchmarkAppend appends 1,000 entries a call, each call to the disk.
func BenchmarkAppend(b *testing.B) {
	for _, criteria := range []int{1, 2} {
		b.Run(strconv.Itoa(criteria), func(b *testing.B) {
			const portion = 1000
			m := halves(criteria)
			entries := randomEntries(b, m, portion)
			j, err := Open(filepath.Join(b.TempDir(), "scores.jsonl"), m)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for call := 0; b.Loop(); call++ {
				renumber(entries, call)
				if err := j.Append(entries); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/portion, "ns/entry")
			if err := j.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkOpen100k opens a journal of 100,000 rated entries.
func BenchmarkOpen100k(b *testing.B) {
	path, m := filepath.Join(b.TempDir(), "scores.jsonl"), halves(1)
	j, err := Open(path, m)
	if err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(j.Append(randomEntries(b, m, 100_000)), j.Close()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		j, err := Open(path, m)
		if err != nil || j.Len() != 100_000 {
			b.Fatal(err)
		}
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
