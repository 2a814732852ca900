package grader

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"winnow/grader/journal"
	"winnow/grader/record"
	"winnow/grader/verdict"
)

func TestParseShard(t *testing.T) {
	for in, want := range map[string]Shard{
		"1/1": {1, 1}, "1/8": {1, 8}, "8/8": {8, 8}, "2147483647/2147483647": {2147483647, 2147483647},
	} {
		if got, err := ParseShard(in); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "1", "/", "1/", "/2", "0/2", "3/2", "-1/2", "+1/2", "1/-2", "1/2/3", " 1/2", "a/b", "1/2147483648", "1/99999999999999999999"} {
		if got, err := ParseShard(in); err == nil {
			t.Errorf("%q: %v, want an error", in, got)
		}
	}
	s := Shard{2, 8}
	if s.String() != "2/8" || s.Suffix() != "-2-of-8" || s.Whole() {
		t.Errorf("%+v: %q, %q, whole %t", s, s.String(), s.Suffix(), s.Whole())
	}
	for _, s := range []Shard{{}, {1, 1}} {
		if s.String() != "" || s.Suffix() != "" || !s.Whole() || !s.Has(record.Key{0xff}) {
			t.Errorf("%+v is not the whole", s)
		}
	}
}

// Where a record belongs is fixed for ever: a run must find its records again.
func TestShardOfKey(t *testing.T) {
	key := record.Key{0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0a, 0xff, 0xff} // 72623859790382858 and what does not count
	for n, want := range map[int]int{2: 1, 3: 3, 7: 7, 8: 3, 1000: 859} {
		for i := 1; i <= n; i++ {
			if got := (Shard{i, n}).Has(key); got != (i == want) {
				t.Errorf("shard %d of %d has it: %t, want %d", i, n, got, want)
			}
		}
	}
}

// Every record comes in exactly one shard, in order and with its own index, and a
// limit counts records of the whole.
func TestShardSource(t *testing.T) {
	data := corpus(300)
	for _, limit := range []int{0, 1, 100, 1000} {
		want := records(t, data)
		if limit > 0 {
			want = want[:min(limit, len(want))]
		}
		for _, n := range []int{1, 2, 5, 300} {
			if n == 1 && limit > 0 {
				continue // the whole has its limit elsewhere
			}
			var got []*record.Record
			for i := 1; i <= n; i++ {
				s := Shard{i, n}
				src := s.Source(reader(data), limit)
				last := -1
				for {
					rec, err := src.Next()
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					if rec.Index <= last || !s.Has(rec.Key) {
						t.Fatalf("shard %s gives record %d behind %d, its own: %t", s, rec.Index, last, s.Has(rec.Key))
					}
					last = rec.Index
					got = append(got, rec)
				}
			}
			slices.SortFunc(got, func(a, b *record.Record) int { return a.Index - b.Index })
			if !reflect.DeepEqual(got, want) {
				t.Errorf("limit %d: %d shards give %d records, want %d, each once", limit, n, len(got), len(want))
			}
		}
	}
}

