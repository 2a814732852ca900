package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// readAll returns the records up to the end or the damage; err is nil at the
// end.
func readAll(r *Reader) (recs []*Record, err error) {
	for {
		rec, err := r.Next()
		if err == io.EOF {
			return recs, nil
		}
		if err != nil {
			return recs, err
		}
		recs = append(recs, rec)
	}
}

func readString(s string, o Options) ([]*Record, Shape, error) {
	r := NewReader(strings.NewReader(s), "data.json", o)
	recs, err := readAll(r)
	return recs, r.Shape(), err
}

func TestRead(t *testing.T) {
	const src = "[\n" +
		"  {\"instruction\": \"Add.\", \"input\": \"1 \\u002b 1\", \"output\": \"2\\n\"},\n" +
		"  {\"output\": \"\\ud83d\\ude00\",\n   \"id\": [1, {\"input\": 7}], \"\\u0069nstruction\": \"Smile.\", \"input\": null},\n" +
		"  {\"instruction\": \"a\", \"instruction\": \"b\", \"output\": \"c\"}\n" +
		"]\n"
	want := []Record{
		{Index: 0, Line: 2, Instruction: "Add.", Input: "1 + 1", Response: "2\n"},
		{Index: 1, Line: 3, Instruction: "Smile.", Response: "😀"},
		{Index: 2, Line: 5, Instruction: "b", Response: "c"},
	}
	for name, r := range map[string]io.Reader{
		"at once":       strings.NewReader(src),
		"byte by byte":  iotest.OneByteReader(strings.NewReader(src)),
		"data with EOF": iotest.DataErrReader(strings.NewReader(src)),
	} {
		recs, err := readAll(NewReader(r, "data.json", Options{}))
		if err != nil || len(recs) != len(want) {
			t.Fatalf("%s: %d records, error %v; want %d records", name, len(recs), err, len(want))
		}
		for i, rec := range recs {
			w := want[i]
			if rec.Fault != nil {
				t.Errorf("%s: record %d: fault %v", name, i, rec.Fault)
			}
			if rec.Index != w.Index || rec.Line != w.Line || rec.Instruction != w.Instruction || rec.Input != w.Input || rec.Response != w.Response {
				t.Errorf("%s: record %d = %+v, want %+v", name, i, rec, w)
			}
			if rec.Key != contentKey(w.Instruction, w.Input, w.Response) {
				t.Errorf("%s: record %d: key is not that of its texts", name, i)
			}
			if !json.Valid(rec.Raw) || !strings.Contains(src, string(rec.Raw)) {
				t.Errorf("%s: record %d: raw %q is not its bytes", name, i, rec.Raw)
			}
		}
	}
}

func TestFields(t *testing.T) {
	f, err := ParseFields("instruction=prompt, response=completion")
	if err != nil || f != (Fields{Instruction: "prompt", Input: "input", Response: "completion"}) {
		t.Fatalf("fields %+v, error %v", f, err)
	}
	recs, _, err := readString(`{"prompt":"p","completion":"c","output":7}`, Options{Fields: f})
	if err != nil || recs[0].Fault != nil || recs[0].Instruction != "p" || recs[0].Response != "c" {
		t.Errorf("record %+v, error %v", recs[0], err)
	}
	if f, err := ParseFields(""); err != nil || f != DefaultFields() {
		t.Errorf("no fields: %+v, error %v; want the defaults", f, err)
	}
	for s, want := range map[string]string{
		"prompt=instruction":    "unknown name",
		"instruction=":          "no key",
		"instruction":           "no key",
		"input=a,input=b":       "twice",
		"output=a,response=b":   "twice",
		"instruction=input":     "instruction and input",
		"output=x,input=x":      "input and output",
		"messages=a,messages=b": "twice",
		"messages=input":        "input and messages",
		"instruction=p,,input=": "unknown name",
	} {
		if _, err := ParseFields(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseFields(%q): error %v, want one with %q", s, err, want)
		}
	}
}

