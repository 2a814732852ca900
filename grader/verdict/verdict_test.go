package verdict

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"winnow/grader/rating"
	"winnow/grader/record"
)

func scale() rating.Scale {
	return rating.Scale{Strings: []string{"0", "1", "2.5", "5"}, Values: []float64{0, 1, 2.5, 5}}
}

// ratingOf has this value and these probabilities, which need not agree.
func ratingOf(value float64, p ...float64) rating.Rating {
	return rating.Rating{Value: value, Probs: p}
}

// rated makes a candidate with one rating.
func rated(index int, value float64, p ...float64) Candidate {
	return Candidate{Key: record.Key{byte(index)}, Index: index, Status: record.OK, Ratings: []rating.Rating{ratingOf(value, p...)}}
}

var even = []float64{0.25, 0.25, 0.25, 0.25}

// decide returns the verdicts on all candidates, in their order.
func decide(r Rule, criteria []string, candidates []Candidate) []Verdict {
	s := r.Select(scale(), criteria)
	for _, c := range candidates {
		s.Add(c)
	}
	verdicts := make([]Verdict, len(candidates))
	for i, c := range candidates {
		verdicts[i] = s.Verdict(i, c)
	}
	return verdicts
}

// told returns verdicts as people read them.
func told(verdicts []Verdict) (list []string) {
	for _, v := range verdicts {
		list = append(list, string(v.Decision)+": "+v.Reason)
	}
	return list
}

func ptr[T any](x T) *T { return &x }

