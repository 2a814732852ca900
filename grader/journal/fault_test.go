package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
)

// Whichever call fails, and however, the caller is told of it with file, cause and
// remedy; a later run finds all that was acknowledged and at most whole entries of
// the portion that failed, also if the power went; and it makes the file what it
// would have been.
func TestFaults(t *testing.T) {
	countWarnings(t)
	m := measured(manifestOf(2))
	portions := [][]Entry{
		measure(someEntries(t, 2)...),
		measure(widened(t, 2, rated(t, 10, 1, 0, 0, 0))...),
		measure(widened(t, 2, rated(t, 11, 0, 1, 0, 0), rated(t, 12, 0, 0, 1, 0))...),
	}
	all := slices.Concat(portions...)
	_, whole := written(t, m, all)
	manifestLine, _, err := m.line()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, before := range map[string][]byte{
		"new":           nil,
		"empty":         {},
		"torn manifest": manifestLine[:40],
		"torn entry":    append(slices.Clip(manifestLine), "{\"key\":"...),
	} {
		t.Run(name, func(t *testing.T) {
			everyFault(t, func(what string, f *fault) error {
				path := filepath.Join(dir, "scores.jsonl")
				if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
				if before != nil {
					if err := os.WriteFile(path, before, 0o666); err != nil {
						t.Fatal(err)
					}
				}
				acknowledged, tried, told := appendAll(t, what, path, m, portions, f)
				if told != nil && !strings.Contains(told.Error(), path) {
					t.Fatalf("%s: %v does not name the file", what, told)
				}
				left, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				durable, ok := f.synced[path]
				if acknowledged > 0 && (!ok || !f.named) {
					t.Fatalf("%s: %d entries are acknowledged, the file is synced: %t, its name: %t", what, acknowledged, ok, f.named)
				}
				for _, b := range [][]byte{left, durable} {
					if err := os.WriteFile(path, b, 0o666); err != nil {
						t.Fatal(err)
					}
					n := goOn(t, what, path, m, all, whole)
					if n < acknowledged || n > tried {
						t.Fatalf("%s: %d entries in %d bytes, %d acknowledged, %d tried", what, n, len(b), acknowledged, tried)
					}
				}
				return told
			})
		})
	}
}

// appendAll appends portions until something fails, and returns how many entries
// were acknowledged, how many were tried, and the first error.
func appendAll(t *testing.T, what, path string, m Manifest, portions [][]Entry, f *fault) (acknowledged, tried int, told error) {
	t.Helper()
	j, err := open(path, m, f.disk())
	if err != nil {
		return 0, 0, err
	}
	for _, p := range portions {
		tried += len(p)
		if told = j.Append(p); told != nil {
			calls := f.calls
			if err := j.Append(p); err == nil || f.calls != calls {
				t.Fatalf("%s: Append went on after a failure: %v", what, err)
			}
			break
		}
		acknowledged = tried
	}
	sameKnown(t, what, j, slices.Concat(portions...)[:acknowledged])
	if err := j.Close(); told == nil {
		told = err
	}
	return acknowledged, tried, told
}

// goOn opens a journal again, appends what it lacks, and returns how many entries
// it had.
func goOn(t *testing.T, what, path string, m Manifest, all []Entry, whole []byte) (had int) {
	t.Helper()
	j, err := open(path, m, new(fault).disk())
	if err != nil {
		t.Fatalf("%s: open again: %v", what, err)
	}
	had = j.Len()
	sameKnown(t, what, j, all[:had])
	if err := errors.Join(j.Append(all[had:]), j.Close()); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, whole) {
		t.Fatalf("%s: gone on with, the file is %q (%v), want %q", what, b, err, whole)
	}
	return had
}

