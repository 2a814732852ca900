package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// countWarnings keeps the log quiet and counts what would stand there.
func countWarnings(t *testing.T) *int {
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	count := new(int)
	slog.SetDefault(slog.New(counter{slog.DiscardHandler, count}))
	return count
}

type counter struct {
	slog.Handler
	count *int
}

func (counter) Enabled(context.Context, slog.Level) bool { return true }

func (c counter) Handle(context.Context, slog.Record) error {
	*c.count++
	return nil
}

// Wherever the file is cut, it opens with the whole lines that are left.
func TestCutEverywhere(t *testing.T) {
	warnings := countWarnings(t)
	entries := someEntries(t)
	path, b := written(t, entries)
	manifestBytes := bytes.IndexByte(b, '\n') + 1
	for n := range b {
		if err := os.WriteFile(path, b[:n], 0o666); err != nil {
			t.Fatal(err)
		}
		whole := bytes.Count(b[:n], []byte("\n")) - 1
		torn := n - 1 - bytes.LastIndexByte(b[:n], '\n')

		_, x, err := Read(path)
		var damage *DamageError
		switch {
		case n < manifestBytes:
			if !errors.As(err, &damage) || damage.Line != 1 {
				t.Fatalf("read the first %d bytes: %v", n, err)
			}
			whole, torn = 0, 0
		case err != nil || x.Torn != torn:
			t.Fatalf("read the first %d bytes: %v, torn %+v", n, err, x)
		}
		*warnings = 0
		j, x, err := Open(path, testManifest())
		if err != nil {
			t.Fatalf("open the first %d bytes: %v", n, err)
		}
		if x.Torn != torn || *warnings != min(torn, 1) {
			t.Fatalf("first %d bytes: torn %d with %d warnings, want %d", n, x.Torn, *warnings, torn)
		}
		sameEntries(t, fmt.Sprintf("first %d bytes", n), x, roundAll(entries[:whole]))
		if err := errors.Join(j.Append(entries[whole:]), j.Close()); err != nil {
			t.Fatal(err)
		}
		if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("after the first %d bytes, the file became %q (%v)", n, again, err)
		}
	}
}

// A changed byte is found in its line, and the file is left alone.
func TestFlipEverywhere(t *testing.T) {
	entries := someEntries(t)
	path, b := written(t, entries)
	for i := range len(b) - 1 { // without the last newline, the last line is torn
		for _, flip := range []byte{0x01, 0x20, 0x80, b[i] ^ '\n', b[i] ^ '"'} {
			c := slices.Clone(b)
			c[i] ^= flip
			if c[i] == b[i] {
				continue
			}
			if err := os.WriteFile(path, c, 0o666); err != nil {
				t.Fatal(err)
			}
			_, _, errOpen := Open(path, testManifest())
			_, _, errRead := Read(path)
			line := 1 + bytes.Count(b[:i], []byte("\n"))
			for _, err := range []error{errOpen, errRead} {
				var damage *DamageError
				if !errors.As(err, &damage) || damage.Line != line || damage.Path != path {
					t.Fatalf("byte %d of line %d changed from %q to %q: %v", i, line, b[i], c[i], err)
				}
			}
			if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, c) {
				t.Fatalf("a damaged file was changed to %q (%v)", left, err)
			}
		}
	}
}

