package grader

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"winnow/grader/data"
	"winnow/grader/record"
	"winnow/grader/verdict"
	"winnow/internal/soak"
)

// soakFormat is a form of data that is damaged thousands of times.
type soakFormat struct {
	name string
	data []byte
	open func(data []byte) (record.Source, error)

	// gaps returns what may stand between the records of such data; nil if records
	// are no pieces of the file.
	gaps func(data []byte) string

	// whole says that damage ends the reading, and hardly ever is one record's fault.
	whole bool
}

// soakFormats are the forms of data that are read. One more is one line more.
func soakFormats(t testing.TB) []soakFormat {
	lines := corpus(20)
	jsonOf := func(data []byte) (record.Source, error) {
		return record.NewReader(bytes.NewReader(data), "data", record.Options{MaxBytes: 1 << 20}), nil
	}
	formats := []soakFormat{
		{"lines", lines, jsonOf, jsonGaps, false},
		{"array", array(t, lines), jsonOf, jsonGaps, false},
		{"messages", chats(t, `{"messages":[%s]}`, `{"role":"user","content":%s},{"role":"assistant","content":%s}`), jsonOf, jsonGaps, false},
		{"ShareGPT", chats(t, `{"conversations":[%s]}`, `{"from":"human","value":%s},{"from":"gpt","value":%s}`), jsonOf, jsonGaps, false},
	}
	// The others are files of package data.
	path := filepath.Join(t.TempDir(), "data")
	for _, f := range []data.Format{data.CSV, data.TSV, data.Parquet} {
		formats = append(formats, soakFormat{name: string(f), data: converted(t, lines, f), open: fileOf(path, f), whole: f == data.Parquet})
	}
	for _, ext := range []string{".gz", ".zst"} {
		var packed bytes.Buffer
		w, err := data.Compress(&packed, ext)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(lines); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		formats = append(formats, soakFormat{name: ext[1:], data: packed.Bytes(), open: fileOf(path, "")})
	}
	return formats
}

// fileOf opens data as a file of a format, at path.
func fileOf(path string, f data.Format) func([]byte) (record.Source, error) {
	return func(b []byte) (record.Source, error) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return nil, err
		}
		return data.Open([]string{path}, data.Options{Record: record.Options{MaxBytes: 1 << 20}, Format: f})
	}
}