func TestDecide(t *testing.T) {
	valued := func(values ...float64) []Candidate {
		var c []Candidate
		for i, v := range values {
			c = append(c, rated(i, v, even...))
		}
		return c
	}
	sameKey := valued(3, 3, 3)
	for i := range sameKey {
		sameKey[i].Key = record.Key{7}
	}
	sameKey[0].Index, sameKey[2].Index = 2, 0

	nan := math.NaN()
	for name, tc := range map[string]struct {
		rule Rule
		in   []Candidate
		want []string
	}{
		"nothing":   {Rule{}, nil, nil},
		"default":   {Rule{}, valued(4.62, 4.5, 3.1), []string{"keep: rating 4.62 >= 4.5", "keep: rating 4.50 >= 4.5", "drop: rating 3.10 < 4.5"}},
		"min":       {Rule{Min: ptr(3.0)}, valued(4.62, 2.9999999), []string{"keep: rating 4.62 >= 3", "drop: rating 2.9999999 < 3"}},
		"min below": {Rule{Min: ptr(-1.0)}, valued(0), []string{"keep: rating 0.00 >= -1"}},
		"close":     {Rule{}, valued(4.4999, 4.49999999999), []string{"drop: rating 4.4999 < 4.5", "drop: rating 4.49999999999 < 4.5"}},
		"min-prob": {Rule{Min: ptr(2.0), MinProb: ptr(0.5)},
			[]Candidate{rated(0, 0, 0.2, 0.2, 0.1, 0.3), rated(1, 5, 0.3, 0.2, 0, 0.1), rated(2, 5, 0.25, 0, 0.25, 0)},
			[]string{"keep: P(rating >= 2) 0.50 >= 0.5", "drop: P(rating >= 2) 0.17 < 0.5", "keep: P(rating >= 2) 0.50 >= 0.5"}},
		"min-prob, default min": {Rule{MinProb: ptr(0.9)}, []Candidate{rated(0, 0, 0.1, 0, 0, 0.3), rated(1, 0, 0, 0, 0, 0.3)},
			[]string{"drop: P(rating >= 4.5) 0.75 < 0.9", "keep: P(rating >= 4.5) 1.00 >= 0.9"}},
		"top": {Rule{Top: ptr(2)}, valued(1, 3, 2),
			[]string{"drop: rank 3 of 3, budget 2", "keep: rank 1 of 3, budget 2", "keep: rank 2 of 3, budget 2"}},
		"top 0":    {Rule{Top: ptr(0)}, valued(5), []string{"drop: rank 1 of 1, budget 0"}},
		"top most": {Rule{Top: ptr(9)}, valued(0), []string{"keep: rank 1 of 1, budget 9"}},
		"top and min": {Rule{Top: ptr(1), Min: ptr(2.0)}, valued(3, 1, 4),
			[]string{"drop: rating 3.00 >= 2, rank 2 of 2, budget 1", "drop: rating 1.00 < 2", "keep: rating 4.00 >= 2, rank 1 of 2, budget 1"}},
		"top and min-prob": {Rule{Top: ptr(1), Min: ptr(1.0), MinProb: ptr(0.5)}, valued(3),
			[]string{"keep: P(rating >= 1) 0.75 >= 0.5, rank 1 of 1, budget 1"}},
		"percent of the rated": {Rule{TopPercent: ptr(67.0), Min: ptr(2.0)}, append(valued(3, 1, 4), Candidate{Status: record.TooLong, Reason: "9000 tokens"}),
			[]string{"keep: rating 3.00 >= 2, rank 2 of 2, budget 2", "drop: rating 1.00 < 2", "keep: rating 4.00 >= 2, rank 1 of 2, budget 2", "review: too_long: 9000 tokens"}},
		"tie: highest":     {Rule{Top: ptr(1)}, []Candidate{rated(0, 3, 0.1, 0.1, 0.6, 0.2), rated(1, 3, 0.3, 0.1, 0.3, 0.3)}, []string{"drop: rank 2 of 2, budget 1", "keep: rank 1 of 2, budget 1"}},
		"tie: no other":    {Rule{Top: ptr(1)}, []Candidate{rated(0, 3, 0.3, 0.4, 0.1, 0.2), rated(1, 3, 0.4, 0.2, 0.2, 0.2)}, []string{"keep: rank 1 of 2, budget 1", "drop: rank 2 of 2, budget 1"}},
		"tie: key":         {Rule{Top: ptr(1)}, []Candidate{valued(0, 3)[1], valued(3)[0]}, []string{"drop: rank 2 of 2, budget 1", "keep: rank 1 of 2, budget 1"}},
		"tie: index":       {Rule{Top: ptr(1)}, sameKey, []string{"drop: rank 3 of 3, budget 1", "drop: rank 2 of 3, budget 1", "keep: rank 1 of 3, budget 1"}},
		"status alone":     {Rule{Top: ptr(1)}, []Candidate{{Status: "new"}}, []string{"review: new"}},
		"rating, not ok":   {Rule{Min: ptr(0.0)}, []Candidate{{Status: record.OffScale, Reason: "0.9 off the scale", Ratings: valued(5)[0].Ratings}}, []string{"review: off_scale: 0.9 off the scale"}},
		"no rating":        {Rule{Min: ptr(0.0)}, []Candidate{{Status: record.OK}}, []string{"review: the status is ok, but there is no rating"}},
		"NaN":              {Rule{Min: ptr(0.0)}, valued(nan), []string{"review: the rating is no number"}},
		"NaN, top":         {Rule{Top: ptr(1)}, valued(nan, 1), []string{"review: the rating is no number", "keep: rank 1 of 1, budget 1"}},
		"NaN prob":         {Rule{Min: ptr(0.0), MinProb: ptr(0.1)}, []Candidate{rated(0, 5, 0, 0, nan, 1)}, []string{"review: the rating's probabilities are none"}},
		"no probs":         {Rule{Min: ptr(0.0), MinProb: ptr(0.1)}, []Candidate{rated(0, 5, 0, 0, 0, 0)}, []string{"review: the rating's probabilities are none"}},
		"infinite prob":    {Rule{Min: ptr(0.0), MinProb: ptr(0.1)}, []Candidate{rated(0, 5, 0, 0, 0, math.Inf(1))}, []string{"review: the rating's probabilities are none"}},
		"two ratings":      {Rule{Min: ptr(0.0)}, []Candidate{{Status: record.OK, Ratings: slices.Repeat(valued(5)[0].Ratings, 2)}}, []string{"review: the number of ratings is 2, that of criteria 1"}},
		"other scale":      {Rule{Min: ptr(0.0)}, []Candidate{rated(0, 5, 0, 1)}, []string{"review: the rating has 2 probabilities, the scale 4 ratings"}},
		"NaN rule":         {Rule{Min: &nan}, valued(5), []string{"drop: rating 5.00 < NaN"}},
		"NaN percent":      {Rule{TopPercent: &nan}, valued(5), []string{"drop: rank 1 of 1, budget 0"}},
		"huge percent":     {Rule{TopPercent: ptr(1e300)}, valued(5), []string{"keep: rank 1 of 1, budget 1"}},
		"negative percent": {Rule{TopPercent: ptr(-5.0)}, valued(5), []string{"drop: rank 1 of 1, budget 0"}},
		"negative top":     {Rule{Top: ptr(-5)}, valued(5), []string{"drop: rank 1 of 1, budget 0"}},
	} {
		got := told(decide(tc.rule, []string{"accuracy"}, tc.in))
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s:\n%q\nwant\n%q", name, got, tc.want)
		}
	}
}

