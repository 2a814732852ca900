package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"winnow/internal/soak"
)

// wholeRun is a filter command with all that it does: loading, grading, deciding
// and writing, into files of one folder.
type wholeRun struct {
	data, dir string
}

// results are the files that a whole run leaves, in the order of their writing.
var results = []string{"scores.jsonl", "dropped.jsonl", "kept.jsonl"}

func (w wholeRun) command(stderr *bytes.Buffer) *exec.Cmd {
	in := func(name string) string { return filepath.Join(w.dir, name) }
	c := exec.Command("winnow", "filter", w.data, "-m", filepath.Join(modelsDir, "tiny.gguf"), "-ub", "64", "-t", "1", "--top-percent", "50",
		"--scores", in("scores.jsonl"), "-o", in("kept.jsonl"), "--dropped", in("dropped.jsonl"))
	c.Stderr = stderr
	return c
}

// finish lets a run go to its end and returns its files.
func (w wholeRun) finish(t *testing.T) [][]byte {
	t.Helper()
	var stderr bytes.Buffer
	if err := w.command(&stderr).Run(); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return w.files(t)
}

// files returns the files as they are; nil for one that is not there.
func (w wholeRun) files(t *testing.T) [][]byte {
	t.Helper()
	var list [][]byte
	for _, name := range results {
		b, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

// kill starts a run, kills one of its processes at the moment that when waits
// for, and returns whether that was before the run ended by itself.
func (w wholeRun) kill(t *testing.T, when func()) bool {
	t.Helper()
	var stderr bytes.Buffer
	c := w.command(&stderr)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	when()
	family := descendants(c.Process.Pid)
	victims := append([]int{c.Process.Pid}, family...)
	victim := victims[rand.IntN(len(victims))]
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	_ = c.Wait() // judged by its status
	status, ok := c.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		t.Fatalf("no wait status: %v", c.ProcessState)
	}
	for _, pid := range family {
		waitGone(t, pid)
	}
	switch {
	case status.Signaled() && status.Signal() == syscall.SIGKILL && victim == c.Process.Pid:
		return true
	case status.Exited() && status.ExitStatus() == exitOK:
		return victim != c.Process.Pid
	}
	t.Fatalf("the run ended with %v: %s", c.ProcessState, stderr.String())
	return false
}

// waitGone waits for a process to end by itself.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if s, err := processStat(pid); err != nil || s.ended() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d lives on 5 s after the run that it belonged to", pid)
		}
	}
}

// Runs that are killed at any moment, from loading to the last file, leave only
// bytes that an uninterrupted run writes, and when they are repeated they end
// with all of them: no record is lost and none is there twice.
func TestSoakKills(t *testing.T) {
	t.Parallel()
	count := soak.Count(6, 200)
	const records = 60
	dir := t.TempDir()
	data := filepath.Join(dir, "data.jsonl")
	if err := writeRecords(data, records); err != nil {
		t.Fatal(err)
	}
	whole := wholeRun{data, filepath.Join(dir, "whole")}
	if err := os.Mkdir(whole.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	want := whole.finish(t)
	took := time.Since(begin)
	if n := bytes.Count(want[1], []byte("\n")) + bytes.Count(want[2], []byte("\n")); n != records || len(want[1]) == 0 || len(want[2]) == 0 {
		t.Fatalf("%d records are kept or dropped, want %d, some of each", n, records)
	}

	kills, rounds := 0, 0
	moments := map[string]int{}
	for ; kills < count && rounds < 20*count; rounds++ {
		w := wholeRun{data, filepath.Join(dir, strconv.Itoa(rounds))}
		if err := os.Mkdir(w.dir, 0o777); err != nil {
			t.Fatal(err)
		}
		for range 1 + rand.IntN(3) {
			when := func() { time.Sleep(time.Duration(rand.Int64N(int64(took)))) }
			if kills%4 == 3 { // the end of a run is short
				when = func() { awaitSize(filepath.Join(w.dir, results[0]), int64(len(want[0])), 10*took) }
			}
			if !w.kill(t, when) {
				break // all was done
			}
			kills++
			got := w.files(t)
			moments[moment(got, want)]++
			if !bytes.HasPrefix(want[0], got[0]) {
				t.Fatalf("kill %d left a scores file that an uninterrupted run would not have written", kills)
			}
			for i, name := range results[1:] {
				if b := got[i+1]; b != nil && !bytes.Equal(b, want[i+1]) {
					t.Fatalf("kill %d left a %s that differs from that of an uninterrupted run", kills, name)
				}
			}
		}
		got := w.finish(t)
		for i, name := range results {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("after %d kills %s differs from that of an uninterrupted run", kills, name)
			}
		}
		if err := os.RemoveAll(w.dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("soak: %d kills in %d runs of %v, %s: all ended with the same bytes", kills, rounds, took.Round(time.Millisecond), words(moments))
	if kills < count {
		t.Errorf("%d of %d kills came before the run had ended", kills, count)
	}
}

// awaitSize waits until a file has that many bytes, and then a moment longer.
func awaitSize(path string, bytes int64, most time.Duration) {
	for deadline := time.Now().Add(most); time.Now().Before(deadline); time.Sleep(time.Millisecond / 2) {
		if info, err := os.Stat(path); err == nil && info.Size() >= bytes {
			break
		}
	}
	time.Sleep(time.Duration(rand.Int64N(int64(10 * time.Millisecond))))
}

// moment says how far a killed run was.
func moment(got, want [][]byte) string {
	switch {
	case len(got[0]) == 0:
		return "while loading"
	case len(got[0]) < len(want[0]):
		return "while grading"
	case got[1] == nil:
		return "while deciding"
	case got[2] == nil:
		return "between the files"
	}
	return "at the end"
}

// words lists how often each moment was met.
func words(moments map[string]int) string {
	var list []string
	for _, m := range []string{"while loading", "while grading", "while deciding", "between the files", "at the end"} {
		if n := moments[m]; n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n, m))
		}
	}
	return strings.Join(list, ", ")
}

// A second signal ends the program at once, and nothing that was written is
// harmed.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := grading{filepath.Join(dir, "data.jsonl"), filepath.Join(dir, "scores.jsonl")}
	if err := writeRecords(g.data, 200); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	c := g.command(&stderr)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	awaitSize(g.scores, 1, time.Minute)
	// Both come before the program can end from the first.
	for _, s := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCONT} {
		if err := c.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	_ = c.Wait() // judged by its status
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the program ended %v after the second signal, want at once", took)
	}
	if code := c.ProcessState.ExitCode(); code != exitSignalBase+int(syscall.SIGTERM) {
		t.Errorf("exit code %d, want %d: %s", code, exitSignalBase+int(syscall.SIGTERM), stderr.String())
	}
	part, err := os.ReadFile(g.scores)
	if err != nil {
		t.Fatal(err)
	}
	if whole := g.finish(t); len(part) >= len(whole) || !bytes.HasPrefix(whole, part) {
		t.Errorf("the second signal left %d bytes that the resumed run did not go on from", len(part))
	}
}