const good = `{"instruction":"i","output":"o"}`

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		status    Status
		reason    string // a part of it; the record stands in line 2
	}{
		{"bare word", `nil`, BadJSON, "line 2, byte 2 of the record: found 'i', want null"},
		{"single quotes", `{'instruction':'i'}`, BadJSON, "want a quoted key"},
		{"comma before brace", `{"instruction":"i","output":"o",}`, BadJSON, "byte 33 of the record: found '}', want a quoted key"},
		{"no comma", `{"instruction":"i" "output":"o"}`, BadJSON, `found '"', want ',' or '}'`},
		{"no colon", `{"instruction" "i"}`, BadJSON, "want ':'"},
		{"no value", `{"instruction":}`, BadJSON, "want a value"},
		{"comment", `{/*x*/"instruction":"i"}`, BadJSON, "found '/'"},
		{"wrong bracket", `{"instruction":["i"}`, BadJSON, "want ',' or ']'"},
		{"stray bracket", `{"instruction":"i"],"output":"o"}`, BadJSON, "found ']'"},
		{"bad escape", `{"instruction":"\x"}`, BadJSON, "want an escape"},
		{"bad hex", `{"instruction":"\u00g0"}`, BadJSON, "hexadecimal"},
		{"NUL", "{\"instruction\":\"i\x00\",\"output\":\"o\"}", BadJSON, "found a NUL byte inside a string"},
		{"NUL between members", "{\x00\"instruction\":\"i\"}", BadJSON, "found a NUL byte"},
		{"tab in a string", "{\"instruction\":\"a\tb\",\"output\":\"o\"}", BadJSON, "0x09"},
		{"leading zero", `{"instruction":"i","output":"o","n":01}`, BadJSON, "found '1'"},
		{"not a number", `{"instruction":"i","output":"o","n":NaN}`, BadJSON, "found 'N', want a value"},
		{"too deep", `{"a":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + "}", BadJSON, "deeper"},
		{"Latin-1", "{\"instruction\":\"caf\xe9\",\"output\":\"o\"}", InvalidUTF8, "byte 20 of the record is 0xe9"},
		{"Latin-1 elsewhere", "{\"instruction\":\"i\",\"output\":\"o\",\"x\":\"\xff\"}", InvalidUTF8, "0xff"},
		{"half a pair", `{"instruction":"\ud800","output":"o"}`, InvalidUTF8, `"instruction" has half`},
		{"pair reversed", `{"instruction":"i","output":"\udc00\ud800"}`, InvalidUTF8, `"output" has half`},
		{"number", `12`, WrongType, "must be an object, found a number"},
		{"null", `null`, WrongType, "found null"},
		{"string", `"{}"`, WrongType, "found a string"},
		{"array", `["a",{"b":"]"}]`, WrongType, "found an array"},
		{"boolean", `true`, WrongType, "found a boolean"},
		{"number as output", `{"instruction":"i","output":1}`, WrongType, `"output" is a number, want a string`},
		{"object as input", `{"instruction":"i","input":{},"output":"o"}`, WrongType, `"input" is an object`},
		{"array as instruction", `{"instruction":["i"],"output":"o"}`, WrongType, `"instruction" is an array`},
		{"no instruction", `{"prompt":"p","output":"o"}`, NoInstruction, `the record's keys are "prompt", "output"`},
		{"an input alone", `{"input":"x","output":"o"}`, NoInstruction, `the key "instruction" is missing; the record's keys are "input", "output"`},
		{"null instruction", `{"instruction":null,"input":"x","output":"o"}`, NoInstruction, `"instruction" is null`},
		{"blank instruction", `{"instruction":" \n","input":"\u00a0","output":"o"}`, NoInstruction, "neither"},
		{"empty object", `{}`, NoInstruction, "the object is empty"},
		{"no response", `{"instruction":"i","response":"o"}`, NoResponse, `the key "output" is missing; the record's keys are "instruction", "response"`},
		{"null response", `{"instruction":"i","output":null}`, NoResponse, `"output" is null`},
		{"last null wins", `{"instruction":"i","output":"o","output":null}`, NoResponse, "null"},
		{"empty response", `{"instruction":"i","output":""}`, EmptyResponse, "empty"},
		{"blank response", `{"instruction":"i","output":"\t \n"}`, EmptyResponse, "white space"},
	} {
		for shape, src := range map[string]string{
			"array": "[" + good + ",\n" + c.raw + ",\n" + good + "\n]",
			"lines": good + "\n" + c.raw + "\n" + good,
		} {
			t.Run(c.name+"/"+shape, func(t *testing.T) {
				recs, _, err := readString(src, Options{})
				if err != nil || len(recs) != 3 {
					t.Fatalf("%d records, error %v; want 3", len(recs), err)
				}
				if recs[0].Fault != nil || recs[2].Fault != nil {
					t.Errorf("the fault spread: %v, %v", recs[0].Fault, recs[2].Fault)
				}
				rec := recs[1]
				if string(rec.Raw) != c.raw || rec.Line != 2 {
					t.Errorf("line %d, raw %q", rec.Line, rec.Raw)
				}
				if rec.Fault == nil || rec.Fault.Status != c.status || !strings.Contains(rec.Fault.Reason, c.reason) {
					t.Errorf("fault %v, want %s with %q", rec.Fault, c.status, c.reason)
				}
				want := rawKey(rec.Raw)
				if c.status == EmptyResponse || c.name == "blank instruction" {
					want = contentKey(rec.Instruction, rec.Input, rec.Response)
				}
				if rec.Key != want {
					t.Error("the key is of the wrong kind")
				}
			})
		}
	}
}

