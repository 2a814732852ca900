package grader

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"winnow/grader/journal"
	"winnow/grader/record"
	"winnow/internal/soak"
)

// endless is a source of so many bytes that none of it may stay in memory: lines
// of about a kilobyte that are made as they are read.
type endless struct {
	lines, made int
	rest        string
}

func (e *endless) Read(b []byte) (int, error) {
	if e.rest == "" {
		if e.made == e.lines {
			return 0, io.EOF
		}
		e.rest = fmt.Sprintf("{\"instruction\": \"count to %d\", \"output\": \"%s\"}\n", e.made, strings.Repeat("and one more ", 80))
		e.made++
	}
	n := copy(b, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// forgetful is an engine and a ledger that keep nothing, as a model and a file do.
type forgetful struct {
	*fakeEngine
	entries int
}

func (f *forgetful) Encode(_ *record.Record, p *Prompt) error {
	*p = Prompt{Tokens: append(p.Tokens[:0], 1, 2, 3), Size: 20, Total: 27}
	return nil
}

func (f *forgetful) Rate(_ context.Context, batch []*Prompt, out []Outcome) (Work, error) {
	var k record.Key
	k[ofLogits] = 1
	o := outcome(k)
	for i := range batch {
		out[i].Fault, out[i].Ratings = nil, append(out[i].Ratings[:0], o.Ratings...)
		out[i].Signals, out[i].Hidden = append(out[i].Signals[:0], o.Signals...), append(out[i].Hidden[:0], o.Hidden...)
	}
	return Work{}, nil
}

func (f *forgetful) Append(entries []journal.Entry) error {
	f.entries += len(entries)
	return nil
}

func (f *forgetful) Status(record.Key) (record.Status, bool) { return "", false }

// TestSoakMemory lets records stream through reading and grading. Of a record its
// key stays, in tables that double, and nothing else.
func TestSoakMemory(t *testing.T) {
	const bound = 200 // bytes a record, which itself has over 1,000
	count := soak.Count(20000, 200000)
	f := &forgetful{fakeEngine: newFake()}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	var early, last int64
	var earlyDone, lastDone int
	src := record.NewReader(&endless{lines: count}, "endless", record.Options{})
	done, err := Grade(t.Context(), src, f, f, f, GradeOptions{MaxOffScale: 1, window: 16, Progress: func(p Progress) {
		switch {
		case early == 0 && p.Done >= count/5:
			early, earlyDone = heap(), p.Done
		case lastDone < count*9/10 && p.Done >= count*9/10:
			last, lastDone = heap(), p.Done
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if done.Done != count || f.entries != count || lastDone <= earlyDone {
		t.Fatalf("%d of %d records are done, %d have an entry; memory was looked at after %d and %d", done.Done, count, f.entries, earlyDone, lastDone)
	}
	grown := float64(last-early) / float64(lastDone-earlyDone)
	t.Logf("soak: %d records: the heap grew by %.0f bytes a record, to %.1f MiB", count, grown, float64(last)/(1<<20))
	if grown > bound {
		t.Errorf("the heap grew by %.0f bytes a record, want %d at most", grown, bound)
	}
}
