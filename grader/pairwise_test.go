package grader

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"winnow/grader/rating"
)

// answer is a rating on a scale of two strings.
func answer(t interface{ Fatal(...any) }, first, second float64) rating.Rating {
	var r rating.Rating
	if err := r.Set(rating.Scale{Strings: []string{"1", "2"}, Values: []float64{1, 2}}, []float64{first, second}); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPrefer(t *testing.T) {
	for _, c := range []struct {
		name          string
		r, swapped    [2]float64
		logOdds, bias float64
		consistent    bool
		winner        Winner // without a band
	}{
		{"the first, in both orders", [2]float64{0.8, 0.2}, [2]float64{0.2, 0.8}, math.Log(4), 0, true, First},
		{"the second, in both orders", [2]float64{0.2, 0.8}, [2]float64{0.8, 0.2}, -math.Log(4), 0, true, Second},
		{"the first place, whatever stands there", [2]float64{0.9, 0.1}, [2]float64{0.9, 0.1}, 0, math.Log(9), false, Tie},
		{"the second place, the first response less so", [2]float64{0.2, 0.8}, [2]float64{0.1, 0.9}, (math.Log(9) - math.Log(4)) / 2, -(math.Log(4) + math.Log(9)) / 2, false, First},
		{"no difference", [2]float64{0.3, 0.3}, [2]float64{0.5, 0.5}, 0, 0, true, Tie},
		{"a difference in one order", [2]float64{0.4, 0.1}, [2]float64{0.2, 0.2}, math.Log(2), math.Log(2), false, First},
		{"off the scale", [2]float64{0.08, 0.02}, [2]float64{0.002, 0.008}, math.Log(4), 0, true, First},
		{"certain", [2]float64{1, 0}, [2]float64{0, 1}, -math.Log(math.SmallestNonzeroFloat32), 0, true, First},
		{"certain of both", [2]float64{1, 0}, [2]float64{1, 0}, 0, -math.Log(math.SmallestNonzeroFloat32), false, Tie},
	} {
		p := Prefer(answer(t, c.r[0], c.r[1]), answer(t, c.swapped[0], c.swapped[1]))
		if math.Abs(p.LogOdds-c.logOdds) > 1e-12 || math.Abs(p.Bias-c.bias) > 1e-12 || p.Consistent != c.consistent || math.Abs(p.P-1/(1+math.Exp(-c.logOdds))) > 1e-12 {
			t.Errorf("%s: %+v, want log-odds %g, bias %g, consistent %t", c.name, p, c.logOdds, c.bias, c.consistent)
		}
		if got := p.Decide(1e-12); got != c.winner {
			t.Errorf("%s: %s, want %s", c.name, got, c.winner)
		}
	}
	for _, r := range []rating.Rating{{}, {Probs: []float64{1}}, {Probs: []float64{0.2, 0.3, 0.5}}} {
		if p := Prefer(r, answer(t, 0.5, 0.5)); !math.IsNaN(p.LogOdds) || !math.IsNaN(p.P) || p.Consistent || p.Decide(0) != Tie {
			t.Errorf("a scale of %d ratings: %+v", len(r.Probs), p)
		}
	}
}

func TestPreferScores(t *testing.T) {
	score := func(x float64) rating.Rating { return rating.Rating{Value: x} }
	// The first response gets 8 and 7, the second 6 and 5.5.
	p := PreferScores(score(8), score(6), score(5.5), score(7))
	if p.LogOdds != 1.75 || p.Bias != 0.25 || !p.Consistent || p.Decide(1.75) != Tie || p.Decide(1.5) != First {
		t.Errorf("%+v, want 1.75 points for the first response, 0.25 for the first place", p)
	}
	// Two points for the first place.
	if p := PreferScores(score(8), score(6), score(8), score(6)); p.LogOdds != 0 || p.Bias != 2 || p.P != 0.5 || p.Consistent {
		t.Errorf("%+v, want a tie and a bias of 2 points", p)
	}
}

// A pair whose responses change places is the mirror of itself, to the last bit.
func TestPreferMirror(t *testing.T) {
	prob := rapid.OneOf(rapid.Float64Range(0, 0.5), rapid.SampledFrom([]float64{0, 1e-300, math.SmallestNonzeroFloat64, 1e-20, 0.25, 0.5}))
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) rating.Rating {
			a, b := prob.Draw(t, name+" 1"), prob.Draw(t, name+" 2")
			if a+b == 0 {
				a = 0.5
			}
			return answer(t, a, b)
		}
		r, s, u, v := draw("r"), draw("s"), draw("u"), draw("v")
		for what, p := range map[string][2]Preference{
			"two ratings": {Prefer(r, s), Prefer(s, r)},
			"scores":      {PreferScores(r, s, u, v), PreferScores(u, v, r, s)},
		} {
			a, b := p[0], p[1]
			if a.LogOdds != -b.LogOdds || a.Bias != b.Bias || a.P+b.P != 1 || a.P != 1-b.P && b.P != 1-a.P || a.Consistent != b.Consistent {
				t.Fatalf("%s: %+v and %+v are no mirrors", what, a, b)
			}
			band := rapid.SampledFrom([]float64{0, math.Abs(a.LogOdds), 0.1, 3}).Draw(t, "band")
			mirror := map[Winner]Winner{First: Second, Second: First, Tie: Tie}
			if got, want := b.Decide(band), mirror[a.Decide(band)]; got != want {
				t.Fatalf("%s: %s, want %s, for %+v and a band of %g", what, got, want, a, band)
			}
			if (a.P > 0.5) != (a.LogOdds > 0) && math.Abs(a.LogOdds) > 1e-15 {
				t.Fatalf("%s: P and LogOdds of %+v name different responses", what, a)
			}
		}
	})
}
