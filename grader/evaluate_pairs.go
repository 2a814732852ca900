package grader

import (
	"context"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"winnow/grader/gold"
	"winnow/grader/journal"
	"winnow/grader/metric"
	"winnow/grader/rating"
	"winnow/grader/record"
)

// PairEvaluation is how well a judge tells the better one of two responses.
type PairEvaluation struct {
	Pairs     int                   `json:"pairs"`
	Rated     int                   `json:"rated"`    // with ratings of all that is needed
	Unrated   map[record.Status]int `json:"unrated"`  // the others, by the status of the first part that lacks one
	Ties      int                   `json:"ties"`     // of the rated, by the gold
	First     int                   `json:"first"`    // of the rated, whose first response is the better one
	Pairwise  bool                  `json:"pairwise"` // both responses were shown together; if not, each was rated alone
	Tie       float64               `json:"tie"`
	Resamples int                   `json:"resamples"`
	Readings  []PairReading         `json:"readings"`
	Orders    *PairOrders           `json:"orders"` // of a pairwise judge
}

// PairReading is what the difference of a number says about two responses: the higher
// one is better. Ties of the gold count in Agreement and Kappa alone.
type PairReading struct {
	Name      string    `json:"name"`
	Pairs     int       `json:"pairs"`     // that have it, ties of the gold included
	Accuracy  *Estimate `json:"accuracy"`  // ties count half
	Strict    *Estimate `json:"strict"`    // ties are wrong
	TieRate   *Estimate `json:"tie_rate"`  // of the pairs with a better response
	AUC       *Estimate `json:"auc"`       // of the difference, for pairs whose first response is better against the others
	Agreement *Estimate `json:"agreement"` // of all pairs: first, second and tie are three classes
	Kappa     *Estimate `json:"kappa"`     // Cohen's, likewise
}

// PairOrders is what the place of a response is worth to a pairwise judge.
type PairOrders struct {
	First      *Estimate `json:"first"`       // accuracy with the pairs as they are, ties half
	Second     *Estimate `json:"second"`      // with their responses in the other order
	Both       *Estimate `json:"both"`        // share of pairs that are right in both orders
	Consistent *Estimate `json:"consistent"`  // share of pairs with the same answer in both orders
	FirstPlace *Estimate `json:"first_place"` // share of answers for the first place, ties half; without bias a half
	Bias       *Estimate `json:"bias"`        // mean preference for the first place, in Unit
	Unit       string    `json:"unit"`
}

// preferenceName is the reading of a pairwise judge.
const preferenceName = "both orders"

// HasPairs reports whether a judge was shown any of the pairs with both responses.
func HasPairs(known Ratings, pairs []gold.Pair) bool {
	for _, rec := range gold.BothOrders(pairs) {
		if _, ok := known.Lookup(rec.Key); ok {
			return true
		}
	}
	return false
}

// EvaluatePairs measures a judge by pairs. It is pairwise if HasPairs says so.
func EvaluatePairs(ctx context.Context, pairs []gold.Pair, j Judged, o EvaluateOptions) (*PairEvaluation, error) {
	out := &PairEvaluation{Pairs: len(pairs), Unrated: map[record.Status]int{}, Pairwise: HasPairs(j, pairs), Tie: o.Tie, Resamples: o.Resamples}
	parts := gold.Single(pairs)
	if out.Pairwise {
		parts = gold.BothOrders(pairs)
	}
	var t pairTable
	for i, p := range pairs {
		a, why := j.rated(parts[2*i].Key)
		b, whyB := j.rated(parts[2*i+1].Key)
		if why == "" {
			why = whyB
		}
		if why != "" {
			out.Unrated[why]++
			continue
		}
		t.pairs, t.a, t.b = append(t.pairs, p), append(t.a, a), append(t.b, b)
		switch p.Better {
		case gold.Tie:
			out.Ties++
		case gold.A:
			out.First++
		}
	}
	out.Rated = len(t.pairs)
	if o.Resamples == 0 {
		out.Resamples = DefaultResamples(out.Rated)
	}
	all := &estimates{n: out.Rated}
	var err error
	if out.Pairwise {
		err = t.preferences(out, j, all)
	} else {
		err = t.differences(out, j, all)
	}
	if err == nil {
		err = t.reading(lengthName, 0, func(i int) float64 {
			return float64(utf8.RuneCountInString(t.pairs[i].A) - utf8.RuneCountInString(t.pairs[i].B))
		}, out, all)
	}
	if err != nil {
		return nil, fmt.Errorf("evaluating: %w", err)
	}
	return out, all.run(ctx, out.Resamples)
}

// pairTable is the pairs that have their ratings: of the two responses, or of the pair
// in both orders.
type pairTable struct {
	pairs []gold.Pair
	a, b  []journal.Entry
}

// differences takes the difference of each reading of responses rated alone.
func (t *pairTable) differences(out *PairEvaluation, j Judged, all *estimates) error {
	for _, r := range j.readings() {
		tie := 0.0
		if r.onScale {
			tie = out.Tie
		}
		if err := t.reading(r.name, tie, func(i int) float64 {
			if x, y := r.of(t.a[i]), r.of(t.b[i]); x != y {
				return x - y
			}
			return 0 // two infinite ones too
		}, out, all); err != nil {
			return err
		}
	}
	return nil
}