func TestBudget(t *testing.T) {
	for _, tc := range []struct {
		percent     float64
		rated, want int
	}{
		{100, 7, 7}, {50, 7, 3}, {0.57, 10000, 57}, {29, 100, 29}, {1.1, 1000, 11}, {0.01, 9999, 0}, {17.5, 9229, 1615}, {1e-300, 5, 0},
	} {
		if got := (Rule{TopPercent: &tc.percent}).budget(tc.rated); got != tc.want {
			t.Errorf("%v %% of %d is %d, want %d", tc.percent, tc.rated, got, tc.want)
		}
	}
}

func TestValidate(t *testing.T) {
	binary := rating.Scale{Strings: []string{"0", "1"}, Values: []float64{0, 1}}
	for name, tc := range map[string]struct {
		rule  Rule
		scale rating.Scale
		msg   string // "" if valid
	}{
		"default":             {Rule{}, scale(), ""},
		"all of it":           {Rule{Min: ptr(5.0), MinProb: ptr(1.0), TopPercent: ptr(100.0)}, scale(), ""},
		"top 0":               {Rule{Top: ptr(0)}, scale(), ""},
		"budget, low scale":   {Rule{Top: ptr(5)}, binary, ""},
		"min on low scale":    {Rule{Min: ptr(0.5)}, binary, ""},
		"default, low scale":  {Rule{}, binary, "a rating of 4.5, but the scale's highest is 1"},
		"min-prob, low scale": {Rule{MinProb: ptr(0.5), Top: ptr(1)}, binary, "a rating of 4.5, but the scale's highest is 1"},
		"min 45":              {Rule{Min: ptr(45.0)}, scale(), "a rating of 45"},
		"min NaN":             {Rule{Min: ptr(math.NaN())}, scale(), "a rating of NaN"},
		"two budgets":         {Rule{Top: ptr(3), TopPercent: ptr(4.0)}, scale(), "give one of the two"},
		"top -1":              {Rule{Top: ptr(-1)}, scale(), "give 0 or more"},
		"0 %":                 {Rule{TopPercent: ptr(0.0)}, scale(), "more than 0 and at most 100"},
		"101 %":               {Rule{TopPercent: ptr(101.0)}, scale(), "more than 0 and at most 100"},
		"NaN %":               {Rule{TopPercent: ptr(math.NaN())}, scale(), "more than 0 and at most 100"},
		"prob 0":              {Rule{MinProb: ptr(0.0)}, scale(), "more than 0 and at most 1"},
		"prob 1.1":            {Rule{MinProb: ptr(1.1)}, scale(), "more than 0 and at most 1"},
		"prob NaN":            {Rule{MinProb: ptr(math.NaN())}, scale(), "more than 0 and at most 1"},
		"no scale":            {Rule{}, rating.Scale{}, "at least 2 ratings"},
	} {
		err := tc.rule.Validate(tc.scale)
		if tc.msg == "" && err != nil || tc.msg != "" && (err == nil || !strings.Contains(err.Error(), tc.msg)) {
			t.Errorf("%s: %v, want %q", name, err, tc.msg)
		}
	}
}

// candidatesGen draws few different values, so that ties are common.
func candidatesGen(criteria int) *rapid.Generator[[]Candidate] {
	one := rapid.Custom(func(t *rapid.T) Candidate {
		c := Candidate{
			Key:    record.Key{rapid.Byte().Draw(t, "key") % 4},
			Index:  rapid.IntRange(0, 1000).Draw(t, "index"),
			Status: rapid.SampledFrom([]record.Status{record.OK, record.OK, record.OK, record.TooLong}).Draw(t, "status"),
		}
		if c.Status == record.OK {
			for range criteria {
				c.Ratings = append(c.Ratings, ratingOf(float64(rapid.IntRange(0, 5).Draw(t, "value")), 0.1,
					float64(rapid.IntRange(0, 2).Draw(t, "p1"))/4, 0, float64(rapid.IntRange(0, 2).Draw(t, "p3"))/4))
			}
		}
		return c
	})
	return rapid.Map(rapid.SliceOf(one), func(c []Candidate) []Candidate {
		for i := range c {
			c[i].Index = c[i].Index*1000 + i // no two are the same
		}
		return c
	})
}

