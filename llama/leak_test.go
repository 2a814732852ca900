package llama

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestLeak drops a batch without closing it and expects a report.
func TestLeak(t *testing.T) {
	reports := make(chan string, 1)
	hook := func(what string) { reports <- what }
	defer onLeak.Store(onLeak.Swap(&hook))

	rest := drop(t)
	deadline := time.After(10 * time.Second)
	for {
		runtime.GC()
		select {
		case what := <-reports:
			if !strings.HasPrefix(what, "Batch opened at ") || !strings.Contains(what, "leak_test.go:") {
				t.Errorf("report %q, want one with the kind of handle and the place in this file", what)
			}
			if err := rest.Close(); err != nil {
				t.Error(err)
			}
			return
		case <-deadline:
			t.Fatal("a dropped batch was not reported")
		case <-time.After(time.Millisecond):
		}
	}
}

// drop opens a batch, forgets it and returns an unwatched one with its memory.
func drop(t *testing.T) *Batch {
	b, err := NewBatch(4, 1)
	if err != nil {
		t.Fatal(err)
	}
	return &Batch{c: b.c}
}

// TestNoLeakReport checks that a closed handle is not reported.
func TestNoLeakReport(t *testing.T) {
	reports := make(chan string, 1)
	hook := func(what string) { reports <- what }
	defer onLeak.Store(onLeak.Swap(&hook))

	b, err := NewBatch(4, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = nil
	for range 3 {
		runtime.GC()
		select {
		case what := <-reports:
			t.Fatalf("a closed handle was reported: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
