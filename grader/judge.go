package grader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"winnow/grader/journal"
	"winnow/grader/metric"
	"winnow/grader/record"
	"winnow/grader/testset"
)

// JudgeOptions says how two sets of answers are compared.
type JudgeOptions struct {
	Tie       float64 // averaged log-odds, or points, of at most this to either side are a tie
	Resamples int     // of the bootstrap; 0 for DefaultResamples
}

// Judgement says which of two sets of answers, A or B, is better. It is symmetric to the
// last bit: of A and B exchanged, wins and losses change places, scores and win rates
// with those of the one sum to exactly 2 and 1, the low end of one's interval with the
// high end of the other's, and all else stays as it is.
type Judgement struct {
	Tie       float64    `json:"tie"`
	Unit      string     `json:"unit"` // of Tie and Bias: nats or points; empty if the judge was not needed
	Resamples int        `json:"resamples"`
	Sets      []JudgeSet `json:"sets"` // in the order of the prompts
	All       JudgeSet   `json:"all"`
}

// JudgeSet is the outcome of one set of prompts, or of all.
type JudgeSet struct {
	Set      string                `json:"set"`
	Prompts  int                   `json:"prompts"`
	MissingA int                   `json:"missing_a"` // prompts without an answer of A, of B, or of both
	MissingB int                   `json:"missing_b"`
	Pairs    int                   `json:"pairs"`   // prompts with both answers: Decided and Unrated together
	Unrated  map[record.Status]int `json:"unrated"` // by the status of the first order that has no rating
	Decided  int                   `json:"decided"`
	Equal    int                   `json:"equal"`   // of Decided: the answers are the same, a tie without the judge
	EmptyA   int                   `json:"empty_a"` // of Decided: A's answer alone is empty, a loss without the judge
	EmptyB   int                   `json:"empty_b"` // and a win

	Tally                         // of the decided pairs, by the log-odds averaged over both orders
	Score            *Estimate    `json:"score"`             // 1 + (wins - losses)/decided: above 1, A is better
	WinRate          *Estimate    `json:"win_rate"`          // share of wins, ties half
	LengthControlled *Estimate    `json:"length_controlled"` // the win rate at equal length
	LengthWeight     *Estimate    `json:"length_weight"`     // change of the log-odds of winning a unit of the log of the lengths' ratio
	LengthA          Figure       `json:"length_a"`          // mean length of the decided answers, in characters
	LengthB          Figure       `json:"length_b"`
	BothOrders       JudgeOrders  `json:"both_orders"`
	Places           *JudgePlaces `json:"places"` // of the pairs that the judge rated; null for none
}

// Tally counts the outcomes of A.
type Tally struct {
	Wins   int `json:"wins"`
	Ties   int `json:"ties"`
	Losses int `json:"losses"`
}

func (t *Tally) add(side int) { *[...]*int{&t.Losses, &t.Ties, &t.Wins}[side+1]++ }

// JudgeOrders is the outcome by the rule of the AlpaGasus paper (L. Chen and others,
// 2023): A wins a pair if it wins in both orders, or in one and ties in the other; with
// a win in one order and a loss in the other it is a tie. The tie band does not count.
type JudgeOrders struct {
	Tally
	Score *Estimate `json:"score"`
}

// JudgePlaces is what the place of an answer is worth to the judge.
type JudgePlaces struct {
	Rated      int       `json:"rated"`
	Consistent *Estimate `json:"consistent"`  // share of pairs with the same answer in both orders
	FirstPlace *Estimate `json:"first_place"` // share of answers for the first place, ties half; without bias a half
	Bias       *Estimate `json:"bias"`        // mean preference for the first place, in Unit
}

// duel is one pair.
type duel struct {
	side      int        // 1 if A is better, 0 for a tie, -1 if B is
	orders    int        // likewise by both orders
	judged    bool       // if not, the answers are equal or one is empty
	preferred Preference // if judged
	length    float64    // if judged, log of the ratio of the lengths, A's to B's
	chars     [2]float64 // A's and B's
}

// JudgeRecords returns what a pairwise judge is to rate: each pair of answers in both
// orders. Pairs whose answers are equal, or of which one is empty, need no judge. The
// records are the same, in the same order, if A and B are exchanged.
func JudgeRecords(matches []testset.Match) []*record.Record {
	var list []*record.Record
	for _, m := range matches {
		if _, known := withoutJudge(m); known || !m.HasA || !m.HasB {
			continue
		}
		p, q := inBothOrders(m)
		if bytes.Compare(q.Key[:], p.Key[:]) < 0 {
			p, q = q, p
		}
		p.Index, q.Index = len(list), len(list)+1
		list = append(list, p, q)
	}
	return list
}