// A line that breaks off is one faulty record; so is an array's element with a
// line break in a string.
func TestFaultOverLines(t *testing.T) {
	recs, _, err := readString(good+"\n{\"instruction\":\"i\n"+good, Options{})
	if err != nil || len(recs) != 3 || recs[1].Fault == nil || !strings.Contains(recs[1].Fault.Reason, "found the end, want a closing quote") {
		t.Errorf("%d records, error %v", len(recs), err)
	}
	recs, _, err = readString("[{\n\"instruction\":\n\"i\n}\",\"output\":\"o\"},\n"+good+"]", Options{})
	if err != nil || len(recs) != 2 || recs[0].Fault == nil || !strings.Contains(recs[0].Fault.Reason, "line 3,") || recs[1].Line != 5 {
		t.Errorf("records %v, error %v", recs, err)
	}
}

func TestDamage(t *testing.T) {
	for _, c := range []struct {
		name, src string
		records   int // before the damage
		want      string
	}{
		{"empty", "", 0, "data.json: the file is empty"},
		{"blank", "\xef\xbb\xbf \n\n", 0, "data.json: the file is empty"},
		{"text", "\nhello", 0, "data.json:2: found 'h', which begins neither"},
		{"CSV", "\"a\",\"b\"", 0, "data.json:1: found '\"'"},
		{"NUL", "\x00[", 0, "data.json:1: found a NUL byte"},
		{"UTF-16", "\xff\xfe[\x00", 0, "data.json: the file is not JSON but text in UTF-16"},
		{"gzip", "\x1f\x8b\x08", 0, "compressed with gzip"},
		{"object over lines", "{\n\"a\": 1\n}", 0, "data.json:1: the line holds nothing but '{'"},
		{"open bracket only", "[", 0, "data.json:1: the array is not closed: the file ends before the first record"},
		{"cut in a record", "[\n" + good + ",\n{\"instruction\":\n\"i", 1, "data.json:3: the array is not closed: the file ends inside record 2, which begins here"},
		{"cut after a record", "[\n" + good + "\n", 1, "data.json:3: the array is not closed: the file ends after record 1"},
		{"cut after a comma", "[" + good + ",\n", 1, "data.json:2: the array is not closed: the file ends after record 1"},
		{"brace missing", "[{\"instruction\":\"i\",\n" + good + "]", 0, "data.json:1: the array is not closed: the file ends inside record 1"},
		{"comma missing", "[" + good + "\n" + good + "]", 1, "data.json:2: found '{' after record 1, want ',' or ']'"},
		{"comma twice", "[" + good + ",\n," + good + "]", 1, "data.json:2: found ',' where record 2 should begin"},
		{"comma first", "[," + good + "]", 0, "data.json:1: found ',' where record 1 should begin"},
		{"comma last", "[" + good + ",\n]", 1, "data.json:2: found ']' where record 2 should begin"},
		{"brace twice", "[" + good + "}," + good + "]", 1, "data.json:1: found '}' after record 1"},
		{"brace first", "[}", 0, "data.json:1: found '}' where record 1 should begin"},
		{"NUL between", "[" + good + ",\n\x00" + good + "]", 1, "data.json:2: found a NUL byte where record 2 should begin"},
		{"NUL after", "[" + good + "\x00]", 1, "data.json:1: found a NUL byte after record 1"},
		{"garbage behind", "[" + good + "]\n\n{}", 1, "data.json:3: found '{' after the array's closing bracket"},
		{"garbage behind nothing", "[]]", 0, "data.json:1: found ']' after the array's closing bracket"},
		{"line of NULs", good + "\n\x00\x00\n" + good, 1, "data.json:2: a line of NUL bytes stands where record 2 should be"},
		{"large element", "[\n" + good + ",\n{\"instruction\":\"" + strings.Repeat("x", 100) + "\"}]", 1, "data.json:3: record 2, which begins here, is larger than 64 bytes"},
		{"large line", good + "\n{\"instruction\":\"" + strings.Repeat("x", 100) + "\"}\n" + good, 1, "--max-record-bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, src := range []io.Reader{strings.NewReader(c.src), iotest.OneByteReader(strings.NewReader(c.src))} {
				r := NewReader(src, "data.json", Options{MaxBytes: 64})
				recs, err := readAll(r)
				var damage *SourceError
				if !errors.As(err, &damage) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want a SourceError with %q", err, c.want)
				}
				if len(recs) != c.records {
					t.Errorf("%d records before the damage, want %d", len(recs), c.records)
				}
				if _, again := r.Next(); again != err {
					t.Errorf("the next Next gives %v", again)
				}
			}
		})
	}
}