// CheckPairwise says whether a judge with these criteria and this scale, which sees
// both responses, names a preference. Of two criteria the first scores the first
// response: names that end in -2 and -1, in this order, are refused.
func CheckPairwise(names []string, scale rating.Scale) error {
	criteria := len(names)
	if criteria == 2 {
		if stem, ok := strings.CutSuffix(names[0], "-2"); ok && names[1] == stem+"-1" {
			return fmt.Errorf("%s scores the second response and stands first: give %s,%s", names[0], names[1], names[0])
		}
	}
	if criteria == 2 || criteria == 1 && len(scale.Strings) == 2 {
		return nil
	}
	return fmt.Errorf("%d criteria on a scale of %d ratings say nothing of a pair: want one criterion with a scale of two ratings, of the first and the second response, or two criteria that score the first and the second response", criteria, len(scale.Strings))
}

// preferences takes the answers of a pairwise judge.
func (t *pairTable) preferences(out *PairEvaluation, j Judged, all *estimates) error {
	names := j.Manifest.Criteria()
	criteria := len(names)
	if err := CheckPairwise(names, j.Scale()); err != nil {
		return err
	}
	unit := "nats"
	prefer := func(i int) Preference { return Prefer(ratingAt(t.a[i], 0), ratingAt(t.b[i], 0)) }
	if criteria == 2 {
		unit = "points"
		prefer = func(i int) Preference {
			return PreferScores(ratingAt(t.a[i], 0), ratingAt(t.a[i], 1), ratingAt(t.b[i], 0), ratingAt(t.b[i], 1))
		}
	}
	list := make([]Preference, len(t.pairs))
	for i := range list {
		list[i] = prefer(i)
	}
	if err := t.reading(preferenceName, out.Tie, func(i int) float64 { return list[i].LogOdds }, out, all); err != nil {
		return err
	}
	asItIs, swapped, both := t.sides(), t.sides(), t.sides()
	first, bias, consistent := make([]float64, len(list)), make([]float64, len(list)), make([]float64, len(list))
	for i, p := range list {
		a, b := sign(p.LogOdds+p.Bias), sign(p.LogOdds-p.Bias) // for the first response, in each order
		first[i], bias[i] = (credit(a)+credit(-b))/2, p.Bias
		if p.Consistent {
			consistent[i] = 1
		}
		if better := t.pairs[i].Better; better != gold.Tie {
			want := 1
			if better == gold.B {
				want = -1
			}
			asItIs.add(i, credit(a*want))
			swapped.add(i, credit(b*want))
			right := 0.0
			if a == want && b == want {
				right = 1
			}
			both.add(i, right)
		}
	}
	out.Orders = &PairOrders{
		First: all.add(asItIs.share()), Second: all.add(swapped.share()), Both: all.add(both.share()),
		Consistent: all.add(share(consistent)), FirstPlace: all.add(share(first)), Bias: all.add(share(bias)), Unit: unit,
	}
	return nil
}

// sides is a column that is filled pair by pair.
func (t *pairTable) sides() *column { return &column{all: len(t.pairs)} }

func (c *column) add(i int, x float64) { c.rows, c.values = append(c.rows, i), append(c.values, x) }

// share is the mean of the column.
func (c *column) share() func(w []int32) float64 { return c.weights(share(c.values)) }

func sign(x float64) int {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}

// credit is what an answer counts: 1 if it is right, nothing if it is wrong, half if it
// is a tie.
func credit(side int) float64 { return float64(side+1) / 2 }

// reading measures what the difference of two responses says.
func (t *pairTable) reading(name string, tie float64, difference func(i int) float64, out *PairEvaluation, all *estimates) error {
	every := newColumn(len(t.pairs), difference)
	accuracy, strict, ties := t.sides(), t.sides(), t.sides()
	var scores []float64
	var first []bool
	agree, judge, truth := make([]float64, len(every.rows)), make([]int, len(every.rows)), make([]int, len(every.rows))
	for k, i := range every.rows {
		d := every.values[k]
		side := sign(d)
		if math.Abs(d) <= tie {
			side = 0
		}
		better := t.pairs[i].Better
		want := map[gold.Preference]int{gold.A: 1, gold.B: -1}[better]
		judge[k], truth[k] = side+1, want+1
		if side == want {
			agree[k] = 1
		}
		if better == gold.Tie {
			continue
		}
		accuracy.add(i, credit(side*want))
		right, tied := 0.0, 0.0
		switch side {
		case want:
			right = 1
		case 0:
			tied = 1
		}
		strict.add(i, right)
		ties.add(i, tied)
		scores, first = append(scores, d), append(first, better == gold.A)
	}
	ranking, err := metric.NewRanking(scores, first)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	out.Readings = append(out.Readings, PairReading{
		Name: name, Pairs: len(every.rows),
		Accuracy: all.add(accuracy.share()), Strict: all.add(strict.share()), TieRate: all.add(ties.share()),
		AUC: all.add(accuracy.weights(ranking.AUC)), Agreement: all.add(every.weights(share(agree))), Kappa: all.add(every.weights(kappaFigure(3, judge, truth))),
	})
	return nil
}
