package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// saved writes a journal of these entries at path.
func saved(t fataler, path string, m Manifest, entries ...Entry) string {
	j, err := Open(path, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.Append(entries), j.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// However entries are distributed over journals, with whatever repeats, the merged
// one is that of all entries in the order of index and key.
func TestMerge(t *testing.T) {
	m := measured(manifestOf(2))
	var all []Entry
	for i := range 40 {
		e := rated(t, i*7%40, 0.1, 0.2, 0.3, 0.4)
		e.Index = 9 - i%10 // four of each, as turns of a conversation have
		all = append(all, e)
	}
	all = widened(t, 2, all...)
	all = append(measure(all...), Entry{Key: testKey(1000), Index: 0, Status: "new", Reason: "none"})
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b Entry) int {
		if a.Index != b.Index {
			return a.Index - b.Index
		}
		return bytes.Compare(a.Key[:], b.Key[:])
	})
	_, want := written(t, m, sorted)
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		files := make([][]Entry, rapid.IntRange(1, 5).Draw(rt, "files"))
		repeated := 0
		for _, e := range rapid.Permutation(all).Draw(rt, "order") {
			in := rapid.IntRange(0, len(files)-1).Draw(rt, "file")
			files[in] = append(files[in], e)
			if also := rapid.IntRange(0, 3*len(files)).Draw(rt, "also"); also < len(files) && also != in {
				files[also] = append(files[also], e)
				repeated++
			}
		}
		var paths []string
		for i, entries := range files {
			paths = append(paths, saved(rt, filepath.Join(dir, fmt.Sprint(i)), m, entries...))
		}
		var b bytes.Buffer
		sum, err := Merge(&b, paths, MergeOptions{PreferFirst: rapid.Bool().Draw(rt, "prefer")})
		if err != nil || sum != (Merged{Files: len(files), Entries: len(all), Repeated: repeated}) {
			rt.Fatalf("%+v, %v; want %d entries, %d repeated", sum, err, len(all), repeated)
		}
		if !bytes.Equal(b.Bytes(), want) {
			rt.Fatalf("%d files give\n%s\nwant\n%s", len(files), &b, want)
		}
	})
}

func TestMergeConflict(t *testing.T) {
	m := testManifest()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	other := rated(t, 2, 0.4, 0.3, 0.2, 0.1)
	moved := rated(t, 3, 0.1, 0.2, 0.3, 0.4)
	moved.Index = 30
	a := saved(t, at("a"), m, rated(t, 1, 0, 0, 0, 1), rated(t, 2, 0.1, 0.2, 0.3, 0.4), rated(t, 3, 0.1, 0.2, 0.3, 0.4))
	b := saved(t, at("b"), m, moved, other, rated(t, 1, 0, 0, 0, 1), rated(t, 4, 0, 0, 0, 1))
	for _, tc := range []struct {
		paths []string
		lines [2]Line
	}{
		{[]string{a, b}, [2]Line{{a, 3}, {b, 3}}},
		{[]string{b, a}, [2]Line{{b, 2}, {a, 4}}},
	} {
		_, err := Merge(io.Discard, tc.paths, MergeOptions{})
		var conflict *ConflictError
		if !errors.As(err, &conflict) || conflict.Lines != tc.lines || conflict.More != 1 {
			t.Fatalf("%v, want lines %v", err, tc.lines)
		}
		want := fmt.Sprintf("%s:%d and %s:%d have different entries for the record %s (and so have 1 records more): ", tc.lines[0].Path, tc.lines[0].Line, tc.lines[1].Path, tc.lines[1].Line, conflict.Key)
		if !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "--prefer first") {
			t.Errorf("%v\nwant %s", err, want)
		}
		var out bytes.Buffer
		sum, err := Merge(&out, tc.paths, MergeOptions{PreferFirst: true})
		if err != nil || sum != (Merged{Files: 2, Entries: 4, Repeated: 1, Overruled: 2}) {
			t.Fatalf("%+v, %v", sum, err)
		}
		path := at("merged")
		if err := os.WriteFile(path, out.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		_, merged, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		_, first, err := Read(tc.paths[0])
		if err != nil {
			t.Fatal(err)
		}
		for e := range first.All() {
			if got, ok := merged.Lookup(e.Key); !ok || got.Index != e.Index || got.Value() != e.Value() {
				t.Errorf("entry %s is %+v, the first file has %+v", e.Key, got, e)
			}
		}
	}
}

