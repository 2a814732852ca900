package grader

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"winnow/grader/data"
	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
)

// rowsOf is a table in memory.
type rowsOf struct {
	columns []data.Column
	rows    []map[string]any
	fail    error
}

func (r *rowsOf) Row(cells []any) error {
	if r.fail != nil {
		return r.fail
	}
	if err := data.CheckCells(r.columns, cells); err != nil {
		return err
	}
	row := map[string]any{}
	for i, c := range r.columns {
		row[c.Name] = cells[i]
	}
	r.rows = append(r.rows, row)
	return nil
}

func (r *rowsOf) Close() error { return nil }

// exported exports a journal's ratings.
func exported(t *testing.T, path string, o ExportOptions) (*rowsOf, ExportSummary) {
	t.Helper()
	m, index, err := journal.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	table := &rowsOf{columns: ExportColumns(m, o.Open != nil)}
	sum, err := Export(index, table, o)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Rows != len(table.rows) {
		t.Errorf("%d rows, the summary says %d", len(table.rows), sum.Rows)
	}
	return table, sum
}

// line is an entry as encoding/json reads it.
type line struct {
	Key      string   `json:"key"`
	Index    int64    `json:"index"`
	Status   string   `json:"status"`
	Reason   *string  `json:"reason"`
	Rating   *float64 `json:"rating"`
	Tokens   int64    `json:"tokens"`
	Criteria map[string]criterion
	criterion
	Signals    map[string]any
	Calibrated *float64
}

type criterion struct {
	Rating   float64
	Mode     string
	Probs    map[string]float64
	OffScale float64 `json:"off_scale"`
	Entropy  float64
}

