package data

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"winnow/grader/record"
)

// reference reads a table with encoding/csv, which writes CRLF within cells as LF.
func reference(src []byte, comma byte) ([][]string, error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(src, []byte(bom))))
	r.Comma, r.FieldsPerRecord = rune(comma), -1
	return r.ReadAll()
}

// checkTable compares what was read with encoding/csv and with the bytes of src.
func checkTable(t rapid.TB, src []byte, comma byte, recs []*record.Record, of *columns, err error) {
	t.Helper()
	copied := []byte(of.lead + of.header + of.end)
	for i, rec := range recs {
		if want := 1 + bytes.Count(copied, []byte{'\n'}); rec.Index != i || rec.Line != want {
			t.Fatalf("%q: record %d has index %d and line %d, want line %d", src, i, rec.Index, rec.Line, want)
		}
		copied = append(append(copied, rec.Raw...), rec.Row.(*row).end...)
	}
	if err != nil {
		if !errors.As(err, new(*record.SourceError)) || !bytes.HasPrefix(src, copied) {
			t.Fatalf("%q: error %v after %q", src, err, copied)
		}
		return
	}
	if !bytes.Equal(copied, src) {
		t.Fatalf("%q: the rows give %q", src, copied)
	}
	want, badTable := reference(src, comma)
	for i, rec := range recs {
		cells, why := of.split(rec.Raw, nil)
		if bad := rec.Fault != nil && rec.Fault.Status == record.BadRow; bad != (why != "" || len(cells) != len(of.names)) {
			t.Fatalf("%q: row %q: fault %v, why %q", src, rec.Raw, rec.Fault, why)
		}
		if badTable != nil {
			continue
		}
		if why != "" || len(want) != len(recs)+1 {
			t.Fatalf("%q: %d rows, want %d; row %q: %s", src, len(recs), len(want)-1, rec.Raw, why)
		}
		var texts []string
		for _, c := range cells {
			texts = append(texts, strings.ReplaceAll(c.text(rec.Raw), "\r\n", "\n"))
		}
		if !slices.Equal(texts, want[i+1]) {
			t.Fatalf("%q: row %q has the cells %q, want %q", src, rec.Raw, texts, want[i+1])
		}
		if rec.Fault == nil && strings.ReplaceAll(rec.Instruction, "\r\n", "\n") != want[i+1][of.texts[0]] {
			t.Fatalf("%q: row %q has the instruction %q", src, rec.Raw, rec.Instruction)
		}
	}
}

// Tables that are sound have the cells that encoding/csv finds, and their rows
// give the file.
func TestTablesAgree(t *testing.T) {
	text := rapid.StringOf(rapid.RuneFrom([]rune("ab \t,;\"\n'é€😀\r")))
	rapid.Check(t, func(t *rapid.T) {
		comma := rapid.SampledFrom([]byte{',', '\t'}).Draw(t, "comma")
		names := rapid.Permutation([]string{"instruction", "output", "input", "a \"b\"", ""}).Draw(t, "names")
		rows := rapid.SliceOf(rapid.SliceOfN(text, len(names), len(names))).Draw(t, "rows")
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end")
		src := rapid.SampledFrom([]string{"", bom}).Draw(t, "lead")
		for _, cells := range append([][]string{names}, rows...) {
			for i, s := range cells {
				if i > 0 {
					src += string(comma)
				}
				if rapid.Bool().Draw(t, "quoted") || strings.ContainsAny(s, "\"\r\n"+string(comma)) {
					s = `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
				}
				src += s
			}
			src += end + rapid.SampledFrom([]string{"", "", end}).Draw(t, "gap")
		}
		if rapid.Bool().Draw(t, "bare") {
			src = strings.TrimRight(src, "\r\n")
		}
		recs, of, err := readTable(strings.NewReader(src), comma, record.Options{})
		if err != nil || len(recs) != len(rows) {
			t.Fatalf("%q: %d records, error %v; want %d", src, len(recs), err, len(rows))
		}
		checkTable(t, []byte(src), comma, recs, of, err)
		var out bytes.Buffer
		w, err := of.NewWriter(&out, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range recs {
			err = errors.Join(err, w.Write(rec))
		}
		if err := errors.Join(err, w.Close()); err != nil || out.String() != src {
			t.Fatalf("the copy of %q is %q, error %v", src, out.String(), err)
		}
	})
}

func FuzzTable(f *testing.F) {
	for _, s := range []string{
		"", "instruction,output\n", "a,b\n\nc,d", "\"a\"\"b\",\"c\r\nd\"\r\n", "a,\"b", "a\"b,c\n", "\"a\"b,c\n", "a,b,c\n", "\r\n\r", "a,b\r", "\"\"\n,\n", bom + "a,b",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(strings.ReplaceAll(s, ",", "\t")), true)
	}
	f.Fuzz(func(t *testing.T, rows []byte, tabs bool) {
		comma, header := byte(','), "instruction,output\n"
		if tabs {
			comma, header = '\t', "output\tinput\tinstruction\r\n"
		}
		for _, head := range []string{header, ""} {
			src := append([]byte(head), rows...)
			o := record.Options{MaxBytes: 1 << 12}
			recs, of, err := readTable(bytes.NewReader(src), comma, o)
			slow, _, slowErr := readTable(iotest.OneByteReader(bytes.NewReader(src)), comma, o)
			if len(slow) != len(recs) || fmt.Sprint(slowErr) != fmt.Sprint(err) {
				t.Fatalf("%q: %d records, error %v at once; %d, error %v in pieces", src, len(recs), err, len(slow), slowErr)
			}
			if of == nil {
				continue
			}
			checkTable(t, src, comma, recs, of, err)
			if err != nil {
				continue
			}
			if got := written(t, of, recs, nil); got != string(src) {
				t.Fatalf("the copy of %q is %q", src, got)
			}
			again, _, err := readTable(strings.NewReader(written(t, of, recs, aNote)), comma, record.Options{})
			if err != nil || len(again) != len(recs) {
				t.Fatalf("%q with notes has %d records, error %v; want %d", src, len(again), err, len(recs))
			}
		}
	})
}

func BenchmarkTable(b *testing.B) {
	const records = 1000
	row := "7,Rewrite the sentence so that it is shorter.,\"" + strings.Repeat("There are \"\"many\"\" words in it. ", 4) + "\",\"" + strings.Repeat("It has many words.\n", 10) + "\"\r\n"
	src := "id,instruction,input,output\r\n" + strings.Repeat(row, records)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if recs, _, err := readTable(strings.NewReader(src), ',', record.Options{}); err != nil || len(recs) != records {
			b.Fatalf("%d records, error %v", len(recs), err)
		}
	}
	b.ReportMetric(float64(records*b.N)/b.Elapsed().Seconds(), "records/s")
}
