package bench

import (
	"math"
	"slices"
	"strings"
	"testing"

	"winnow/grader/record"
)

func synthetic(t *testing.T, n int, l Lengths, seed uint64) []*record.Record {
	t.Helper()
	recs, err := Synthetic(n, l, seed)
	if err != nil {
		t.Fatal(err)
	}
	if len(recs) != n {
		t.Fatalf("%d records, want %d", len(recs), n)
	}
	return recs
}

func TestSyntheticIsAlpacas(t *testing.T) {
	const n = 4000
	recs := synthetic(t, n, Lengths{AlpacaMedian, AlpacaSigma}, 1)
	var instruction, input, response []float64
	keys := map[record.Key]bool{}
	chars, words := 0, 0
	for i, r := range recs {
		if r.Fault != nil || r.Index != i || r.Line != i+1 || len(r.Raw) == 0 {
			t.Fatalf("record %d: index %d, line %d, %d bytes, %v", i, r.Index, r.Line, len(r.Raw), r.Fault)
		}
		keys[r.Key] = true
		instruction = append(instruction, float64(len(strings.Fields(r.Instruction))))
		response = append(response, float64(len(strings.Fields(r.Response))))
		if r.Input != "" {
			input = append(input, float64(len(strings.Fields(r.Input))))
		}
		chars += len(r.Response) + 1
		words += len(strings.Fields(r.Response))
	}
	if len(keys) != n {
		t.Errorf("%d different keys of %d records", len(keys), n)
	}
	if share := float64(len(input)) / n; math.Abs(share-0.397) > 0.03 {
		t.Errorf("%.3f have an input, want 0.397", share)
	}
	// The bounds are several standard errors wide.
	for _, c := range []struct {
		name         string
		x            []float64
		median, mean float64
	}{
		{"instruction", instruction, 9, 10.05},
		{"input", input, 6, 9.72},
		{"response", response, 31, 44.7},
	} {
		sum := 0.0
		for _, x := range c.x {
			sum += x
		}
		mid, _ := median(c.x)
		if mean := sum / float64(len(c.x)); math.Abs(mid-c.median) > 2 || math.Abs(mean-c.mean) > 0.06*c.mean {
			t.Errorf("%s: median %v, mean %.2f words, want %v and %v", c.name, mid, mean, c.median, c.mean)
		}
	}
	if per := float64(chars) / float64(words); math.Abs(per-6.1) > 0.2 {
		t.Errorf("%.2f characters a word, want 6.1", per)
	}
}

func TestSyntheticRepeats(t *testing.T) {
	l := Lengths{20, 0.5}
	raw := func(recs []*record.Record) (all []string) {
		for _, r := range recs {
			all = append(all, string(r.Raw))
		}
		return all
	}
	a := raw(synthetic(t, 50, l, 7))
	if b := raw(synthetic(t, 50, l, 7)); !slices.Equal(a, b) {
		t.Error("the same seed gave other records")
	}
	if b := raw(synthetic(t, 80, l, 7)); !slices.Equal(a, b[:50]) {
		t.Error("more records of the same seed begin otherwise")
	}
	if b := raw(synthetic(t, 50, l, 8)); slices.Equal(a, b) {
		t.Error("another seed gave the same records")
	}
}

func TestSyntheticLengths(t *testing.T) {
	for _, r := range synthetic(t, 20, Lengths{Median: 40}, 1) {
		if got := len(strings.Fields(r.Response)); got != 40 {
			t.Errorf("%d words, want 40 where sigma is 0", got)
		}
		if !strings.HasSuffix(r.Response, ".") || strings.ToUpper(r.Response[:1]) != r.Response[:1] {
			t.Errorf("%q is no sentence", r.Response)
		}
	}
	for _, r := range synthetic(t, 100, Lengths{1, 3}, 1) {
		if r.Fault != nil {
			t.Errorf("the shortest responses: %v", r.Fault)
		}
	}
	for _, c := range []struct {
		n int
		l Lengths
	}{{0, Lengths{31, 1}}, {-1, Lengths{31, 1}}, {1, Lengths{}}, {1, Lengths{math.NaN(), 1}}, {1, Lengths{1, math.NaN()}}, {1, Lengths{1, -1}}, {1, Lengths{1e9, 1}}} {
		if recs, err := Synthetic(c.n, c.l, 1); err == nil || recs != nil {
			t.Errorf("%d records of %v: no error", c.n, c.l)
		}
	}
}

func TestParseLengths(t *testing.T) {
	for s, want := range map[string]Lengths{
		"":           {AlpacaMedian, AlpacaSigma},
		"200":        {200, AlpacaSigma},
		"200,0":      {200, 0},
		" 12.5 , 1 ": {12.5, 1},
		"100000,3":   {100000, 3},
	} {
		got, err := ParseLengths(s)
		if got != want || err != nil {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
		if again, err := ParseLengths(got.String()); again != got || err != nil {
			t.Errorf("%q: %v written and read again is %v, %v", s, got, again, err)
		}
	}
	for _, s := range []string{",", "31,", ",1", "a", "31,b", "31,1,1", "0", "-5", "31,-1", "31,4", "100001", "NaN", "31,NaN", "Inf", "1e400"} {
		if got, err := ParseLengths(s); err == nil || got != (Lengths{}) {
			t.Errorf("%q: %v, want an error", s, got)
		}
	}
}
