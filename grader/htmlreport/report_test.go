package htmlreport

import (
	"cmp"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"winnow/grader/journal"
	"winnow/grader/record"
)

func at(x float64) *float64 { return &x }

// TestCounts holds the report's numbers against counting one record at a time.
func TestCounts(t *testing.T) {
	m := write(t, examples(700), "accuracy", "helpfulness")
	_, index, err := journal.Read(m.scores)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []float64{0, 2.75, 3.33, 4.5, 5} {
		r := m.collect(t, Options{Open: m.open, Min: at(cut), Sample: 50, Field: "source"})
		kept, rated, sum := 0, 0, 0.0
		byCriterion := [2]int{}
		for e := range index.All() {
			if len(e.Ratings) == 0 {
				continue
			}
			rated++
			sum += e.Value()
			if e.Value() >= cut {
				kept++
			}
			for k := range byCriterion {
				if e.Ratings[k].Value >= cut {
					byCriterion[k]++
				}
			}
		}
		if r.Records != 700 || r.Rated != rated || r.Kept != kept || math.Abs(r.Mean-sum/float64(rated)) > 1e-9 {
			t.Errorf("cut %g: %d records, %d rated, %d kept, mean %g; want 700, %d, %d, %g", cut, r.Records, r.Rated, r.Kept, r.Mean, rated, kept, sum/float64(rated))
		}
		place, ok := r.grid.at(cut)
		if !ok {
			t.Fatalf("%g is no cut", cut)
		}
		for k, want := range byCriterion {
			if got := r.series[k+1].h.above(place); got != want {
				t.Errorf("cut %g: %s keeps %d, want %d", cut, r.series[k+1].Name, got, want)
			}
		}
		for s := range r.series {
			for name, groups := range map[string][]group{"kinds": r.series[s].Kinds, "fields": r.series[s].Fields} {
				n, above := 0, 0
				for _, g := range groups {
					n, above = n+g.Records, above+g.h.above(place)
				}
				if n != rated || above != r.series[s].h.above(place) {
					t.Errorf("cut %g, series %d: %s have %d records, %d kept; want %d, %d", cut, s, name, n, above, rated, r.series[s].h.above(place))
				}
			}
			n := 0
			for _, b := range r.series[s].Length {
				n += b.Records
			}
			if n != rated {
				t.Errorf("series %d: bins of length have %d records, want %d", s, n, rated)
			}
		}
		bars, all, keep := r.bars(), 0, 0
		for _, b := range bars {
			all, keep = all+b.Records, keep+b.Kept
		}
		if all != rated || keep != kept {
			t.Errorf("cut %g: bars have %d records, %d kept; want %d, %d", cut, all, keep, rated, kept)
		}
		if len(r.Unrated) != 1 || r.Unrated[0].Status != record.TooLong || r.Unrated[0].Records != 700-rated {
			t.Errorf("without a rating: %+v", r.Unrated)
		}
	}
}

// TestRows: what the table says of a record, the rounded rating included, is as decided
// by the rating itself.
func TestRows(t *testing.T) {
	m := write(t, examples(400), "accuracy")
	_, index, err := journal.Read(m.scores)
	if err != nil {
		t.Fatal(err)
	}
	entries := slices.Collect(index.All())
	r := m.collect(t, Options{Open: m.open, Sample: 400})
	if r.Sampled != 400 {
		t.Fatalf("%d rows, want 400", r.Sampled)
	}
	for i, x := range r.rows {
		e := entries[i]
		if x.Index != i || x.Index != e.Index || len(x.Values) != len(e.Ratings) {
			t.Fatalf("row %d: index %d, %d values; want %d, %d", i, x.Index, len(x.Values), e.Index, len(e.Ratings))
		}
		if len(e.Ratings) == 0 {
			if x.Status != "too_long" || x.Reason == "" {
				t.Errorf("row %d: status %q, reason %q", i, x.Status, x.Reason)
			}
			continue
		}
		shown, err := x.Values[0].Float64()
		if err != nil {
			t.Fatal(err)
		}
		for k := range r.grid.n + 1 {
			if cut := r.grid.value(k); (shown >= cut) != (e.Value() >= cut) {
				t.Errorf("row %d: %g is shown as %s: they fall on two sides of %g", i, e.Value(), x.Values[0], cut)
			}
		}
	}

	// A sample is those records of all whose lots are the least, whatever the order.
	small := m.collect(t, Options{Open: m.open, Sample: 60})
	list := slices.Clone(r.rows)
	slices.SortFunc(list, func(a, b row) int {
		return cmp.Compare(entries[a.Index].Key.Lot("report", sampleSeed), entries[b.Index].Key.Lot("report", sampleSeed))
	})
	want := list[:60]
	slices.SortFunc(want, func(a, b row) int { return a.Index - b.Index })
	if !reflect.DeepEqual(small.rows, want) {
		t.Error("a sample of 60 is not that of the least lots")
	}
}

