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

// bigJournal writes a journal of n rated entries on the default scale.
func bigJournal(b *testing.B, n int) (string, Manifest) {
	m := testManifest()
	m.Scale = Scale{}
	for i := range 11 {
		m.Scale.Strings = append(m.Scale.Strings, strconv.FormatFloat(float64(i)/2, 'g', -1, 64))
		m.Scale.Values = append(m.Scale.Values, float64(i)/2)
	}
	path := filepath.Join(b.TempDir(), "scores.jsonl")
	j, _, err := Open(path, m)
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var entries []Entry
	p := make([]float64, 11)
	for i := range n {
		for k := range p {
			p[k] = random.Float64() / 11
		}
		r, err := rating.FromProbs(rating.Scale(m.Scale), p)
		if err != nil {
			b.Fatal(err)
		}
		e := Entry{Index: i, Status: record.OK, Rating: &r, Tokens: 124}
		for k := range e.Key {
			e.Key[k] = byte(random.Uint32())
		}
		entries = append(entries, e)
	}
	if err := errors.Join(j.Append(entries), j.Close()); err != nil {
		b.Fatal(err)
	}
	return path, m
}

func BenchmarkOpen100k(b *testing.B) {
	path, m := bigJournal(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		j, x, err := Open(path, m)
		if err != nil || x.Len() != 100_000 {
			b.Fatal(err)
		}
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
