package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// faulty is a file whose call number failAt fails, and every call after it if
// the fault lasts.
type faulty struct {
	*os.File
	calls, failAt int
	lasting       bool
	part          float64 // of a failing write that is done all the same
	silent        bool    // a failing write does not say so
}

func (f *faulty) fails() bool {
	f.calls++
	return f.calls == f.failAt || f.lasting && f.calls > f.failAt
}

func (f *faulty) WriteAt(b []byte, off int64) (int, error) {
	if !f.fails() {
		return f.File.WriteAt(b, off)
	}
	n, err := f.File.WriteAt(b[:int(f.part*float64(len(b)))], off)
	if err == nil && !f.silent {
		err = syscall.ENOSPC
	}
	return n, err
}

func (f *faulty) Sync() error {
	if f.fails() {
		return syscall.EIO
	}
	return f.File.Sync()
}

func (f *faulty) Truncate(size int64) error {
	if f.fails() {
		return syscall.EIO
	}
	return f.File.Truncate(size)
}

// Whichever call fails, the caller is told, and a later run finds all that was
// acknowledged and at most whole entries of the portion that failed.
func TestFaults(t *testing.T) {
	countWarnings(t)
	portions := [][]Entry{
		someEntries(t, 2),
		widened(t, 2, rated(t, 10, 1, 0, 0, 0)),
		widened(t, 2, rated(t, 11, 0, 1, 0, 0), rated(t, 12, 0, 0, 1, 0)),
	}
	var all []Entry
	for _, p := range portions {
		all = append(all, p...)
	}
	for _, torn := range []bool{false, true} {
		for _, lasting := range []bool{false, true} {
			for _, part := range []float64{0, 0.001, 0.3, 0.5, 0.8, 1} {
				for failAt := 1; ; failAt++ {
					name := fmt.Sprintf("call %d, lasting %t, %v of the write, torn before %t", failAt, lasting, part, torn)
					if failAt > 30 {
						t.Fatalf("%s: still failing", name)
					}
					if !faultAt(t, name, portions, all, torn, faulty{failAt: failAt, lasting: lasting, part: part, silent: failAt%2 == 1 && part < 1}) {
						break
					}
				}
			}
		}
	}
}

// faultAt runs through the portions once with a fault and once more without,
// and says whether there were enough calls for the fault to come.
func faultAt(t *testing.T, name string, portions [][]Entry, all []Entry, torn bool, fault faulty) bool {
	t.Helper()
	m := manifestOf(2)
	path := filepath.Join(t.TempDir(), "scores.jsonl")
	if torn {
		line, _, err := m.line()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(line, "{\"key\":"...), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	acknowledged, tried := 0, 0
	j, err := open(path, m, func(f *os.File) file { fault.File = f; return &fault })
	failed := err != nil
	if err != nil && !strings.Contains(err.Error(), path) {
		t.Fatalf("%s: %v does not name the file", name, err)
	}
	if err == nil {
		for _, p := range portions {
			tried += len(p)
			if err := j.Append(p); err != nil {
				failed = true
				if !(errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EIO) || fault.silent) || !strings.Contains(err.Error(), path) {
					t.Fatalf("%s: %v", name, err)
				}
				calls := fault.calls
				if err := j.Append(p); err == nil || fault.calls != calls {
					t.Fatalf("%s: Append went on after a failure: %v", name, err)
				}
				break
			}
			acknowledged = tried
		}
		sameKnown(t, name, j, all[:acknowledged])
		if err := j.Close(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if reached := fault.calls >= fault.failAt; reached != failed {
		t.Fatalf("%s: %d calls, reported as failed: %t", name, fault.calls, failed)
	}

	j, err = Open(path, m)
	if err != nil {
		t.Fatalf("%s: open again: %v", name, err)
	}
	n := j.Len()
	if n < acknowledged || n > tried {
		t.Fatalf("%s: %d entries on disk, %d acknowledged, %d tried", name, n, acknowledged, tried)
	}
	sameKnown(t, name, j, all[:n])
	if err := errors.Join(j.Append(all[n:]), j.Close()); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	_, x, err := Read(path)
	if err != nil {
		t.Fatalf("%s: read: %v", name, err)
	}
	sameEntries(t, name, m, x, roundAll(all))
	return failed
}
