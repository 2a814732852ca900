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

	"winnow/grader/record"
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

// Wherever the file is cut, it opens with the whole lines that are left, and a
// run that appends the others makes the file what it was.
func TestCutEverywhere(t *testing.T) {
	warnings := countWarnings(t)
	for name, form := range forms(t) {
		m, entries := form.m, form.entries
		path, b := written(t, m, entries)
		manifestBytes := bytes.IndexByte(b, '\n') + 1
		from := 0
		if name != "one criterion" {
			from = manifestBytes // cuts inside a manifest are all alike
		}
		for n := from; n < len(b); n++ {
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
			default:
				sameEntries(t, fmt.Sprintf("first %d bytes", n), m, x, roundAll(entries[:whole]))
			}
			*warnings = 0
			j, err := open(path, m, new(fault).disk()) // a thousand times: nothing is really synced
			if err != nil {
				t.Fatalf("open the first %d bytes: %v", n, err)
			}
			if *warnings != min(torn, 1) {
				t.Fatalf("first %d bytes: %d warnings of %d torn bytes", n, *warnings, torn)
			}
			sameKnown(t, fmt.Sprintf("first %d bytes", n), j, entries[:whole])
			if err := errors.Join(j.Append(entries[whole:]), j.Close()); err != nil {
				t.Fatal(err)
			}
			if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("after the first %d bytes, the file became %q (%v)", n, again, err)
			}
		}
	}
}

// A changed byte is found in its line, and the file is left alone.
func TestFlipEverywhere(t *testing.T) {
	m := measured(manifestOf(2))
	path, b := written(t, m, measure(someEntries(t, 2)...))
	for i := range len(b) - 1 { // without the last newline, the last line is torn
		for _, flip := range []byte{0x01, 0x20, 0x80, b[i] ^ '\n', b[i] ^ '"'} {
			c := slices.Clone(b)
			c[i] ^= flip
			if c[i] == b[i] {
				continue
			}
			_, err := load(path, bytes.NewReader(c), new(Index))
			if flip == 0x01 { // Open reads the same way; once a byte is enough
				err = openLeavesAlone(t, path, m, c)
			}
			line := 1 + bytes.Count(b[:i], []byte("\n"))
			var damage *DamageError
			if !errors.As(err, &damage) || damage.Line != line || damage.Path != path {
				t.Fatalf("byte %d of line %d changed from %q to %q: %v", i, line, b[i], c[i], err)
			}
		}
	}
}

// openLeavesAlone opens a file with this content, which must stay.
func openLeavesAlone(t *testing.T, path string, m Manifest, content []byte) error {
	t.Helper()
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path, m)
	if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, content) {
		t.Fatalf("a damaged file was changed to %q (%v)", left, err)
	}
	return err
}