func TestLimit(t *testing.T) {
	for _, src := range []string{"[" + good + "]", good} {
		if recs, _, err := readString(src, Options{MaxBytes: len(good)}); err != nil || len(recs) != 1 {
			t.Errorf("a record as large as the limit: %d records, error %v", len(recs), err)
		}
		if _, _, err := readString(src, Options{MaxBytes: len(good) - 1}); err == nil {
			t.Error("a record larger than the limit was read")
		}
	}
	endless := io.MultiReader(strings.NewReader("["+good+",\n[\""), zeros{})
	r := NewReader(endless, "data.json", Options{MaxBytes: 1 << 20})
	recs, err := readAll(r)
	if len(recs) != 1 || err == nil || !strings.Contains(err.Error(), "larger than 1048576 bytes") {
		t.Errorf("%d records, error %v", len(recs), err)
	}
	if len(r.in.buf) > 1<<20+minBuffer {
		t.Errorf("the buffer grew to %d bytes", len(r.in.buf))
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return copy(b, bytes.Repeat([]byte{'0'}, len(b))), nil }

func TestReadFails(t *testing.T) {
	cause := errors.New("the disk is gone")
	for _, head := range []string{"", "[", "[\n{", "[" + good, good, good + "\n", "[" + good + "]"} {
		r := NewReader(io.MultiReader(strings.NewReader(head), iotest.ErrReader(cause)), "data.json", Options{})
		_, err := readAll(r)
		var damage *SourceError
		if !errors.As(err, &damage) || !errors.Is(err, cause) {
			t.Errorf("after %q: error %v, want a SourceError of the cause", head, err)
		}
	}
}

func TestScan(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "data.json")
	src := "[" + good + ",\n7,\n{},\n" + good + "\n]"
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	scan := func(limit int) (Summary, error) {
		r, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := Scan(r, limit)
		return s, errors.Join(err, r.Close())
	}
	s, err := scan(0)
	if err != nil || s.Records != 4 || s.Faulty != 2 || s.FirstFault == nil || s.FirstFault.Line != 2 || s.FirstFault.Fault.Status != WrongType {
		t.Errorf("summary %+v, error %v", s, err)
	}
	if want := path + ":2"; s.FirstFault.Where() != want {
		t.Errorf("the first fault is at %s, want %s", s.FirstFault.Where(), want)
	}
	if s, err := scan(1); err != nil || s.Records != 1 || s.Faulty != 0 {
		t.Errorf("with a limit: summary %+v, error %v", s, err)
	}
	if err := os.WriteFile(path, []byte(src[:len(src)-2]), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = scan(0)
	var damage *SourceError
	if !errors.As(err, &damage) || s.Records != 4 || !strings.HasPrefix(err.Error(), path+":4: ") {
		t.Errorf("cut: summary %+v, error %v", s, err)
	}
}

func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "none"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: error %v", err)
	}
	r, err := Open(dir, Options{})
	if err == nil {
		_, err = r.Next()
	}
	if err == nil {
		t.Error("a folder was read")
	}
}

// A reader finds the elements that encoding/json finds, however they are
// spaced, nested and spelled.
func TestElementsAgree(t *testing.T) {
	values := rapid.SampledFrom([]string{
		good, `{ "output" : "\"}],[{" , "x" : { "y" : [ 1.0 , 1e3 , {} ] } }`, `[]`, `[[{"a":"]"}],2]`, `"a,b]"`, `"\\"`, `-1.5E+2`,
		`12345678901234567890`, `true`, `null`, `{"a":"é\ud83d\ude00"}`, `{}`,
	})
	spaces := rapid.SampledFrom([]string{"", " ", "\n", "\r\n\t"})
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(values).Draw(t, "values")
		var b strings.Builder
		b.WriteString(spaces.Draw(t, "space") + "[")
		for i, v := range want {
			if i > 0 {
				b.WriteString(",")
			}
			b.WriteString(spaces.Draw(t, "space") + v + spaces.Draw(t, "space"))
		}
		b.WriteString(spaces.Draw(t, "space") + "]" + spaces.Draw(t, "space"))
		recs, _, err := readString(b.String(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := make([]string, 0, len(recs))
		for _, rec := range recs {
			got = append(got, string(rec.Raw))
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Errorf("elements %q, want %q", got, want)
		}
	})
}

// Deep nesting and brackets that close nothing take linear time.
func TestSplitterIsLinear(t *testing.T) {
	deep := strings.Repeat("{", 1<<20) + strings.Repeat("]", 1<<20) + strings.Repeat("}", 1<<20)
	recs, _, err := readString("["+deep+","+good+"]", Options{})
	if err != nil || len(recs) != 2 || recs[0].Fault == nil || recs[1].Fault != nil {
		t.Errorf("%d records, error %v", len(recs), err)
	}
}
