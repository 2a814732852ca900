package selection

import (
	"context"
	"math"
	"strings"
	"testing"

	"winnow/grader/rating"
)

var scale = rating.Scale{Strings: []string{"0", "1", "2", "3", "4", "5"}, Values: []float64{0, 1, 2, 3, 4, 5}}

func vector(texts ...string) []float32 {
	var three [3]string
	copy(three[:], texts)
	to := make([]float32, Dim)
	new(Picker).embed(to, three)
	return to
}

func cosine(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func TestVectors(t *testing.T) {
	const text = "Trees need light and water and air to make sugar"
	a := vector(text)
	if got := cosine(a, a); !(math.Abs(got-1) < 1e-6) {
		t.Errorf("the length is %v, not 1", math.Sqrt(got))
	}
	for _, c := range []struct {
		name        string
		b           []float32
		least, most float64
	}{
		{"letters' case and punctuation", vector("trees need LIGHT, and water and air -- to make sugar!"), 1 - 1e-6, 1 + 1e-6},
		{"the other field", vector("", "", text), 1 - 1e-6, 1 + 1e-6},
		{"one word changed", vector("Trees need light and water and air to make oxygen"), 0.7, 0.99},
		{"the same words in another order", vector("sugar make to air and water and light need Trees"), 0.4, 0.9},
		{"other words", vector("Write a function that returns the largest of three numbers"), -0.35, 0.35},
	} {
		if got := cosine(a, c.b); !(got >= c.least && got <= c.most) {
			t.Errorf("%s: cosine %v, want %v to %v", c.name, got, c.least, c.most)
		}
	}
	for _, x := range vector("", " \n") {
		if x != 0 {
			t.Fatalf("a record without words has the vector %v", vector(""))
		}
	}
	// A word said ten times does not drown the others.
	if got := cosine(vector("sun moon"), vector(strings.Repeat("sun ", 10)+"moon")); !(got > 0.3) {
		t.Errorf("a repeated word leaves a cosine of %v", got)
	}
}

func TestPick(t *testing.T) {
	texts := []struct {
		text      string
		value     float64
		candidate bool
	}{
		{"name a colour blue", 3, true},
		{"name a colour blue", 5, true},
		{"never a candidate of any kind", 5, false},
		{"why do trees have green leaves in summer", 4, true},
		{"name a colour red", 4.9, true},
		{"say hello to someone in French", 0, true},
		{"withdrawn before anything was picked", 5, true},
	}
	picked := func(n int) *Picks {
		p := newPicker(t, Options{Rule: KCenter, N: n})
		for _, x := range texts {
			if !x.candidate {
				p.Skip()
				continue
			}
			p.Add(Candidate{Texts: [3]string{x.text}, Rating: x.value})
		}
		p.Withdraw(6)
		picks, err := p.Pick(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return picks
	}
	for _, want := range []struct {
		n     int
		ranks []int
	}{
		{1, []int{0, 1, -1, 0, 0, 0, -1}},
		{2, []int{0, 1, -1, 2, 0, 0, -1}},
		{3, []int{0, 1, -1, 2, 3, 0, -1}}, // less far than French, but rated 4.9 instead of 0
		{9, []int{5, 1, -1, 2, 3, 4, -1}},
	} {
		picks := picked(want.n)
		for n, rank := range want.ranks {
			pick, candidate := picks.Lookup(n)
			if candidate != (rank >= 0) || candidate && (pick.Rank != rank || pick.Of != min(want.n, 5)) {
				t.Errorf("of %d picks, record %d is %+v, %v; rank %d was expected", want.n, n, pick, candidate, rank)
			}
			if rank > 0 && picks.Records()[rank-1] != n {
				t.Errorf("of %d picks, the records are %v", want.n, picks.Records())
			}
		}
	}
	picks := picked(2)
	for n, want := range map[int]string{0: "not among the 2 picks, at most 1.", 1: "pick 1 of 2", 3: "pick 2 of 2, 1."} {
		pick, _ := picks.Lookup(n)
		if got := pick.Reason(); !strings.HasPrefix(got, want) {
			t.Errorf("record %d: %q, want %q…", n, got, want)
		}
	}
}

// The copy of a pick is the last to be picked, at no distance, with quotas or without.
func TestPickCopies(t *testing.T) {
	for _, quotas := range [][]Quota{nil, {{Field: "any", Each: 9}}} {
		p, err := New(rating.Scale{Strings: []string{"1"}, Values: []float64{1}}, Options{Rule: KCenter, N: 5, Quotas: quotas}) // all weigh the same
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"one", "one", "two", "three", "two"} {
			p.Add(Candidate{Texts: [3]string{text}, Rating: 1})
		}
		picks, err := p.Pick(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for n, rank := range []int{1, 4, 2, 3, 5} {
			pick, _ := picks.Lookup(n)
			if pick.Rank != rank && !(n == 2 && pick.Rank == 3 || n == 3 && pick.Rank == 2) {
				t.Errorf("record %d has rank %d, not %d", n, pick.Rank, rank)
			}
			if rank > 3 && pick.Radius != 0 {
				t.Errorf("record %d, a copy, is %v away", n, pick.Radius)
			}
		}
	}
}

func newPicker(t testing.TB, o Options) *Picker {
	t.Helper()
	p, err := New(scale, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