// inBothOrders makes the pair with A first and with B first.
func inBothOrders(m testset.Match) (asItIs, swapped *record.Record) {
	return record.MadePair(0, m.Instruction, m.Input, m.A, m.B), record.MadePair(0, m.Instruction, m.Input, m.B, m.A)
}

// withoutJudge decides what needs no judge: equal answers are a tie, and an empty one
// loses to one that is not. White space at the ends does not count.
func withoutJudge(m testset.Match) (side int, known bool) {
	a, b := strings.TrimSpace(m.A), strings.TrimSpace(m.B)
	switch {
	case a == b:
		return 0, true
	case a == "":
		return -1, true
	case b == "":
		return 1, true
	}
	return 0, false
}

// JudgeAnswers says which of two sets of answers is better, from the ratings of what
// JudgeRecords returns. If that is nothing, the judge may be the zero one.
func JudgeAnswers(ctx context.Context, matches []testset.Match, j Judged, o JudgeOptions) (*Judgement, error) {
	out := &Judgement{Tie: o.Tie, Resamples: o.Resamples, Sets: []JudgeSet{}}
	prefer := func(journal.Entry, journal.Entry) Preference { return Preference{} }
	if j.Ratings != nil {
		names := j.Manifest.Criteria()
		if err := CheckPairwise(names, j.Scale()); err != nil {
			return nil, fmt.Errorf("judging: %w", err)
		}
		out.Unit, prefer = preference(len(names))
	}
	var order []string
	groups := map[string][]testset.Match{}
	for _, m := range matches {
		if _, ok := groups[m.Set]; !ok {
			order = append(order, m.Set)
		}
		groups[m.Set] = append(groups[m.Set], m)
	}
	if out.Resamples == 0 {
		out.Resamples = DefaultResamples(len(matches))
	}
	for _, name := range order {
		s, err := judgeSet(ctx, name, groups[name], j, prefer, *out)
		if err != nil {
			return nil, err
		}
		out.Sets = append(out.Sets, s)
	}
	var err error
	out.All, err = judgeSet(ctx, "all", matches, j, prefer, *out)
	return out, err
}

// preference returns what makes a preference of the entries of both orders, and the
// unit of its numbers.
func preference(criteria int) (unit string, prefer func(p, q journal.Entry) Preference) {
	if criteria == 2 {
		return "points", func(p, q journal.Entry) Preference {
			return PreferScores(ratingAt(p, 0), ratingAt(p, 1), ratingAt(q, 0), ratingAt(q, 1))
		}
	}
	return "nats", func(p, q journal.Entry) Preference { return Prefer(ratingAt(p, 0), ratingAt(q, 0)) }
}

func judgeSet(ctx context.Context, name string, matches []testset.Match, j Judged, prefer func(p, q journal.Entry) Preference, o Judgement) (JudgeSet, error) {
	s := JudgeSet{Set: name, Prompts: len(matches), Unrated: map[record.Status]int{}}
	var duels []duel
	for _, m := range matches {
		if !m.HasA {
			s.MissingA++
		}
		if !m.HasB {
			s.MissingB++
		}
		if !m.HasA || !m.HasB {
			continue
		}
		s.Pairs++
		d := duel{}
		a, b := utf8.RuneCountInString(strings.TrimSpace(m.A)), utf8.RuneCountInString(strings.TrimSpace(m.B))
		d.chars = [2]float64{float64(a), float64(b)}
		if side, known := withoutJudge(m); known {
			d.side, d.orders = side, side
			switch {
			case side == 0:
				s.Equal++
			case side < 0:
				s.EmptyA++
			default:
				s.EmptyB++
			}
		} else {
			p, q, why := j.bothOrders(m)
			if why != "" {
				s.Unrated[why]++
				continue
			}
			d.judged, d.preferred = true, prefer(p, q)
			if math.IsNaN(d.preferred.LogOdds) {
				return s, fmt.Errorf("judging: the answers to %q in the set %q: the scores file has no preference for them", m.ID, m.Set)
			}
			d.side = [...]int{First: 1, Second: -1, Tie: 0}[d.preferred.Decide(o.Tie)]
			d.orders = d.preferred.byOrders()
			d.length = math.Log(d.chars[0]) - math.Log(d.chars[1])
		}
		s.Tally.add(d.side)
		s.BothOrders.add(d.orders)
		duels = append(duels, d)
	}
	s.Decided = len(duels)
	if s.Decided == 0 {
		s.LengthA, s.LengthB = Figure(math.NaN()), Figure(math.NaN())
		return s, nil
	}
	s.LengthA = mean(charsOf(duels, 0))
	s.LengthB = mean(charsOf(duels, 1))
	return s, s.measure(ctx, duels, o.Resamples)
}

func charsOf(duels []duel, side int) []float64 {
	list := make([]float64, len(duels))
	for i, d := range duels {
		list[i] = d.chars[side]
	}
	return list
}

