package grader

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/testset"
)

// matchOf makes a prompt with both answers.
func matchOf(set string, n int, a, b string) testset.Match {
	return testset.Match{Prompt: testset.Prompt{Set: set, ID: fmt.Sprint(n), Index: n, Instruction: fmt.Sprint("Q", set, n)}, A: a, B: b, HasA: true, HasB: true}
}

// whichOf makes a judge that says how probable it is that the answer in the first place
// is better: with A first, and with B first.
func whichOf(matches []testset.Match, first, swapped func(i int) float64) Judged {
	j := judgeOf(rating.Scale{Strings: []string{"1", "2"}, Values: []float64{1, 2}}, "which")
	for i, m := range matches {
		p, q := inBothOrders(m)
		j.says(p.Key, 2-first(i))
		j.says(q.Key, 2-swapped(i))
	}
	return j
}

func TestJudgeAnswers(t *testing.T) {
	matches := []testset.Match{
		matchOf("s", 0, "long answer", "short"), matchOf("s", 1, "five!", "seven.."), matchOf("s", 2, "one", "two"), matchOf("s", 3, "same", " same\n"),
		matchOf("v", 0, " ", "text"), matchOf("v", 1, "text", ""), matchOf("v", 2, "", "\n"), matchOf("v", 3, "no", "rating"),
		{Prompt: testset.Prompt{Set: "v", ID: "4"}, A: "alone", HasA: true}, {Prompt: testset.Prompt{Set: "v", ID: "5"}},
	}
	// A wins in both orders; loses in both; is better in one place alone, and less so there.
	first, swapped := []float64{0.9, 0.2, 0.8}, []float64{0.2, 0.6, 0.6}
	j := whichOf(matches[:3], func(i int) float64 { return first[i] }, func(i int) float64 { return swapped[i] })
	for _, rec := range JudgeRecords(matches[7:8]) {
		j.has(journal.Entry{Key: rec.Key, Status: record.TooLong})
	}
	got, err := JudgeAnswers(t.Context(), matches, j, JudgeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Unit != "nats" || got.Resamples != 1000 || len(got.Sets) != 2 || got.Sets[0].Set != "s" || got.Sets[1].Set != "v" || got.All.Set != "all" {
		t.Fatalf("%+v", got)
	}
	for _, c := range []struct {
		got                                                                JudgeSet
		prompts, missingA, missingB, pairs, decided, equal, emptyA, emptyB int
		won, orders                                                        Tally
		score, byOrders                                                    float64
		unrated                                                            string
	}{
		{got.Sets[0], 4, 0, 0, 4, 4, 1, 0, 0, Tally{2, 1, 1}, Tally{1, 2, 1}, 1.25, 1, "map[]"},
		{got.Sets[1], 6, 1, 2, 4, 3, 1, 1, 1, Tally{1, 1, 1}, Tally{1, 1, 1}, 1, 1, "map[too_long:1]"},
		{got.All, 10, 1, 2, 8, 7, 2, 1, 1, Tally{3, 2, 2}, Tally{2, 3, 2}, 1 + 1.0/7, 1, "map[too_long:1]"},
	} {
		s := c.got
		if s.Prompts != c.prompts || s.MissingA != c.missingA || s.MissingB != c.missingB || s.Pairs != c.pairs || s.Decided != c.decided ||
			s.Equal != c.equal || s.EmptyA != c.emptyA || s.EmptyB != c.emptyB || s.Tally != c.won || s.BothOrders.Tally != c.orders || fmt.Sprint(s.Unrated) != c.unrated {
			t.Errorf("%s: %+v", s.Set, s)
		}
		is(t, s.Set+" score", s.Score, c.score)
		is(t, s.Set+" win rate", s.WinRate, c.score/2)
		is(t, s.Set+" score by orders", s.BothOrders.Score, c.byOrders)
	}
	if s := got.Sets[0]; s.LengthA != 5.75 || s.LengthB != 4.75 { // 11, 5, 3, 4 and 5, 7, 3, 4
		t.Errorf("lengths %v and %v", s.LengthA, s.LengthB)
	}
	places := got.All.Places
	if places == nil || places.Rated != 3 || got.Sets[1].Places != nil {
		t.Fatalf("places %+v and %+v", places, got.Sets[1].Places)
	}
	is(t, "consistent", places.Consistent, 2.0/3)
	is(t, "first place", places.FirstPlace, (0.5+0.5+1)/3)
	lo := func(p float64) float64 { return math.Log(p / (1 - p)) }
	if want := (lo(0.9) + lo(0.2) + lo(0.2) + lo(0.6) + lo(0.8) + lo(0.6)) / 6; !(math.Abs(float64(places.Bias.Value)-want) < 1e-12) {
		t.Errorf("bias %v, want %v", places.Bias.Value, want)
	}

	// The third pair's log-odds, (lo(0.8) - lo(0.6)) / 2, lie within a band of a half.
	if got, err = JudgeAnswers(t.Context(), matches, j, JudgeOptions{Tie: 0.5}); err != nil || got.Sets[0].Tally != (Tally{1, 2, 1}) {
		t.Errorf("with a band: %+v, %v", got, err)
	}
}

// Scores of both answers, in points.
func TestJudgeScores(t *testing.T) {
	matches := []testset.Match{matchOf("s", 0, "a", "b"), matchOf("s", 1, "c", "d")}
	j := judgeOf(testScale(), "score 1", "score 2")
	for i, m := range matches {
		p, q := inBothOrders(m)
		j.says(p.Key, 4, 2)            // 2 for A
		j.says(q.Key, float64(1+i), 2) // 1 for A, then none
	}
	got, err := JudgeAnswers(t.Context(), matches, j, JudgeOptions{Tie: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got.Unit != "points" || got.All.Tally != (Tally{1, 1, 0}) || got.All.BothOrders.Tally != (Tally{2, 0, 0}) {
		t.Errorf("%+v", got.All)
	}
	is(t, "bias", got.All.Places.Bias, (0.5+1)/2)

	one := judgeOf(testScale(), "one")
	if _, err := JudgeAnswers(t.Context(), matches, one, JudgeOptions{}); err == nil || !strings.Contains(err.Error(), "want one criterion") {
		t.Errorf("a judge of single responses: %v", err)
	}
}

// Without pairs, or with those alone that need no judge, there need not be one.
func TestJudgeNothing(t *testing.T) {
	same := []testset.Match{matchOf("s", 0, "a", "a"), matchOf("s", 1, "a", "")}
	if list := JudgeRecords(same); len(list) != 0 {
		t.Errorf("%d records", len(list))
	}
	got, err := JudgeAnswers(t.Context(), same, Judged{}, JudgeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Unit != "" || got.All.Decided != 2 || got.All.Places != nil {
		t.Errorf("%+v", got)
	}
	is(t, "score", got.All.Score, 1.5)
	is(t, "length-controlled", got.All.LengthControlled, 0.75)
	for _, matches := range [][]testset.Match{nil, {{Prompt: testset.Prompt{Set: "s"}}}, {matchOf("s", 0, "a", "b")}} {
		got, err := JudgeAnswers(t.Context(), matches, Judged{}, JudgeOptions{})
		if err != nil || got.All.Decided != 0 || got.All.Score != nil || !math.IsNaN(float64(got.All.LengthA)) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if _, err := JudgeAnswers(t.Context(), []testset.Match{matchOf("s", 0, "a", "b")}, whichOf([]testset.Match{matchOf("s", 0, "a", "b")}, func(int) float64 { return math.NaN() }, func(int) float64 { return 0.5 }), JudgeOptions{}); err == nil {
		t.Error("a preference that is no number is taken")
	}
}

// exactMirror fails unless m is j with A and B exchanged, to the last bit.
func exactMirror(t interface{ Fatalf(string, ...any) }, j, m *Judgement) {
	sets := func(j *Judgement) []JudgeSet { return append(slices.Clone(j.Sets), j.All) }
	for i, a := range sets(j) {
		b := sets(m)[i]
		if a.Set != b.Set || a.Prompts != b.Prompts || a.MissingA != b.MissingB || a.MissingB != b.MissingA || a.Pairs != b.Pairs || a.Decided != b.Decided ||
			a.Equal != b.Equal || a.EmptyA != b.EmptyB || a.EmptyB != b.EmptyA || fmt.Sprint(a.Unrated) != fmt.Sprint(b.Unrated) ||
			a.Tally != (Tally{b.Losses, b.Ties, b.Wins}) || a.BothOrders.Tally != (Tally{b.BothOrders.Losses, b.BothOrders.Ties, b.BothOrders.Wins}) ||
			fmt.Sprint(a.LengthA, a.LengthB) != fmt.Sprint(b.LengthB, b.LengthA) {
			t.Fatalf("%+v, mirrored %+v", a, b)
		}
		for what, p := range map[string]struct {
			a, b *Estimate
			sum  float64 // NaN for estimates that stay as they are
		}{
			"score": {a.Score, b.Score, 2}, "win rate": {a.WinRate, b.WinRate, 1}, "by orders": {a.BothOrders.Score, b.BothOrders.Score, 2},
			"length-controlled": {a.LengthControlled, b.LengthControlled, 1}, "length weight": {a.LengthWeight, b.LengthWeight, math.NaN()},
		} {
			switch {
			case p.a == nil || p.b == nil:
				if p.a != p.b {
					t.Fatalf("%s is %v, mirrored %v", what, p.a, p.b)
				}
			case math.IsNaN(p.sum):
				if fmt.Sprint(*p.a) != fmt.Sprint(*p.b) {
					t.Fatalf("%s is %v, mirrored %v", what, p.a, p.b)
				}
			case float64(p.a.Value+p.b.Value) != p.sum || float64(p.a.Low+p.b.High) != p.sum && !math.IsNaN(float64(p.a.Low)) || float64(p.a.High+p.b.Low) != p.sum && !math.IsNaN(float64(p.a.High)):
				t.Fatalf("%s is %v, mirrored %v", what, p.a, p.b)
			}
		}
		if (a.Places == nil) != (b.Places == nil) {
			t.Fatalf("places %v, mirrored %v", a.Places, b.Places)
		}
		if a.Places != nil && fmt.Sprint(*a.Places.Consistent, *a.Places.FirstPlace, *a.Places.Bias, a.Places.Rated) != fmt.Sprint(*b.Places.Consistent, *b.Places.FirstPlace, *b.Places.Bias, b.Places.Rated) {
			t.Fatalf("places %+v, mirrored %+v", a.Places, b.Places)
		}
	}
}

// B against A is the mirror of A against B to the last bit, and of the same records.
func TestJudgeMirror(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.SampledFrom([]string{"", " ", "a", "b", "of some length", "much longer than all the others are", "naïve"})
		var matches, mirrored []testset.Match
		for i := range rapid.IntRange(1, 20).Draw(rt, "n") {
			m := matchOf(rapid.SampledFrom([]string{"s", "v"}).Draw(rt, "set"), i, text.Draw(rt, "a"), text.Draw(rt, "b"))
			m.HasA, m.HasB = rapid.IntRange(0, 9).Draw(rt, "has a") > 0, rapid.IntRange(0, 9).Draw(rt, "has b") > 0
			n := m
			n.A, n.B, n.HasA, n.HasB = m.B, m.A, m.HasB, m.HasA
			matches, mirrored = append(matches, m), append(mirrored, n)
		}
		prob := rapid.Custom(func(rt *rapid.T) float64 { return rapid.Float64Range(0, 1).Draw(rt, "p") })
		first, swapped := make([]float64, len(matches)), make([]float64, len(matches))
		for i := range matches {
			first[i], swapped[i] = prob.Draw(rt, "first"), prob.Draw(rt, "swapped")
		}
		j := whichOf(matches, func(i int) float64 { return first[i] }, func(i int) float64 { return swapped[i] })
		for i, rec := range JudgeRecords(matches) {
			if other := JudgeRecords(mirrored)[i]; other.Key != rec.Key || other.Index != rec.Index || rec.Index != i {
				rt.Fatalf("record %d is %+v, mirrored %+v", i, rec, other)
			}
			if rapid.IntRange(0, 9).Draw(rt, "unrated") == 0 {
				j.has(journal.Entry{Key: rec.Key, Status: rapid.SampledFrom([]record.Status{record.TooLong, record.OffScale}).Draw(rt, "status")})
			}
		}
		o := JudgeOptions{Tie: rapid.SampledFrom([]float64{0, 0.3}).Draw(rt, "tie"), Resamples: 7}
		a, err := JudgeAnswers(t.Context(), matches, j, o)
		if err != nil {
			rt.Fatal(err)
		}
		b, err := JudgeAnswers(t.Context(), mirrored, j, o)
		if err != nil {
			rt.Fatal(err)
		}
		exactMirror(rt, a, b)
	})
}
