package data

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/format"

	"winnow/grader/record"
)

func TestParquetJSON(t *testing.T) {
	path := writeParquet(t, samples(3), 3)
	recs, _ := mustRead(t, path)
	want := []string{
		`{"instruction":"Say it.","input":"context \u0000 \"é\"","output":"It <b>is</b> said.","id":-1152921504606846976,"small":200,"large":9223372036854775808,` +
			`"single":0.1,"double":0,"good":true,"day":"2024-10-04","moment":"2023-11-14T22:13:20.123456Z","local":"1969-12-31T23:59:59.999","clock":"01:02:03.004",` +
			`"price":"-0.05","bytes":"/wA=","fixed":"AQID","uuid":"00000000-0000-0000-0000-000000000000","json":{"a":[1,2.50]},"tags":["x","","y"],"plain":[1,2],` +
			`"nested":[{"from":"human","value":"hello\nthere","marks":["a","b"]},{"from":"gpt","value":null,"marks":[]},{"from":"human","value":null,"marks":["c"]}],` +
			`"map":{"k":1},"group":{"A":1,"B":-2}}`,
		`{"instruction":"Say it.","input":null,"output":"It <b>is</b> said.","id":-1152921504606846975,"small":201,"large":9223372036854775809,` +
			`"single":0.1,"double":null,"good":false,"day":"2024-10-05","moment":"2023-11-14T22:13:20.123456Z","local":"1969-12-31T23:59:59.999","clock":"01:02:03.004",` +
			`"price":"-0.05","bytes":"/wE=","fixed":"AQID","uuid":"00000000-0000-0000-0000-000000000001","json":{"a":[1,2.50]},"tags":[],"plain":[],` +
			`"nested":[{"from":"human","value":null,"marks":[]}],"map":{},"group":{"A":1,"B":-2}}`,
	}
	if len(recs) != 3 {
		t.Fatalf("%d records, want 3", len(recs))
	}
	for i, w := range want {
		if got := string(recs[i].Raw); got != w {
			t.Errorf("row %d is\n%s\nwant\n%s", i+1, got, w)
		}
	}
	for i, rec := range recs {
		if rec.Fault != nil || rec.Index != i || rec.Line != i+1 || rec.File != path || rec.Instruction != "Say it." || rec.Row == nil || !json.Valid(rec.Raw) {
			t.Errorf("record %d: %+v", i, rec)
		}
	}
	asJSON := record.Parse([]byte(`{"instruction":"Say it.","input":"","output":"It <b>is</b> said."}`), 0, "", 1, record.Fields{})
	if recs[1].Key != asJSON[0].Key {
		t.Error("the key is not that of the same record in JSON")
	}
}

func TestParquetNumbers(t *testing.T) {
	type row struct {
		F float32
		D float64
	}
	var got []string
	recs, _ := mustRead(t, writeParquet(t, []row{{float32(math.Inf(1)), math.NaN()}, {1e30, math.Inf(-1)}, {-0.25, 1e-7}}, 9))
	for _, rec := range recs {
		got = append(got, string(rec.Raw))
	}
	want := []string{`{"F":"Infinity","D":"NaN"}`, `{"F":1e+30,"D":"-Infinity"}`, `{"F":-0.25,"D":1e-07}`}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for bits, want := range map[uint16]float64{0: 0, 0x3c00: 1, 0xc000: -2, 0x7bff: 65504, 1: math.Pow(2, -24), 0x7c00: math.Inf(1)} {
		if got := float16(bits); got != want {
			t.Errorf("float16(%#x) = %v, want %v", bits, got, want)
		}
	}
	if !math.IsNaN(float16(0x7c01)) {
		t.Error("float16(0x7c01) is a number")
	}
}

func TestParquetFaults(t *testing.T) {
	type row struct {
		Instruction *string `parquet:"instruction,optional"`
		Output      string  `parquet:"output"`
	}
	text, bad := "Add.", "\xff"
	recs, _ := mustRead(t, writeParquet(t, []row{{&text, "1"}, {nil, "1"}, {&text, " "}, {&bad, "1"}}, 9))
	want := []record.Status{"", record.NoInstruction, record.EmptyResponse, record.InvalidUTF8}
	for i, rec := range recs {
		got := record.Status("")
		if rec.Fault != nil {
			got = rec.Fault.Status
		}
		if got != want[i] {
			t.Errorf("row %d: status %q, want %q", i+1, got, want[i])
		}
	}
	recs, _, err := readRecords(t, writeParquet(t, samples(3), 9), record.Options{MaxBytes: 300})
	var damage *record.SourceError
	if len(recs) != 0 || !errors.As(err, &damage) || damage.Line != 1 || !strings.Contains(err.Error(), "--max-record-bytes") {
		t.Errorf("%d records, error %v", len(recs), err)
	}
}

