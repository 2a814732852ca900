package data

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"winnow/grader/record"
)

const mixed = `[
  {"instruction": "Add, \"2\".", "output": "5\n6", "id": 1, "score": 0.5, "ok": true},
  {
    "output": "=x", "instruction": "B", "id": 12345678901234567890, "score": 3, "ok": null,
    "tags": ["a", {"b": 1.0}], "ok2": false
  },
  {"instruction":"C","input":"","output":"é","id":3,"big":9007199254740993,"score":-1e3,"both":"text"},
  {"instruction":"D","output":"d","both":7}
]
`

func converted(t *testing.T, to Format, recs []*record.Record, note any) []byte {
	t.Helper()
	layout, err := ConvertTo(string(to))
	if err != nil {
		t.Fatal(err)
	}
	return writeAll(t, layout, recs, note)
}

// A row that is none goes, as it is, where its note goes.
func TestConvertBadRow(t *testing.T) {
	recs, _ := mustRead(t, writeFile(t, "data.csv", []byte("instruction,output\ni,o\na,b,c\n")))
	if len(recs) != 2 || recs[1].Fault == nil {
		t.Fatalf("%d records, want 2, the second with a fault", len(recs))
	}
	note := map[string]any{"verdict": "review"}
	for to, want := range map[Format]string{
		JSONL: `{"instruction":"i","output":"o","winnow":{"verdict":"review"}}` + "\n" + `{"raw":"a,b,c","winnow":{"verdict":"review"}}` + "\n",
		CSV:   "instruction,output,winnow,raw\ni,o,\"{\"\"verdict\"\":\"\"review\"\"}\",\n,,\"{\"\"verdict\"\":\"\"review\"\"}\",\"a,b,c\"\n",
	} {
		if got := string(converted(t, to, recs, note)); got != want {
			t.Errorf("%s is\n%s\nwant\n%s", to, got, want)
		}
	}
}

func TestConvert(t *testing.T) {
	recs, _ := mustRead(t, writeFile(t, "data.json", []byte(mixed)))
	for to, want := range map[Format]string{
		JSONL: `{"instruction": "Add, \"2\".", "output": "5\n6", "id": 1, "score": 0.5, "ok": true}
{"output":"=x","instruction":"B","id":12345678901234567890,"score":3,"ok":null,"tags":["a",{"b":1.0}],"ok2":false}
{"instruction":"C","input":"","output":"é","id":3,"big":9007199254740993,"score":-1e3,"both":"text"}
{"instruction":"D","output":"d","both":7}
`,
		CSV: `instruction,output,id,score,ok,tags,ok2,input,big,both
"Add, ""2"".","5
6",1,0.5,true,,,,,
B,=x,12345678901234567890,3,,"[""a"",{""b"":1.0}]",false,,,
C,é,3,-1e3,,,,,9007199254740993,text
D,d,,,,,,,,7
`,
		TSV: "instruction\toutput\tid\tscore\tok\ttags\tok2\tinput\tbig\tboth\n" +
			"\"Add, \"\"2\"\".\"\t\"5\n6\"\t1\t0.5\ttrue\t\t\t\t\t\n" +
			"B\t=x\t12345678901234567890\t3\t\t\"[\"\"a\"\",{\"\"b\"\":1.0}]\"\tfalse\t\t\t\n" +
			"C\té\t3\t-1e3\t\t\t\t\t9007199254740993\ttext\n" +
			"D\td\t\t\t\t\t\t\t\t7\n",
	} {
		if got := string(converted(t, to, recs, nil)); got != want {
			t.Errorf("%s is\n%s\nwant\n%s", to, got, want)
		}
	}
	var array []json.RawMessage
	if err := json.Unmarshal(converted(t, JSON, recs, nil), &array); err != nil || len(array) != len(recs) {
		t.Fatalf("%d elements, error %v", len(array), err)
	}
	for i, raw := range array {
		if !bytes.Equal(raw, recs[i].Raw) {
			t.Errorf("element %d is %s, want %s", i, raw, recs[i].Raw)
		}
	}
}