// shards grades data in n shards and returns their journals.
func shards(t testing.TB, data []byte, n, limit int) []string {
	t.Helper()
	var paths []string
	dir := t.TempDir()
	for i := 1; i <= n; i++ {
		s := Shard{i, n}
		path := filepath.Join(dir, fmt.Sprintf("scores%s.jsonl", s.Suffix()))
		e := newFake()
		j, err := journal.Open(path, Manifest(e, resumeOptions))
		if err != nil {
			t.Fatal(err)
		}
		o := resumeOptions
		o.Limit = limit
		if _, err := Grade(t.Context(), s.Source(reader(data), limit), e, j, j, o); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func merged(t testing.TB, paths ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := journal.Merge(&b, paths, journal.MergeOptions{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// However many machines share a source, and in whatever order their journals are
// named, the merged journal has the bytes of the one that a single machine makes.
func TestShardsMerge(t *testing.T) {
	data := corpus(700)
	for _, limit := range []int{0, 333} {
		want := merged(t, shards(t, data, 1, limit)...)
		read := 700
		if limit > 0 {
			read = limit
		}
		entries := len(distinct(records(t, data)[:read]))
		if got := bytes.Count(want, []byte("\n")); got != entries+1 {
			t.Fatalf("limit %d: the merged journal has %d lines, want a manifest and %d entries", limit, got, entries)
		}
		for n := 1; n <= 8; n++ {
			paths := shards(t, data, n, limit)
			for range 4 {
				rand.Shuffle(n, func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
				if got := merged(t, paths...); !bytes.Equal(got, want) {
					t.Fatalf("limit %d: %d journals in the order %q give other bytes than one", limit, n, paths)
				}
			}
		}
	}
}

// So do journals that were cut at will, graded further by machines that share the
// source in another way, and merged in parts.
func TestShardsMergeAnyHistory(t *testing.T) {
	data := corpus(300)
	want := merged(t, shards(t, data, 1, 0)...)
	var pool [][]string
	for n := 1; n <= 4; n++ {
		pool = append(pool, shards(t, data, n, 0))
	}
	rapid.Check(t, func(rt *rapid.T) {
		whole := rapid.IntRange(0, len(pool)-1).Draw(rt, "whole")
		paths := slices.Clone(pool[whole])
		for range rapid.IntRange(0, 3).Draw(rt, "more") {
			more := rapid.SampledFrom(pool[rapid.IntRange(0, len(pool)-1).Draw(rt, "of")]).Draw(rt, "path")
			paths = append(paths, more)
		}
		paths = rapid.Permutation(paths).Draw(rt, "order")
		split := rapid.IntRange(0, len(paths)-1).Draw(rt, "split")
		into := filepath.Join(t.TempDir(), "merged.jsonl")
		if split > 0 {
			if _, err := journal.MergeInto(into, paths[:split], journal.MergeOptions{}); err != nil {
				rt.Fatal(err)
			}
		}
		if _, err := journal.MergeInto(into, paths[split:], journal.MergeOptions{}); err != nil {
			rt.Fatal(err)
		}
		if got := contents(t, into); !bytes.Equal(got, want) {
			rt.Fatalf("%q merged in two parts give %d bytes, want %d others", paths, len(got), len(want))
		}
	})
}

// A merged journal is one that a run can go on with, and that filters the same.
func TestShardsMergeGoesOn(t *testing.T) {
	data := corpus(300)
	single := shards(t, data, 1, 0)[0]
	path := filepath.Join(t.TempDir(), "merged.jsonl")
	if _, err := journal.MergeInto(path, shards(t, data, 3, 0), journal.MergeOptions{}); err != nil {
		t.Fatal(err)
	}
	before := contents(t, path)
	e := newFake()
	if err := run(t.Context(), t, path, data, e, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(contents(t, path), before) || len(e.batches) > 0 {
		t.Error("the merged journal lacked entries")
	}
	var kept, dropped [2]bytes.Buffer
	for i, p := range []string{single, path} {
		_, index, err := journal.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		top := 100
		if _, err := Filter(func() (record.Source, error) { return reader(data), nil }, index, FilterOptions{Rule: verdict.Rule{Top: &top}, Kept: &kept[i], Dropped: &dropped[i]}); err != nil {
			t.Fatal(err)
		}
	}
	if kept[0].String() != kept[1].String() || dropped[0].String() != dropped[1].String() || kept[0].Len() == 0 || dropped[0].Len() == 0 {
		t.Error("single and merged journal filter differently")
	}
}

// Another number of machines can go on with what there is.
func TestShardsChange(t *testing.T) {
	data := corpus(300)
	want := merged(t, shards(t, data, 1, 0)...)
	begun := merged(t, shards(t, data, 3, 0)[1:]...)
	dir := t.TempDir()
	var paths []string
	for i := 1; i <= 4; i++ {
		s := Shard{i, 4}
		path := filepath.Join(dir, s.Suffix())
		if err := os.WriteFile(path, begun, 0o666); err != nil {
			t.Fatal(err)
		}
		j, err := journal.Open(path, Manifest(newFake(), resumeOptions))
		if err != nil {
			t.Fatal(err)
		}
		done, err := Grade(t.Context(), s.Source(reader(data), 0), newFake(), j, j, resumeOptions)
		if err = errors.Join(err, j.Close()); err != nil || done.Rated == 0 || done.Rated > 60 {
			t.Fatalf("shard %s: %d entries added, %v", s, done.Rated, err)
		}
		paths = append(paths, path)
	}
	if got := merged(t, paths...); !bytes.Equal(got, want) {
		t.Errorf("three machines, then four, give %d bytes, one gives %d others", len(got), len(want))
	}
}
