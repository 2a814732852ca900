package verdict

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"winnow/grader/rating"
	"winnow/grader/signal"
)

// Vocabulary is what a scores file knows of each record, so that expressions can name it.
type Vocabulary struct {
	Criteria   []string // of Candidate.Ratings, in their order
	Signals    []string // of Candidate.Signals, in their order
	Calibrated bool     // whether it has Candidate.Calibrated
}

// leaf is a name in an expression, or another thing that a candidate gives it.
type leaf struct {
	name  string // in the program's environment
	label string // for people
	zero  any    // a value of its type: float64, int, bool or string
	of    func(rating.Scale, *Candidate) any
}

// named makes a leaf whose name is its label.
func named[T any](name string, of func(rating.Scale, *Candidate) T) leaf {
	var zero T
	return leaf{name, name, zero, func(s rating.Scale, c *Candidate) any { return of(s, c) }}
}

// builtins are the names that every scores file can give.
var builtins = []leaf{
	named("rating", func(_ rating.Scale, c *Candidate) float64 {
		return least(c, func(r *rating.Rating) float64 { return r.Value })
	}),
	named("mode", func(s rating.Scale, c *Candidate) float64 {
		return least(c, func(r *rating.Rating) float64 {
			if i := slices.Index(s.Strings, r.Mode); i >= 0 {
				return s.Values[i]
			}
			return math.NaN()
		})
	}),
	named("entropy", func(_ rating.Scale, c *Candidate) float64 {
		return -least(c, func(r *rating.Rating) float64 { return -r.Entropy })
	}),
	named("off_scale", func(_ rating.Scale, c *Candidate) float64 {
		return -least(c, func(r *rating.Rating) float64 { return -r.OffScale })
	}),
	named("tokens", func(_ rating.Scale, c *Candidate) int { return c.Tokens }),
	named("truncated", func(_ rating.Scale, c *Candidate) bool { return c.Truncated }),
	named("length", func(_ rating.Scale, c *Candidate) int { return utf8.RuneCountInString(c.Response) }),
	named("words", func(_ rating.Scale, c *Candidate) int { return words(c.Response) }),
	named("instruction", func(_ rating.Scale, c *Candidate) string { return c.Instruction }),
	named("input", func(_ rating.Scale, c *Candidate) string { return c.Input }),
	named("response", func(_ rating.Scale, c *Candidate) string { return c.Response }),
	named("turns", func(_ rating.Scale, c *Candidate) int { return max(1, c.Turns) }),
	named("index", func(_ rating.Scale, c *Candidate) int { return c.Position }),
}

const (
	criteriaName   = "criteria"
	calibratedName = "calibrated"
)

// least returns the least of what the ratings give; NaN if one of them gives that.
func least(c *Candidate, of func(*rating.Rating) float64) float64 {
	value := math.Inf(1)
	for i := range c.Ratings {
		value = min(value, of(&c.Ratings[i]))
	}
	return value
}

// words counts what stands between white space.
func words(s string) (n int) {
	inside := false
	for _, r := range s {
		space := unicode.IsSpace(r)
		if !space && !inside {
			n++
		}
		inside = !space
	}
	return n
}

// criterion is the leaf of a criterion's expected value.
func criterion(name, label string, nth int) leaf {
	return leaf{name, label, 0.0, func(_ rating.Scale, c *Candidate) any {
		if nth < len(c.Ratings) {
			return c.Ratings[nth].Value
		}
		return math.NaN()
	}}
}

// atLeast is the leaf of the probability of a rating of min or more.
func atLeast(min float64) leaf {
	return leaf{atLeastName(min), "p(" + number(min) + ")", 0.0, func(s rating.Scale, c *Candidate) any {
		return least(c, func(r *rating.Rating) float64 { return s.AtLeast(r.Probs, min) })
	}}
}

// The program's names of what is no name in the text have a space, so that no text can
// spell them.
func atLeastName(min float64) string        { return "p " + number(min) }
func criterionName(criterion string) string { return criteriaName + " " + criterion }

// lookup returns the leaf of a name in the text. A name of this package goes before a
// criterion of the same name.
func (v Vocabulary) lookup(name string) (leaf, error) {
	if i := slices.IndexFunc(builtins, func(l leaf) bool { return l.name == name }); i >= 0 {
		return builtins[i], nil
	}
	if nth := slices.Index(v.Signals, name); nth >= 0 {
		return named(name, func(_ rating.Scale, c *Candidate) float64 {
			if nth < len(c.Signals) {
				return c.Signals[nth]
			}
			return math.NaN()
		}), nil
	}
	if groups, err := signal.Of([]string{name}); err == nil {
		return leaf{}, fmt.Errorf("the scores file has no %s: grade with --signals %s", name, groups)
	}
	if name == calibratedName {
		if v.Calibrated {
			return named(name, func(_ rating.Scale, c *Candidate) float64 { return c.Calibrated }), nil
		}
		return leaf{}, fmt.Errorf("the scores file has no %s: grade with --calibration FILE", name)
	}
	if nth := slices.Index(v.Criteria, name); nth >= 0 {
		return criterion(name, name, nth), nil
	}
	if name == criteriaName {
		return leaf{}, fmt.Errorf("%s needs one of its names: %s", name, v.criteria())
	}
	return leaf{}, fmt.Errorf("there is no %q: want one of %s", name, strings.Join(v.names(), ", "))
}

// member returns the leaf of criteria["name"].
func (v Vocabulary) member(name string) (leaf, error) {
	nth := slices.Index(v.Criteria, name)
	if nth < 0 {
		return leaf{}, fmt.Errorf("the scores file has no criterion %q: want %s", name, v.criteria())
	}
	return criterion(criterionName(name), fmt.Sprintf("%s[%q]", criteriaName, name), nth), nil
}

// criteria lists what can be asked for by criteria.
func (v Vocabulary) criteria() string {
	var list []string
	for _, name := range v.Criteria {
		list = append(list, fmt.Sprintf("%s[%q]", criteriaName, name))
	}
	return strings.Join(list, ", ")
}

// names lists what an expression can name.
func (v Vocabulary) names() (list []string) {
	for _, l := range builtins {
		list = append(list, l.name)
	}
	list = append(list, "p(X)")
	list = append(list, v.Signals...)
	if v.Calibrated {
		list = append(list, calibratedName)
	}
	return append(list, v.criteria())
}
