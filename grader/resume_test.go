package grader

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"winnow/grader/journal"
	"winnow/grader/record"
)

// resumeOptions lets every status occur.
var resumeOptions = GradeOptions{MaxOffScale: 0.3, window: 130}

// asked is what the engine must be asked when known is known: the batches of an
// uninterrupted run, whole, that hold a record without an entry.
func asked(batches [][]record.Key, known Known) [][]record.Key {
	var left [][]record.Key
	for _, keys := range batches {
		if slices.ContainsFunc(keys, func(k record.Key) bool { _, ok := known.Status(k); return !ok }) {
			left = append(left, keys)
		}
	}
	return left
}

// However many entries of a run are there, the next run adds the others, in the
// same order and from the same batches.
func TestResumeAnyPrefix(t *testing.T) {
	data := corpus(600)
	whole, e := newMemory(), newMeasuring()
	if _, err := Grade(t.Context(), reader(data), e, whole, whole, resumeOptions); err != nil {
		t.Fatal(err)
	}
	for n := range len(whole.entries) + 1 {
		m, again := newMemory(whole.entries[:n]...), newMeasuring()
		want := asked(e.batches, m)
		done, err := Grade(t.Context(), reader(data), again, m, m, resumeOptions)
		if err != nil {
			t.Fatal(err)
		}
		if !sameEntries(m.entries, whole.entries) {
			t.Fatalf("resumed after %d entries, the entries differ", n)
		}
		if !reflect.DeepEqual(again.batches, want) {
			t.Fatalf("resumed after %d entries, the engine was asked %d batches, not the %d of the first run that were left", n, len(again.batches), len(want))
		}
		if done.Rated != len(whole.entries)-n || done.Done != 600 {
			t.Fatalf("resumed after %d entries: %+v", n, done)
		}
	}
}

// run grades data into the journal at path with a fresh engine. wrap may put
// something between the run and its journal.
func run(ctx context.Context, t testing.TB, path string, data []byte, e *fakeEngine, wrap func(Ledger) Ledger) error {
	t.Helper()
	j, err := journal.Open(path, Manifest(e, resumeOptions))
	if err != nil {
		t.Fatal(err)
	}
	out := Ledger(j)
	if wrap != nil {
		out = wrap(out)
	}
	_, err = Grade(ctx, reader(data), e, out, j, resumeOptions)
	if closeErr := j.Close(); closeErr != nil {
		t.Fatal(closeErr)
	}
	return err
}

// wholeRun returns the journal of a run that nothing interrupted.
func wholeRun(t testing.TB, data []byte) ([]byte, *fakeEngine) {
	t.Helper()
	path, e := filepath.Join(t.TempDir(), "whole.jsonl"), newMeasuring()
	if err := run(t.Context(), t, path, data, e, nil); err != nil {
		t.Fatal(err)
	}
	return contents(t, path), e
}

func contents(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// resume runs until the end on the journal at path and compares its bytes.
func resume(t testing.TB, path string, data, want []byte) *fakeEngine {
	t.Helper()
	e := newMeasuring()
	if err := run(t.Context(), t, path, data, e, nil); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, path); !bytes.Equal(got, want) {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Fatalf("the journal has %d bytes, that of an uninterrupted run %d; they differ from byte %d on", len(got), len(want), at)
	}
	return e
}

// A run that dies leaves a prefix of its bytes, whatever they end in; the next
// one makes the file what it would have been.
func TestResumeTornJournal(t *testing.T) {
	data := corpus(400)
	want, e := wholeRun(t, data)
	path := filepath.Join(t.TempDir(), "torn.jsonl")
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, len(want)).Draw(rt, "bytes")
		if rapid.Bool().Draw(rt, "at a line's end") {
			n = bytes.LastIndexByte(want[:n], '\n') + 1
		}
		if err := os.WriteFile(path, want[:n], 0o666); err != nil {
			rt.Fatal(err)
		}
		left := e.batches
		if _, index, err := journal.Read(path); err == nil {
			left = asked(left, index)
		}
		if again := resume(t, path, data, want); !reflect.DeepEqual(again.batches, left) {
			rt.Fatalf("the engine was asked %d batches, want the %d of the first run that were left", len(again.batches), len(left))
		}
	})
}

// failing is a ledger that fails at the nth entry, from 0: before it writes it, or
// after, as when the program is killed before it hears of its success.
type failing struct {
	Ledger
	nth     int
	written bool
}

var errDisk = errors.New("no space left")

func (f *failing) Append(entries []journal.Entry) error {
	n := min(f.nth, len(entries))
	if fails := n < len(entries); !fails || n > 0 || f.written {
		if fails && f.written {
			n++
		}
		if err := f.Ledger.Append(entries[:n]); err != nil {
			return err
		}
		if !fails {
			f.nth -= n
			return nil
		}
	}
	return errDisk
}

func TestResumeAfterFailedAppend(t *testing.T) {
	data := corpus(400)
	want, _ := wholeRun(t, data)
	entries := bytes.Count(want, []byte("\n")) - 1 // but the manifest
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, entries-1).Draw(rt, "nth")
		written := rapid.Bool().Draw(rt, "written")
		path := filepath.Join(t.TempDir(), "scores.jsonl")
		err := run(t.Context(), t, path, data, newMeasuring(), func(l Ledger) Ledger { return &failing{l, n, written} })
		if !errors.Is(err, errDisk) {
			rt.Fatalf("error %v, want %v", err, errDisk)
		}
		if torn := contents(t, path); !bytes.HasPrefix(want, torn) || len(torn) == len(want) != (written && n == entries-1) {
			rt.Fatalf("the %d bytes left are no proper beginning", len(torn))
		}
		resume(t, path, data, want)
	})
}

// hooked is a ledger that calls then after each append.
type hooked struct {
	Ledger
	then func()
}

func (h *hooked) Append(entries []journal.Entry) error {
	err := h.Ledger.Append(entries)
	h.then()
	return err
}

// A run that is interrupted again and again, in the engine or between batches,
// comes to the same bytes.
func TestResumeAfterCancel(t *testing.T) {
	data := corpus(600)
	want, _ := wholeRun(t, data)
	for _, inEngine := range []bool{false, true} {
		for _, after := range []int{1, 2, 7} {
			path := filepath.Join(t.TempDir(), "scores.jsonl")
			size, sittings := 0, 0
			for {
				ctx, cancel := context.WithCancel(t.Context())
				appends, e := 0, newMeasuring()
				if inEngine {
					e.beforeRate = func(nth int) error {
						if nth == after {
							cancel()
						}
						return ctx.Err()
					}
				}
				err := run(ctx, t, path, data, e, func(l Ledger) Ledger {
					return &hooked{l, func() {
						if appends++; !inEngine && appends == after {
							cancel()
						}
					}}
				})
				cancel()
				if err == nil {
					break
				}
				if !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				sittings++
				got := contents(t, path)
				if !bytes.HasPrefix(want, got) || len(got) <= size {
					t.Fatalf("cancelled for the %d. time: %d bytes, before %d; want a longer beginning of the whole", sittings, len(got), size)
				}
				size = len(got)
			}
			if inEngine && sittings < 5 { // elsewhere it depends on what is written at once
				t.Errorf("the run was interrupted %d times, want at least 5", sittings)
			}
			if got := contents(t, path); !bytes.Equal(got, want) {
				t.Errorf("in engine %t, after %d batches: the journal's bytes are not those of an uninterrupted run", inEngine, after)
			}
		}
	}
}