func TestGrid(t *testing.T) {
	for _, c := range []struct{ low, high, step float64 }{
		{0, 5, 0.01}, {1, 6, 0.01}, {1, 10, 0.01}, {0, 1, 0.001}, {0, 100, 0.1}, {-3.5, 12.25, 0.1}, {1.0 / 3, 2.0 / 3, 0.001}, {0, 5e6, 1e4}, {1e-7, 2e-7, 1e-10},
	} {
		g, err := newGrid(c.low, c.high)
		if err != nil {
			t.Errorf("%g to %g: %v", c.low, c.high, err)
			continue
		}
		if g.value(0) > c.low || g.value(g.n) < c.high || g.n > mostSteps+1 || g.n/g.bar > mostBars || math.Abs(g.step()/c.step-1) > 1e-9 {
			t.Errorf("%g to %g: %d steps of %g from %g to %g, bars of %d", c.low, c.high, g.n, g.step(), g.value(0), g.value(g.n), g.bar)
		}
		for i := range g.n + 1 {
			x := g.value(i)
			if k, ok := g.at(x); !ok || k != i {
				t.Fatalf("%g to %g: cut %d, %g, is found at %d, %t", c.low, c.high, i, x, k, ok)
			}
			if i > 0 && g.below(math.Nextafter(x, math.Inf(-1))) != i-1 {
				t.Fatalf("%g to %g: what is just below cut %d reaches it", c.low, c.high, i)
			}
		}
	}
	for _, c := range [][2]float64{{5, 5}, {1e17, 1e17 + 64}, {0, 1e300}, {0, 1e-300}, {math.NaN(), 1}, {0, math.Inf(1)}} {
		if _, err := newGrid(c[0], c[1]); err == nil {
			t.Errorf("a scale from %g to %g is accepted", c[0], c[1])
		}
	}
}

