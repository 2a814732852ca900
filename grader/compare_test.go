package grader

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
)

// judged is a made entry: a mass on 0 and on 5 for each criterion, none for a record
// without a rating.
type judged struct {
	record int
	masses [][2]float64
}

// judgement writes a journal of made entries and returns its path.
func judgement(t *testing.T, scale rating.Scale, criteria []string, list []judged) string {
	t.Helper()
	m := newFake().Manifest()
	m.Scale, m.Rubrics = journal.Scale(scale), nil
	for _, name := range criteria {
		m.Rubrics = append(m.Rubrics, journal.Rubric{Name: name, SHA256: "11ee"})
	}
	var entries []journal.Entry
	for i, l := range list {
		e := journal.Entry{Key: record.Key{byte(l.record >> 8), byte(l.record), 1}, Index: i, Status: record.TooLong, Reason: "made", Tokens: 1}
		for _, mass := range l.masses {
			p := make([]float64, len(scale.Strings))
			p[0], p[len(p)-1] = mass[0], mass[1]
			var r rating.Rating
			if err := r.Set(scale, p); err != nil {
				t.Fatal(err)
			}
			e.Status, e.Reason, e.Ratings = record.OK, "", append(e.Ratings, r)
		}
		entries = append(entries, e)
	}
	path := filepath.Join(t.TempDir(), "scores.jsonl")
	j, err := journal.Open(path, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.Append(entries), j.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func compared(t *testing.T, a, b string, o CompareOptions) *Comparison {
	t.Helper()
	c, err := Compare(t.Context(), a, b, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// of makes an entry with these ratings; nothing is off the scale.
func of(record int, ratings ...float64) judged {
	l := judged{record: record}
	for _, r := range ratings {
		l.masses = append(l.masses, [2]float64{1 - r/5, r / 5})
	}
	return l
}

func figureIs(a Figure, b float64) bool {
	return math.Abs(float64(a)-b) < 1e-6 || math.IsNaN(float64(a)) && math.IsNaN(b)
}

func TestCompareCounts(t *testing.T) {
	one := []string{"test"}
	a := judgement(t, testScale(), one, []judged{of(1, 1), of(2, 2), of(3, 5), of(4, 4), of(5), of(6, 3), of(7), of(8, 1)})
	b := judgement(t, testScale(), one, []judged{of(9, 1), of(4, 5), of(3, 4.75), of(2, 0), of(1, 1), of(5), of(7, 2), of(6), of(10)})
	c := compared(t, a, b, CompareOptions{Min: 4.5, Most: 2, Resamples: 20})
	if want := (Joined{Both: 7, OnlyA: 1, OnlyB: 2, Compared: 4, UnratedA: 1, UnratedB: 1, UnratedBoth: 1}); c.Records != want {
		t.Errorf("records %+v, want %+v", c.Records, want)
	}
	if c.A.Entries != 8 || c.A.Rated != 6 || c.A.Unrated[record.TooLong] != 2 || c.B.Entries != 9 || c.B.Rated != 6 || c.B.Unrated[record.TooLong] != 3 {
		t.Errorf("A %+v, B %+v", c.A, c.B)
	}
	// A: 1 2 5 4; B: 1 0 4.75 5.
	g := c.Rating
	for what, f := range map[string][2]float64{
		"mean of A": {float64(g.MeanA), 3}, "mean of B": {float64(g.MeanB), 2.6875}, "shift": {float64(g.Deltas.Shift.Value), -0.3125},
		"mean distance": {float64(g.Deltas.Mean), 0.8125}, "median": {float64(g.Deltas.P50), 0.625}, "p90": {float64(g.Deltas.P90), 1.7},
		"max": {float64(g.Deltas.Max), 2}, "Spearman": {float64(g.Spearman.Value), 0.6}, "Kendall": {float64(g.Kendall.Value), 1.0 / 3},
		"Pearson": {float64(g.Pearson.Value), 12.5 / math.Sqrt(10*19.671875)},
		"kappa":   {float64(g.Cut.Kappa.Value), 0.5}, "share": {float64(g.Budget.Share), 0}, "chance": {float64(g.Budget.Chance), 0.25},
	} {
		if !figureIs(Figure(f[0]), f[1]) {
			t.Errorf("%s is %v, want %v", what, f[0], f[1])
		}
	}
	if cut := *g.Cut; cut.Both != 1 || cut.OnlyA != 0 || cut.OnlyB != 1 || cut.Neither != 2 || g.Deltas.Equal != 1 || g.Budget.K != 1 || g.Budget.Overlap != 0 {
		t.Errorf("cut %+v, deltas %+v, budget %+v", cut, g.Deltas, g.Budget)
	}
	if m := c.Most; len(m) != 2 || m[0].Key[1] != 2 || m[0].IndexA != 1 || m[0].IndexB != 3 || !figureIs(m[0].Delta, -2) || m[1].Key[1] != 4 || !figureIs(m[1].Delta, 1) {
		t.Errorf("most different: %+v", c.Most)
	}
	if len(c.Criteria) != 0 || len(c.Differences) != 0 || !c.SameScale {
		t.Errorf("criteria %v, differences %q, same scale %t", c.Criteria, c.Differences, c.SameScale)
	}
}

func TestCompareSides(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2))
	var listA, listB []judged
	for i := range 300 {
		x := float64(draw.IntN(11)) / 2
		listA, listB = append(listA, of(i, x)), append(listB, of(i, max(0, min(5, x+draw.NormFloat64()/2))))
	}
	draw.Shuffle(len(listB), func(i, k int) { listB[i], listB[k] = listB[k], listB[i] })
	a, b := judgement(t, testScale(), []string{"test"}, listA), judgement(t, testScale(), []string{"test"}, listB)
	o := CompareOptions{Min: 3, Most: 5}
	ab, ba := compared(t, a, b, o), compared(t, b, a, o)
	if x, y := ab.Rating, ba.Rating; math.Abs(float64(x.Kendall.Value-y.Kendall.Value)) > 1e-12 || x.Deltas.P90 != y.Deltas.P90 ||
		x.Cut.OnlyA != y.Cut.OnlyB || x.Cut.Kappa.Value != y.Cut.Kappa.Value || !figureIs(x.Deltas.Shift.Value, -float64(y.Deltas.Shift.Value)) {
		t.Errorf("A and B give %+v, B and A %+v", x, y)
	}
	for what, e := range map[string]Estimate{
		"Pearson": *ab.Rating.Pearson, "Spearman": ab.Rating.Spearman, "Kendall": ab.Rating.Kendall, "shift": ab.Rating.Deltas.Shift, "kappa": ab.Rating.Cut.Kappa,
	} {
		if !(e.Low < e.Value && e.Value < e.High) {
			t.Errorf("%s is %+v: not within its interval", what, e)
		}
	}
	if again := compared(t, a, b, o); !reflect.DeepEqual(ab, again) {
		t.Error("the same files give another comparison")
	}
	self := compared(t, a, a, o)
	if g := self.Rating; g.Deltas.Equal != 300 || g.Deltas.Max != 0 || g.Budget.Overlap != g.Budget.K || !figureIs(g.Kendall.Value, 1) || len(self.Most) != 0 {
		t.Errorf("a file and itself: %+v, %v", g, self.Most)
	}
}

func TestCompareCriteria(t *testing.T) {
	a := judgement(t, testScale(), []string{"x", "y"}, []judged{
		{1, [][2]float64{{0.5, 0.25}, {0.5, 0.5}}}, of(2, 5, 1), of(3, 4, 3),
	})
	b := judgement(t, testScale(), []string{"y", "z"}, []judged{of(1, 3, 1), of(2, 2, 2), of(3, 4, 5)})
	c := compared(t, a, b, CompareOptions{Min: 2, Most: 9})
	if len(c.Criteria) != 1 || c.Criteria[0].Criterion != "y" || !figureIs(c.Criteria[0].MeanA, (2.5+1+3)/3) || !figureIs(c.Criteria[0].MeanB, 3) {
		t.Errorf("criteria: %+v", c.Criteria)
	}
	if g := c.Rating; !figureIs(g.MeanA, (5.0/3+1+3)/3) || !figureIs(g.MeanB, 7.0/3) || !figureIs(g.OffScaleA, 0.25/3) || !figureIs(g.OffScaleB, 0) {
		t.Errorf("the least: %+v", g)
	}
}

func TestCompareScales(t *testing.T) {
	ten := rating.Scale{Strings: []string{"0", "10"}, Values: []float64{0, 10}}
	a := judgement(t, testScale(), []string{"test"}, []judged{of(1, 1), of(2, 2), of(3, 4), of(4, 5)})
	b := judgement(t, ten, []string{"test"}, []judged{of(4, 1), of(3, 4), of(2, 3), of(1, 2)})
	c := compared(t, a, b, CompareOptions{Min: 4.5, Most: 1})
	g := c.Rating
	if c.SameScale || g.Pearson != nil || g.Deltas != nil || g.Cut != nil || !figureIs(g.Kendall.Value, 0) || g.Budget.K != 1 || g.Budget.Overlap != 0 {
		t.Errorf("%+v", g)
	}
	if m := c.Most[0]; m.Key[1] != 4 || m.RankA != 0.875 || m.RankB != 0.125 || !math.IsNaN(float64(m.Delta)) {
		t.Errorf("most different: %+v", m)
	}
	if len(c.Differences) != 1 || !strings.HasPrefix(c.Differences[0], "scale: A has") {
		t.Errorf("differences: %q", c.Differences)
	}
	if _, err := json.Marshal(c); err != nil {
		t.Error(err)
	}
}

func TestCompareNothing(t *testing.T) {
	a := judgement(t, testScale(), []string{"test"}, []judged{of(1, 1)})
	b := judgement(t, testScale(), []string{"test"}, nil)
	c := compared(t, a, b, CompareOptions{Min: 4.5, Most: 3})
	if c.Records != (Joined{OnlyA: 1}) || !figureIs(c.Rating.Spearman.Value, math.NaN()) || !figureIs(c.Rating.MeanA, math.NaN()) || !figureIs(c.Rating.Deltas.Max, math.NaN()) {
		t.Errorf("%+v", c)
	}
	if _, err := json.Marshal(c); err != nil {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Compare(ended, a, a, CompareOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

func TestDefaultResamples(t *testing.T) {
	var got []int
	for _, n := range []int{0, 1, 10_000, 20_000, 10_000_000} {
		got = append(got, DefaultResamples(n))
	}
	if want := []int{1000, 1000, 1000, 500, 100}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
