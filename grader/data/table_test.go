package data

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var allTypes = []Column{{"text", Text}, {"n", Integer}, {"x", Real}, {"b", Boolean}}

func TestCSVTable(t *testing.T) {
	var b bytes.Buffer
	table, err := NewCSVTable(&b, allTypes)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range [][]any{
		{"plain", int64(-1), 0.1, true}, {nil, nil, nil, nil}, {"", int64(0), -2.0, false},
		{"=1+1", nil, nil, nil}, {"+1", nil, nil, nil}, {"-1", nil, nil, nil}, {"@a", nil, nil, nil}, {"\ta", nil, nil, nil}, {"\ra", nil, nil, nil},
		{"a=\"1\",\n2\x00", nil, 1e21, nil}, {nil, nil, math.Inf(1), nil},
	} {
		if err := table.Row(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	want := "text,n,x,b\nplain,-1,0.1,true\n,,,\n,0,-2,false\n'=1+1,,,\n'+1,,,\n'-1,,,\n'@a,,,\n'\ta,,,\n\"'\ra\",,,\n\"a=\"\"1\"\",\n2\x00\",,1e+21,\n,,Infinity,\n"
	if b.String() != want {
		t.Errorf("table\n%q\nwant\n%q", b.String(), want)
	}
	for _, row := range [][]any{{"a"}, {1, nil, nil, nil}, {nil, 1, nil, nil}, {nil, nil, "1", nil}, {nil, nil, nil, 0}} {
		if err := table.Row(row); err == nil {
			t.Errorf("the row %v is taken", row)
		}
	}
}

// TestCSVTableProperty reads tables back with the standard library.
func TestCSVTableProperty(t *testing.T) {
	cell := rapid.StringOf(rapid.SampledFrom([]rune("a,\"\n'=\t;é \x00")))
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(1, 3).Draw(t, "width")
		rows := rapid.SliceOfN(rapid.SliceOfN(cell, width, width), 1, 5).Draw(t, "rows")
		comma := rapid.SampledFrom([]byte{',', '\t'}).Draw(t, "comma")
		columns := make([]Column, width)
		for i := range columns {
			columns[i].Name = rows[0][i]
		}
		var b bytes.Buffer
		table, err := newCSVTable(&b, comma, false, columns)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows[1:] {
			cells := make([]any, width)
			for i := range row {
				cells[i] = row[i]
			}
			if err := table.Row(cells); err != nil {
				t.Fatal(err)
			}
		}
		if err := table.Close(); err != nil {
			t.Fatal(err)
		}
		r := csv.NewReader(&b)
		r.Comma = rune(comma)
		got, err := r.ReadAll()
		if err != nil || !reflect.DeepEqual(got, rows) {
			t.Fatalf("rows %q, error %v; want %q", got, err, rows)
		}
	})
}

func TestParquetTable(t *testing.T) {
	var b bytes.Buffer
	table, err := NewParquetTable(&b, allTypes, [][2]string{{"winnow.a", "1"}, {"winnow.b", "\xff"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range [][]any{{"=a\x00\xff", int64(1) << 62, 0.1, true}, {nil, nil, nil, nil}, {"", int64(0), 0.0, false}} {
		if err := table.Row(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Row([]any{"a"}); err == nil {
		t.Error("a row of one cell is taken")
	}
	if err := errors.Join(table.Close(), table.Close()); err != nil {
		t.Fatal(err)
	}
	if err := table.Row([]any{nil, nil, nil, nil}); !errors.Is(err, errTableClosed) {
		t.Errorf("after Close: error %v", err)
	}
	path := writeFile(t, "table.parquet", b.Bytes())
	recs, _ := mustRead(t, path)
	want := []string{`{"text":"=a\u0000�","n":4611686018427387904,"x":0.1,"b":true}`, `{"text":null,"n":null,"x":null,"b":null}`, `{"text":"","n":0,"x":0,"b":false}`}
	for i, rec := range recs {
		if string(rec.Raw) != want[i] {
			t.Errorf("row %d is %s, want %s", i+1, rec.Raw, want[i])
		}
	}
	kv := footerOf(t, path).KeyValueMetadata
	if len(recs) != 3 || len(kv) != 2 || kv[0].Key != "winnow.a" || kv[0].Value != "1" || kv[1].Value != "\uFFFD" {
		t.Errorf("%d rows, metadata %v", len(recs), kv)
	}
}

func TestTableWriteFails(t *testing.T) {
	full := errors.New("no space left")
	w := writerFunc(func([]byte) (int, error) { return 0, full })
	for name, begin := range map[string]func(io.Writer) (Table, error){
		"csv":     func(w io.Writer) (Table, error) { return NewCSVTable(w, allTypes) },
		"parquet": func(w io.Writer) (Table, error) { return NewParquetTable(w, allTypes, nil) },
	} {
		table, err := begin(w)
		for range 5 {
			if err == nil {
				err = table.Row([]any{strings.Repeat("a", 1<<16), nil, nil, nil})
			}
		}
		if err == nil {
			err = table.Close()
		}
		if !errors.Is(err, full) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestUniqueNames(t *testing.T) {
	got := UniqueNames([]string{"a", "A", "b", "a", "a_2"})
	want := []string{"a", "A_2", "b", "a_3", "a_2_2"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