// TestParquetKept writes files back: schema, metadata, compression and rows are
// those of the source.
func TestParquetKept(t *testing.T) {
	rows := samples(100)
	path := writeParquet(t, rows, 30, parquet.KeyValueMetadata("b", "2"), parquet.KeyValueMetadata(arrowSchema, "x"), parquet.Compression(&parquet.Gzip))
	recs, layout := mustRead(t, path)
	kept := writeFile(t, "kept.parquet", writeAll(t, layout, recs, nil))
	again, _ := mustRead(t, kept)
	sameRows(t, recs, again)
	before, after := footerOf(t, path), footerOf(t, kept)
	sameSchema(t, before.Schema, after.Schema)
	if !reflect.DeepEqual(before.KeyValueMetadata, after.KeyValueMetadata) {
		t.Errorf("metadata %v, was %v", after.KeyValueMetadata, before.KeyValueMetadata)
	}
	for i := range before.RowGroups[0].Columns {
		a, b := before.RowGroups[0].Columns[i].MetaData, after.RowGroups[0].Columns[i].MetaData
		if a.Codec != b.Codec {
			t.Errorf("column %v: codec %v, was %v", a.PathInSchema, b.Codec, a.Codec)
		}
	}
	none := writeFile(t, "none.parquet", writeAll(t, layout, nil, nil))
	if recs, _ := mustRead(t, none); len(recs) != 0 {
		t.Errorf("%d records of none", len(recs))
	}
	sameSchema(t, before.Schema, footerOf(t, none).Schema)
}

// TestParquetNotes writes notes, into a new column and into one that is there.
func TestParquetNotes(t *testing.T) {
	path := writeParquet(t, samples(7), 3, parquet.KeyValueMetadata("b", "2"), parquet.KeyValueMetadata(arrowSchema, "x"))
	recs, layout := mustRead(t, path)
	note := map[string]any{"verdict": "drop", "rating": 1.5}
	noted := writeFile(t, "noted.parquet", writeAll(t, layout, recs, note))
	before, after := footerOf(t, path).Schema, footerOf(t, noted).Schema
	last := after[len(after)-1]
	if len(after) != len(before)+1 || last.Name != record.NoteMember {
		t.Fatalf("%d columns, the last is %q; want %d and %q", len(after), last.Name, len(before)+1, record.NoteMember)
	}
	sameSchema(t, before[1:], after[1:len(before)])
	if kv := footerOf(t, noted).KeyValueMetadata; len(kv) != 1 || kv[0].Key != "b" {
		t.Errorf("metadata %v", kv)
	}
	again, layout := mustRead(t, noted)
	for i, rec := range again {
		want := strings.TrimSuffix(string(recs[i].Raw), "}") + `,"winnow":"{\"rating\":1.5,\"verdict\":\"drop\"}"}`
		if string(rec.Raw) != want || rec.Key != recs[i].Key {
			t.Fatalf("row %d is\n%s\nwant\n%s", i+1, rec.Raw, want)
		}
	}
	twice := writeFile(t, "twice.parquet", writeAll(t, layout, again, "new"))
	third, _ := mustRead(t, twice)
	for i, rec := range third {
		want := strings.TrimSuffix(string(recs[i].Raw), "}") + `,"winnow":"\"new\""}`
		if string(rec.Raw) != want {
			t.Fatalf("row %d is\n%s\nwant\n%s", i+1, rec.Raw, want)
		}
	}
}

