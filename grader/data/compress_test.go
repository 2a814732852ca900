package data

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"winnow/grader/record"
)

// packed returns content compressed as the name says.
func packed(t testing.TB, content, name string) string {
	t.Helper()
	var out bytes.Buffer
	w, err := Compress(&out, name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// unpack returns what unpacking gives.
func unpack(content string, o Options) (string, error) {
	u := newUnpacker(packingOf([]byte(content)), strings.NewReader(content), o)
	defer u.close()
	b, err := io.ReadAll(u)
	return string(b), err
}

// manyLines are records that differ.
func manyLines(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for range n {
		b.WriteString(`{"instruction":"` + strings.Repeat(string(rune('a'+r.IntN(26))), 1+r.IntN(40)) + `","output":"` + string(rune('a'+r.IntN(26))) + "\"}\n")
	}
	return b.String()
}

// What is compressed comes out as it was, in one piece or several, and the same
// content becomes the same bytes.
func TestCompress(t *testing.T) {
	for _, name := range []string{"x.gz", "x.jsonl.zst", "X.GZ"} {
		for _, content := range []string{"", "x", manyLines(5000)} {
			once := packed(t, content, name)
			if packed(t, content, name) != once {
				t.Errorf("%s: two runs differ", name)
			}
			if got, err := unpack(once+packed(t, "and more", name), Options{}); err != nil || got != content+"and more" {
				t.Errorf("%s: %d bytes became %d, error %v", name, len(content)+8, len(got), err)
			}
		}
	}
	const skip = "\x5a\x2a\x4d\x18\x03\x00\x00\x00abc" // a frame to be passed over
	if got, err := unpack(skip+packed(t, "x", "x.zst")+skip+packed(t, "y", "x.zst"), Options{}); err != nil || got != "xy" {
		t.Errorf("with frames to be skipped: %q, error %v", got, err)
	}
	if packed(t, "x", "x.json") != "x" || packed(t, "x", "gz") != "x" {
		t.Error("a file was compressed whose name does not say so")
	}
}

// Others read what is written: here the standard library.
func TestCompressStandard(t *testing.T) {
	content := manyLines(100)
	r, err := gzip.NewReader(strings.NewReader(packed(t, content, "x.gz")))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := io.ReadAll(r); err != nil || string(out) != content {
		t.Errorf("it gives %d bytes, want %d, error %v", len(out), len(content), err)
	}
}

// A file that is cut off delivers what comes before the cut, and says so.
func TestTruncated(t *testing.T) {
	lines := strings.SplitAfter(manyLines(60), "\n")
	for _, name := range []string{"a.gz", "a.zst"} {
		whole := packed(t, strings.Join(lines[:20], ""), name) + packed(t, strings.Join(lines[20:], ""), name)
		path := filepath.Join(t.TempDir(), name)
		parts := len(packed(t, strings.Join(lines[:20], ""), name))
		for n := 4; n < len(whole); n++ {
			if n == parts {
				continue // the end of a member is a good end
			}
			if err := os.WriteFile(path, []byte(whole[:n]), 0o600); err != nil {
				t.Fatal(err)
			}
			recs, _, err := readPaths(t, []string{path}, Options{Format: JSONL})
			if !errors.As(err, new(*record.SourceError)) || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "the file is cut off") || !strings.HasPrefix(err.Error(), path) {
				t.Fatalf("%s cut at %d of %d: error %v", name, n, len(whole), err)
			}
			if n > parts && len(recs) < 20 {
				t.Fatalf("%s cut at %d of %d, behind the first part: %d records", name, n, len(whole), len(recs))
			}
			for i, rec := range recs {
				if string(rec.Raw)+"\n" != lines[i] {
					t.Fatalf("%s cut at %d: record %d is %q", name, n, i, rec.Raw)
				}
			}
		}
	}
}

// A byte that was changed is found out by the checksum or does no harm.
func TestCorrupt(t *testing.T) {
	content := manyLines(60)
	for _, name := range []string{"a.gz", "a.zst"} {
		whole := []byte(packed(t, content, name))
		wrong := 0
		for i := 4; i < len(whole); i++ {
			bad := bytes.Clone(whole)
			bad[i] ^= 1 << (i % 8)
			got, err := unpack(string(bad), Options{})
			if err == nil && got != content {
				t.Fatalf("%s with byte %d changed gives something else and no error", name, i)
			}
			if err != nil {
				wrong++
			}
		}
		if wrong < len(whole)/2 {
			t.Errorf("%s: %d of %d changes were found", name, wrong, len(whole))
		}
	}
}

// zeroes writes what compresses best.
func zeroes(t *testing.T, name string, n int) string {
	return packed(t, strings.Repeat(" ", n), name)
}

func TestBomb(t *testing.T) {
	o := Options{free: 1 << 20}
	for _, name := range []string{"a.gz", "a.zst"} {
		bomb := zeroes(t, name, 8<<20)
		got, err := unpack(bomb, o)
		if err == nil || !strings.Contains(err.Error(), "more than 200 times as many") || !strings.Contains(err.Error(), "--max-expansion") {
			t.Errorf("%s: %d bytes made %d, error %v", name, len(bomb), len(got), err)
		}
		if len(got) > 4<<20 {
			t.Errorf("%s: %d bytes came out before it was stopped", name, len(got))
		}
		// What is not that much, or not that many times as much, is no bomb.
		for _, o := range []Options{{}, {free: 1 << 20, MaxExpansion: 1 << 20}} {
			if got, err := unpack(bomb, o); err != nil || len(got) != 8<<20 {
				t.Errorf("%s with %+v: %d bytes, error %v", name, o, len(got), err)
			}
		}
		if got, err := unpack(zeroes(t, name, 1<<20), o); err != nil || len(got) != 1<<20 {
			t.Errorf("%s: a small one: %d bytes, error %v", name, len(got), err)
		}
	}
	folder(t, map[string]string{"a.jsonl.gz": packed(t, aLine+strings.Repeat("\n", 8<<20)+aLine, "a.gz")})
	recs, _, err := readPaths(t, []string{"a.jsonl.gz"}, o)
	if len(recs) != 1 || !errors.As(err, new(*record.SourceError)) || !strings.Contains(err.Error(), "a.jsonl.gz:") {
		t.Errorf("a file of many line breaks: %d records, error %v", len(recs), err)
	}
}

// A frame that asks for more memory than is granted is refused before it gets it.
func TestWindow(t *testing.T) {
	const frame = "\x28\xb5\x2f\xfd\x00"
	const large, granted = "\x90", "\x88" // 256 and 128 MiB
	const block = "\x09\x00\x00x"         // the last one, of one byte as it is
	for _, size := range []string{large, "\xa8", "\xff"} {
		if _, err := unpack(frame+size+block, Options{}); err == nil || !strings.Contains(err.Error(), "a window of more than 128 MiB") {
			t.Errorf("window %x: error %v", size, err)
		}
	}
	if got, err := unpack(frame+granted+block, Options{}); err != nil || got != "x" {
		t.Errorf("a window of 128 MiB: %q, error %v", got, err)
	}
	e, err := zstd.NewWriter(nil, zstd.WithEncoderDictRaw(7, bytes.Repeat([]byte("instruction"), 50)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unpack(string(e.EncodeAll([]byte(aLine), nil)), Options{}); err == nil || !strings.Contains(err.Error(), "needs a dictionary") {
		t.Errorf("with a dictionary: error %v", err)
	}
}

func TestPackedInside(t *testing.T) {
	folder(t, map[string]string{
		"twice.gz": packed(t, packed(t, aLine, "x.zst"), "x.gz"), "p.gz": packed(t, "PAR1", "x.gz"), "none.json.gz": packed(t, "", "x.gz"),
		"t.csv.zst": packed(t, anyCSV, "x.zst"), "plain.gz": aLine,
	})
	for path, want := range map[string]string{
		"twice.gz": "the file is still compressed with zstd; unpack it", "p.gz": "holds a Parquet file inside gzip; unpack it", "none.json.gz": "the file is empty",
	} {
		if _, _, err := readPaths(t, []string{path}, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", path, err, want)
		}
	}
	for _, path := range []string{"t.csv.zst", "plain.gz"} {
		if recs, _, err := readPaths(t, []string{path}, Options{}); err != nil || len(recs) != 1 {
			t.Errorf("%s: %d records, error %v", path, len(recs), err)
		}
	}
}

func TestSplitName(t *testing.T) {
	for path, want := range map[string][3]string{
		"a/data.jsonl.gz": {"data", ".jsonl", ".gz"}, "data.v2.csv": {"data.v2", ".csv", ""}, "data.ZST": {"data", "", ".ZST"}, "data": {"data", "", ""}, "-": {"-", "", ""},
	} {
		stem, ext, packed := SplitName(path)
		if got := [3]string{stem, ext, packed}; got != want {
			t.Errorf("SplitName(%s) = %q, want %q", path, got, want)
		}
	}
}
