package data

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"winnow/grader/record"
)

func TestParquetDamaged(t *testing.T) {
	whole, err := os.ReadFile(writeParquet(t, samples(40), 15))
	if err != nil {
		t.Fatal(err)
	}
	length := int(binary.LittleEndian.Uint32(whole[len(whole)-8:]))
	patched := func(at int, b ...byte) []byte {
		out := bytes.Clone(whole)
		copy(out[at:], b)
		return out
	}
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"cut off":          {whole[:len(whole)-9], "cut off"},
		"the magic alone":  {whole[:4], "cut off"},
		"encrypted":        {patched(len(whole)-4, []byte("PARE")...), "encrypted"},
		"a footer too far": {patched(len(whole)-8, 0xff, 0xff, 0xff, 0x7f), "do not fit the file"},
		"a short footer":   {patched(len(whole)-8, 1, 0, 0, 0), "footer"},
		"a wiped footer":   {patched(len(whole)-8-length, make([]byte, length)...), "Parquet"},
		"a wiped page":     {patched(4, bytes.Repeat([]byte{0xff}, 64)...), "row 1 cannot be decoded"},
	} {
		recs, _, err := readRecords(t, writeFile(t, "data.parquet", c.b), record.Options{})
		var damage *record.SourceError
		if !errors.As(err, &damage) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "data.parquet") {
			t.Errorf("%s: %d records, error %v; want one with %q", name, len(recs), err, c.want)
		}
	}
}

// TestParquetMutated reads files with random damage. Each ends in records whose
// number is the footer's, or in an error.
func TestParquetMutated(t *testing.T) {
	whole, err := os.ReadFile(writeParquet(t, samples(40), 15))
	if err != nil {
		t.Fatal(err)
	}
	n := 400
	if testing.Short() {
		n = 100
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range n {
		readDamaged(t, mutated(random, whole))
	}
}

// mutated changes, cuts out or doubles a few bytes.
func mutated(random *rand.Rand, whole []byte) []byte {
	b := bytes.Clone(whole)
	for range 1 + random.IntN(4) {
		at := random.IntN(len(b))
		switch random.IntN(5) {
		case 0:
			n := min(random.IntN(64), len(b)-at)
			b = append(b[:at:at], b[at+n:]...)
		case 1:
			n := min(random.IntN(64), len(b)-at)
			b = append(b[:at+n:at+n], b[at:]...)
		case 2:
			b[at] = []byte{0, 0x7f, 0x80, 0xff}[random.IntN(4)]
		default:
			b[at] ^= 1 << random.IntN(8)
		}
	}
	return b
}

func readDamaged(t *testing.T, b []byte) {
	t.Helper()
	src, err := openParquet(bytes.NewReader(b), int64(len(b)), "data", Options{Record: record.Options{MaxBytes: 1 << 20}})
	var recs []*record.Record
	var layout record.Layout
	if err == nil {
		recs, layout, err = drain(t, src)
	}
	var damage *record.SourceError
	if err != nil {
		if !errors.As(err, &damage) {
			t.Fatalf("error %v is no SourceError", err)
		}
		return
	}
	for i, rec := range recs {
		if rec.Index != i || rec.Fault != nil && rec.Fault.Status == record.BadJSON {
			t.Fatalf("record %d: %+v, fault %v", i, rec, rec.Fault)
		}
	}
	if w, err := layout.NewWriter(io.Discard, true); err == nil { // damaged schemas may be refused
		for _, rec := range recs {
			if w.WriteNote(rec, 1) != nil {
				break
			}
		}
		_ = w.Close() // nor need they give a file
	}
}

func FuzzParquet(f *testing.F) {
	for _, n := range []int{0, 3, 40} {
		b, err := os.ReadFile(writeParquet(f, samples(n), 15))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(readDamaged)
}

// TestParquetBombs has pages that unpack to more than their headers say.
func TestParquetBombs(t *testing.T) {
	type row struct {
		Instruction string `parquet:"instruction,plain"`
	}
	var text strings.Builder
	for i := 0; text.Len() < 4<<20; i++ {
		fmt.Fprintf(&text, "%d and ", i)
	}
	rows := []row{{text.String()[:4<<20]}}
	for name, codec := range map[string]compress.Codec{"zstd": &parquet.Zstd, "gzip": &parquet.Gzip, "snappy": &parquet.Snappy} {
		for version := 1; version <= 2; version++ {
			path := writeParquet(t, rows, 1, parquet.Compression(codec), parquet.DataPageVersion(version))
			if recs, _ := mustRead(t, path); len(recs) != 1 {
				t.Fatalf("%s: %d records", name, len(recs))
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			// The header's second field is the unpacked size, five bytes behind its type.
			size := binary.AppendUvarint(nil, 2*uint64(4<<20+4))
			at := bytes.Index(b, size)
			if at < 0 || at > 10 {
				t.Fatalf("%s: no size in the header: % x", name, b[:16])
			}
			copy(b[at:], binary.AppendUvarint(nil, 2*uint64(3<<20)))
			_, _, err = readRecords(t, writeFile(t, "data.parquet", b), record.Options{})
			if err == nil || !strings.Contains(err.Error(), "unpacks to more than") {
				t.Errorf("%s, version %d: error %v", name, version, err)
			}
		}
	}
}
