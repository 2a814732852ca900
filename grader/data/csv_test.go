package data

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"winnow/grader/record"
)

// readAll returns the records up to the end or the damage; err is nil at the end.
func readAll(src record.Source) (recs []*record.Record, err error) {
	for {
		rec, err := src.Next()
		if errors.Is(err, io.EOF) {
			return recs, nil
		}
		if err != nil {
			return recs, err
		}
		recs = append(recs, rec)
	}
}

// readTable reads a table and returns its layout too.
func readTable(r io.Reader, comma byte, o record.Options) ([]*record.Record, *columns, error) {
	t, err := newCSV(bufio.NewReaderSize(r, headBytes), "data.csv", comma, o)
	if err != nil {
		return nil, nil, err
	}
	recs, err := readAll(t)
	return recs, t.Layout().(*columns), err
}

// written returns what a layout makes of the records, with notes unless they are
// nil.
func written(t testing.TB, l record.Layout, recs []*record.Record, notes func(*record.Record) any) string {
	t.Helper()
	var out bytes.Buffer
	w, err := l.NewWriter(&out, notes != nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range recs {
		if notes == nil {
			err = w.Write(rec)
		} else {
			err = w.WriteNote(rec, notes(rec))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTable(t *testing.T) {
	const src = bom + "\r\nid,output,instruction,input\r\n" +
		"1,\"4, or \"\"four\"\"\",Add.,2 + 2\r\n\r\n" +
		"2,\"two\r\nlines\",\"\",Go on.\n" +
		"3, o ,i,\"\""
	for name, r := range map[string]io.Reader{"at once": strings.NewReader(src), "byte by byte": iotest.OneByteReader(strings.NewReader(src))} {
		recs, layout, err := readTable(r, ',', record.Options{})
		if err != nil || len(recs) != 3 {
			t.Fatalf("%s: %d records, error %v", name, len(recs), err)
		}
		for i, want := range []record.Record{
			{Line: 3, Instruction: "Add.", Input: "2 + 2", Response: "4, or \"four\"", Raw: []byte("1,\"4, or \"\"four\"\"\",Add.,2 + 2")},
			{Line: 5, Input: "Go on.", Response: "two\r\nlines", Raw: []byte("2,\"two\r\nlines\",\"\",Go on.")},
			{Line: 7, Instruction: "i", Response: " o ", Raw: []byte("3, o ,i,\"\"")},
		} {
			rec := recs[i]
			if rec.Fault != nil || rec.Index != i || rec.File != "data.csv" || rec.Turns != 1 || rec.Line != want.Line || !bytes.Equal(rec.Raw, want.Raw) ||
				rec.Instruction != want.Instruction || rec.Input != want.Input || rec.Response != want.Response {
				t.Errorf("%s: record %d = %+v, want %+v", name, i, rec, want)
			}
		}
		if got := written(t, layout, recs, nil); got != src {
			t.Errorf("%s: all rows give\n%q, want\n%q", name, got, src)
		}
		if got, want := written(t, layout, recs[:1], nil), src[:strings.Index(src, "2,\"two")-len("\r\n\r\n")]; got != want {
			t.Errorf("%s: the first row gives\n%q, want\n%q", name, got, want)
		}
		object, err := recs[0].Row.(interface{ Object() ([]byte, error) }).Object()
		if want := `{"id":"1","output":"4, or \"four\"","instruction":"Add.","input":"2 + 2"}`; err != nil || string(object) != want {
			t.Errorf("%s: object %s, error %v; want %s", name, object, err, want)
		}
	}
}

// A row has the key of the same texts in JSON.
func TestTableKey(t *testing.T) {
	recs, _, err := readTable(strings.NewReader("prompt\tctx\tcompletion\na\t\tb\n"), '\t', record.Options{Fields: record.Fields{Instruction: "prompt", Input: "ctx", Response: "completion"}})
	if err != nil || len(recs) != 1 {
		t.Fatalf("%d records, error %v", len(recs), err)
	}
	if want := record.Parse([]byte(`{"instruction":"a","output":"b"}`), 0, "", 1, record.Fields{})[0].Key; recs[0].Key != want {
		t.Errorf("key %s, want %s", recs[0].Key, want)
	}
}

func TestTableFaults(t *testing.T) {
	for _, c := range []struct {
		row    string
		status record.Status
		reason string
	}{
		{"a", record.BadRow, "it has 1 cells, but the header names 2 columns"},
		{"a,b,", record.BadRow, "it has 3 cells, but the header names 2 columns"},
		{"a,b \"c\" d", record.BadRow, "cell 2 has a quote in its middle"},
		{"a,\"b\"c", record.BadRow, "cell 2 goes on behind its closing quote"},
		{"a,\"b\" ", record.BadRow, "cell 2 goes on behind its closing quote"},
		{"\"a\nb\"c\"\",d", record.BadRow, "cell 1 goes on"},
		{"\x00\x00\x00", record.BadRow, "it has 1 cells"},
		{"a,caf\xe9", record.InvalidUTF8, "not valid UTF-8"},
		{",b", record.NoInstruction, `neither "instruction" nor "input" has a text`},
		{"a,", record.EmptyResponse, `"output" is empty`},
		{"a,\" \n \"", record.EmptyResponse, `"output" is empty`},
	} {
		src := "instruction,output\nx,y\n" + c.row + "\nx,y\n"
		recs, layout, err := readTable(strings.NewReader(src), ',', record.Options{})
		if err != nil || len(recs) != 3 || recs[0].Fault != nil || recs[2].Fault != nil {
			t.Errorf("%q: %d records, error %v", c.row, len(recs), err)
			continue
		}
		if f := recs[1].Fault; f == nil || f.Status != c.status || !strings.Contains(f.Reason, c.reason) || string(recs[1].Raw) != c.row || recs[1].Line != 3 {
			t.Errorf("%q: line %d, raw %q, fault %v; want %s with %q", c.row, recs[1].Line, recs[1].Raw, f, c.status, c.reason)
		}
		if got := written(t, layout, recs, nil); got != src {
			t.Errorf("%q: all rows give %q", c.row, got)
		}
		if _, err := recs[1].Row.(*row).Object(); (err == nil) != (c.status == record.NoInstruction || c.status == record.EmptyResponse) {
			t.Errorf("%q: making an object of it: error %v", c.row, err)
		}
	}
}

func TestTableDamage(t *testing.T) {
	const head = "instruction,output\n"
	for _, c := range []struct {
		name, src string
		comma     byte
		records   int
		want      string
	}{
		{"empty", bom + "\n", ',', 0, "data.csv: the file is empty; want a header"},
		{"UTF-16", "\xff\xfei\x00", ',', 0, "data.csv: the file is no table but text in UTF-16"},
		{"no column", "\nprompt,output\n", ',', 0, `data.csv:2: the header has no column "instruction"; its columns are "prompt", "output": name the right one with --map instruction=COLUMN`},
		{"no response", "instruction,answer\n", ',', 0, "--map output=COLUMN"},
		{"twice", "instruction,output,output\n", ',', 0, `data.csv:1: the header has the column "output" twice`},
		{"input twice", "instruction,output,input,input\n", ',', 0, `the column "input" twice`},
		{"semicolons", "instruction;output\n", ',', 0, "separated by semicolons"},
		{"tabs", "instruction\toutput\n", ',', 0, "--format tsv"},
		{"commas", head, '\t', 0, "--format csv"},
		{"bad header", "instruction,out\"put\n", ',', 0, "data.csv:1: the header is no row of a table: cell 2"},
		{"Latin-1", "instruction,output,caf\xe9\n", ',', 0, "the header is not valid UTF-8"},
		{"many columns", strings.Repeat("c,", 24) + "x\n", ',', 0, `"c" and 5 more: name`},
		{"open header", "\n\"instruction,output\n", ',', 0, "data.csv:2: the quote that opens here is not closed"},
		{"open quote", head + "x,y\n\"x\ny\",\"\n\n" + head, ',', 1, "data.csv:4: the quote that opens here is not closed before the file ends"},
		{"large row", head + "x,y\nx," + strings.Repeat("y", 99) + "\n", ',', 1, "data.csv:3: the row that begins here is larger than 64 bytes: raise --max-record-bytes"},
		{"large quote", head + "x,y\n\"x\n\",\"" + strings.Repeat("y\n", 99) + "\"\n", ',', 1, "data.csv:3: the row that begins here is larger than 64 bytes: close the quote that is open since line 4, or raise"},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.src), iotest.OneByteReader(strings.NewReader(c.src))} {
			recs, _, err := readTable(r, c.comma, record.Options{MaxBytes: 64})
			var damage *record.SourceError
			if !errors.As(err, &damage) || !strings.Contains(err.Error(), c.want) || len(recs) != c.records {
				t.Errorf("%s: %d records, error %v; want %d and a SourceError with %q", c.name, len(recs), err, c.records, c.want)
			}
		}
	}
	cause := errors.New("the disk is gone")
	recs, _, err := readTable(io.MultiReader(strings.NewReader(head+"x,y\n\"x"), iotest.ErrReader(cause)), ',', record.Options{})
	if len(recs) != 1 || !errors.Is(err, cause) || !errors.As(err, new(*record.SourceError)) {
		t.Errorf("a disk that fails: %d records, error %v", len(recs), err)
	}
}

// An endless quote is not read into memory.
func TestTableLimit(t *testing.T) {
	const most = 1 << 20
	in := io.MultiReader(strings.NewReader("instruction,output\nx,y\n\""), zeros{})
	tab, err := newCSV(bufio.NewReaderSize(in, headBytes), "data.csv", ',', record.Options{MaxBytes: most})
	if err != nil {
		t.Fatal(err)
	}
	recs, err := readAll(tab)
	if len(recs) != 1 || err == nil || cap(tab.buf) > 4*most {
		t.Errorf("%d records, error %v, a buffer of %d bytes", len(recs), err, cap(tab.buf))
	}
	if _, again := tab.Next(); again != err {
		t.Errorf("the next Next gives %v", again)
	}
	row := "x," + strings.Repeat("y", 98)
	for limit, want := range map[int]int{len(row): 1, len(row) - 1: 0} {
		if recs, _, _ := readTable(strings.NewReader("instruction,output\n"+row+"\r\n"), ',', record.Options{MaxBytes: limit}); len(recs) != want {
			t.Errorf("a row of %d bytes under a limit of %d: %d records", len(row), limit, len(recs))
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return copy(b, bytes.Repeat([]byte{'0'}, len(b))), nil }

// aNote is a note as grader.Filter makes them.
func aNote(rec *record.Record) any {
	n := struct {
		Verdict string          `json:"verdict"`
		Reason  string          `json:"reason"`
		Status  string          `json:"status"`
		Rating  *json.Number    `json:"rating,omitempty"`
		Ratings json.RawMessage `json:"ratings,omitempty"`
	}{Verdict: "drop", Reason: `rating 1 < 4.5, and "more"`, Status: "ok"}
	if rec.Index > 0 {
		n.Ratings = json.RawMessage(`{"a<b":1,"c":2}`)
	}
	if rec.Fault != nil {
		n.Verdict, n.Reason, n.Status = "review", rec.Fault.Reason, string(rec.Fault.Status)
	} else {
		rating := json.Number("1.25")
		n.Rating = &rating
	}
	return n
}

func TestTableNotes(t *testing.T) {
	const src = "instruction,output,n\r\na,b,\"1\"\r\nc,\"d\r\n\",2\r\n\"bad\r\nalso bad, \xff\r\n"
	recs, layout, err := readTable(strings.NewReader(src+"\",x\r\nlast,,3"), ',', record.Options{})
	if err != nil || len(recs) != 4 {
		t.Fatalf("%d records, error %v", len(recs), err)
	}
	const notes = ",winnow_verdict,winnow_reason,winnow_status,winnow_rating,winnow"
	const drop = `,drop,"rating 1 < 4.5, and ""more""",ok,1.25,`
	want := "instruction,output,n" + notes + "\r\n" +
		"a,b,\"1\"" + drop + "\r\n" +
		"c,\"d\r\n\",2" + drop + `"{""ratings"":{""a<b"":1,""c"":2}}"` + "\r\n" +
		`,,,review,"it has 2 cells, but the header names 3 columns",bad_row,,"{""ratings"":{""a<b"":1,""c"":2},""raw_base64"":""` + "ImJhZA0KYWxzbyBiYWQsIP8NCiIseA==" + `""}"` + "\r\n" +
		`last,,3,review,"""output"" is empty or only white space",empty_response,,"{""ratings"":{""a<b"":1,""c"":2}}"`
	got := written(t, layout, recs, aNote)
	if got != want {
		t.Fatalf("with notes\n%s\nwant\n%s", got, want)
	}
	// A file with notes is data like any other: new notes replace the old ones.
	again, layout, err := readTable(strings.NewReader(got), ',', record.Options{})
	if err != nil || len(again) != 4 {
		t.Fatalf("%d records, error %v", len(again), err)
	}
	twice := written(t, layout, again[:2], aNote)
	if wantTwice := want[:strings.Index(want, "\r\n,,,review")]; twice != wantTwice {
		t.Errorf("noted twice\n%s\nwant\n%s", twice, wantTwice)
	}
	if plain := written(t, layout, again, nil); plain != got {
		t.Errorf("without new notes\n%s\nwant\n%s", plain, got)
	}
}

func TestTableWriterFails(t *testing.T) {
	recs, layout, err := readTable(strings.NewReader("instruction,output\na,b\n"), ',', record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := layout.NewWriter(io.Discard, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(&record.Record{File: "x.json", Raw: []byte("{}")}); err == nil || !strings.Contains(err.Error(), "--to") {
		t.Errorf("a record of JSON in a table: error %v", err)
	}
	if err := w.WriteNote(recs[0], aNote(recs[0])); err == nil {
		t.Error("a note was written into a table without columns for it")
	}
	if err := errors.Join(w.Write(recs[0]), w.Close()); err != nil {
		t.Error(err)
	}
	if err := w.Write(recs[0]); err == nil {
		t.Error("a record was written behind the end")
	}
	full := errors.New("no space left")
	if w, err = layout.NewWriter(failing{full}, true); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteNote(recs[0], 17); err == nil || !strings.Contains(err.Error(), "data.csv:2") {
		t.Errorf("a note that is no object: error %v", err)
	}
	if err := errors.Join(w.WriteNote(recs[0], aNote(recs[0])), w.Close()); !errors.Is(err, full) {
		t.Errorf("writing to a full disk: error %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