// A file that cannot be read says where, and is not taken for a short one.
func TestReadFaults(t *testing.T) {
	path, b := written(t, manifestOf(2), someEntries(t, 2))
	for n := range len(b) + 1 {
		r := io.MultiReader(bytes.NewReader(b[:n]), iotest.ErrReader(syscall.EIO))
		_, err := load(path, r, new(Index))
		if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "have the device checked") {
			t.Fatalf("after %d bytes: %v", n, err)
		}
		x := examiner{path: path, visit: telling(nil)}
		r = io.MultiReader(bytes.NewReader(b[:n]), iotest.ErrReader(syscall.EIO))
		if err := x.run(r); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), path) {
			t.Fatalf("examined, after %d bytes: %v", n, err)
		}
	}
}

// A repair that fails leaves the journal as it was or repaired, and nothing else
// but damaged lines in their file. The next repair makes it right.
func TestRepairFaults(t *testing.T) {
	m := manifestOf(1)
	_, b := written(t, m, someEntries(t, 1))
	lines := bytes.SplitAfter(b, []byte("\n"))
	lines[2][10] ^= 1
	damaged := bytes.Join(lines, nil)
	want := slices.Concat(lines[0], lines[1], lines[3], lines[4])
	dir := t.TempDir()
	path := filepath.Join(dir, "scores.jsonl")
	aside := path + DamagedSuffix
	everyFault(t, func(what string, f *fault) error {
		if err := errors.Join(os.WriteFile(path, damaged, 0o666), os.WriteFile(aside, nil, 0o666)); err != nil {
			t.Fatal(err)
		}
		_, told := repair(path, RepairOptions{}, f.disk())
		if told != nil && !strings.Contains(told.Error(), path) {
			t.Fatalf("%s: %v does not name the file", what, told)
		}
		for n := 0; ; n++ {
			left, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			switch {
			case bytes.Equal(left, want):
				hasLine(t, what, aside, string(bytes.TrimSuffix(lines[2], []byte("\n"))))
			case !bytes.Equal(left, damaged) || told == nil || n > 0:
				t.Fatalf("%s: told %v after %d repairs more, the file is %q", what, told, n, left)
			}
			if n == 1 {
				break
			}
			if _, err := repair(path, RepairOptions{}, new(fault).disk()); err != nil {
				t.Fatalf("%s: again: %v", what, err)
			}
		}
		onlyFiles(t, what, dir, "scores.jsonl", "scores.jsonl"+DamagedSuffix)
		return told
	})
}

// hasLine fails unless a file of damaged lines has one with this text. Lines that
// a failed repair left unfinished are passed over.
func hasLine(t *testing.T, what, path, text string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		var d damagedLine
		if json.Unmarshal(line, &d) == nil && d.Text != nil && *d.Text == text {
			return
		}
	}
	t.Fatalf("%s: no line of %q has the text %q", what, b, text)
}

func onlyFiles(t *testing.T, what, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(names, e.Name()) {
			t.Fatalf("%s: %s is left over", what, e.Name())
		}
	}
}

// A merge that fails leaves what was there.
func TestMergeFaults(t *testing.T) {
	m := manifestOf(1)
	entries := someEntries(t, 1)
	a, old := written(t, m, entries[:2])
	b, _ := written(t, m, entries[2:])
	_, want := written(t, m, entries)
	for _, before := range [][]byte{nil, old} {
		dir := t.TempDir()
		path := filepath.Join(dir, "merged.jsonl")
		everyFault(t, func(what string, f *fault) error {
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			if before != nil {
				if err := os.WriteFile(path, before, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			_, told := mergeInto(path, []string{b, a}, MergeOptions{}, f.disk())
			if told != nil && !strings.Contains(told.Error(), path) {
				t.Fatalf("%s: %v does not name the file", what, told)
			}
			left, err := os.ReadFile(path)
			switch {
			case err == nil && bytes.Equal(left, want):
			case told == nil:
				t.Fatalf("%s: the file is %q (%v), want %q", what, left, err, want)
			case before == nil && errors.Is(err, os.ErrNotExist):
			case err != nil || !bytes.Equal(left, before):
				t.Fatalf("%s: the file is %q (%v), before it was %q", what, left, err, before)
			}
			onlyFiles(t, what, dir, "merged.jsonl")
			return told
		})
	}
}
