package main

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"winnow/grader/journal"
)

// grading is one scores file that is worked on by several runs.
type grading struct {
	data, scores string
}

// command is a run of the program in a process of its own: small batches, so
// that there are many moments to be interrupted at.
func (g grading) command(stderr *bytes.Buffer) *exec.Cmd {
	c := exec.Command("winnow", "grade", g.data, "-m", filepath.Join(modelsDir, "tiny.gguf"), "-o", g.scores, "-ub", "64", "-t", "1")
	c.Stderr = stderr
	return c
}

// finish lets a run go to its end and returns the scores file.
func (g grading) finish(t *testing.T) []byte {
	t.Helper()
	var stderr bytes.Buffer
	if err := g.command(&stderr).Run(); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	b, err := os.ReadFile(g.scores)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// interrupt starts a run, sends it the signal once it has made the scores file
// larger than the given number of bytes, and returns how it ended.
func (g grading) interrupt(t *testing.T, signal os.Signal, bytesDone int64) (*os.ProcessState, string) {
	t.Helper()
	if info, err := os.Stat(g.scores); err == nil { // before it writes, it may not be listening
		bytesDone = max(bytesDone, info.Size())
	}
	var stderr bytes.Buffer
	c := g.command(&stderr)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		if info, err := os.Stat(g.scores); err == nil && info.Size() > bytesDone {
			break
		}
		if time.Now().After(deadline) {
			_ = c.Process.Kill() // the test fails below
			t.Fatalf("the scores file did not grow beyond %d bytes within a minute: %s", bytesDone, stderr.String())
		}
		time.Sleep(time.Millisecond)
	}
	// Anywhere within the next batch: while it is decoded, written or synced.
	time.Sleep(time.Duration(rand.Int64N(int64(10 * time.Millisecond))))
	if err := c.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	sent := time.Now()
	err := c.Wait()
	if took := time.Since(sent); took > 5*time.Second {
		t.Errorf("%v: the run ended after %v, want 5 s at most", signal, took)
	}
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return c.ProcessState, stderr.String()
}

// Runs that were interrupted, politely or not, and resumed end with the bytes of
// one that was not.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	const records = 200
	dir := t.TempDir()
	data := filepath.Join(dir, "data.jsonl")
	if err := writeRecords(data, records); err != nil {
		t.Fatal(err)
	}
	want := grading{data, filepath.Join(dir, "whole.jsonl")}.finish(t)
	if n := bytes.Count(want, []byte("\n")); n != records+1 {
		t.Fatalf("the scores file has %d lines, want a manifest and %d entries", n, records)
	}

	for _, c := range []struct {
		name    string
		signals []syscall.Signal
	}{
		{"asked", []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGINT, syscall.SIGTERM}},
		{"killed", []syscall.Signal{syscall.SIGKILL, syscall.SIGKILL, syscall.SIGKILL, syscall.SIGKILL, syscall.SIGKILL}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := grading{data, filepath.Join(t.TempDir(), "scores.jsonl")}
			for i, sig := range c.signals {
				// In the first half: the run must not end before the signal comes.
				at := int64(len(want)) * int64(i) / int64(2*len(c.signals))
				state, stderr := g.interrupt(t, sig, at)
				status, ok := state.Sys().(syscall.WaitStatus)
				if !ok {
					t.Fatalf("no wait status: %v", state)
				}
				b, err := os.ReadFile(g.scores)
				if err != nil {
					t.Fatal(err)
				}
				if len(b) >= len(want) {
					t.Fatalf("signal %d of %d came too late: all was graded", i+1, len(c.signals))
				}
				if sig == syscall.SIGKILL {
					if !status.Signaled() || status.Signal() != sig {
						t.Fatalf("the run ended with %v, want %v: %s", state, sig, stderr)
					}
					if !bytes.HasPrefix(want, b) {
						t.Fatalf("kill %d left %d bytes that an uninterrupted run would not have written", i+1, len(b))
					}
					continue
				}
				if status.ExitStatus() != 128+int(sig) {
					t.Fatalf("%v: exit code %d, want %d: %s", sig, status.ExitStatus(), 128+int(sig), stderr)
				}
				_, index, err := journal.Read(g.scores)
				if err != nil {
					t.Fatalf("%v: %v", sig, err)
				}
				if index.Torn != 0 {
					t.Errorf("%v: the last line is torn, %d bytes", sig, index.Torn)
				}
				advice := strconv.Itoa(index.Len()) + " records are graded; run the same command again to go on"
				if !strings.Contains(stderr, advice) || !strings.Contains(stderr, "interrupted by "+sig.String()) {
					t.Errorf("%v: stderr is %q, want %q in it", sig, stderr, advice)
				}
			}
			if got := g.finish(t); !bytes.Equal(got, want) {
				t.Errorf("after %d interruptions the scores file differs from that of an uninterrupted run", len(c.signals))
			}
		})
	}
}
