package bench

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseCells(t *testing.T) {
	got, err := ParseCells("2048/int8, 512,16/cublas-f16")
	if want := []Cell{{2048, "int8"}, {512, ""}, {16, "cublas-f16"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, c := range got {
		if again, err := ParseCells(c.String()); err != nil || len(again) != 1 || again[0] != c {
			t.Errorf("%s is read as %v, %v", c, again, err)
		}
	}
	for _, bad := range []string{"", ",", "15", "-512", "int8", "512/", "512/int8,", "1e3"} {
		if got, err := ParseCells(bad); err == nil || !strings.Contains(err.Error(), "want TOKENS") {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
}

func TestMatrix(t *testing.T) {
	recs, err := Synthetic(40, Lengths{Median: 10, Sigma: 0.5}, 1)
	if err != nil {
		t.Fatal(err)
	}
	m := MatrixOptions{MeasureOptions: MeasureOptions{Repeats: 1}, Time: time.Millisecond}
	cells := []Cell{{128, "int8"}, {64, "none"}, {1, ""}, {256, ""}}
	var got []CellResult
	if err := Matrix(t.Context(), options(t), cells, recs, m, func(r CellResult) error { got = append(got, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(cells) {
		t.Fatalf("%d results of %d cells", len(got), len(cells))
	}
	for i, r := range got {
		if r.Cell != cells[i].String() || r.Matmul != cells[i].Matmul {
			t.Errorf("result %d is of cell %s, %s; want %s", i, r.Cell, r.Matmul, cells[i])
		}
		failed := i == 1 || i == 2
		if failed != (r.Error != "") || failed != (r.Throughput == nil) {
			t.Errorf("cell %s: error %q, figures %v", r.Cell, r.Error, r.Throughput)
			continue
		}
		if !failed && (r.Batch != cells[i].Batch || !(r.RawRate > 0) || !(r.GradingRate > 0) || r.Records < 1) {
			t.Errorf("cell %s: %+v", r.Cell, r.Throughput)
		}
	}
	if got[0].Tokens < 128 {
		t.Errorf("%d tokens for batches of 128: contexts had no batch", got[0].Tokens)
	}
}

func TestMatrixErrors(t *testing.T) {
	recs, err := Synthetic(2, Lengths{Median: 5}, 1)
	if err != nil {
		t.Fatal(err)
	}
	one := []Cell{{64, ""}}
	m := MatrixOptions{MeasureOptions: MeasureOptions{Repeats: 1}, Time: time.Millisecond}
	none := func(CellResult) error { return nil }
	if err := Matrix(t.Context(), options(t), nil, recs, m, none); err == nil {
		t.Error("no cells: no error")
	}
	if err := Matrix(t.Context(), options(t), one, nil, m, none); err == nil {
		t.Error("no records: no error")
	}
	absent := options(t)
	absent.Model += ".absent"
	if err := Matrix(t.Context(), absent, one, recs, m, none); err == nil || !strings.Contains(err.Error(), absent.Model) {
		t.Errorf("no model: %v", err)
	}
	if err := Matrix(t.Context(), options(t), one, recs, m, func(CellResult) error { return io.ErrShortWrite }); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("results that cannot be written: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err = Matrix(ctx, options(t), []Cell{{64, ""}, {128, ""}}, recs, m, func(CellResult) error { calls++; cancel(); return nil })
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("cancelled after the first cell: %d results, %v", calls, err)
	}
}