func TestConvertToParquet(t *testing.T) {
	recs, _ := mustRead(t, writeFile(t, "data.json", []byte(mixed)))
	path := writeFile(t, "data.parquet", converted(t, Parquet, recs, nil))
	again, _ := mustRead(t, path)
	want := []string{
		`{"instruction":"Add, \"2\".","output":"5\n6","id":"1","score":0.5,"ok":true,"tags":null,"ok2":null,"input":null,"big":null,"both":null}`,
		`{"instruction":"B","output":"=x","id":"12345678901234567890","score":3,"ok":null,"tags":"[\"a\",{\"b\":1.0}]","ok2":false,"input":null,"big":null,"both":null}`,
		`{"instruction":"C","output":"é","id":"3","score":-1000,"ok":null,"tags":null,"ok2":null,"input":"","big":9007199254740993,"both":"\"text\""}`,
		`{"instruction":"D","output":"d","id":null,"score":null,"ok":null,"tags":null,"ok2":null,"input":null,"big":null,"both":"7"}`,
	}
	if len(again) != len(want) {
		t.Fatalf("%d rows, want %d", len(again), len(want))
	}
	for i, rec := range again {
		if string(rec.Raw) != want[i] || rec.Key != recs[i].Key {
			t.Errorf("row %d is\n%s\nwant\n%s", i+1, rec.Raw, want[i])
		}
	}
}

func TestConvertNotes(t *testing.T) {
	recs, _ := mustRead(t, writeFile(t, "data.jsonl", []byte("{\"instruction\":\"A\",\"output\":\"a\"}\nnot JSON\n{\"instruction\":\"\xff\"}\n[1]\n")))
	note := struct {
		Reason string `json:"reason"`
	}{"a, b"}
	for to, want := range map[Format]string{
		JSONL: "{\"instruction\":\"A\",\"output\":\"a\",\"winnow\":{\"reason\":\"a, b\"}}\n" +
			"{\"raw\":\"not JSON\",\"winnow\":{\"reason\":\"a, b\"}}\n" +
			"{\"instruction\":\"\xff\",\"winnow\":{\"reason\":\"a, b\"}}\n" +
			"{\"raw\":\"[1]\",\"winnow\":{\"reason\":\"a, b\"}}\n",
		CSV: "instruction,output,winnow,raw\n" +
			"A,a,\"{\"\"reason\"\":\"\"a, b\"\"}\",\n" +
			",,\"{\"\"reason\"\":\"\"a, b\"\"}\",not JSON\n" +
			"\uFFFD,,\"{\"\"reason\"\":\"\"a, b\"\"}\",\n" +
			",,\"{\"\"reason\"\":\"\"a, b\"\"}\",[1]\n",
	} {
		if got := string(converted(t, to, recs, note)); got != want {
			t.Errorf("%s is\n%q\nwant\n%q", to, got, want)
		}
	}
	again, _ := mustRead(t, writeFile(t, "data.parquet", converted(t, Parquet, recs, note)))
	if want := `{"instruction":null,"output":null,"winnow":"{\"reason\":\"a, b\"}","raw":"not JSON"}`; len(again) != 4 || string(again[1].Raw) != want {
		t.Errorf("%d rows, the second is %s, want %s", len(again), again[1].Raw, want)
	}
}

// TestConvertFromParquet keeps each value in JSON, and in Parquet again.
func TestConvertFromParquet(t *testing.T) {
	recs, _ := mustRead(t, writeParquet(t, samples(9), 4))
	lines := bytes.Split(bytes.TrimSpace(converted(t, JSONL, recs, nil)), []byte("\n"))
	if len(lines) != len(recs) {
		t.Fatalf("%d lines, want %d", len(lines), len(recs))
	}
	for i, line := range lines {
		if !bytes.Equal(line, recs[i].Raw) {
			t.Errorf("line %d is %s, want %s", i+1, line, recs[i].Raw)
		}
	}
	again, _ := mustRead(t, writeFile(t, "data.parquet", converted(t, Parquet, recs, nil)))
	for i, rec := range again {
		if rec.Key != recs[i].Key {
			t.Errorf("row %d has other texts: %s", i+1, rec.Raw)
		}
	}
}