// TestEqual: equal inputs give equal bytes.
func TestEqual(t *testing.T) {
	m := write(t, examples(300), "accuracy", "helpfulness")
	all := func() string {
		r := m.collect(t, Options{Open: m.open, Sample: 100, Field: "source"})
		var b strings.Builder
		for _, err := range []error{r.HTML(&b), r.Markdown(&b), r.SVG(&b)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		return b.String()
	}
	first := all()
	for range 3 {
		if all() != first {
			t.Fatal("the same inputs give other bytes")
		}
	}
}

// TestLarge is what the package promises of 100,000 records.
func TestLarge(t *testing.T) {
	m := write(t, examples(100_000), "accuracy", "helpfulness")
	began := time.Now()
	r := m.collect(t, Options{Open: m.open, Sample: DefaultSample, Field: "source"})
	page := r.page(t)
	took := time.Since(began)
	t.Logf("%d bytes in %v", len(page), took)
	if len(page) > 5_000_000 {
		t.Errorf("%d bytes of 100,000 records, want 5 MB at most", len(page))
	}
	if took > 2*time.Minute { // a second where nothing else runs; much more with the race detector on a busy machine
		t.Errorf("it took %v", took)
	}
	if !strings.Contains(page, "A sample: 2000 of 100000 records") {
		t.Error("the page does not say that the table is a sample")
	}
}

// TestLongTexts: the worst texts there can be do not make the page too large either.
func TestLongTexts(t *testing.T) {
	list := examples(2500)
	for i := range list {
		list[i].Instruction += strings.Repeat("<&>", 200)
		list[i].Input = strings.Repeat("<&>", 200)
		list[i].Output += strings.Repeat("<&>", 200)
	}
	m := write(t, list, "accuracy", "helpfulness")
	if page := m.collect(t, Options{Open: m.open, Sample: DefaultSample}).page(t); len(page) > 5_000_000 {
		t.Errorf("%d bytes, want 5 MB at most", len(page))
	}
}

func TestWithoutData(t *testing.T) {
	m := write(t, examples(100), "accuracy")
	r := m.collect(t, Options{Sample: 10})
	page := r.page(t)
	if r.Length != "tokens of the prompt" || r.Records != 100 || strings.Contains(page, `id="tasks"`) || strings.Contains(page, `id="field"`) {
		t.Errorf("length %q, %d records", r.Length, r.Records)
	}
	empty := write(t, nil, "accuracy")
	r = empty.collect(t, Options{Open: empty.open, Sample: 10})
	if page := r.page(t); r.Records != 0 || r.Kept != 0 || strings.Contains(page, `id="records"`) {
		t.Errorf("an empty file: %d records, %d kept", r.Records, r.Kept)
	}
}

// TestJoin: records are those of the data, ratings come by content.
func TestJoin(t *testing.T) {
	m := write(t, examples(40), "accuracy")
	more := write(t, append(examples(45)[40:], examples(10)...), "accuracy")
	m.data = more.data
	r := m.collect(t, Options{Open: m.open, Sample: 100})
	if r.Records != 15 || r.Rated != 10 || r.Foreign != 30 {
		t.Errorf("%d records, %d rated, %d foreign; want 15, 10, 30", r.Records, r.Rated, r.Foreign)
	}
	if len(r.Unrated) != 1 || r.Unrated[0].Status != record.NotGraded || r.Unrated[0].Records != 5 {
		t.Errorf("without a rating: %+v", r.Unrated)
	}
	if r = m.collect(t, Options{Open: m.open, Limit: 6}); r.Records != 6 || r.Sampled != 0 {
		t.Errorf("%d records of the first 6, %d in the table", r.Records, r.Sampled)
	}
}

func TestRefused(t *testing.T) {
	m := write(t, examples(40), "accuracy")
	manifest, index, err := journal.Read(m.scores)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Min: at(4.555)}, "a cut of 4.555: want a multiple of 0.01 from 0 to 5"},
		{Options{Min: at(7)}, "a cut of 7"},
		{Options{Sample: -1}, "want 0 to"},
		{Options{Sample: MostSampled + 1}, "want 0 to"},
		{Options{Open: m.open, Field: "colour"}, "--field colour: none of 40 records"},
		{Options{Open: func() (record.Source, error) { return nil, os.ErrNotExist }}, "not exist"},
	} {
		if _, err := Collect(manifest, index, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}

func TestKind(t *testing.T) {
	for text, want := range map[string]string{
		"Write a poem.": "write", "  please,  write": "write", "Could you please list them?": "list", "1. \"Name\" it": "name", "What's new?": "what's",
		"": "", "123": "", "please": "please", "Übersetze das": "übersetze", "Can a bird fly?": "can", "I want you to act": "act",
	} {
		if got := kindOf(record.Made(0, text, "", "x")); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestFieldValue(t *testing.T) {
	rec := record.Made(0, "a", "", "b")
	rec.Raw = []byte(`{"s":"forum","n":12,"b":true,"o":{"x":[1]},"z":null,"e":"","l":"` + strings.Repeat("x", 90) + `"}`)
	for name, want := range map[string]string{"s": "forum", "n": "12", "b": "true", "o": `{"x":[1]}`, "z": "", "e": "", "absent": "", "l": strings.Repeat("x", 48) + "…"} {
		if got := fieldValue(rec, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	rec.Raw = []byte("no JSON")
	if got := fieldValue(rec, "s"); got != "" {
		t.Errorf("of what is no JSON: %q", got)
	}
}

func TestReadEvidence(t *testing.T) {
	dir := t.TempDir()
	file := func(text string) string {
		path := filepath.Join(dir, "evidence.json")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, text := range []string{"", "[]", `{"kind":"summary"}`, `{"kind":7}`, "{"} {
		if _, err := ReadCalibration(file(text)); err == nil || !strings.Contains(err.Error(), "winnow calibrate") {
			t.Errorf("calibration %q: %v", text, err)
		}
		if _, err := ReadAudit(file(text)); err == nil || !strings.Contains(err.Error(), "winnow audit --json") {
			t.Errorf("audit %q: %v", text, err)
		}
	}
	if _, err := ReadAudit(filepath.Join(dir, "absent")); err == nil {
		t.Error("an absent file is read")
	}
	// What has nothing in it is shown, too.
	c, err := ReadCalibration(file(`{"kind":"calibration_report","method":"<b>","accepted":false,"reason":"none","evidence":{"curve_after":[{"records":3,"mean":0.5,"kept":1}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	a, err := ReadAudit(file(`{"kind":"audit","model":{"name":"<i>other","sha256":"ff"},"worries":["<u>"]}`))
	if err != nil {
		t.Fatal(err)
	}
	m := write(t, examples(40), "accuracy")
	r := m.collect(t, Options{Calibration: c, Audit: a})
	page := r.page(t)
	for _, want := range []string{"Method &lt;b&gt;, not accepted: none.", "&lt;u&gt;", "This audit is of another model, &lt;i&gt;other"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "This calibration is of another model") {
		t.Error("a calibration that names no model is called foreign")
	}
	var b strings.Builder
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "<u>") || !strings.Contains(b.String(), "&lt;u&gt;") {
		t.Error("a worry is not escaped in Markdown")
	}
}

// payloadOf reads the JSON of a page.
func payloadOf(t *testing.T, page string) (p payload, before, after string) {
	t.Helper()
	const open, shut = `<script id="data" type="application/json">`, "</script>"
	before, rest, ok := strings.Cut(page, open)
	text, after, ok2 := strings.Cut(rest, shut)
	if !ok || !ok2 {
		t.Fatal("the page has no data")
	}
	if strings.ContainsAny(text, "<>&\u2028\u2029") {
		t.Error("the data holds a character that HTML or JavaScript could act on")
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	return p, before, after
}