// converted returns sound records of lines in another format.
func converted(t testing.TB, lines []byte, f data.Format) []byte {
	layout, err := data.ConvertTo(string(f))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := layout.NewWriter(&b, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range records(t, lines) {
		if rec.Fault == nil {
			err = errors.Join(err, w.Write(rec))
		}
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// chats returns conversations of one to three turns, a line each.
func chats(t testing.TB, record, turn string) []byte {
	var b bytes.Buffer
	for i := range 20 {
		var turns []string
		for k := range 1 + i%3 {
			asked, err := json.Marshal(fmt.Sprintf("What is %d times %d?", i, k))
			if err != nil {
				t.Fatal(err)
			}
			said, err := json.Marshal(fmt.Sprintf("It is %d.\nSurely.", i*k))
			if err != nil {
				t.Fatal(err)
			}
			turns = append(turns, fmt.Sprintf(turn, asked, said))
		}
		fmt.Fprintf(&b, record+"\n", strings.Join(turns, ","))
	}
	return b.Bytes()
}

// jsonGaps is what stands between records in JSON: damage can make an array of
// lines, and the other way round.
func jsonGaps(data []byte) string {
	const space = " \t\r\n"
	if bytes.HasPrefix(bytes.TrimLeft(bytes.TrimPrefix(data, byteOrder), space), []byte("[")) {
		return space + ",[]"
	}
	return space
}

// byteOrder may stand before all else.
var byteOrder = []byte("\xef\xbb\xbf")

// byteMutations change data somewhere. They may return what they are given.
var byteMutations = []func(r *rand.Rand, b []byte) []byte{
	func(r *rand.Rand, b []byte) []byte { // bits
		for range 1 + r.IntN(8) {
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
		return b
	},
	func(r *rand.Rand, b []byte) []byte { // bytes that mean something
		at := r.IntN(len(b) + 1)
		signs := []string{"\x00", "\"", "[", "]", "{", "}", ",", "\n", "\r\n", "\\", "\\u", "\\ud800", ":", "\xef\xbb\xbf", "\xff", "\xff\xfe", "'", "\t", ";", "null", "\x1f\x8b", "PAR1", "(\xb5/\xfd"}
		return slices.Insert(b, at, []byte(strings.Repeat(signs[r.IntN(len(signs))], []int{1, 1, 1, 2, 3, 200}[r.IntN(6)]))...)
	},
	func(r *rand.Rand, b []byte) []byte { // less
		from, to := chunk(r, b)
		return slices.Delete(b, from, to)
	},
	func(r *rand.Rand, b []byte) []byte { // the end
		return b[:r.IntN(len(b)+1)]
	},
	func(r *rand.Rand, b []byte) []byte { // more of the same
		from, to := chunk(r, b)
		return slices.Insert(b, r.IntN(len(b)+1), bytes.Repeat(b[from:to], 1+r.IntN(4))...)
	},
	func(r *rand.Rand, b []byte) []byte { // another place
		from, to := chunk(r, b)
		piece := bytes.Clone(b[from:to])
		rest := slices.Delete(b, from, to)
		return slices.Insert(rest, r.IntN(len(rest)+1), piece...)
	},
	func(r *rand.Rand, b []byte) []byte { // files joined
		return append(b, b[r.IntN(len(b)+1):]...)
	},
	func(r *rand.Rand, b []byte) []byte { // a block that was never written
		from, to := chunk(r, b)
		clear(b[from:to])
		return b
	},
}

// chunk picks a piece of b, most of them short.
func chunk(r *rand.Rand, b []byte) (from, to int) {
	from = r.IntN(len(b))
	most := len(b) - from
	if r.IntN(4) > 0 {
		most = min(most, 40)
	}
	return from, from + r.IntN(most+1)
}

// TestSoakMutatedData damages data in every form and takes it through reading,
// grading and filtering. Nothing panics or hangs; every element of the source
// becomes a record that is graded or has a fault, or reading ends with an error
// that has a place; and every record is kept, dropped or for review.
func TestSoakMutatedData(t *testing.T) {
	count := soak.Count(300, 20000)
	for i, f := range soakFormats(t) {
		t.Run(f.name, func(t *testing.T) {
			var all soakResult
			for n := range count {
				r := rand.New(rand.NewPCG(soak.Seed()<<8+uint64(i), uint64(n)))
				data := bytes.Clone(f.data)
				for range 1 + r.IntN(3) {
					if len(data) > 0 {
						data = byteMutations[r.IntN(len(byteMutations))](r, data)
					}
				}
				hang := time.AfterFunc(2*time.Second, func() { panic(fmt.Sprintf("%s, mutation %d: no end after 2 s: %.2000q", f.name, n, data)) })
				one, err := soakOne(t.Context(), f, data)
				hang.Stop()
				if err != nil {
					t.Fatalf("mutation %d: %v\n%.3000q", n, err, data)
				}
				all.records += one.records
				all.faults += one.faults
				all.ended += one.ended
			}
			t.Logf("soak: %d mutations of %s: %d records, %d of them with a fault; %d sources ended with an error", count, f.name, all.records, all.faults, all.ended)
			if all.records == 0 || all.faults == 0 && !f.whole || all.ended == count {
				t.Error("want records, faults, and sources that are read to their end")
			}
		})
	}
}

// soakResult is what became of damaged sources.
type soakResult struct {
	records int // that were read
	faults  int // of them with a fault
	ended   int // sources that ended with an error
}

// soakOne takes a source through and returns what became of it, or which law it
// breaks.
func soakOne(ctx context.Context, f soakFormat, data []byte) (out soakResult, err error) {
	recs, srcErr := readLaws(f, data)
	if srcErr != nil {
		var place *record.SourceError
		if !errors.As(srcErr, &place) {
			return out, srcErr
		}
		if place.Name == "" || place.Msg == "" || place.Line < 0 || len(recs) > 0 && place.Line == 0 {
			return out, fmt.Errorf("an error without a place: %#v", place)
		}
		out.ended = 1
	}
	out.records = len(recs)
	for _, rec := range recs {
		if rec.Fault != nil {
			out.faults++
		}
	}
	src, err := f.open(data)
	if err != nil {
		return out, same(err, srcErr)
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	m := newMemory()
	_, err = Grade(ctx, src, newFake(), m, m, GradeOptions{MaxOffScale: 0.3})
	if err = same(err, srcErr); err != nil {
		return out, fmt.Errorf("grading: %w", err)
	}
	for _, rec := range recs {
		e, ok := m.Lookup(rec.Key)
		if !ok {
			return out, fmt.Errorf("record %d (line %d) has no entry", rec.Index, rec.Line)
		}
		if rec.Fault != nil && e.Status != rec.Fault.Status {
			return out, fmt.Errorf("record %d (line %d) has the status %s, want %s", rec.Index, rec.Line, e.Status, rec.Fault.Status)
		}
	}
	if n := len(distinct(recs)); len(m.entries) != n {
		return out, fmt.Errorf("%d entries for %d distinct records", len(m.entries), n)
	}
	var kept, dropped bytes.Buffer
	report, err := Filter(func() (record.Source, error) { return f.open(data) }, m, FilterOptions{Rule: verdict.Rule{Min: ptr(2.0)}, Kept: &kept, Dropped: &dropped})
	if err = same(err, srcErr); err != nil {
		return out, fmt.Errorf("filtering: %w", err)
	}
	if srcErr == nil {
		err = accounted(f, recs, report, kept.Bytes(), dropped.Bytes())
	}
	return out, err
}

// readLaws reads a source and checks that nothing of it is passed over.
func readLaws(f soakFormat, data []byte) ([]*record.Record, error) {
	src, err := f.open(data)
	if err != nil {
		return nil, err
	}
	defer func() { _ = src.Close() }() // reading is over
	var recs []*record.Record
	elements, at := 0, 0
	for {
		rec, err := src.Next()
		if err != nil {
			if _, again := src.Next(); !errors.Is(again, err) {
				return recs, fmt.Errorf("after %v came %v", err, again)
			}
			if !errors.Is(err, io.EOF) {
				return recs, err
			}
			if f.gaps != nil && !onlyOf(data[at:], f.gaps(data)) {
				return recs, fmt.Errorf("reading ended without an error before %.80q", data[at:])
			}
			return recs, nil
		}
		if rec.Turn == 0 {
			elements++
		}
		if rec.Index != elements-1 || rec.Line < 1 || rec.Key == (record.Key{}) {
			return recs, fmt.Errorf("element %d gave %+v", elements, rec)
		}
		if f.gaps != nil && rec.Turn == 0 {
			n := bytes.Index(data[at:], rec.Raw)
			if n < 0 || !onlyOf(data[at:at+n], f.gaps(data)) {
				return recs, fmt.Errorf("before record %d, %.80q, something was passed over: %.80q", rec.Index, rec.Raw, data[at:])
			}
			if line := 1 + bytes.Count(data[:at+n], []byte{'\n'}); rec.Line != line {
				return recs, fmt.Errorf("record %d has the line %d, want %d", rec.Index, rec.Line, line)
			}
			at += n + len(rec.Raw)
		}
		recs = append(recs, rec)
	}
}

// onlyOf reports whether all bytes are among the signs; a byte-order mark may
// stand before them.
func onlyOf(b []byte, signs string) bool {
	return len(bytes.Trim(bytes.TrimPrefix(b, byteOrder), signs)) == 0
}

// same checks that a step ended with the error that reading ends with.
func same(err, want error) error {
	var got, place *record.SourceError
	if errors.As(err, &got) && errors.As(want, &place) && got.Error() == place.Error() || err == nil && want == nil {
		return nil
	}
	return fmt.Errorf("it ended with %v, want %v", err, want)
}

// elementsOf counts the records of a source: a conversation is one.
func elementsOf(recs []*record.Record) (n int) {
	for _, rec := range recs {
		if rec.Turn == 0 {
			n++
		}
	}
	return n
}

// accounted checks that every record is in one of the files.
func accounted(f soakFormat, recs []*record.Record, r *Report, kept, dropped []byte) error {
	elements := elementsOf(recs)
	if r.Records != elements || r.Kept+r.Dropped+r.Review != elements {
		return fmt.Errorf("%d elements: the report has %d, of them %d kept, %d dropped, %d for review", elements, r.Records, r.Kept, r.Dropped, r.Review)
	}
	if f.gaps == nil {
		return nil
	}
	for _, out := range []struct {
		name string
		data []byte
		want int
	}{{"kept", kept, r.Kept}, {"dropped", dropped, r.Dropped + r.Review}} {
		n := 0
		if len(bytes.TrimSpace(out.data)) > 0 {
			again, err := readLaws(f, out.data)
			if err != nil {
				return fmt.Errorf("the %s file cannot be read: %w\n%.2000q", out.name, err, out.data)
			}
			n = elementsOf(again)
		}
		if n != out.want {
			return fmt.Errorf("the %s file has %d records, want %d\n%.2000q", out.name, n, out.want, out.data)
		}
	}
	return nil
}
