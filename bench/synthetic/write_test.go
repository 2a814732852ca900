package synthetic

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// brief is a text to learn from that costs no time.
const brief = "Hello, world. The world says hello, and hello again."

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSeed checks that the seed decides the weights, whatever the number of
// processors that draw them.
func TestSeed(t *testing.T) {
	s := families()[0]
	s.Embd, s.Heads, s.HeadsKV = 288, 9, 3 // with all types of blocks in Q4_K_M
	for _, format := range Formats() {
		a := readFile(t, writeShape(t, s, format, Options{Seed: 1, Text: brief}))
		procs := runtime.GOMAXPROCS(5)
		b := readFile(t, writeShape(t, s, format, Options{Seed: 1, Text: brief}))
		runtime.GOMAXPROCS(procs)
		c := readFile(t, writeShape(t, s, format, Options{Seed: 2, Text: brief}))
		if !bytes.Equal(a, b) {
			t.Errorf("%s: equal seeds, different bytes", format)
		}
		if len(a) != len(c) {
			t.Errorf("%s: %d bytes with seed 1, %d with seed 2", format, len(a), len(c))
		}
		same := 0
		for i := range a {
			if a[i] == c[i] {
				same++
			}
		}
		if head := len(a) - int(s.Bytes(format)); same > head+int(s.Bytes(format))/3 {
			t.Errorf("%s: %d of %d bytes are the same with another seed", format, same, len(a))
		}
	}
}

func TestProgress(t *testing.T) {
	s := families()[1]
	last, total := int64(0), int64(0)
	path := writeShape(t, s, "q8_0", Options{Text: brief, Progress: func(done, all int64) {
		if done <= last || done > all || total != 0 && all != total {
			t.Errorf("%d of %d after %d of %d", done, all, last, total)
		}
		last, total = done, all
	}})
	size := int64(len(readFile(t, path)))
	if total != size {
		t.Errorf("told of %d bytes, wrote %d", total, size)
	}
	if head := size - s.Bytes("Q8_0"); last < size-1000 || head < 0 || head > 200_000 {
		t.Errorf("%d of %d bytes told, %d of them header", last, size, head)
	}
	if _, err := os.Stat(path + ".part"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the part is still there: %v", err)
	}
}

// TestCancel cancels at the beginning and in between.
func TestCancel(t *testing.T) {
	dir := t.TempDir()
	for _, at := range []int64{0, 1 << 20} {
		ctx, cancel := context.WithCancel(t.Context())
		if at == 0 {
			cancel()
		}
		err := Write(ctx, filepath.Join(dir, "m.gguf"), families()[0], "F16", Options{Text: brief, Progress: func(done, _ int64) {
			if done >= at {
				cancel()
			}
		}})
		cancel()
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "m.gguf") {
			t.Errorf("cancelled at %d bytes: error %v", at, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("cancelled at %d bytes: left behind %v, %v", at, left, err)
		}
	}
}

func TestWriteErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.gguf")
	s := families()[0]
	huge := s
	huge.Layers, huge.Embd, huge.FF, huge.Heads, huge.HeadsKV = maxLayers, maxSize, maxSize, 1024, 1024
	for _, c := range []struct {
		path, format string
		shape        Shape
		want         string
	}{
		{path, "Q9_0", s, `unknown format "Q9_0", want one of F16, Q8_0, Q4_K_M`},
		{path, "F16", Shape{Name: "none"}, "shape none: Vocab is 0"},
		{path, "F16", huge, "GB free: make room or write it elsewhere"},
		{dir, "F16", s, "something that is no file"},
		{filepath.Join(dir, "none", "m.gguf"), "F16", s, "no such file or directory"},
	} {
		err := Write(t.Context(), c.path, c.shape, c.format, Options{Text: brief})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("error %v, want one with %q and %q", err, c.path, c.want)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind %v, %v", left, err)
	}
}

// TestReplace checks that an old file gives way to a new one only when that is whole.
func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Write(ctx, path, families()[0], "F16", Options{Text: brief}); err == nil {
		t.Error("no error when cancelled")
	}
	if got := string(readFile(t, path)); got != "old" {
		t.Errorf("cancelled: the old file is now %d bytes", len(got))
	}
	if err := Write(t.Context(), path, families()[0], "F16", Options{Text: brief}); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(readFile(t, path), []byte("GGUF")) {
		t.Error("the new file is no model")
	}
}

// fullDisk takes what ends before size.
type fullDisk struct{ size int64 }

var errFull = errors.New("disk full")

func (d fullDisk) WriteAt(b []byte, at int64) (int, error) {
	if at+int64(len(b)) > d.size {
		return 0, errFull
	}
	return len(b), nil
}

func (fullDisk) Truncate(int64) error { return nil }

func TestDiskFull(t *testing.T) {
	p, err := newPlan(families()[0], "F16", Options{Text: brief})
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{0, p.size / 2, p.size - 100_000} {
		if err := p.write(t.Context(), fullDisk{size}, nil); !errors.Is(err, errFull) {
			t.Errorf("room for %d of %d bytes: error %v", size, p.size, err)
		}
	}
	if err := p.write(t.Context(), fullDisk{p.size}, nil); err != nil {
		t.Errorf("just enough room: %v", err)
	}
}

// BenchmarkDraw measures how fast the weights of each format come, on all
// processors, without a disk.
func BenchmarkDraw(b *testing.B) {
	for _, format := range Formats() {
		b.Run(format, func(b *testing.B) {
			p, err := newPlan(Shapes()[0], format, Options{Text: brief})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(p.size)
			for b.Loop() {
				if err := p.write(b.Context(), fullDisk{p.size}, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
