package sqlite

import (
	"database/sql"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"winnow/grader/data"
)

func TestTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a ?%23 é.sqlite")
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	columns := []data.Column{{Name: "text"}, {Name: `p_"0.5`, Type: data.Real}, {Name: "n", Type: data.Integer}, {Name: "select", Type: data.Boolean}}
	table, err := New(path, "ratings", columns, [][2]string{{"model.name", "a.gguf"}, {"other", "\xff"}})
	if err != nil {
		t.Fatal(err)
	}
	rows := [][]any{
		{"=1+1", 0.1, int64(math.MinInt64), true}, {nil, nil, nil, nil}, {"", 0.0, int64(0), false}, {"a\x00b'\"\n", 1e-45, int64(1), true}, {nil, math.Inf(1), nil, nil},
	}
	for _, row := range rows {
		if err := table.Row(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	if err := table.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}

	db, err := sql.Open("sqlite", "file:"+filepath.Dir(path)+"/a%20%3F%2523%20é.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	got := query(t, db, `SELECT text, "p_""0.5", n, "select" FROM ratings`)
	want := [][]any{
		{"=1+1", 0.1, int64(math.MinInt64), int64(1)}, {nil, nil, nil, nil}, {"", 0.0, int64(0), int64(0)}, {"a\x00b'\"\n", 1e-45, int64(1), int64(1)}, {nil, math.Inf(1), nil, nil},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("rows\n%#v\nwant\n%#v", got, want)
	}
	if got, want := query(t, db, "SELECT key, value FROM manifest ORDER BY key"), [][]any{{"model.name", "a.gguf"}, {"other", "\uFFFD"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("manifest %v, want %v", got, want)
	}
	if got := query(t, db, "PRAGMA integrity_check"); len(got) != 1 || got[0][0] != "ok" {
		t.Errorf("integrity: %v", got)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil || len(left) != 1 {
		t.Errorf("files %q, error %v", left, err)
	}
}

func query(t *testing.T, db *sql.DB, q string) (rows [][]any) {
	t.Helper()
	r, err := db.Query(q)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	names, err := r.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for r.Next() {
		row, to := make([]any, len(names)), make([]any, len(names))
		for i := range row {
			to[i] = &row[i]
		}
		if err := r.Scan(to...); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestTableFails(t *testing.T) {
	columns := []data.Column{{Name: "a"}}
	if _, err := New(filepath.Join(t.TempDir(), "none", "a.sqlite"), "ratings", columns, nil); err == nil {
		t.Error("a database in a folder that is not there was made")
	}
	if _, err := New(filepath.Join(t.TempDir(), "a.sqlite"), "ratings", []data.Column{{Name: "a"}, {Name: "A"}}, nil); err == nil {
		t.Error("a table with one name twice was made")
	}
	table, err := New(filepath.Join(t.TempDir(), "a.sqlite"), "ratings", columns, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Row([]any{1}); err == nil {
		t.Error("a number was written as text")
	}
	if err := table.Close(); err != nil {
		t.Error(err)
	}
}
