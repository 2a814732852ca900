package audit

import (
	"math"
	"strings"
	"testing"
)

func TestSpread(t *testing.T) {
	p := planOf(t, written(10), 0)
	known := made{}
	for i, v := range []float64{1, 1.001, 2, 2.004, 2.003, 3, 4.5, 4.6, 5, 0.4} {
		known.put(p.Originals()[i], v)
		e := known[p.Originals()[i].Key]
		e.Ratings[0].OffScale = float64(i) / 10
	}
	s := reportOf(t, p, known).Spread
	want := Spread{Mean: s.Mean, SD: s.SD, Top: 0.3, Common: 2, Ties: 3, Share: 0.3, OffScale: 0.45, Lost: 0.4, Distinct: 10}
	counts := []float64{1, 2, 3, 1, 1, 2} // nearest to 0, 1, … 5; 4.5 goes down
	entropy := 0.0
	for _, k := range counts {
		entropy -= k / 10 * math.Log(k/10)
	}
	if math.Abs(float64(s.Entropy)-entropy) > 1e-12 || math.Abs(float64(s.Evenness)-entropy/math.Log(6)) > 1e-12 {
		t.Errorf("entropy %g, evenness %g, want %g", s.Entropy, s.Evenness, entropy)
	}
	want.Entropy, want.Evenness, want.Result, want.OffScale = s.Entropy, s.Evenness, s.Result, s.OffScale
	if s != want || math.Abs(float64(s.OffScale)-0.45) > 1e-12 || math.Abs(float64(s.Mean)-2.5508) > 1e-9 || s.Verdict != Moves {
		t.Errorf("%+v, want %+v", s, want)
	}
}

// TestSpreadWorries has each flaw of a spread alone.
func TestSpreadWorries(t *testing.T) {
	for _, c := range []struct {
		name, want string
		verdict    Verdict
		rate       func(i int) (value, offScale float64)
	}{
		{"none", "", Holds, func(i int) (float64, float64) { return float64(i) / 10, 0 }},
		{"ties", "11 of 40 records are rated 1.00", Moves, func(i int) (float64, float64) { return max(1, float64(i)/10), 0 }},
		{"most tied", "26 of 40 records are rated 2.50", Fails, func(i int) (float64, float64) { return max(2.5, float64(i)/10), 0 }},
		{"flat", "the deviation is only 0.012", Fails, func(i int) (float64, float64) { return 3 + float64(i)/1000, 0 }},
		{"few", "there are only 3 different ratings of 40 records", Fails, func(i int) (float64, float64) { return float64(i % 3), 0 }},
		{"top", "52 % are in the top tenth of the scale", Moves, func(i int) (float64, float64) {
			if i < 21 {
				return 4.5 + float64(i)/100, 0
			}
			return float64(i) / 10, 0
		}},
		{"lost", "22 % of the answers are probably no rating", Moves, func(i int) (float64, float64) { return float64(i) / 10, 0.35 + float64(i)/200 }},
		{"most lost", "100 % of the answers are probably no rating", Fails, func(i int) (float64, float64) { return float64(i) / 10, 0.9 }},
	} {
		p := planOf(t, written(40), 0)
		known := made{}
		for i, r := range p.Originals() {
			value, off := c.rate(i)
			known.put(r, value)
			known[r.Key].Ratings[0].OffScale = off
		}
		r := reportOf(t, p, known)
		if r.Spread.Verdict != c.verdict {
			t.Errorf("%s: %+v, want %s", c.name, r.Spread, c.verdict)
		}
		if w := strings.Join(r.Worries, "\n"); !strings.Contains(w, c.want) || c.want == "" && strings.Contains(w, "apart") {
			t.Errorf("%s: worries %q, want %q", c.name, r.Worries, c.want)
		}
	}
}