func ruleGen() *rapid.Generator[Rule] {
	return rapid.Custom(func(t *rapid.T) Rule {
		var r Rule
		if rapid.Bool().Draw(t, "has min") {
			r.Min = ptr(float64(rapid.IntRange(-1, 5).Draw(t, "min")))
		}
		if rapid.Bool().Draw(t, "has prob") {
			r.MinProb = ptr(rapid.Float64Range(0.01, 1).Draw(t, "prob"))
		}
		switch rapid.IntRange(0, 2).Draw(t, "budget") {
		case 1:
			r.Top = ptr(rapid.IntRange(0, 12).Draw(t, "top"))
		case 2:
			r.TopPercent = ptr(rapid.Float64Range(0.1, 100).Draw(t, "percent"))
		}
		return r
	})
}

func count(verdicts []Verdict, d Decision) int {
	n := 0
	for _, v := range verdicts {
		if v.Decision == d {
			n++
		}
	}
	return n
}

func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		criteria := []string{"accuracy", "helpfulness", "style"}[:rapid.IntRange(1, 3).Draw(t, "criteria")]
		c := candidatesGen(len(criteria)).Draw(t, "candidates")
		value := func(c Candidate) float64 {
			least := math.Inf(1)
			for _, x := range c.Ratings {
				least = min(least, x.Value)
			}
			return least
		}
		r := ruleGen().Draw(t, "rule")
		if err := r.Validate(scale()); err != nil {
			t.Fatal(err)
		}
		verdicts := decide(r, criteria, c)

		// Every candidate has one decision, and review is for the unrated.
		if count(verdicts, Keep)+count(verdicts, Drop)+count(verdicts, Review) != len(c) {
			t.Fatalf("%d candidates, verdicts %v", len(c), verdicts)
		}
		unrated := 0
		for i, v := range verdicts {
			if (v.Decision == Review) != (c[i].Status != record.OK) || v.Reason == "" {
				t.Fatalf("candidate %+v: %v", c[i], v)
			}
			if c[i].Status != record.OK {
				unrated++
			}
		}
		rated := len(c) - unrated

		// The budget is exact.
		if r.Min == nil && r.MinProb == nil && r.Top != nil {
			if n := count(verdicts, Keep); n != min(*r.Top, rated) {
				t.Fatalf("kept %d of %d with budget %d", n, rated, *r.Top)
			}
		}
		free := r
		free.Top, free.TopPercent = nil, nil
		if r.limited() {
			if budget := r.budget(rated); budget >= 0 {
				if n, all := count(verdicts, Keep), count(decide(free, criteria, c), Keep); n != min(budget, all) {
					t.Fatalf("kept %d of %d that pass, with budget %d", n, all, budget)
				}
			}
		}

		// What is kept is no worse than what a budget dropped.
		if free.Min == nil && free.MinProb == nil && (r.Top != nil || r.TopPercent != nil) {
			for i, kept := range verdicts {
				for k, dropped := range verdicts {
					if kept.Decision == Keep && dropped.Decision == Drop && value(c[i]) < value(c[k]) {
						t.Fatalf("kept %+v, dropped %+v", c[i], c[k])
					}
				}
			}
		}

		// The order of the candidates does not matter.
		perm := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)).Perm(len(c))
		shuffled := make([]Candidate, len(c))
		for i, from := range perm {
			shuffled[i] = c[from]
		}
		for i, v := range decide(r, criteria, shuffled) {
			if v != verdicts[perm[i]] {
				t.Fatalf("%+v: %v, in another order %v", shuffled[i], verdicts[perm[i]], v)
			}
		}

		// What is kept passes by each criterion alone, and the other way round.
		for i, v := range decide(free, criteria, c) {
			alone := c[i].Status == record.OK
			for k, x := range c[i].Ratings {
				one := c[i]
				one.Ratings = []rating.Rating{x}
				alone = alone && decide(free, criteria[k:k+1], []Candidate{one})[0].Decision == Keep
			}
			if alone != (v.Decision == Keep) {
				t.Fatalf("%+v: %v, but by each criterion alone it is kept: %t", c[i], v, alone)
			}
		}

		// A higher minimum keeps nothing that a lower one drops.
		stricter := free
		stricter.Min = ptr(free.min() + rapid.Float64Range(0, 3).Draw(t, "more"))
		free.Min = ptr(free.min())
		loose := decide(free, criteria, c)
		for i, v := range decide(stricter, criteria, c) {
			if v.Decision == Keep && loose[i].Decision != Keep {
				t.Fatalf("%+v is kept with %v only", c[i], *stricter.Min)
			}
		}
	})
}
