package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// files lists a folder's files with their content.
func files(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e.Name()+"="+string(b))
	}
	return strings.Join(list, " ")
}

func mustCreate(t *testing.T, path string) *output {
	t.Helper()
	o, err := createOutput(path, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// A committed output is the file; until then the old file stands.
func TestOutputCommit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kept.json")
	for _, content := range []string{"first", "second"} {
		before := files(t, dir)
		o := mustCreate(t, path)
		if _, err := io.WriteString(o, content); err != nil {
			t.Fatal(err)
		}
		if now := files(t, dir); !strings.HasSuffix(now, before) || strings.Contains(before, content) {
			t.Errorf("before commit the folder has %s, want %s with a part", now, before)
		}
		if err := o.commit(); err != nil {
			t.Fatal(err)
		}
		o.discard()
		if got, want := files(t, dir), "kept.json="+content; got != want {
			t.Errorf("after commit the folder has %s, want %s", got, want)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o644 {
		t.Errorf("the file has mode %s, want 0644", info.Mode())
	}
}

// A discarded output leaves no trace, however often it is discarded.
func TestOutputDiscard(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kept.json")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := mustCreate(t, path)
	if _, err := io.WriteString(o, "new"); err != nil {
		t.Fatal(err)
	}
	o.discard()
	o.discard()
	if got := files(t, dir); got != "kept.json=old" {
		t.Errorf("the folder has %s, want the old file alone", got)
	}
}

// If the file cannot take its place, the error names it and no part stays.
func TestOutputCommitFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "kept.json")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	o := mustCreate(t, path)
	// A folder of that name comes in between.
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := o.commit(); err == nil || !strings.Contains(err.Error(), "write "+path) {
		t.Errorf("commit onto a folder: %v; want an error that names %s", err, path)
	}
	o.discard()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("the folder has %v, want %s alone", entries, path)
	}
}

func TestOutputWhere(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "absent", "kept.json")} {
		if o, err := createOutput(path, io.Discard); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("createOutput(%s) = %v, %v; want an error that names it", path, o, err)
		}
	}
	var stdout bytes.Buffer
	o, err := createOutput("-", &stdout)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(o, "result"); err != nil {
		t.Fatal(err)
	}
	o.discard()
	if err := o.commit(); err != nil || stdout.String() != "result" {
		t.Errorf("stdout got %q, %v", stdout.String(), err)
	}

	full := mustCreate(t, "/dev/full")
	if _, err := io.WriteString(full, "x"); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "/dev/full") {
		t.Errorf("write to a full device: %v", err)
	}
	full.discard()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Errorf("discarding removed a device: %v", err)
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{io.ErrUnexpectedEOF, 1},
		{usagef("x"), 2},
		{ungradedError{3}, 3},
		{modelError{io.ErrUnexpectedEOF}, 4},
		{errors.Join(signalError{syscall.SIGINT}, modelError{io.EOF}), 130},
		{signalError{syscall.SIGTERM}, 143},
	} {
		var text, asJSON bytes.Buffer
		if got := report(&text, c.err, false); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
		report(&asJSON, c.err, true)
		if c.err == nil && text.Len()+asJSON.Len() > 0 {
			t.Errorf("no error, yet it says %q and %q", text.String(), asJSON.String())
		}
		if c.err != nil && (!strings.HasPrefix(text.String(), "winnow: ") || !strings.HasPrefix(asJSON.String(), `{"kind":"error","code":`)) {
			t.Errorf("%v: it says %q and %q", c.err, text.String(), asJSON.String())
		}
	}
}
