package kernels

import (
	"bytes"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), s)
}

// TestDevice_leak drops a device without closing it and expects a line in the log.
func TestDevice_leak(t *testing.T) {
	l, _, emulated := loadFaults(t)
	defer emulated.Reset()
	var log lines
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)

	closed, err := l.open(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	dropped, err := l.open(0)
	if err != nil {
		t.Fatal(err)
	}
	thread := dropped.thread // ends with the test
	defer thread.Stop()
	dropped = nil
	for deadline := time.Now().Add(10 * time.Second); !log.has("never closed"); {
		if time.Now().After(deadline) {
			t.Fatal("a dropped device was not reported")
		}
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	if n := strings.Count(log.text.String(), "never closed"); n != 1 {
		t.Errorf("%d reports, want one: of the device that was dropped, not of the one that was closed", n)
	}
}
