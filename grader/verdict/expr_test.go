package verdict

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"winnow/grader/record"
)

// vocabulary has two criteria, one of which no text can spell as a name.
func vocabulary() Vocabulary {
	return Vocabulary{Criteria: []string{"accuracy", "to the point"}, Signals: []string{"nll", "ifd"}, Calibrated: true}
}

// subject is a candidate with something of everything.
func subject() Candidate {
	c := rated(3, 4.25, 0.1, 0.1, 0.2, 0.6)
	c.Ratings = append(c.Ratings, ratingOf(3.2, 0.2, 0.2, 0.3, 0.1))
	c.Ratings[0].Mode, c.Ratings[1].Mode = "5", "2.5"
	c.Ratings[0].Entropy, c.Ratings[1].Entropy = 1.1, 1.3
	c.Ratings[0].OffScale, c.Ratings[1].OffScale = 0.01, 0.2
	c.Signals, c.Calibrated = []float64{1.5, math.NaN()}, 0.75
	c.Position, c.Tokens, c.Truncated, c.Turns = 17, 120, true, 2
	c.Instruction, c.Input, c.Response = "Say hello.", "in Greek", "  Καλημέρα\tσας!\n"
	return c
}

func condition(t testing.TB, text string) *Condition {
	t.Helper()
	x, err := CompileCondition(text, vocabulary())
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func order(t testing.TB, text string) *Order {
	t.Helper()
	x, err := CompileOrder(text, vocabulary())
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestOrder(t *testing.T) {
	nan := math.NaN()
	c := subject()
	for text, want := range map[string]float64{
		"rating": 3.2, "mode": 2.5, "entropy": 1.3, "off_scale": 0.2, "tokens": 120, "length": 16, "words": 2, "turns": 2, "index": 17,
		"accuracy": 4.25, `criteria["accuracy"]`: 4.25, `criteria["to the point"]`: 3.2, "criteria.accuracy + 1": 5.25,
		"nll": 1.5, "ifd": nan, "calibrated": 0.75, "p(5)": 1.0 / 8, "p(2.5)": 0.5, "p(-1)": 1, "p(6)": 0, "1 - p(5)": 7.0 / 8,
		"rating - 0.1 * nll": 3.05, "-rating": -3.2, "length / 4": 4, "index % 10": 7, "2 ** 3": 8, "-words": -2,
		"min(rating, ifd)": nan, "min(ifd, rating)": nan, "max(rating, words, 3)": 3.2, "min(2)": 2, "log(exp(nll))": 1.5, "log(words - 2)": math.Inf(-1), "log(1)": 0,
		"abs(-nll)": 1.5, "round(rating)": 3, "floor(rating) + ceil(rating)": 7, "len(response)": 16, "len(trim(response))": 13,
		"truncated ? 1 : rating": 1, "turns > 5 ? 1 : rating": 3.2, "ifd < 1 ? 1 : 2": 2, "!(ifd < 1) ? 1 : 2": 2, "truncated ? (turns > 5 ? 1 : 2.5) + 1 : 0": 3.5,
		"if truncated { 1 } else { 2 }": 1, "words / 0": math.Inf(1), "(words - 2) / 0": nan,
	} {
		got, err := order(t, text).evaluation().number(scale(), &c)
		if err != nil || !(math.Abs(got-want) < 1e-12 || got == want || math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("%s is %v, %v, want %v", text, got, err, want)
		}
	}
}

func TestCondition(t *testing.T) {
	c := subject()
	for text, want := range map[string]bool{
		"rating >= 3.2": true, "rating > 3.2": false, "rating >= 3 && nll < 2 && length < 2048": true, "rating >= 4 or calibrated > 0.5": true,
		"truncated": true, "not truncated": false, "!truncated || turns == 2": true, "!!truncated": true, "true": true, "!true": false,
		`response contains "σας"`: true, `response matches "^\\s+Κ"`: true, `instruction startsWith "Say"`: true, `input endsWith "Greek"`: true,
		`lower(instruction) == "say hello."`: true, `instruction != "x"`: true, `input not contains "Latin"`: true, `upper(input) in ["IN GREEK", "x"]`: true,
		"mode in [2.5, 5]": true, "mode not in [2.5, 5]": false, "turns in [1, 2]": true, "turns not in [1, 2]": false, "rating not in [1, 2.5]": true, "not (mode not in [2.5])": true,
		"mode == 2.5": true, "mode != 2.5": false, "turns != 2.0": false, "2.0 != turns": false, "nll != 2": true, "tokens != 120": false,

		// What is undefined keeps nothing, whichever way it is asked.
		"ifd < 1": false, "ifd >= 1": false, "!(ifd < 1)": false, "not (ifd >= 1)": false, "ifd == ifd": false, "ifd != 1": false, "1 != ifd": false, "!(ifd == 1)": false,
		"!(ifd != 1)": false, "ifd in [1, 2]": false, "ifd not in [1, 2]": false, "not (ifd not in [1])": false, "!(rating > 1 && ifd < 1)": false, "!(rating < 1 || ifd < 1)": false,
		"!(ifd < 1 ? true : ifd < 2)": false, "!(!(ifd < 1))": false, "not (ifd < nll)": false, "not not (ifd < nll)": false, "ifd * 0 == 0": false, "ifd < 1 || rating > 3": true,
		"!(rating > 4 && ifd < 1)": true, "!(accuracy < 4 || mode < 2)": true, "min(ifd, 1) < 2": false, "!(ifd > 1) || !(ifd <= 1)": false,
		"truncated ? !(ifd < 1) : true": false, "(ifd < 1) == true": false, "(ifd < 1) == false": true, "ifd < 1 ? false : true": true, "truncated == true": true, "!(truncated == true)": false, "truncated != true": false,
	} {
		got, err := condition(t, text).evaluation().holds(scale(), &c)
		if err != nil || got != want {
			t.Errorf("%s is %t, %v, want %t", text, got, err, want)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	deep := strings.Repeat("(", 2000) + "rating" + strings.Repeat(")", 2000)
	if _, err := CompileOrder(deep, vocabulary()); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"":                             "the expression is empty",
		" \t":                          "the expression is empty",
		"rating":                       "want a condition, such as rating >= 4",
		"rating >=":                    "at character 9: unexpected token EOF",
		"rating >= 4 &":                "at character",
		"ratings >= 4":                 `at character 1: there is no "ratings": want one of rating, mode, entropy`,
		"rating >= 4 && ppl < 2":       "at character 16: the scores file has no ppl: grade with --signals nll",
		"ifd_plain < 2":                "has no ifd_plain: grade with --signals ifd-plain",
		"instruction_tokens < 2":       "grade with --signals tokens",
		"criteria > 1":                 `criteria needs one of its names: criteria["accuracy"], criteria["to the point"]`,
		`criteria["speed"] > 1`:        `no criterion "speed": want criteria["accuracy"]`,
		"criteria[0] > 1":              "each by its name in quotes",
		"criteria[accuracy] > 1":       "each by its name in quotes",
		"criteria?.accuracy > 1":       "no part of the language",
		`$env["rating"] > 1`:           "only criteria has members",
		"$env == 1":                    `there is no "$env"`,
		`rating > "4"`:                 "at character 8: invalid operation",
		"response > 4":                 "invalid operation",
		"rating && truncated":          "invalid operation",
		"rating + truncated > 1":       "invalid operation",
		"accuracy % 2 == 1":            "invalid operation",
		"!rating":                      "at character 1: invalid operation",
		"p > 0.5":                      `there is no "p"`,
		"p() > 0.5":                    "want p of a number",
		"p(rating) > 0.5":              "want p of a number",
		"p(1, 2) > 0.5":                "want p of a number",
		"min() > 1":                    "not enough arguments to call min",
		`min("a") > 1`:                 "cannot use string as argument",
		"log(1, 2) > 1":                "too many arguments to call log",
		"len(rating) > 1":              "invalid argument for len",
		"all(1..9, # > 1)":             `there is no function "all"`,
		"now() > now()":                `there is no function "now"`,
		`repeat(response, 9) == ""`:    `there is no function "repeat"`,
		"response.foo() == 1":          "no part of the language",
		"rating in 1..3":               "want a list behind in",
		"rating in [1, ifd]":           "want only numbers or only texts",
		"1..9 == 2":                    "there is no operator .. here",
		"(rating ?? 1) > 2":            "there is no operator ?? here",
		"[1, 2] == [1, 2]":             "a list can only stand behind in",
		"{a: 1}.a == 1":                "only criteria has members",
		"let x = rating; x > 1":        "no part of the language",
		"rating > 1; rating > 2":       "no part of the language",
		"nil == nil":                   "no part of the language",
		"response[1:2] == input":       "no part of the language",
		"response matches input":       "want a pattern in quotes",
		`response matches "("`:         "error parsing regexp",
		"response + input == input":    "texts cannot be joined",
		"(truncated ? 1 : input) == 1": "want two results of the same type",
		"truncated ? rating : true":    "want two results of the same type",
		strings.Repeat(" ", 5000) + strings.Repeat("!", 5000) + "truncated": "want at most 4096",
	} {
		x, err := CompileCondition(text, vocabulary())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, %v, want %q", text, x, err, want)
		}
	}
	for _, text := range []string{"rating > 4", "response", "truncated ? input : response"} {
		if _, err := CompileOrder(text, vocabulary()); err == nil || !strings.Contains(err.Error(), "want a number, such as rating") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := CompileCondition("calibrated > 0.5", Vocabulary{}); err == nil || !strings.Contains(err.Error(), "grade with --calibration FILE") {
		t.Error(err)
	}
}

// A name of the language goes before a criterion's; both can be asked for.
func TestNamesClash(t *testing.T) {
	v := Vocabulary{Criteria: []string{"length", "nll"}}
	c := rated(0, 4, even...)
	c.Ratings, c.Response = append(c.Ratings, ratingOf(2, even...)), "123456"
	for text, want := range map[string]float64{"length": 6, `criteria["length"]`: 4, "criteria.nll": 2} {
		x, err := CompileOrder(text, v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := x.evaluation().number(scale(), &c); err != nil || got != want {
			t.Errorf("%s is %v, %v, want %v", text, got, err, want)
		}
	}
	if _, err := CompileOrder("nll", v); err == nil || !strings.Contains(err.Error(), "--signals nll") {
		t.Errorf("nll: %v", err)
	}
}

func TestDecideWhere(t *testing.T) {
	few := func(values ...float64) (list []Candidate) {
		for i, x := range values {
			c := subject()
			c.Key, c.Position, c.Turns = record.Key{byte(i)}, i, i+1
			c.Ratings[1].Value, c.Signals = x, []float64{-x, math.NaN()}
			list = append(list, c)
		}
		return list
	}
	missing := Candidate{Status: record.TooLong, Reason: "9000 tokens"}
	short := few(4)[0]
	short.Signals = nil
	for name, tc := range map[string]struct {
		rule Rule
		in   []Candidate
		want []string
	}{
		"where alone": {Rule{Where: condition(t, "rating >= 3.5 && length < 20")}, append(few(4, 3), missing),
			[]string{"keep: where rating >= 3.5 && length < 20: rating 4.00, length 16", "drop: where rating >= 3.5 && length < 20: rating 3.00, length 16", "review: too_long: 9000 tokens"}},
		"always":     {Rule{Where: condition(t, "true")}, append(few(0), missing), []string{"keep: where true", "review: too_long: 9000 tokens"}},
		"texts":      {Rule{Where: condition(t, `response contains "!"`)}, few(0), []string{`keep: where response contains "!"`}},
		"close":      {Rule{Where: condition(t, " rating >= 3.5 ")}, few(3.499), []string{"drop: where rating >= 3.5: rating 3.499"}},
		"undefined":  {Rule{Where: condition(t, "rating > 1 && ifd < 1")}, few(4), []string{"drop: where rating > 1 && ifd < 1: rating 4.00, ifd undefined"}},
		"no signals": {Rule{Where: condition(t, "nll < 1")}, []Candidate{short}, []string{"drop: where nll < 1: nll undefined"}},
		"others": {Rule{Where: condition(t, `p(5) > 1 || criteria["to the point"] > 5 || p(5.0) < 0 || !truncated`)}, few(4),
			[]string{`drop: where p(5) > 1 || criteria["to the point"] > 5 || p(5.0) < 0 || !truncated: p(5) 0.13, criteria["to the point"] 4.00, truncated true`}},
		"and min": {Rule{Min: ptr(3.5), Where: condition(t, "nll < -4")}, few(3, 4, 5),
			[]string{"drop: to the point rated 3.00, below 3.5", "drop: to the point rated 4.00, at least 3.5, where nll < -4: nll -4.00", "keep: accuracy rated 4.25, at least 3.5, where nll < -4: nll -5.00"}},
		"and top": {Rule{Top: ptr(1), Where: condition(t, "rating < 4")}, few(4, 3, 2),
			[]string{"drop: where rating < 4: rating 4.00", "keep: where rating < 4: rating 3.00, to the point rated 3.00, rank 1 of 2, budget 1", "drop: where rating < 4: rating 2.00, to the point rated 2.00, rank 2 of 2, budget 1"}},
		"percent of the rated": {Rule{TopPercent: ptr(50.0), Where: condition(t, "rating < 4")}, append(few(4, 3, 2, 1), missing),
			[]string{"drop: where rating < 4: rating 4.00", "keep: where rating < 4: rating 3.00, to the point rated 3.00, rank 1 of 3, budget 2", "keep: where rating < 4: rating 2.00, to the point rated 2.00, rank 2 of 3, budget 2",
				"drop: where rating < 4: rating 1.00, to the point rated 1.00, rank 3 of 3, budget 2", "review: too_long: 9000 tokens"}},
		"by": {Rule{Top: ptr(2), By: order(t, "nll")}, few(3, 1, 2),
			[]string{"drop: by nll: -3.00, rank 3 of 3, budget 2", "keep: by nll: -1.00, rank 1 of 3, budget 2", "keep: by nll: -2.00, rank 2 of 3, budget 2"}},
		"by, undefined last": {Rule{Top: ptr(1), By: order(t, "turns == 2 ? -9e9 : ifd")}, few(3, 1, 2),
			[]string{"drop: by turns == 2 ? -9e9 : ifd: undefined, rank 2 of 3, budget 1", "keep: by turns == 2 ? -9e9 : ifd: -9000000000.00, rank 1 of 3, budget 1", "drop: by turns == 2 ? -9e9 : ifd: undefined, rank 3 of 3, budget 1"}},
		"by, tie": {Rule{Top: ptr(1), By: order(t, "tokens")}, few(3, 1, 3.5),
			[]string{"drop: by tokens: 120.00, rank 2 of 3, budget 1", "drop: by tokens: 120.00, rank 3 of 3, budget 1", "keep: by tokens: 120.00, rank 1 of 3, budget 1"}},
	} {
		if err := tc.rule.Validate(scale()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := told(decide(tc.rule, vocabulary().Criteria, tc.in)); !slices.Equal(got, tc.want) {
			t.Errorf("%s:\n%q\nwant\n%q", name, got, tc.want)
		}
	}
	if err := (Rule{By: order(t, "nll")}).Validate(scale()); err == nil || !strings.Contains(err.Error(), "give how many to keep") {
		t.Errorf("an order without a budget: %v", err)
	}
}

// An error while a record is judged is kept until it is asked for.
func TestRunError(t *testing.T) {
	c, other := subject(), subject()
	other.Turns = 1
	s := Rule{Where: condition(t, "index % (turns - 1) == 0")}.Select(scale(), vocabulary().Criteria)
	if s.Passes(c); s.Err() != nil {
		t.Fatal(s.Err())
	}
	if s.Passes(other) || s.Err() == nil || s.Err().Error() != "index % (turns - 1) == 0: at character 7: runtime error: integer divide by zero" {
		t.Fatal(s.Err())
	}
	if s.Passes(c); s.Err() == nil {
		t.Fatal("the error is gone")
	}
	s = Rule{Top: ptr(1), By: order(t, "index % (turns - 1)")}.Select(scale(), vocabulary().Criteria)
	if s.Add(other); s.Err() == nil {
		t.Fatal("an order that divides by zero has no error")
	}
}

// Limits and orders mean the same as expressions as they do as flags.
func TestWhereLaws(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var list []Candidate
		for i := range rapid.IntRange(0, 30).Draw(rt, "records") {
			c := rated(i, rapid.Float64Range(0, 5).Draw(rt, "accuracy"), rapid.SliceOfN(rapid.Float64Range(0.01, 1), 4, 4).Draw(rt, "p")...)
			c.Ratings = append(c.Ratings, ratingOf(float64(rapid.IntRange(0, 10).Draw(rt, "the other"))/2, even...))
			if rapid.IntRange(0, 9).Draw(rt, "unrated") == 0 {
				c.Status = record.OffScale
			}
			list = append(list, c)
		}
		limit := float64(rapid.IntRange(0, 10).Draw(rt, "limit")) / 2
		share := float64(rapid.IntRange(1, 9).Draw(rt, "share")) / 10
		for text, r := range map[string]Rule{
			fmt.Sprintf("rating >= %v", limit):       {Min: &limit},
			fmt.Sprintf("!(rating < %v)", limit):     {Min: &limit},
			fmt.Sprintf("p(%v) >= %v", limit, share): {Min: &limit, MinProb: &share},
		} {
			for _, top := range []*int{nil, ptr(5)} {
				a, b := r, Rule{Where: condition(t, text), Top: top}
				a.Top = top
				if top != nil {
					b.By = order(t, "rating")
				}
				got, want := decide(b, vocabulary().Criteria, list), decide(a, vocabulary().Criteria, list)
				for i := range list {
					if got[i].Decision != want[i].Decision {
						rt.Fatalf("%s, record %d: %v, want %v", text, i, got[i], want[i])
					}
				}
			}
		}
	})
}

// FuzzCompile feeds texts to the compiler: what compiles runs in bounded time and comes
// out the same each time.
func FuzzCompile(f *testing.F) {
	for _, text := range []string{
		"rating >= 4 && ifd < 1 && length < 2048", `criteria["to the point"] - 0.1 * nll`, "!(p(4.5) > 0.5 ? truncated : mode not in [1, 2.5])", "index % (turns - 1) == 0",
		`lower(response) matches "a(b|c)*" or input contains "x"`, "min(rating, 2 ** words, log(exp(nll)))", "let x = 1; x", "all(1..9, {# > 1})", "{a: [1]}.a", `::p("\x00")`, "response | trim() | len() > 1", "if true { 1 } else { 2 }", "((((",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := vocabulary()
		c := subject()
		began := time.Now()
		var x *evaluation
		if cond, err := CompileCondition(text, v); err == nil {
			x = cond.evaluation()
		} else if ord, err := CompileOrder(text, v); err == nil {
			x = ord.evaluation()
		} else if err.Error() == "" {
			t.Fatal("an error says nothing")
		} else {
			return
		}
		a, errA := x.run(scale(), &c)
		seen := x.seen()
		b, errB := x.run(scale(), &c)
		if fmt.Sprint(a, errA, seen) != fmt.Sprint(b, errB, x.seen()) {
			t.Fatalf("%q: %v, %v and then %v, %v", text, a, errA, b, errB)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Fatalf("%q took %v", text, took)
		}
	})
}

// BenchmarkWhere decides on 100,000 records by an expression; the same by a limit alone
// is beside it.
func BenchmarkWhere(b *testing.B) {
	const records = 100_000
	for name, r := range map[string]Rule{
		"where": {Where: condition(b, "rating >= 4 && nll < 1 && length < 2048"), Top: ptr(1000), By: order(b, "rating - 0.1 * nll")},
		"min":   {Min: ptr(4.0), Top: ptr(1000)},
	} {
		b.Run(name, func(b *testing.B) {
			c := subject()
			for b.Loop() {
				s := r.Select(scale(), vocabulary().Criteria)
				for i := range records {
					c.Ratings[1].Value, c.Position = 3+float64(i%20)/10, i
					s.Add(c)
				}
				kept := 0
				for i := range records {
					c.Ratings[1].Value, c.Position = 3+float64(i%20)/10, i
					if s.Verdict(i, c).Decision == Keep {
						kept++
					}
				}
				if s.Err() != nil {
					b.Fatal(s.Err())
				}
			}
			b.ReportMetric(records, "records/op")
		})
	}
}