func TestDamageMessage(t *testing.T) {
	for line, want := range map[int]string{
		1: "s.jsonl:1: broken; restore the file from a copy, give the path of a new file to grade every record again, or see winnow journal repair --help",
		7: "s.jsonl:7: broken; restore the file from a copy, or run winnow journal repair to move damaged lines aside, and have their records graded again",
	} {
		if err := (&DamageError{"s.jsonl", line, "broken"}); err.Error() != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

// damaged is a file that opens under m with damage in this line.
type damaged struct {
	m    Manifest
	file []byte
	line int
	msg  string
}

// forged returns a function that makes a journal of the first of someEntries
// with something changed and a right checksum.
func forged(t *testing.T, criteria int) (b []byte, forge func(old, new string) damaged) {
	t.Helper()
	m := manifestOf(criteria)
	_, b = written(t, m, someEntries(t, criteria)[:1])
	split := bytes.IndexByte(b, '\n') + 1
	body, err := unseal(bytes.TrimSuffix(b[split:], []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	return b, func(old, new string) damaged {
		changed := bytes.Replace(body, []byte(old), []byte(new), 1)
		if bytes.Equal(changed, body) {
			t.Fatalf("%s is not in %s", old, body)
		}
		return damaged{m, slices.Concat(b[:split], seal(changed, 0)), 2, ""}
	}
}

func (d damaged) because(msg string) damaged {
	d.msg = msg
	return d
}

// Lines with a right checksum that no run has written are damage too.
func TestDamage(t *testing.T) {
	b, line := forged(t, 1)
	_, wide := forged(t, 2)
	m := testManifest()
	split := bytes.IndexByte(b, '\n') + 1
	for name, tc := range map[string]damaged{
		"key twice":       {m, slices.Concat(b, b[split:]), 3, "000000ff000000000000000000000000 stands in an earlier line"},
		"short key":       line(`"key":"00`, `"key":"`).because("32 hexadecimal digits"),
		"blank line":      {m, slices.Concat(b, []byte("\n")), 3, "checksum"},
		"CRLF":            {m, bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")), 1, "line ends"},
		"CRLF below":      {m, slices.Concat(b[:split], bytes.ReplaceAll(b[split:], []byte("\n"), []byte("\r\n"))), 2, "line ends"},
		"two journals":    {m, slices.Concat(b, b), 3, "winnow merge puts several together"},
		"no number":       line("2.95", "Inf").because("want a number"),
		"huge number":     line("2.95", "1e999").because("want a number"),
		"no probability":  line("0.3", "1.3").because("want a probability"),
		"below 0":         line(`"off_scale":0`, `"off_scale":-1`).because("want a probability"),
		"other scale":     line(`"2.5":`, `"2":`).because(`"2.5`),
		"other mode":      line(`"mode":"\"ü"`, `"mode":"3"`).because("a rating of the scale"),
		"rated, not ok":   line(`"ok"`, `"too_long"`).because("tokens"),
		"ok, not rated":   line(`"ok"`, `"ok","tokens":1`).because("rating"),
		"bad escape":      line(`"ok"`, `"\x"`).because("a string"),
		"endless string":  {m, slices.Concat(b[:split], seal([]byte(`{"key":"00`), 0)), 2, "a string that ends"},
		"no string":       line(`"ok"`, `ok`).because("a string"),
		"negative":        line(`"index":0`, `"index":-1`).because("whole number"),
		"fraction":        line(`"index":0`, `"index":0.5`).because("status"),
		"more members":    line(`"tokens":100`, `"tokens":100,"x":1`).because("the end"),
		"another file":    {m, []byte("{\"instruction\":\"a\"}\n"), 1, "no journal"},
		"unfinished file": {m, []byte("hello"), 1, "no journal"},
		"no manifest":     {m, b[split:], 1, "no journal"},
		"one long line":   {m, slices.Concat(b, bytes.Repeat([]byte("x"), maxLineBytes+1<<20)), 3, "16 MiB"},

		"criteria of one":    line(`"rating":2.95`, `"rating":2.95,"criteria":{}`).because("mode"),
		"one of criteria":    wide(`,"criteria":{"accuracy":{"rating":2.95`, ``).because("criteria"),
		"not the least":      wide(`"rating":1.3,"criteria"`, `"rating":1.31,"criteria"`).because("the least of the criteria's ratings, 1.3, found"),
		"greatest":           wide(`"rating":1.3,"criteria"`, `"rating":2.95,"criteria"`).because("the least of the criteria's ratings, 1.3, found"),
		"changed criterion":  wide(`{"rating":1.3`, `{"rating":1.5`).because("the least of the criteria's ratings, 1.5, found"),
		"other criterion":    wide(`"accuracy":`, `"Accuracy":`).because("accuracy"),
		"criterion twice":    wide(`"help \"ü\"":`, `"accuracy":`).because(`help`),
		"criterion missing":  wide(`},"help \"ü\"":{`, `},`).because(`help`),
		"criterion too much": wide(`}},"tokens"`, `},"third":{}},"tokens"`).because(`want "}"`),
		"member too much":    wide(`,"off_scale":0`, `,"off_scale":0,"x":1`).because(`entropy`),
		"second's number":    wide(`"2.5":0.2`, `"2.5":-0.2`).because("a probability"),
		"second's mode":      wide(`"mode":"0"`, `"mode":"00"`).because("a rating of the scale"),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "scores.jsonl")
			if err := os.WriteFile(path, tc.file, 0o666); err != nil {
				t.Fatal(err)
			}
			for range 2 { // a failed Open leaves no lock
				_, err := Open(path, tc.m)
				_, _, errRead := Read(path)
				for _, err := range []error{err, errRead} {
					var damage *DamageError
					if !errors.As(err, &damage) || damage.Line != tc.line || !strings.Contains(damage.Msg, tc.msg) {
						t.Errorf("%v; want line %d, %q", err, tc.line, tc.msg)
					}
				}
			}
			if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, tc.file) {
				t.Errorf("the file was changed (%v)", err)
			}
		})
	}
}

// rewritten writes a journal's manifest with something changed.
func rewritten(t *testing.T, old, new string) (path string) {
	t.Helper()
	good, _, err := manifestOf(2).line()
	if err != nil {
		t.Fatal(err)
	}
	body, err := unseal(bytes.TrimSuffix(good, []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(body, []byte(old)) == 0 {
		t.Fatalf("%s is not in %s", old, body)
	}
	path = filepath.Join(t.TempDir(), "scores.jsonl")
	if err := os.WriteFile(path, seal(bytes.Replace(body, []byte(old), []byte(new), 1), 0), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestManifestDamage(t *testing.T) {
	for old, tc := range map[string]struct{ new, msg string }{
		`"settings":{`:      {`"later":1,"settings":{`, "later"},
		`"values":[0,1,2.5`: {`"values":[0,1,1`, "increase"},
		`"F16"`:             {`16`, "cannot be read"},
		`"rubrics":[{`:      {`"rubrics":[],"x":[{`, "cannot be read"},
		`"accuracy"`:        {`"help \"ü\""`, "give each criterion once"},
	} {
		var damage *DamageError
		if _, _, err := Read(rewritten(t, old, tc.new)); !errors.As(err, &damage) || damage.Line != 1 || !strings.Contains(damage.Msg, tc.msg) {
			t.Errorf("%s for %s: %v", tc.new, old, err)
		}
	}
}

// A journal of another version is not damaged, but of no use to this one.
func TestVersion(t *testing.T) {
	for number, want := range map[string]string{
		"1": ": made by an older version of winnow: its format has version 1, this one reads version 2; grade again into a new file",
		"3": ": made by a newer version of winnow: its format has version 3, this one reads version 2; use that version, or grade again into a new file",
	} {
		path := rewritten(t, `"version":2`, `"version":`+number)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, _, errRead := Read(path)
		_, errOpen := Open(path, manifestOf(2))
		for _, err := range []error{errRead, errOpen} {
			var version *VersionError
			if !errors.As(err, &version) || err.Error() != path+want {
				t.Errorf("%v\nwant %s", err, path+want)
			}
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
			t.Errorf("the file was changed (%v)", err)
		}
	}
}

// There are as many statuses as codes for them, and not one more.
func TestManyStatuses(t *testing.T) {
	j, err := Open(filepath.Join(t.TempDir(), "scores.jsonl"), testManifest())
	if err != nil {
		t.Fatal(err)
	}
	var entries []Entry
	for i := range 257 {
		entries = append(entries, Entry{Key: testKey(i), Status: record.Status(fmt.Sprintf("kind_%d", i))})
	}
	if err := j.Append(entries[:256]); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(entries[256:]); err == nil || !strings.Contains(err.Error(), "kind_256") {
		t.Errorf("the 257th status: %v", err)
	}
	sameKnown(t, "256 statuses", j, entries[:256])
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}
