package data

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"winnow/grader/record"
)

// folder writes files into a new folder and goes there.
func folder(t testing.TB, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range files {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// readPaths opens and reads files to their end.
func readPaths(t testing.TB, paths []string, o Options) ([]*record.Record, record.Layout, error) {
	t.Helper()
	src, err := Open(paths, o)
	if err != nil {
		if src != nil {
			t.Fatalf("%q: a source beside the error %v", paths, err)
		}
		return nil, nil, err
	}
	recs, err := readAll(src)
	if _, again := src.Next(); again != err && (err != nil || again != io.EOF) {
		t.Fatalf("%q: error %v, then %v", paths, err, again)
	}
	layout := src.Layout()
	if err := errors.Join(src.Close(), src.Close()); err != nil {
		t.Fatal(err)
	}
	return recs, layout, err
}

const (
	aLine  = `{"instruction":"i","output":"o"}`
	anyCSV = "instruction,output\ni,o\n"
)

func TestFormats(t *testing.T) {
	for _, c := range []struct {
		name, content string
		format        Format // asked for
		want          Format
		records       int
	}{
		{"a.json", " \n[" + aLine + "]", "", JSON, 1},
		{"a.json", aLine + "\n" + aLine, "", JSONL, 2},
		{"a.csv", bom + "[" + aLine + "]", "", JSON, 1},
		{"a", "\n" + aLine, "", JSONL, 1},
		{"a.csv", anyCSV, "", CSV, 1},
		{"A.CSV", anyCSV, "", CSV, 1},
		{"a.tsv", strings.ReplaceAll(anyCSV, ",", "\t"), "", TSV, 1},
		{"a.tab", strings.ReplaceAll(anyCSV, ",", "\t"), "", TSV, 1},
		{"a.txt", anyCSV, CSV, CSV, 1},
		{"a.json", anyCSV, CSV, CSV, 1},
		{"a.csv", strings.ReplaceAll(anyCSV, ",", "\t"), TSV, TSV, 1},
		{"a.txt", "oops\n" + aLine, JSONL, JSONL, 2},
		{"a.jsonl", "oops\n" + aLine, "", JSONL, 2},
		{"a.ndjson.gz", "oops\n" + aLine, "", JSONL, 2},
		{"a.txt", "[1]\n" + aLine, JSONL, JSONL, 2},
		{"a", "[" + aLine + "]", JSON, JSON, 1},
		{"a", strings.Repeat("\n", 1000) + aLine, "", JSONL, 1},
	} {
		folder(t, map[string]string{c.name: c.content})
		o := Options{Format: c.format}
		format, err := Detect(c.name, o)
		if err != nil || format != c.want {
			t.Errorf("%s with %.20q as %q: detected %q, error %v; want %q", c.name, c.content, c.format, format, err, c.want)
		}
		if recs, _, err := readPaths(t, []string{c.name}, o); err != nil || len(recs) != c.records || recs[0].File != c.name {
			t.Errorf("%s with %.20q as %q: %d records, error %v; want %d", c.name, c.content, c.format, len(recs), err, c.records)
		}
	}
}

func TestFormatUnknown(t *testing.T) {
	for _, c := range []struct {
		name, content string
		format        Format
		want          string
	}{
		{"a.txt", "once upon a time", "", "a.txt: its format cannot be told: it does not begin like JSON or Parquet, and the extension .txt says nothing; name it with --format json, jsonl, csv, tsv or parquet"},
		{"a", "once", "", "it has no extension"},
		{"a", " \n", "", "a: the file is empty; want records as json"},
		{"a.json", "", "", "a.json: the file is empty"},
		{"a.jsonl", "", "", "a.jsonl: the file is empty"},
		{"a.csv", "", "", "a.csv: the file is empty; want a header"},
		{"a.json", "once", "", "a.json:1: found 'o'"},
		{"a.json", aLine, JSON, "a.json:1: found '{', want '['"},
		{"a.txt", "\xff\xfei\x00", "", "the file is text in UTF-16"},
		{"a.zip", "PK\x03\x04", "", "a ZIP archive; unpack it"},
		{"a.json", "PAR1", JSON, "a Parquet file; leave out --format"},
		{"a.csv", "PAR1", CSV, "the file is no table but a Parquet file"},
		{"a.json", aLine, "xml", "a.json: records cannot be read as xml, want json"},
	} {
		folder(t, map[string]string{c.name: c.content})
		if _, _, err := readPaths(t, []string{c.name}, Options{Format: c.format}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %q as %q: error %v, want one with %q", c.name, c.content, c.format, err, c.want)
		}
	}
	if f, err := ParseFormat("tsv"); f != TSV || err != nil {
		t.Errorf("tsv: %q, %v", f, err)
	}
	if _, err := ParseFormat("xml"); err == nil || !strings.Contains(err.Error(), "want json, jsonl") {
		t.Errorf("xml: error %v", err)
	}
}

func TestOpenFails(t *testing.T) {
	folder(t, map[string]string{"a.json": aLine, "b.json": aLine})
	for _, f := range []error{os.Mkdir("folder", 0o700), os.Symlink("a.json", "link.json")} {
		if f != nil {
			t.Fatal(f)
		}
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		paths []string
		want  string
	}{
		{nil, "no file is named"},
		{[]string{"none.json"}, "none.json: no such file"},
		{[]string{"a.json", "none.json"}, "none.json: no such file"},
		{[]string{"folder"}, "folder is a directory"},
		{[]string{"*.csv"}, "pattern *.csv: no file matches it"},
		{[]string{"[.json"}, "pattern [.json: syntax error"},
		{[]string{"a.json", "b.json", "a.json"}, "a.json and a.json are the same file"},
		{[]string{"a.json", filepath.Join(here, "a.json")}, "the same file"},
		{[]string{"a.json", "link.json"}, "a.json and link.json are the same file"},
		{[]string{"b.json", "?.json"}, "b.json and b.json are the same file"},
		{[]string{os.DevNull}, "no regular file"},
		{[]string{"-"}, "stdin is not at hand"},
	} {
		if _, _, err := readPaths(t, c.paths, Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want one with %q", c.paths, err, c.want)
		}
	}
}

func TestExpand(t *testing.T) {
	folder(t, map[string]string{"b.json": "", "a.json": "", "c.csv": "", "x[1].json": "", "*": ""})
	for _, c := range []struct{ in, want []string }{
		{[]string{"*.json"}, []string{"a.json", "b.json", "x[1].json"}},
		{[]string{"c.csv", "[ab].json"}, []string{"c.csv", "a.json", "b.json"}},
		{[]string{"x[1].json", "*"}, []string{"x[1].json", "*"}},
		{[]string{"none.json", "-"}, []string{"none.json", "-"}},
	} {
		if got, err := Expand(c.in); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("Expand(%q) = %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

func TestSeveral(t *testing.T) {
	folder(t, map[string]string{
		"1.jsonl": aLine + "\r\n" + aLine, "3.json": "\n" + aLine + "\n",
		"a.csv": "instruction,output\r\ni,1", "b.csv": bom + "\"instruction\",output\ni,2\n", "c.csv": "output,instruction\no,3\n",
		"empty.json": "[]", "array.json": "[" + aLine + "]",
	})
	recs, layout, err := readPaths(t, []string{"1.jsonl", "3.json"}, Options{})
	if err != nil || len(recs) != 3 {
		t.Fatalf("%d records, error %v", len(recs), err)
	}
	for i, want := range []string{"1.jsonl:1", "1.jsonl:2", "3.json:2"} {
		if recs[i].Index != i || recs[i].Where() != want {
			t.Errorf("record %d has index %d and is at %s, want %s", i, recs[i].Index, recs[i].Where(), want)
		}
	}
	if got, want := written(t, layout, recs, nil), aLine+"\r\n"+aLine+"\r\n"+aLine; got != want {
		t.Errorf("written %q, want %q", got, want)
	}

	recs, layout, err = readPaths(t, []string{"a.csv", "b.csv"}, Options{})
	if err != nil || len(recs) != 2 || recs[1].Response != "2" || recs[1].Index != 1 || recs[1].Where() != "b.csv:2" {
		t.Fatalf("tables: %d records, error %v", len(recs), err)
	}
	if got, want := written(t, layout, recs, nil), "instruction,output\r\ni,1\r\ni,2"; got != want {
		t.Errorf("tables written %q, want %q", got, want)
	}

	recs, layout, err = readPaths(t, []string{"empty.json", "array.json"}, Options{})
	if err != nil || len(recs) != 1 || recs[0].Index != 0 || written(t, layout, recs, nil) != "["+aLine+"]" {
		t.Errorf("an empty array first: %d records, error %v", len(recs), err)
	}

	for _, c := range []struct{ a, b, want string }{
		{"1.jsonl", "array.json", "1.jsonl is jsonl and array.json is json; one file cannot hold the records of both: filter them one by one, or convert them with --to"},
		{"a.csv", "3.json", "a.csv is csv and 3.json is jsonl"},
		{"a.csv", "c.csv", `a.csv has the columns "instruction", "output", but c.csv has "output", "instruction"; one file cannot hold`},
	} {
		if _, _, err := readPaths(t, []string{c.a, c.b}, Options{}); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s and %s: error %v, want %q", c.a, c.b, err, c.want)
		}
		recs, layout, err := readPaths(t, []string{c.a, c.b}, Options{Mixed: true})
		if err != nil || len(recs) < 2 {
			t.Fatalf("%s and %s, mixed: %d records, error %v", c.a, c.b, len(recs), err)
		}
		if _, err := layout.NewWriter(io.Discard, false); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("a writer of %s and %s: error %v", c.a, c.b, err)
		}
	}
}

// Damage in a later file comes behind the records before it; a file that goes away
// in between is damage too.
func TestSeveralDamaged(t *testing.T) {
	folder(t, map[string]string{"1.json": "[" + aLine + "]", "2.json": "[" + aLine + ",\n", "3.json": "[]"})
	recs, _, err := readPaths(t, []string{"1.json", "2.json", "3.json"}, Options{})
	if len(recs) != 2 || !errors.As(err, new(*record.SourceError)) || !strings.HasPrefix(err.Error(), "2.json:2: ") {
		t.Errorf("%d records, error %v", len(recs), err)
	}
	src, err := Open([]string{"1.json", "3.json"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove("3.json"); err != nil {
		t.Fatal(err)
	}
	recs, err = readAll(src)
	if len(recs) != 1 || !errors.Is(err, os.ErrNotExist) || !errors.As(err, new(*record.SourceError)) {
		t.Errorf("%d records, error %v", len(recs), err)
	}
	if err := src.Close(); err != nil {
		t.Error(err)
	}
}

// Stdin is read as often as needed, whatever its format, beside other files.
func TestStdin(t *testing.T) {
	folder(t, map[string]string{"a.json": aLine})
	for _, c := range []struct {
		content string
		format  Format
	}{{aLine + "\n" + aLine, ""}, {packed(t, aLine+"\n"+aLine, "x.gz"), ""}, {packed(t, anyCSV+"i,p", "x.zst"), CSV}} {
		f, err := Spool(t.Context(), iotest.HalfReader(strings.NewReader(c.content)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(f.Name()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the temporary file has a name: %v", err)
		}
		o := Options{Stdin: f, Format: c.format}
		for range 2 {
			recs, _, err := readPaths(t, []string{"-"}, o)
			if err != nil || len(recs) != 2 || recs[1].File != "stdin" {
				t.Errorf("%q: %d records, error %v", c.content, len(recs), err)
			}
		}
		if c.format == "" {
			if recs, _, err := readPaths(t, []string{"a.json", "-"}, o); err != nil || len(recs) != 3 || recs[2].Index != 2 {
				t.Errorf("%q behind a file: %d records, error %v", c.content, len(recs), err)
			}
		} else if _, err := Detect("-", Options{Stdin: f}); err == nil || !strings.Contains(err.Error(), "stdin: its format cannot be told: it does not begin like JSON or Parquet, and stdin has no extension") {
			t.Errorf("a table without its format: error %v", err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSpoolFails(t *testing.T) {
	cause := errors.New("the pipe is gone")
	if _, err := Spool(t.Context(), iotest.ErrReader(cause)); !errors.Is(err, cause) || !strings.Contains(err.Error(), os.TempDir()) {
		t.Errorf("a pipe that fails: error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	cancel()
	if _, err := Spool(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: error %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	if _, err := Spool(t.Context(), r); err == nil || !strings.Contains(err.Error(), "set TMPDIR") {
		t.Errorf("no folder: error %v", err)
	}
}

// Tables differ by any of their columns, however many and however long.
func TestSeveralWide(t *testing.T) {
	header := "instruction,output"
	for i := range 30 {
		header += fmt.Sprintf(",column %d", i)
	}
	row := "\ni,o" + strings.Repeat(",1", 31) + "\n"
	long := strings.Repeat("x", 100)
	folder(t, map[string]string{
		"a.csv": header + ",last" + row, "b.csv": header + ",other" + row,
		"c.csv": "instruction,output," + long + "1\ni,o,1\n", "d.csv": "instruction,output," + long + "2\ni,o,1\n",
	})
	for _, pair := range [][]string{{"a.csv", "b.csv"}, {"c.csv", "d.csv"}} {
		if _, _, err := readPaths(t, pair, Options{}); err == nil || !strings.Contains(err.Error(), "one file cannot hold") {
			t.Errorf("%s: error %v, want that one file cannot hold both", pair, err)
		}
	}
}

// Whatever the bytes are, reading ends, with records in order or an error that
// names the file.
func FuzzOpen(f *testing.F) {
	for _, s := range []string{"", "[" + aLine + "]", aLine + "\noops\n" + aLine, anyCSV, bom + "a\tb\n", "PAR1", "\xff\xfe", "\x1f\x8b", "\x28\xb5\x2f\xfd", "\x50\x2a\x4d\x18"} {
		for _, name := range []string{"a.json", "a.gz", "a.zst"} {
			f.Add([]byte(packed(f, s, name)), "")
		}
		f.Add([]byte(s), "jsonl")
		f.Add([]byte(s), "csv")
	}
	f.Fuzz(func(t *testing.T, content []byte, format string) {
		o := Options{Record: record.Options{MaxBytes: 1 << 12}, Format: Format(format), MaxExpansion: 10, free: 1 << 20}
		read := func(r io.Reader) (recs []*record.Record, err error) {
			in := &input{name: "data", at: bytes.NewReader(content), size: int64(len(content))}
			if err = in.begin(r, o); err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, in.Close()) }()
			src, err := in.source(o)
			if err != nil {
				return nil, err
			}
			return readAll(src)
		}
		recs, err := read(bytes.NewReader(content))
		if err != nil && !strings.HasPrefix(err.Error(), "data:") {
			t.Fatalf("%q: error %v does not name the file", content, err)
		}
		next := 0
		for i, rec := range recs {
			if rec.Turn == 0 {
				next++
			}
			if rec.Index != next-1 || rec.Line < 1 || rec.File != "data" || rec.Key == (record.Key{}) {
				t.Fatalf("%q: record %d is %+v", content, i, rec)
			}
		}
		if err != nil && strings.Contains(err.Error(), "--max-expansion") {
			return // where it stops depends on how much is read at once
		}
		slow, slowErr := read(iotest.OneByteReader(bytes.NewReader(content)))
		if len(slow) != len(recs) || fmt.Sprint(slowErr) != fmt.Sprint(err) {
			t.Fatalf("%q: %d records, error %v at once; %d, error %v in pieces", content, len(recs), err, len(slow), slowErr)
		}
	})
}
