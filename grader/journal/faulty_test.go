package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// fault is a disk of which the nth call of an operation fails, and all later ones
// too if it lasts.
type fault struct {
	op      string // one of those of faultKinds; "any" counts all
	nth     int    // from 1
	err     error  // nil for a write that is short and does not say so
	part    float64
	lasting bool

	calls int
	fired bool

	// What a loss of power would leave.
	synced map[string][]byte // contents of files by name, as of the last sync
	named  bool              // whether a directory was synced
}

// faultKind is one way in which an operation fails.
type faultKind struct {
	err  error
	part float64 // of a failing write that is done all the same
}

var faultKinds = map[string][]faultKind{
	"write":    {{syscall.ENOSPC, 0}, {syscall.ENOSPC, 0.5}, {syscall.EDQUOT, 0.3}, {syscall.EIO, 1}, {nil, 0.001}, {nil, 0.8}},
	"sync":     {{syscall.EIO, 0}, {syscall.ENOSPC, 0}, {syscall.EDQUOT, 0}},
	"truncate": {{syscall.EIO, 0}},
	"close":    {{syscall.EIO, 0}, {syscall.EDQUOT, 0}},
	"rename":   {{syscall.EIO, 0}, {syscall.ENOSPC, 0}},
	"syncdir":  {{syscall.EIO, 0}, {syscall.ENOSPC, 0}},
	"any":      {{syscall.EIO, 0.5}, {syscall.ENOSPC, 1}},
}

// everyFault calls try with each fault of each operation, from the first call on
// until none is left to fail. try says of which error it was told, if of any.
func everyFault(t *testing.T, try func(what string, f *fault) error) {
	t.Helper()
	fired := map[string]int{}
	for op, kinds := range faultKinds {
		for _, kind := range kinds {
			for _, lasting := range []bool{false, true} {
				for nth := 1; ; nth++ {
					f := &fault{op: op, nth: nth, err: kind.err, part: kind.part, lasting: lasting}
					what := fmt.Sprintf("%s number %d, %v after %v of it, lasting %t", op, nth, kind.err, kind.part, lasting)
					if nth > 1000 {
						t.Fatalf("%s: still failing", what)
					}
					err := try(what, f)
					if !f.fired {
						if err != nil {
							t.Fatalf("%s: no fault, but %v", what, err)
						}
						break
					}
					fired[op]++
					f.check(t, what, err)
				}
			}
		}
	}
	for _, op := range []string{"write", "sync", "close", "syncdir", "any"} {
		if fired[op] < 2 {
			t.Errorf("%d faults of operation %s, want more", fired[op], op)
		}
	}
}

// check fails unless err has the cause and says what to do.
func (f *fault) check(t *testing.T, what string, err error) {
	t.Helper()
	cause := f.err
	if cause == nil {
		cause = io.ErrShortWrite
	}
	advice := map[error]string{
		syscall.ENOSPC: "make room on its file system", syscall.EDQUOT: "make room or have the disk quota raised",
		syscall.EIO: "have the device checked", io.ErrShortWrite: "remove the cause",
	}[cause]
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), advice) || !strings.Contains(err.Error(), "run again") {
		t.Fatalf("%s: told %v, want the cause, %q and what to do", what, err, advice)
	}
}

func (f *fault) fails(op string) bool {
	if f.op != op && f.op != "any" {
		return false
	}
	f.calls++
	hit := f.calls == f.nth || f.lasting && f.calls > f.nth
	f.fired = f.fired || hit
	return hit
}

// failure is what a failing call other than a write returns.
func (f *fault) failure() error {
	if f.err == nil {
		return syscall.EIO
	}
	return f.err
}

func (f *fault) disk() disk {
	f.synced = map[string][]byte{}
	return disk{
		wrap: func(of *os.File) file { return &faulty{of, f} },
		rename: func(from, to string) error {
			if f.fails("rename") {
				return f.failure()
			}
			return os.Rename(from, to)
		},
		syncDir: func(string) error {
			if f.fails("syncdir") {
				return f.failure()
			}
			f.named = true
			return nil
		},
	}
}

// faulty is a file of a fault's disk. Nothing is really synced: no power is lost.
type faulty struct {
	*os.File
	fault *fault
}

func (f *faulty) WriteAt(b []byte, off int64) (int, error) {
	if !f.fault.fails("write") {
		return f.File.WriteAt(b, off)
	}
	n, err := f.File.WriteAt(b[:int(f.fault.part*float64(len(b)))], off)
	if err == nil {
		err = f.fault.err
	}
	return n, err
}

func (f *faulty) Sync() error {
	if f.fault.fails("sync") {
		return f.fault.failure()
	}
	b, err := os.ReadFile(f.Name())
	f.fault.synced[f.Name()] = b
	return err
}

func (f *faulty) Truncate(size int64) error {
	if f.fault.fails("truncate") {
		return f.fault.failure()
	}
	return f.File.Truncate(size)
}

func (f *faulty) Close() error {
	err := f.File.Close()
	if f.fault.fails("close") {
		return f.fault.failure()
	}
	return err
}