func TestDamageMessage(t *testing.T) {
	for line, want := range map[int]string{
		1: "s.jsonl:1: broken; restore the file from a copy, or give the path of a new file to grade every record again",
		7: "s.jsonl:7: broken; restore the file from a copy, or delete this line to have its record graded again",
	} {
		if err := (&DamageError{"s.jsonl", line, "broken"}); err.Error() != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

// Lines with a right checksum that no run has written are damage too.
func TestDamage(t *testing.T) {
	_, b := written(t, someEntries(t)[:1])
	split := bytes.IndexByte(b, '\n') + 1
	body, err := unseal(bytes.TrimSuffix(b[split:], []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	line := func(old, new string) []byte {
		changed := bytes.Replace(body, []byte(old), []byte(new), 1)
		if bytes.Equal(changed, body) {
			t.Fatalf("%s is not in %s", old, body)
		}
		return slices.Concat(b[:split], seal(changed, 0))
	}
	for name, tc := range map[string]struct {
		file []byte
		line int
		msg  string
	}{
		"key twice":       {slices.Concat(b, b[split:]), 3, "000000ff000000000000000000000000 stands in an earlier line"},
		"short key":       {line(`"key":"00`, `"key":"`), 2, "32 hexadecimal digits"},
		"blank line":      {slices.Concat(b, []byte("\n")), 3, "checksum"},
		"CRLF":            {bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")), 1, "checksum"},
		"no number":       {line("2.95", "Inf"), 2, "want a number"},
		"huge number":     {line("2.95", "1e999"), 2, "want a number"},
		"no probability":  {line("0.3", "1.3"), 2, "want a probability"},
		"below 0":         {line(`"off_scale":0`, `"off_scale":-1`), 2, "want a probability"},
		"other scale":     {line(`"2.5":`, `"2":`), 2, `"2.5`},
		"other mode":      {line(`"mode":"\"ü"`, `"mode":"3"`), 2, "a rating of the scale"},
		"rated, not ok":   {line(`"ok"`, `"too_long"`), 2, "tokens"},
		"ok, not rated":   {line(`"ok"`, `"ok","tokens":1`), 2, "rating"},
		"bad escape":      {line(`"ok"`, `"\x"`), 2, "a string"},
		"endless string":  {slices.Concat(b[:split], seal([]byte(`{"key":"00`), 0)), 2, "a string that ends"},
		"no string":       {line(`"ok"`, `ok`), 2, "a string"},
		"negative":        {line(`"index":0`, `"index":-1`), 2, "whole number"},
		"more members":    {line(`"tokens":100`, `"tokens":100,"x":1`), 2, "the end"},
		"another file":    {[]byte("{\"instruction\":\"a\"}\n"), 1, "no journal"},
		"unfinished file": {[]byte("hello"), 1, "no journal"},
		"no manifest":     {b[split:], 1, "no journal"},
		"one long line":   {slices.Concat(b, bytes.Repeat([]byte("x"), maxLineBytes+1<<20)), 3, "16 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "scores.jsonl")
			if err := os.WriteFile(path, tc.file, 0o666); err != nil {
				t.Fatal(err)
			}
			for range 2 { // a failed Open leaves no lock
				_, _, err := Open(path, testManifest())
				var damage *DamageError
				if !errors.As(err, &damage) || damage.Line != tc.line || !strings.Contains(damage.Msg, tc.msg) {
					t.Errorf("%v; want line %d, %q", err, tc.line, tc.msg)
				}
			}
			if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, tc.file) {
				t.Errorf("the file was changed (%v)", err)
			}
		})
	}
}

func TestManifestDamage(t *testing.T) {
	good, _, err := testManifest().line()
	if err != nil {
		t.Fatal(err)
	}
	for old, tc := range map[string]struct{ new, msg string }{
		`"version":1`:       {`"version":2`, "version 2, this program reads version 1"},
		`"settings":{`:      {`"later":1,"settings":{`, "later"},
		`"values":[0,1,2.5`: {`"values":[0,1,1`, "increase"},
		`"F16"`:             {`16`, "cannot be read"},
	} {
		body, err := unseal(bytes.TrimSuffix(good, []byte("\n")))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "scores.jsonl")
		if err := os.WriteFile(path, seal(bytes.Replace(body, []byte(old), []byte(tc.new), 1), 0), 0o666); err != nil {
			t.Fatal(err)
		}
		var damage *DamageError
		if _, _, err := Read(path); !errors.As(err, &damage) || damage.Line != 1 || !strings.Contains(damage.Msg, tc.msg) {
			t.Errorf("%s for %s: %v", tc.new, old, err)
		}
	}
}