func linesOf(t *testing.T, path string) (lines []line) {
	t.Helper()
	for i, b := range bytes.Split(bytes.TrimSpace(contents(t, path)), []byte("\n")) {
		if i == 0 {
			continue // the manifest
		}
		var l line
		if err := json.Unmarshal(b, &l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

// check compares a row with its line of the journal.
func check(t *testing.T, row map[string]any, l line) {
	t.Helper()
	want := map[string]any{"key": l.Key, "status": l.Status, "reason": nil, "rating": nil, "tokens": nil}
	if l.Reason != nil {
		want["reason"] = *l.Reason
	}
	if l.Tokens > 0 {
		want["tokens"] = l.Tokens
	}
	add := func(before string, c criterion) {
		want[before+"mode"], want[before+"off_scale"], want[before+"entropy"] = c.Mode, c.OffScale, c.Entropy
		for s, p := range c.Probs {
			want[before+"p_"+s] = p
		}
	}
	if l.Rating != nil {
		want["rating"] = *l.Rating
		if l.Criteria == nil {
			add("", l.criterion)
		}
		for name, c := range l.Criteria {
			want[name+"_rating"] = c.Rating
			add(name+"_", c)
		}
	}
	for name, x := range l.Signals {
		if want[name] = x; x == "Infinity" {
			want[name] = math.Inf(1)
		}
	}
	if l.Calibrated != nil {
		want["calibrated"] = *l.Calibrated
	}
	for name, x := range row {
		if slices.Contains([]string{"index", "file", "line", "turn", "instruction", "input", "output"}, name) {
			continue
		}
		if x != want[name] {
			t.Fatalf("key %s: column %s is %v, want %v", l.Key, name, x, want[name])
		}
	}
}

func TestExportEntries(t *testing.T) {
	source := corpus(300)
	one, two := filepath.Join(t.TempDir(), "one.jsonl"), filepath.Join(t.TempDir(), "two.jsonl")
	if err := run(t.Context(), t, one, source, newMeasuring(), nil); err != nil {
		t.Fatal(err)
	}
	gradeWide(t, two, source)
	for _, path := range []string{one, two} {
		table, sum := exported(t, path, ExportOptions{})
		lines := linesOf(t, path)
		if len(table.rows) != len(lines) || sum.Foreign != 0 || sum.Rated < 100 || sum.Rated == sum.Rows {
			t.Fatalf("%d rows of %d lines: %+v", len(table.rows), len(lines), sum)
		}
		for i, l := range lines {
			check(t, table.rows[i], l)
			if table.rows[i]["index"] != l.Index {
				t.Fatalf("row %d has the index %v, want %d", i, table.rows[i]["index"], l.Index)
			}
		}
	}
}

func TestExportJoined(t *testing.T) {
	source := corpus(300)
	for name, grade := range map[string]func(path string){
		"one": func(path string) {
			if err := run(t.Context(), t, path, source, newMeasuring(), nil); err != nil {
				t.Fatal(err)
			}
		},
		"two": func(path string) { gradeWide(t, path, source) },
	} {
		path := filepath.Join(t.TempDir(), name+".jsonl")
		grade(path)
		byKey := map[string]line{}
		for _, l := range linesOf(t, path) {
			byKey[l.Key] = l
		}
		// Other records, of which some are known, in another order.
		recs := records(t, source)
		slices.Reverse(recs)
		var other bytes.Buffer
		for _, rec := range recs[:200] {
			other.Write(append(rec.Raw, '\n'))
		}
		other.WriteString(`{"instruction":"new","input":"=1","output":"a"}` + "\n")
		table, sum := exported(t, path, ExportOptions{Open: opener(other.Bytes())})
		want := records(t, other.Bytes())
		met := map[string]bool{}
		for i, rec := range want {
			row := table.rows[i]
			if row["index"] != int64(i) || row["line"] != int64(rec.Line) || row["file"] != "records.jsonl" || row["turn"] != int64(0) ||
				row["instruction"] != rec.Instruction || row["input"] != rec.Input || row["output"] != rec.Response {
				t.Fatalf("row %d: %v", i, row)
			}
			if l, ok := byKey[rec.Key.String()]; ok {
				check(t, row, l)
				met[l.Key] = true
				continue
			}
			if i != 200 || row["status"] != string(record.NotGraded) || row["rating"] != nil || row["key"] != rec.Key.String() {
				t.Fatalf("row %d is of no entry: %v", i, row)
			}
		}
		if len(table.rows) != 201 || sum.Foreign != len(byKey)-len(met) || sum.Foreign < 30 {
			t.Errorf("%d rows, %+v, %d entries met", len(table.rows), sum, len(met))
		}
		if table, _ := exported(t, path, ExportOptions{Open: opener(other.Bytes()), Limit: 7}); len(table.rows) != 7 {
			t.Errorf("%d rows, want 7", len(table.rows))
		}
		if table, sum := exported(t, path, ExportOptions{Open: opener([]byte("[]"))}); len(table.rows) != 0 || sum.Foreign != len(byKey) {
			t.Errorf("no records: %d rows, %+v", len(table.rows), sum)
		}
	}
}

func TestExportFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one.jsonl")
	if err := run(t.Context(), t, path, corpus(20), newMeasuring(), nil); err != nil {
		t.Fatal(err)
	}
	m, index, err := journal.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("no space left")
	table := &rowsOf{columns: ExportColumns(m, false), fail: broken}
	if _, err := Export(index, table, ExportOptions{}); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	for _, open := range []func() (record.Source, error){
		func() (record.Source, error) { return nil, broken },
		opener([]byte(`[{"instruction":"a","output":"b"}`)),
	} {
		table := &rowsOf{columns: ExportColumns(m, true)}
		if _, err := Export(index, table, ExportOptions{Open: open}); err == nil {
			t.Error("a source that cannot be read was exported")
		}
	}
}

func TestExportColumns(t *testing.T) {
	name := func(c data.Column) string { return c.Name }
	names := func(criteria []string, withData bool, change func(*journal.Manifest)) (out []string) {
		m := journal.Manifest{Scale: journal.Scale(testScale())}
		for _, c := range criteria {
			m.Rubrics = append(m.Rubrics, journal.Rubric{Name: c})
		}
		if change != nil {
			change(&m)
		}
		for _, c := range ExportColumns(m, withData) {
			out = append(out, name(c))
		}
		return out
	}
	want := "index key status reason rating mode off_scale entropy p_0 p_1 p_2.5 p_5 tokens"
	if got := strings.Join(names([]string{"a"}, false, nil), " "); got != want {
		t.Errorf("columns %s, want %s", got, want)
	}
	want = "index key status reason rating a_rating a_mode a_off_scale a_entropy a_p_0 a_p_1 a_p_2.5 a_p_5 " +
		"A_rating_2 A_mode_2 A_off_scale_2 A_entropy_2 A_p_0_2 A_p_1_2 A_p_2.5_2 A_p_5_2 tokens file line turn instruction input output"
	if got := strings.Join(names([]string{"a", "A"}, true, nil), " "); got != want {
		t.Errorf("columns %s, want %s", got, want)
	}
	want = "index key status reason rating mode off_scale entropy p_0 p_1 p_2.5 p_5 nll ifd calibrated tokens"
	if got := strings.Join(names([]string{"a"}, false, func(m *journal.Manifest) {
		m.Signals, m.Hidden, m.Calibration = []string{"nll", "ifd"}, &journal.Hidden{Size: 2}, &journal.Calibration{SHA256: "00"}
	}), " "); got != want {
		t.Errorf("columns %s, want %s", got, want)
	}
}

func TestManifestPairs(t *testing.T) {
	m := newMeasuring().Manifest()
	m.Scale = journal.Scale(rating.Scale{Strings: []string{"a", "\"b"}, Values: []float64{0, 2.5}})
	m.Settings = map[string]string{"z": "1", "a": ""}
	m.Calibration = &journal.Calibration{Name: "c.json", SHA256: "44ff"}
	pairs, err := ManifestPairs(m)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, kv := range pairs {
		got[kv[0]] = kv[1]
	}
	for key, want := range map[string]string{
		"model.sha256": "00ff", "rubrics": `[{"name":"test","sha256":"11ee"}]`, "scale.strings": `["a","\"b"]`, "scale.values": "[0,2.5]",
		"template.source": "plain", "runtime.device": "CPU", "settings.a": "", "settings.z": "1",
		"signals": `["nll","ppl","ifd"]`, "hidden.layer": "2", "hidden.size": "4", "calibration.name": "c.json", "calibration.sha256": "44ff",
	} {
		if value, ok := got[key]; !ok || value != want {
			t.Errorf("%s is %q (%t), want %q", key, value, ok, want)
		}
	}
	if len(got) != len(pairs) {
		t.Error("a key stands there twice")
	}
}
