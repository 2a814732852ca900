package grader

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"winnow/grader/dedup"
	"winnow/grader/journal"
	"winnow/grader/record"
	"winnow/grader/verdict"
)

// measured is the manifest of the entries that these tests make.
var measured = journal.Manifest{Rubrics: []journal.Rubric{{Name: "test"}}, Signals: []string{"nll", "ifd"}, Calibration: &journal.Calibration{Name: "c.json"}}

func where(t testing.TB, text string) *verdict.Condition {
	t.Helper()
	x, err := verdict.CompileCondition(text, Vocabulary(measured))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func by(t testing.TB, text string) *verdict.Order {
	t.Helper()
	x, err := verdict.CompileOrder(text, Vocabulary(measured))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// set gives the entries of a memory what a journal has beside ratings.
func set(m *memory, of func(e *journal.Entry)) *memory {
	for key, e := range m.byKey {
		of(&e)
		m.byKey[key] = e
	}
	return m
}

func TestFilterWhere(t *testing.T) {
	line := func(response string, id int) string {
		return fmt.Sprintf("{\"instruction\":\"Say what trees need.\",\"output\":%q,\"id\":%d}\n", response, id)
	}
	data := []byte(line("Light and water.", 0) + line("light and water", 1) + line("Room.", 2) + line("Time, and some more of it.", 3) + "5\n")
	known := set(valued(t, data, 3, 4, 2, 1), func(e *journal.Entry) {
		e.Signals, e.Calibrated, e.Tokens, e.Cut = []float64{float64(e.Index), math.NaN()}, 1-float64(e.Index)/10, 40, e.Index%2
		e.Index += 100 // another run rated them, in another file
	})
	near := dedup.Options{Mode: dedup.Near}
	for name, tc := range map[string]struct {
		o    FilterOptions
		want []string
	}{
		"signals": {FilterOptions{Rule: verdict.Rule{Where: where(t, "nll < 2 && calibrated > 0.9")}}, []string{
			"keep: where nll < 2 && calibrated > 0.9: nll 0.00, calibrated 1.00", "drop: where nll < 2 && calibrated > 0.9: nll 1.00, calibrated 0.90",
			"drop: where nll < 2 && calibrated > 0.9: nll 2.00, calibrated 0.80", "drop: where nll < 2 && calibrated > 0.9: nll 3.00, calibrated 0.70", "review: wrong_type"}},
		"undefined": {FilterOptions{Rule: verdict.Rule{Where: where(t, "index == 2 || !(ifd < 1)")}}, []string{
			"drop: where index == 2 || !(ifd < 1): index 0, ifd undefined", "drop: where index == 2 || !(ifd < 1): index 1, ifd undefined", "keep: where index == 2 || !(ifd < 1): index 2, ifd undefined",
			"drop: where index == 2 || !(ifd < 1): index 3, ifd undefined", "review: wrong_type"}},
		"duplicates of those that pass": {FilterOptions{Dedup: near, Rule: verdict.Rule{Where: where(t, "length > 15")}}, []string{
			"keep: where length > 15: length 16", "drop: where length > 15: length 15", "drop: where length > 15: length 5", "keep: where length > 15: length 26", "review: wrong_type"}},
		"the better rated duplicate": {FilterOptions{Dedup: near, Rule: verdict.Rule{Where: where(t, "words > 1"), Top: ptr(9)}}, []string{
			"drop: duplicate of record 1", "keep: where words > 1: words 3, rank 1 of 2, budget 9", "drop: where words > 1: words 1", "keep: where words > 1: words 6, rank 2 of 2, budget 9", "review: wrong_type"}},
		"the better duplicate by another order": {FilterOptions{Dedup: near, Rule: verdict.Rule{By: by(t, "calibrated"), TopPercent: ptr(34.0)}}, []string{
			"keep: by calibrated: 1.00, rank 1 of 3, budget 1", "drop: duplicate of record 0", "drop: by calibrated: 0.80, rank 2 of 3, budget 1", "drop: by calibrated: 0.70, rank 3 of 3, budget 1", "review: wrong_type"}},
		"among what differs": {FilterOptions{Pick: most(1), Rule: verdict.Rule{Where: where(t, "tokens == 40 && !truncated")}}, []string{
			"keep: where tokens == 40 && !truncated: tokens 40, truncated false, pick 1 of 1", "drop: where tokens == 40 && !truncated: tokens 40, truncated true",
			"drop: where tokens == 40 && !truncated: tokens 40, truncated false, not among", "drop: where tokens == 40 && !truncated: tokens 40, truncated true", "review: wrong_type"}},
	} {
		_, _, verdicts, _ := filterAll(t, data, known, tc.o)
		for i, v := range verdicts {
			if got := string(v.Decision) + ": " + v.Reason; len(verdicts) != len(tc.want) || !strings.HasPrefix(got, tc.want[i]) {
				t.Errorf("%s: record %d of %d: %q, want %q", name, i, len(verdicts), got, tc.want[i])
			}
		}
	}
	for _, r := range []verdict.Rule{{Where: where(t, "1 % (index - 1) == 0")}, {Top: ptr(1), By: by(t, "1 % (index - 1)")}} {
		_, err := Filter(opener(data), known, FilterOptions{Rule: r, Kept: io.Discard})
		if err == nil || !strings.HasPrefix(err.Error(), "records.jsonl:2: record 1: 1 % (index - 1)") {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// Of a conversation the texts are those of its last turn, and the place that of all.
func TestWhereOfConversation(t *testing.T) {
	turns, known := conversationOf(rates(rated(t, 0, 0, 0.5, 0.4)), rates(rated(t, 0, 0, 0.1, 0.8)))
	turns[1].Instruction, turns[1].Input, turns[1].Response = "And 2 and 2?", "so far", "Four."
	c := newCandidate(known, turns, LastTurn)
	c.entry.Signals, c.entry.Calibrated = []float64{1, 2}, 0.5
	const text = `turns == 2 && index == 4 && instruction == "And 2 and 2?" && input == "so far" && response == "Four." && length == 5 && rating > 4 && p(5) > 0.85 && truncated && tokens == 10 && ifd == 2 && calibrated == 0.5`
	r := verdict.Rule{Where: where(t, text)}
	if s := r.Select(testScale(), measured.Criteria()); !s.Passes(c.judged()) {
		t.Errorf("%+v: %s", c.judged(), s.Verdict(s.Len(), c.judged()).Reason)
	}
}

// A limit keeps the same bytes as a flag and as an expression, with several criteria or
// one, duplicates and budgets.
func TestWhereEqualsFlags(t *testing.T) {
	data := corpus(120)
	known, _, _ := grade(t, data, GradeOptions{MaxOffScale: 0.3})
	rapid.Check(t, func(rt *rapid.T) {
		limit := float64(rapid.IntRange(0, 50).Draw(rt, "tenths")) / 10
		flags, expression := verdict.Rule{Min: &limit}, verdict.Rule{Where: where(t, fmt.Sprintf("rating >= %v", limit))}
		if rapid.Bool().Draw(rt, "budget") {
			flags.Top = ptr(rapid.IntRange(0, 60).Draw(rt, "top"))
			expression.Top = flags.Top
			if rapid.Bool().Draw(rt, "by") {
				expression.By = by(t, "rating")
			}
		}
		mode := rapid.SampledFrom([]dedup.Mode{dedup.Off, dedup.Exact}).Draw(rt, "dedup")
		want, _, _, a := filterAll(t, data, known, FilterOptions{Rule: flags, Dedup: dedup.Options{Mode: mode}})
		got, _, _, b := filterAll(t, data, known, FilterOptions{Rule: expression, Dedup: dedup.Options{Mode: mode}})
		if !bytes.Equal(got, want) || a.Kept != b.Kept || a.Review != b.Review {
			rt.Fatalf("%s keeps %d, --min %v keeps %d", expression.Where, b.Kept, limit, a.Kept)
		}
	})
}

// BenchmarkFilterWhere filters 100,000 records in memory, with an expression and with a
// limit alone.
func BenchmarkFilterWhere(b *testing.B) {
	var text bytes.Buffer
	for i := range 100_000 {
		fmt.Fprintf(&text, "{\"instruction\": \"count to %d\", \"output\": \"%s\"}\n", i, strings.Repeat("one more ", i%60))
	}
	data, random := text.Bytes(), rand.New(rand.NewPCG(1, 2))
	var values []float64
	for range bytes.Count(data, []byte("\n")) {
		values = append(values, 5*random.Float64())
	}
	known := set(valued(b, data, values...), func(e *journal.Entry) { e.Signals = []float64{random.Float64(), random.Float64()} })
	rules := map[string]verdict.Rule{
		"min":   {Min: ptr(4.0)},
		"where": {Where: where(b, "rating >= 4 && ifd < 1 && length < 2048")},
		"texts": {Where: where(b, `rating >= 4 && not (lower(response) matches "more\\s+two|sorry")`)},
		"by":    {Where: where(b, "rating >= 4 && ifd < 1 && length < 2048"), By: by(b, "rating - 0.1 * nll"), Top: ptr(9000)},
	}
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				o := FilterOptions{Rule: rules[name], Kept: io.Discard, Visit: func(*record.Record, journal.Entry, verdict.Verdict) {}}
				if _, err := Filter(opener(data), known, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