// bothOrders looks a pair up with A first and with B first. Both have ratings if why is
// empty.
func (j Judged) bothOrders(m testset.Match) (p, q journal.Entry, why record.Status) {
	if j.Ratings == nil {
		return p, q, record.NotGraded
	}
	first, second := inBothOrders(m)
	keys := []record.Key{first.Key, second.Key}
	var e [2]journal.Entry
	var status [2]record.Status
	for i, key := range keys {
		e[i], status[i] = j.rated(key)
	}
	if bytes.Compare(keys[1][:], keys[0][:]) < 0 {
		slices.Reverse(status[:])
	}
	if status[0] != "" {
		return p, q, status[0]
	}
	return e[0], e[1], status[1]
}

// byOrders is the outcome for the first response by the signs in both orders: 1, 0 or -1.
func (p Preference) byOrders() int {
	return sign(float64(sign(p.LogOdds+p.Bias) + sign(p.LogOdds-p.Bias)))
}

// measure gives the set its estimates. Figures that are negated where A and B are
// exchanged are drawn with their negation, and the interval is made of both, so that
// rounding does not tell A from B.
func (s *JudgeSet) measure(ctx context.Context, duels []duel, resamples int) error {
	fit := newLengthFit(duels)
	const odd, all = 3, 10 // net, net by orders, length controlled; each with its negation; and four that stay
	figures := func(w []int32, out []float64) {
		out[0] = average(duels, w, func(d duel) (float64, bool) { return float64(d.side), true })
		out[1] = average(duels, w, func(d duel) (float64, bool) { return float64(d.orders), true })
		out[2], out[2*odd] = fit.net(w)
		for k := range odd {
			out[odd+k] = -out[k]
		}
		places := func(of func(Preference) float64) float64 {
			return average(duels, w, func(d duel) (float64, bool) { return of(d.preferred), d.judged })
		}
		out[2*odd+1] = places(func(p Preference) float64 {
			if p.Consistent {
				return 1
			}
			return 0
		})
		out[2*odd+2] = places(Preference.firstPlace)
		out[2*odd+3] = places(func(p Preference) float64 { return p.Bias })
	}
	var value [all]float64
	figures(nil, value[:])
	drawn, err := metric.Bootstrap(ctx, len(duels), all, metric.Resampling{Resamples: resamples, Seed: evaluateSeed, Level: interval}, figures)
	if err != nil {
		return errors.Join(errors.New("judging"), err)
	}
	net := func(k int) Estimate {
		up, down := drawn[k], drawn[odd+k]
		return Estimate{Value: Figure(value[k]), Low: Figure((up.Low - down.High) / 2), High: Figure((up.High - down.Low) / 2)}
	}
	even := func(k int) *Estimate {
		return &Estimate{Value: Figure(value[k]), Low: Figure(drawn[k].Low), High: Figure(drawn[k].High)}
	}
	s.Score, s.WinRate = scored(net(0), 1), scored(net(0), 0.5)
	s.BothOrders.Score = scored(net(1), 1)
	s.LengthControlled, s.LengthWeight = scored(net(2), 0.5), even(2*odd)
	if rated := len(slices.DeleteFunc(slices.Clone(duels), func(d duel) bool { return !d.judged })); rated > 0 {
		s.Places = &JudgePlaces{Rated: rated, Consistent: even(2*odd + 1), FirstPlace: even(2*odd + 2), Bias: even(2*odd + 3)}
	}
	return nil
}

// firstPlace is the share of both answers that name the first place, ties half.
func (p Preference) firstPlace() float64 {
	return (credit(sign(p.LogOdds+p.Bias)) + credit(-sign(p.LogOdds-p.Bias))) / 2
}

// average is the mean of what of gives, of which record i counts w[i] times; NaN if it
// gives nothing.
func average(duels []duel, w []int32, of func(duel) (x float64, ok bool)) float64 {
	sum, n := 0.0, 0.0
	for i, d := range duels {
		x, ok := of(d)
		if !ok {
			continue
		}
		t := 1.0
		if w != nil {
			t = float64(w[i])
		}
		sum += t * x
		n += t
	}
	return sum / n // 0/0 is NaN
}

// scored shifts a net share of wins, from -1 to 1, to 1 and multiplies it.
func scored(net Estimate, times float64) *Estimate {
	of := func(f Figure) Figure { return Figure(times * aboveOne(float64(f))) }
	return &Estimate{Value: of(net.Value), Low: of(net.Low), High: of(net.High)}
}

// aboveOne returns 1+x for x from -1 to 1, rounded so that the values of x and -x sum
// to exactly 2.
func aboveOne(x float64) float64 {
	if x < 0 {
		return 2 - (1 - x)
	}
	return 1 + x
}
