package bench

import (
	"math"
	"slices"
	"strings"
	"testing"

	"winnow/grader"
	"winnow/grader/record"
)

// TestWorkOf counts the cells of one record token by token.
func TestWorkOf(t *testing.T) {
	e := open(t, 1)
	rec := fewRecords()[2]
	rec.Response = strings.Repeat(rec.Response+" ", 10)
	var p grader.Prompt
	if err := e.Encode(rec, &p); err != nil {
		t.Fatal(err)
	}
	want := work{records: 1, rows: float64(e.RatingRows())}
	for i := range p.Size {
		attended := e.PrefixTokens() + min(i, len(p.Tokens)) + 1 // own tokens before it, and itself
		want.tokens++
		want.cells += float64(attended)
	}
	if want.rows != 11 || p.Size <= len(p.Tokens) || e.PrefixTokens() == 0 {
		t.Fatalf("%v rows, %d of %d tokens are the prompt's own, %d shared: want 11 rows and some of each", want.rows, len(p.Tokens), p.Size, e.PrefixTokens())
	}
	got, err := workOf(e, []*record.Record{rec})
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}

	again := *rec
	again.Key = record.Key{9}
	faulty := &record.Record{Fault: &record.Fault{Status: record.BadJSON, Reason: "no JSON"}}
	long := &record.Record{Key: record.Key{8}, Instruction: "Repeat.", Response: strings.Repeat("day and night ", 5000)}
	twice, err := workOf(e, []*record.Record{rec, faulty, long, rec, &again})
	if err != nil {
		t.Fatal(err)
	}
	if want := (work{2, 2 * got.tokens, 2 * got.rows, 2 * got.cells}); twice != want {
		t.Errorf("of five, two cannot be graded and one repeats another: %+v, want twice one, %+v", twice, want)
	}

	c, err := CostOf(e.Options().Model)
	if err != nil {
		t.Fatal(err)
	}
	throughput := Throughput{RawRate: 2, GradingRate: 3, PeakFLOPRate: 1e9}
	if err := throughput.addFLOPs(e.Options(), got); err != nil {
		t.Fatal(err)
	}
	raw := 0.0 // of one batch
	for i := range 256 {
		raw += c.PerToken + float64(i+1)*c.PerCell
	}
	raw += c.PerOutputRow
	grading := got.tokens*c.PerToken + 11*c.PerOutputRow + got.cells*c.PerCell
	near := func(name string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9*want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	near("operations of a raw token", throughput.RawFLOPRate/2, raw/256)
	near("operations of a token", throughput.FLOPsPerToken, grading/got.tokens)
	near("share of the peak", throughput.PeakShare, 3*grading/got.tokens/1e9)
}

func TestAddEnergy(t *testing.T) {
	cpu, gpu := Energy{Meter: "cpu", Joules: 6}, Energy{Meter: "gpu", Joules: 12}
	lost := Energy{Meter: "gpu", Unknown: "it is lost"}
	for _, c := range []struct {
		name      string
		used      []Energy // in the order in which it was counted
		meters    []string
		want      []Energy
		perRecord float64
	}{
		{"no meter", nil, nil, nil, 0},
		{"one", []Energy{cpu}, []string{"cpu"}, []Energy{cpu}, 1},
		{"two", []Energy{cpu, gpu, gpu}, []string{"cpu", "gpu"}, []Energy{cpu, {Meter: "gpu", Joules: 24}}, 5},
		{"lost once", []Energy{cpu, gpu, lost, gpu}, []string{"cpu", "gpu"}, []Energy{cpu, lost}, 0},
		{"lost twice", []Energy{lost, {Meter: "gpu", Unknown: "again"}}, []string{"gpu"}, []Energy{lost}, 0},
	} {
		sums := map[string]Energy{}
		for _, u := range c.used {
			sums[u.Meter] = addUp(sums[u.Meter], u)
		}
		got := Throughput{Records: 3, Repeats: 2}
		got.addEnergy(sums, c.meters)
		if !slices.Equal(got.Energy, c.want) || got.JoulesPerRecord != c.perRecord {
			t.Errorf("%s: %+v and %v J a record, want %+v and %v", c.name, got.Energy, got.JoulesPerRecord, c.want, c.perRecord)
		}
	}
}