func TestMergeRefused(t *testing.T) {
	m, l := fiveLines(t)
	dir := t.TempDir()
	save := func(name string, lines ...[]byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, bytes.Join(lines, nil), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := save("good", l[0], l[1])
	other := m
	other.Model.SHA256, other.Template.Source = "00", "plain"
	judge := saved(t, filepath.Join(dir, "judge"), other)
	for name, tc := range map[string]struct {
		paths []string
		want  string
	}{
		"another judge": {[]string{good, judge}, judge + ": its ratings and those of " + good + " may not be mixed: model sha256: " + good + " has abababababab…, " + judge + " has 00; template source: " + good + " has gguf, " + judge + " has plain; put together only files of one model, rubric and settings"},
		"damaged":       {[]string{good, save("damaged", l[0], l[2][1:])}, filepath.Join(dir, "damaged") + ":2: "},
		"line twice":    {[]string{good, save("twice", l[0], l[2], l[3], l[3], l[2])}, filepath.Join(dir, "twice") + ":4: the key 000002ff000000000000000000000000 stands in an earlier line"},
		"empty":         {[]string{save("empty")}, filepath.Join(dir, "empty") + ":1: the file holds no complete manifest"},
		"missing":       {[]string{good, filepath.Join(dir, "none")}, "none: no such file"},
		"no journal":    {[]string{save("data", []byte("[\n"))}, "no journal"},
		"none":          {nil, "at least one"},
	} {
		var b bytes.Buffer
		_, err := Merge(&b, tc.paths, MergeOptions{PreferFirst: true})
		if err == nil || !strings.Contains(err.Error(), tc.want) || b.Len() > 0 {
			t.Errorf("%s: %v after %d bytes, want %s", name, err, b.Len(), tc.want)
		}
	}
}

// What is unfinished is left out, and a renamed model is the same judge.
func TestMergeTorn(t *testing.T) {
	warnings := countWarnings(t)
	m, l := fiveLines(t)
	renamed := m
	renamed.Model.Name = "Z.gguf"
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	saved(t, b, renamed, someEntries(t, 1)[1:2]...)
	if err := os.WriteFile(a, slices.Concat(l[0], l[1], l[3][:50]), 0o666); err != nil {
		t.Fatal(err)
	}
	renamedLine, _, err := renamed.line()
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(renamedLine, l[1], l[2]) // "Z" is before "a"
	for _, paths := range [][]string{{a, b}, {b, a}} {
		*warnings = 0
		var out bytes.Buffer
		if _, err := Merge(&out, paths, MergeOptions{}); err != nil || !bytes.Equal(out.Bytes(), want) || *warnings != 1 {
			t.Errorf("%v, %d warnings: %s\nwant %s", err, *warnings, &out, want)
		}
	}
}

// The file that is merged into loses nothing, whether it is named or not.
func TestMergeInto(t *testing.T) {
	m, l := fiveLines(t)
	entries := someEntries(t, 1)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	a, b := saved(t, at("a"), m, entries[2], entries[0]), saved(t, at("b"), m, entries[3])
	into := at("into")
	for _, step := range []struct {
		paths []string
		want  []byte
	}{
		{[]string{a}, slices.Concat(l[0], l[1], l[3])},
		{[]string{b}, slices.Concat(l[0], l[1], l[3], l[4])},
		{[]string{into, a}, slices.Concat(l[0], l[1], l[3], l[4])},
		{[]string{into}, slices.Concat(l[0], l[1], l[3], l[4])},
	} {
		if _, err := MergeInto(into, step.paths, MergeOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := readFile(t, into); !bytes.Equal(got, step.want) {
			t.Errorf("%q: %s\nwant %s", step.paths, got, step.want)
		}
	}
	link := at("link")
	if err := errors.Join(os.Remove(into), os.WriteFile(into, nil, 0o600), os.Symlink(into, link)); err != nil {
		t.Fatal(err)
	}
	if _, err := MergeInto(link, []string{a}, MergeOptions{}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(into)
	if err != nil || info.Mode() != 0o600 || !bytes.Equal(readFile(t, into), slices.Concat(l[0], l[1], l[3])) {
		t.Errorf("merged through a link: mode %v, %v", info.Mode(), err)
	}
	mine := at("mine.json")
	if err := os.WriteFile(mine, []byte("[]\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{mine: "no journal", os.DevNull: "regular file", dir: "directory", filepath.Join(at("none"), "x"): "no such file"} {
		if _, err := MergeInto(path, []string{a}, MergeOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("into %s: %v, want %q", path, err, want)
		}
	}
	if !bytes.Equal(readFile(t, mine), []byte("[]\n")) {
		t.Error("someone's file was overwritten")
	}
}
