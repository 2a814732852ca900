package grader

import (
	"math"
	"slices"
	"strings"
	"testing"

	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/verdict"
)

// rated returns the rating with these probabilities of the test scale.
func rated(t testing.TB, p ...float64) rating.Rating {
	t.Helper()
	var r rating.Rating
	if err := r.Set(testScale(), p); err != nil {
		t.Fatal(err)
	}
	return r
}

// conversationOf returns turns with entries of their own in a memory; one without
// a status has none.
func conversationOf(entries ...journal.Entry) ([]*record.Record, *memory) {
	turns, known := make([]*record.Record, len(entries)), newMemory()
	for i, e := range entries {
		turns[i] = &record.Record{Index: 4, Turn: i, Turns: len(entries), Key: record.Key{byte(i + 1)}}
		if e.Key = turns[i].Key; e.Status == "" {
			continue
		}
		if err := known.Append([]journal.Entry{e}); err != nil {
			panic(err) // the keys are different
		}
	}
	return turns, known
}

func rates(r ...rating.Rating) journal.Entry {
	return journal.Entry{Status: record.OK, Ratings: r, Tokens: 10, Cut: 1}
}

func TestTurns(t *testing.T) {
	low, mid, high := rated(t, 0.6, 0.2, 0, 0), rated(t, 0, 0, 0.5, 0), rated(t, 0, 0, 0.1, 0.8)
	mean := rated(t, 0.2, 0.2/3, 0.2, 0.8/3)
	turns, known := conversationOf(rates(mid), rates(low), rates(high))
	same, sameKnown := conversationOf(rates(low), rates(low))
	for _, c := range []struct {
		how   Turns
		turns []*record.Record
		known *memory
		want  rating.Rating
		part  string
		cut   int
	}{
		{MinTurn, turns, known, low, "turn 2 of 3", 3},
		{"", turns, known, low, "turn 2 of 3", 3},
		{MeanTurn, turns, known, mean, "mean of 3 turns", 3},
		{LastTurn, turns, known, high, "turn 3 of 3", 1},
		{MinTurn, same, sameKnown, low, "turn 1 of 2", 2},
		{MinTurn, turns[:1], known, mid, "", 1},
		{LastTurn, turns[:1], known, mid, "", 1},
	} {
		got := newCandidate(c.known, c.turns, c.how)
		e := got.entry
		if e.Status != record.OK || len(e.Ratings) != 1 || strings.Join(got.parts, "|") != c.part || e.Cut != c.cut || e.Tokens != 10*c.cut || e.Key != record.ConversationKey(c.turns) {
			t.Errorf("%q of %d turns: %+v, parts %q; want part %q and %d cut", c.how, len(c.turns), e, got.parts, c.part, c.cut)
			continue
		}
		r := e.Ratings[0]
		if r.Mode != c.want.Mode || !near(r.Value, c.want.Value) || !near(r.OffScale, c.want.OffScale) || !near(r.Entropy, c.want.Entropy) || !slices.EqualFunc(r.Probs, c.want.Probs, near) {
			t.Errorf("%q of %d turns: rating %+v, want %+v", c.how, len(c.turns), r, c.want)
		}
	}
	if !near(mean.OffScale, (low.OffScale+mid.OffScale+high.OffScale)/3) {
		t.Errorf("the mean's off-scale mass is %v", mean.OffScale)
	}
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-12 }

// A turn without a rating leaves the record without one, but for the function that
// does not look at it. What is wrong with the first such turn is told.
func TestTurnsUnrated(t *testing.T) {
	good := rates(rated(t, 0, 0, 0, 1))
	long := journal.Entry{Status: record.TooLong, Reason: "it has 9000 tokens"}
	for _, c := range []struct {
		how     Turns
		entries []journal.Entry
		status  record.Status
		reason  string
	}{
		{MinTurn, []journal.Entry{good, long, {}}, record.TooLong, "turn 2 of 3: it has 9000 tokens"},
		{MeanTurn, []journal.Entry{good, good, {}}, record.NotGraded, "turn 3 of 3: the scores file has no entry for it"},
		{MinTurn, []journal.Entry{{Status: record.BadTokens}, good}, record.BadTokens, "turn 1 of 2"},
		{LastTurn, []journal.Entry{good, long}, record.TooLong, "turn 2 of 2: it has 9000 tokens"},
		{LastTurn, []journal.Entry{long, {}, good}, record.OK, ""},
	} {
		turns, known := conversationOf(c.entries...)
		got := newCandidate(known, turns, c.how).entry
		if got.Status != c.status || !strings.HasPrefix(got.Reason, c.reason) || c.reason == "" && got.Reason != "" || (len(got.Ratings) > 0) != (c.status == record.OK) {
			t.Errorf("%s of %+v: %+v, want %s: %s", c.how, c.entries, got, c.status, c.reason)
		}
	}
}

