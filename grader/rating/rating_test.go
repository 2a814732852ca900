package rating

import (
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func TestSet(t *testing.T) {
	s := Scale{Strings: []string{"0", "1", "2"}, Values: []float64{0, 1, 2}}
	var r Rating
	if err := r.Set(s, []float64{0.1, 0.3, 0.1}); err != nil {
		t.Fatal(err)
	}
	if r.Value != 1 || r.Mode != "1" || math.Abs(r.OffScale-0.5) > 1e-15 {
		t.Errorf("got %+v, want value 1, mode 1, off-scale 0.5", r)
	}
	want := -(0.2*math.Log(0.2) + 0.6*math.Log(0.6) + 0.2*math.Log(0.2))
	if math.Abs(r.Entropy-want) > 1e-12 {
		t.Errorf("entropy %v, want %v", r.Entropy, want)
	}
	if got := s.AtLeast(r.Probs, 1); math.Abs(got-0.8) > 1e-12 {
		t.Errorf("P(≥ 1) = %v, want 0.8", got)
	}
	if got := s.AtLeast([]float64{0, 0, 0}, 0); got != 0 {
		t.Errorf("P(≥ 0) of nothing = %v, want 0", got)
	}
	var tie Rating
	if err := tie.Set(s, []float64{0.2, 0.4, 0.4}); err != nil || tie.Mode != "1" {
		t.Errorf("mode of a tie is %q (%v), want the lower one", tie.Mode, err)
	}
	before := r
	before.Probs = append([]float64(nil), r.Probs...)
	for _, bad := range [][]float64{{0, 0, 0}, {math.NaN(), 0.5, 0}, {0.1, 0.1, math.NaN()}, {-0.1, 0.5, 0}, {0.9, 0.9, 0}, {1, 0}} {
		if err := r.Set(s, bad); err == nil || !reflect.DeepEqual(r, before) {
			t.Errorf("Set(%v): %v, made of %+v\n%+v; want an error and nothing changed", bad, err, before, r)
		}
	}
}

// A rating is the same whatever stood there before, and takes no memory where
// there is room for its probabilities.
func TestSet_inPlace(t *testing.T) {
	s := halves()
	used := Rating{Value: 9, Mode: "x", OffScale: 9, Entropy: 9, Probs: make([]float64, 20)}
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Float64Range(0, 1.0/11), 11, 11).Draw(t, "p")
		var fresh Rating
		if fresh.Set(s, p) != nil {
			return // all zero
		}
		room := &used.Probs[0]
		if err := used.Set(s, p); err != nil || !reflect.DeepEqual(used, fresh) || &used.Probs[0] != room {
			t.Fatalf("%v, made in place\n%+v, want\n%+v", err, used, fresh)
		}
		if err := used.Set(s, used.Probs); err != nil || !reflect.DeepEqual(used, fresh) {
			t.Fatalf("%v, made of its own probabilities\n%+v, want\n%+v", err, used, fresh)
		}
	})
	p := []float64{0.1, 0, 0.1, 0, 0.1, 0, 0.1, 0, 0.3, 0.1, 0}
	if n := testing.AllocsPerRun(100, func() {
		if err := used.Set(s, p); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("Set allocates %v times, want never", n)
	}
}

func TestScale_Validate(t *testing.T) {
	for name, s := range map[string]Scale{
		"one rating":     {Strings: []string{"1"}, Values: []float64{1}},
		"no values":      {Strings: []string{"1", "2"}},
		"empty rating":   {Strings: []string{"", "2"}, Values: []float64{1, 2}},
		"twice the same": {Strings: []string{"2", "2"}, Values: []float64{1, 2}},
		"falling values": {Strings: []string{"1", "2"}, Values: []float64{2, 1}},
		"NaN":            {Strings: []string{"1", "2"}, Values: []float64{1, math.NaN()}},
	} {
		if s.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := halves().Validate(); err != nil {
		t.Error(err)
	}
}
