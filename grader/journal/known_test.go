package journal

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"winnow/grader/record"
)

// Whoever asks while others append is told of what is acknowledged, and of
// nothing that nobody appends.
func TestConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scores.jsonl")
	m := manifestOf(2)
	j, err := Open(path, m)
	if err != nil {
		t.Fatal(err)
	}
	const writers, portions, portion = 2, 30, 20
	var entries [writers][]Entry
	for w := range writers {
		for i := range portions * portion {
			entries[w] = append(entries[w], rated(t, w*portions*portion+i, 0.1, 0.2, 0.3, 0.4))
		}
		entries[w] = widened(t, 2, entries[w]...)
	}
	var acknowledged [writers]atomic.Int32
	var done atomic.Bool
	var writing, asking sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := 0; i < len(entries[w]); i += portion {
				if err := j.Append(entries[w][i : i+portion]); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				acknowledged[w].Store(int32(i + portion))
			}
		})
	}
	for range 2 {
		asking.Go(func() {
			for !done.Load() {
				for w := range writers {
					n := acknowledged[w].Load()
					if n > 0 && !has(j, entries[w][n-1].Key) || j.Len() < int(n) {
						t.Errorf("%d entries of writer %d are acknowledged, the last one is not known", n, w)
						return
					}
					if s, ok := j.Status(entries[w][len(entries[w])-1].Key); ok && s != record.OK {
						t.Errorf("status %q", s)
						return
					}
				}
				if has(j, testKey(1<<20)) {
					t.Error("a key is known that nobody wrote")
					return
				}
				runtime.Gosched()
			}
		})
	}
	writing.Wait()
	done.Store(true)
	asking.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	_, x, err := Read(path)
	if err != nil || x.Len() != writers*portions*portion {
		t.Fatalf("%v, %d entries, want %d", err, x.Len(), writers*portions*portion)
	}
	for w := range writers {
		for _, e := range entries[w] {
			if got, ok := x.Lookup(e.Key); !ok || got.Index != e.Index || got.Value() != rounded(e).Value() {
				t.Fatalf("entry %d is %+v, want %+v", e.Index, got, rounded(e))
			}
		}
	}
}

// Append takes memory by the call and for keys, not for each entry.
func TestAppendAllocations(t *testing.T) {
	m := halves(2)
	j, err := Open(filepath.Join(t.TempDir(), "scores.jsonl"), m)
	if err != nil {
		t.Fatal(err)
	}
	const portion = 500
	entries, call := randomEntries(t, m, portion), 0
	n := testing.AllocsPerRun(10, func() {
		renumber(entries, call)
		call++
		if err := j.Append(entries); err != nil {
			t.Error(err)
		}
	})
	if n > portion/10 {
		t.Errorf("%v allocations for %d entries, want at most %d", n, portion, portion/10)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// An open journal keeps less than 60 bytes of each entry, whatever its line has.
func TestOpenMemory(t *testing.T) {
	path, m := filepath.Join(t.TempDir(), "scores.jsonl"), halves(2)
	j, err := Open(path, m)
	if err != nil {
		t.Fatal(err)
	}
	const calls, portion = 30, 1000
	entries := randomEntries(t, m, portion)
	for call := range calls {
		renumber(entries, call)
		if err := j.Append(entries); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	used := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before := used()
	if j, err = Open(path, m); err != nil {
		t.Fatal(err)
	}
	if grown := int64(used()) - int64(before); grown > 60*calls*portion {
		t.Errorf("%d entries in %d bytes of file take %d bytes of memory, want at most 60 each", calls*portion, info.Size(), grown)
	}
	if j.Len() != calls*portion {
		t.Errorf("%d entries, want %d", j.Len(), calls*portion)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// has says whether the record with this key has an entry.
func has(known interface {
	Status(record.Key) (record.Status, bool)
}, key record.Key) bool {
	_, ok := known.Status(key)
	return ok
}
