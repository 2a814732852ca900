package data

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"

	"winnow/grader/record"
)

// sample has a column of every kind that Go's structs have in the library.
type sample struct {
	Instruction string               `parquet:"instruction"`
	Input       *string              `parquet:"input,optional,snappy"`
	Output      string               `parquet:"output,zstd,dict"`
	ID          int64                `parquet:"id,delta"`
	Small       uint8                `parquet:"small"`
	Large       uint64               `parquet:"large"`
	Single      float32              `parquet:"single"`
	Double      *float64             `parquet:"double,optional"`
	Good        bool                 `parquet:"good"`
	Day         int32                `parquet:"day,date"`
	Moment      int64                `parquet:"moment,timestamp(microsecond)"`
	Local       int64                `parquet:"local,timestamp(millisecond:local)"`
	Clock       int32                `parquet:"clock,time(millisecond)"`
	Price       int64                `parquet:"price,decimal(2:18)"`
	Bytes       []byte               `parquet:"bytes"`
	Fixed       [3]byte              `parquet:"fixed"`
	UUID        [16]byte             `parquet:"uuid,uuid"`
	JSON        string               `parquet:"json,json"`
	Tags        []string             `parquet:"tags,list"`
	Plain       []int32              `parquet:"plain"`
	Nested      []turn               `parquet:"nested,list"`
	Map         map[string]int64     `parquet:"map"`
	Group       struct{ A, B int32 } `parquet:"group"`
}

type turn struct {
	From  string   `parquet:"from"`
	Value *string  `parquet:"value,optional"`
	Marks []string `parquet:"marks,list"`
}

// samples returns n different rows.
func samples(n int) []sample {
	rows := make([]sample, n)
	for i := range rows {
		input, ratio, value := "context \x00 \"é\"", float64(i)/3, "hello\nthere"
		r := &rows[i]
		r.Instruction, r.Output = "Say it.", "It <b>is</b> said."
		r.ID, r.Small, r.Large = int64(i)-1<<60, uint8(200+i), 1<<63+uint64(i)
		r.Single, r.Good, r.Day, r.Moment, r.Local, r.Clock = 0.1, i%2 == 0, int32(20000+i), 1_700_000_000_123_456, -1, 3_723_004
		r.Price, r.Bytes, r.Fixed, r.UUID = -5, []byte{0xff, byte(i)}, [3]byte{1, 2, 3}, [16]byte{15: byte(i)}
		r.JSON = `{ "a": [1, 2.50] }`
		r.Group.A, r.Group.B = 1, -2
		switch i % 3 {
		case 0:
			r.Input, r.Double = &input, &ratio
			r.Tags, r.Plain = []string{"x", "", "y"}, []int32{1, 2}
			r.Nested = []turn{{From: "human", Value: &value, Marks: []string{"a", "b"}}, {From: "gpt"}, {From: "human", Marks: []string{"c"}}}
			r.Map = map[string]int64{"k": 1}
		case 1:
			r.Nested = []turn{{From: "human"}}
		}
	}
	return rows
}

// writeParquet writes rows in row groups of some rows each.
func writeParquet[T any](t testing.TB, rows []T, group int, options ...parquet.WriterOption) string {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[T](&b, options...)
	for i := 0; i < len(rows); i += group {
		if _, err := w.Write(rows[i:min(i+group, len(rows))]); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "data.parquet", b.Bytes())
}

func writeFile(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// readRecords reads a file to its end or to what is wrong with it.
func readRecords(t testing.TB, path string, o record.Options) (recs []*record.Record, layout record.Layout, err error) {
	t.Helper()
	src, err := Open([]string{path}, Options{Record: o})
	if err != nil {
		return nil, nil, err
	}
	return drain(t, src)
}

// drain reads a source to its end or to what is wrong with it.
func drain(t testing.TB, src record.Source) (recs []*record.Record, layout record.Layout, err error) {
	t.Helper()
	defer func() {
		if err := errors.Join(src.Close(), src.Close()); err != nil {
			t.Error(err)
		}
	}()
	for {
		rec, err := src.Next()
		if err == io.EOF {
			return recs, src.Layout(), nil
		}
		if err != nil {
			if _, again := src.Next(); again != err {
				t.Errorf("error %v, then %v", err, again)
			}
			return recs, nil, err
		}
		recs = append(recs, rec)
	}
}

// mustRead is readRecords for sound files.
func mustRead(t testing.TB, path string) ([]*record.Record, record.Layout) {
	t.Helper()
	recs, layout, err := readRecords(t, path, record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return recs, layout
}

// writeAll writes all records in a layout, with notes if note is not nil.
func writeAll(t testing.TB, layout record.Layout, recs []*record.Record, note any) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := layout.NewWriter(&b, note != nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range recs {
		if note != nil {
			err = w.WriteNote(rec, note)
		} else {
			err = w.Write(rec)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