func TestParquetWriterRefuses(t *testing.T) {
	recs, layout := mustRead(t, writeParquet(t, samples(1), 1))
	type other struct{ A int64 }
	others, _ := mustRead(t, writeParquet(t, []other{{1}}, 1))
	w, err := layout.NewWriter(io.Discard, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(others[0]); err == nil {
		t.Error("a row of another schema was written")
	}
	if err := w.Write(&record.Record{Raw: []byte("{}")}); err == nil {
		t.Error("a record without a row was written")
	}
	if err := w.WriteNote(recs[0], 1); err == nil {
		t.Error("a note was written into a file without notes")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(recs[0]); !errors.Is(err, errTableClosed) {
		t.Errorf("after Close: error %v", err)
	}
	type taken struct {
		Winnow int64 `parquet:"winnow"`
	}
	_, layout = mustRead(t, writeParquet(t, []taken{{1}}, 1))
	if _, err := layout.NewWriter(io.Discard, true); err == nil || !strings.Contains(err.Error(), "--to") {
		t.Errorf("a column of numbers takes notes: error %v", err)
	}
}

func TestParquetColumns(t *testing.T) {
	b, err := os.ReadFile(writeParquet(t, samples(0), 1))
	if err != nil {
		t.Fatal(err)
	}
	src, err := openParquet(bytes.NewReader(b), int64(len(b)), "stdin", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}()
	got := src.(interface{ columns() string }).columns()
	for _, want := range []string{
		"instruction byte_array string required, input byte_array string optional, ", ", price int64 decimal(18,2) required, ",
		", moment int64 timestamp(isadjustedtoutc=true,unit=micros) required, ", ", tags list required {list repeated {element byte_array string required}}, plain int32",
		", group required {A int32", " required, B int32", " required}",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not among the columns %s", want, got)
		}
	}
	if !strings.HasSuffix(got, "}") || strings.Count(got, "{") != strings.Count(got, "}") {
		t.Errorf("braces: %s", got)
	}
}

func sameRows(t *testing.T, before, after []*record.Record) {
	t.Helper()
	if len(before) != len(after) {
		t.Fatalf("%d rows, were %d", len(after), len(before))
	}
	for i := range before {
		a, b := before[i].Row.(*parquetRow).row, after[i].Row.(*parquetRow).row
		if !a.Equal(b) || !bytes.Equal(before[i].Raw, after[i].Raw) || before[i].Key != after[i].Key {
			t.Fatalf("row %d is %+v, was %+v", i+1, b, a)
		}
	}
}

func footerOf(t *testing.T, path string) *format.FileMetaData {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	meta, err := readFooter(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return meta
}

func sameSchema(t *testing.T, before, after []format.SchemaElement) {
	t.Helper()
	if len(before) != len(after) {
		t.Fatalf("%d elements, were %d", len(after), len(before))
	}
	for i := range before {
		if !reflect.DeepEqual(before[i], after[i]) {
			t.Errorf("element %d is\n%+v, was\n%+v", i, after[i], before[i])
		}
	}
}

// TestParquetMemory reads and writes files of many rows: what is held does not
// grow with them, in many row groups or in one.
func TestParquetMemory(t *testing.T) {
	type row struct {
		Instruction string `parquet:"instruction"`
		Output      string `parquet:"output"`
	}
	const n, rowSize, bound = 30_000, 5 << 10, 48 << 20 // a third of the data
	var texts [16]string
	for i := range texts {
		texts[i] = strings.Repeat(string(rune('a'+i)), rowSize)
	}
	rows := make([]row, n)
	for i := range rows {
		rows[i] = row{"Count.", texts[i%len(texts)]}
	}
	for group, codec := range map[int]compress.Codec{n / 20: &parquet.Uncompressed, n: &parquet.Snappy} {
		path := writeParquet(t, rows, group, parquet.Compression(codec))
		src, err := Open([]string{path}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		w, err := src.Layout().NewWriter(io.Discard, true)
		if err != nil {
			t.Fatal(err)
		}
		base := heap()
		for i := range n {
			rec, err := src.Next()
			if err != nil {
				t.Fatal(err)
			}
			if err := w.WriteNote(rec, i); err != nil {
				t.Fatal(err)
			}
			if i%(n/10) == n/20 {
				if now := heap(); now > base+bound {
					t.Fatalf("row groups of %d rows: after %d rows %d MiB are held, before %d", group, i, now>>20, base>>20)
				}
			}
		}
		if _, err := src.Next(); err != io.EOF {
			t.Fatalf("after the last row: error %v", err)
		}
		if err := errors.Join(w.Close(), src.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