// csvRecord stands for a record whose Raw is no JSON.
type csvRecord struct{ err error }

func (r csvRecord) Object() ([]byte, error) { return []byte(`{"a":"1","b":"2"}`), r.err }

func TestConvertRows(t *testing.T) {
	rec := &record.Record{File: "data.csv", Line: 2, Raw: []byte("1,2"), Row: csvRecord{}}
	if got := string(converted(t, JSONL, []*record.Record{rec}, nil)); got != `{"a":"1","b":"2"}`+"\n" {
		t.Errorf("JSONL is %s", got)
	}
	if got := string(converted(t, CSV, []*record.Record{rec}, 7)); got != "a,b,winnow\n1,2,7\n" {
		t.Errorf("CSV is %s", got)
	}
	layout, err := ConvertTo("jsonl")
	if err != nil {
		t.Fatal(err)
	}
	w, err := layout.NewWriter(io.Discard, false)
	if err != nil {
		t.Fatal(err)
	}
	rec.Row = csvRecord{errors.New("no such column")}
	if err := w.Write(rec); err == nil || !strings.Contains(err.Error(), "data.csv:2: no such column") {
		t.Errorf("error %v", err)
	}
}

func TestConvertNothing(t *testing.T) {
	for to, want := range map[Format]string{JSON: "[]\n", JSONL: "", CSV: "instruction,input,output\n", TSV: "instruction\tinput\toutput\n"} {
		got := string(converted(t, to, nil, nil))
		if got != want {
			t.Errorf("%s of no records is %q, want %q", to, got, want)
		}
	}
	if recs, _ := mustRead(t, writeFile(t, "data.parquet", converted(t, Parquet, nil, nil))); len(recs) != 0 {
		t.Errorf("%d records of none", len(recs))
	}
	for _, to := range []string{"", "xml", "JSON"} {
		if _, err := ConvertTo(to); err == nil || !strings.Contains(err.Error(), "want json, jsonl, csv, tsv or parquet") {
			t.Errorf("ConvertTo(%q): error %v", to, err)
		}
	}
}

func TestConvertTooWide(t *testing.T) {
	layout, err := ConvertTo("csv")
	if err != nil {
		t.Fatal(err)
	}
	w, err := layout.NewWriter(io.Discard, false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		var b strings.Builder
		for k := range maxColumns / 2 {
			fmt.Fprintf(&b, `,"%d-%d":1`, i, k)
		}
		if err := w.Write(&record.Record{Raw: []byte("{" + b.String()[1:] + "}")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "different keys") {
		t.Errorf("error %v", err)
	}
}

// TestConvertNames has names of columns that the Parquet library may not like.
func TestConvertNames(t *testing.T) {
	const raw = `{"a,b":"1","":"2","A,B":"3","é\u0000":"4","a.b":"5"}`
	rec := &record.Record{Raw: []byte(raw)}
	again, _ := mustRead(t, writeFile(t, "data.parquet", converted(t, Parquet, []*record.Record{rec}, nil)))
	if len(again) != 1 || string(again[0].Raw) != raw {
		t.Errorf("%d rows: %s", len(again), again[0].Raw)
	}
	type row struct {
		A int64 `parquet:"a"`
	}
	path := writeParquet(t, []row{{1}}, 1, parquet.Compression(&parquet.Zstd))
	if recs, _ := mustRead(t, path); string(recs[0].Raw) != `{"a":1}` {
		t.Errorf("row %s", recs[0].Raw)
	}
}