// Each criterion has its own deciding turn, and the verdict names it.
func TestTurnsTwoCriteria(t *testing.T) {
	low, high := rated(t, 0.5, 0, 0.5, 0), rated(t, 0, 0, 0, 1)
	turns, known := conversationOf(rates(low, high), rates(high, low), rates(high, high))
	wideKnown := wide{known}
	for _, c := range []struct {
		how  Turns
		rule verdict.Rule
		want string
	}{
		{MinTurn, verdict.Rule{}, "drop: turn 1 of 3: accuracy rated 1.25, below 4.5"},
		{LastTurn, verdict.Rule{}, "keep: turn 3 of 3: accuracy rated 5.00, at least 4.5"},
		{MeanTurn, verdict.Rule{Min: ptr(2.0)}, "keep: mean of 3 turns: accuracy rated 3.75, at least 2"},
		{MinTurn, verdict.Rule{Top: ptr(1)}, "keep: turn 1 of 3: accuracy rated 1.25, rank 1 of 1, budget 1"},
		{MinTurn, verdict.Rule{Min: ptr(2.0), MinProb: ptr(0.1), Top: ptr(0)}, "drop: turn 1 of 3: P(accuracy >= 2) 0.50, at least 0.1, turn 1 of 3: accuracy rated 1.25, rank 1 of 1, budget 0"},
	} {
		got := newCandidate(wideKnown, turns, c.how)
		s := c.rule.Select(testScale(), wideKnown.Criteria())
		s.Add(got.judged())
		if v := s.Verdict(0, got.judged()); string(v.Decision)+": "+v.Reason != c.want {
			t.Errorf("%s: %s: %s, want %s", c.how, v.Decision, v.Reason, c.want)
		}
		if c.how == MinTurn && !slices.Equal(got.parts, []string{"turn 1 of 3", "turn 2 of 3"}) {
			t.Errorf("the ratings are of %q", got.parts)
		}
	}
}

// Ratings that no journal has do not become a rating.
func TestTurnsUnsound(t *testing.T) {
	good := rated(t, 0, 0, 0, 1)
	for name, bad := range map[string][]rating.Rating{
		"no rating":                 nil,
		"a rating that is NaN":      {{Value: math.NaN(), Probs: make([]float64, 4)}},
		"too few probabilities":     {{Value: -1, Probs: []float64{1}}},
		"a probability that is NaN": {{Value: -1, Probs: []float64{math.NaN(), 0, 0, 0}}},
	} {
		for _, how := range []Turns{MinTurn, MeanTurn} {
			turns, known := conversationOf(rates(good), rates(bad...), rates(good))
			c := newCandidate(known, turns, how)
			s := verdict.Rule{Min: ptr(0.0)}.Select(testScale(), known.Criteria())
			s.Add(c.judged())
			if v := s.Verdict(0, c.judged()); v.Decision != verdict.Review {
				t.Errorf("%s of a turn with %s: %+v, want review", how, name, v)
			}
		}
	}
}

func TestParseTurns(t *testing.T) {
	for _, want := range AllTurns() {
		if got, err := ParseTurns(string(want)); err != nil || got != want {
			t.Errorf("%q is read as %q, error %v", want, got, err)
		}
	}
	for _, s := range []string{"", "max", "MIN"} {
		if _, err := ParseTurns(s); err == nil || !strings.Contains(err.Error(), "want one of min, mean, last") {
			t.Errorf("%q: error %v", s, err)
		}
	}
}
