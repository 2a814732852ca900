package calibration

import (
	"fmt"
	"slices"
	"strings"
)

// learner is what was learned: log-odds of a row of its space.
type learner interface {
	logit(row []float64) float64
	validate(width int) error
	name() string
}

// method is a way to learn a correction.
type method struct {
	name   string
	means  string // for people
	groups []Group
	needs  []Group // groups without which it would be another method
	raw    bool
	square bool // products of columns

	strengths []float64 // what is tried, one learner each
	fit       func(rows [][]float64, keep []bool, strengths []float64) ([]learner, error)

	of []string // averages these methods' log-odds
}

// light is the penalty where there are few columns.
var light = []float64{0.0003}

// methods from the simplest to the least simple.
var methods = []method{
	{name: "platt", means: "logistic regression on the rating", groups: []Group{Ratings}, strengths: light, fit: fitLinear},
	{name: "isotonic", means: "monotone steps on the rating", groups: []Group{Value}, raw: true, strengths: []float64{0},
		fit: func(rows [][]float64, keep []bool, _ []float64) ([]learner, error) { return fitIsotonic(rows, keep) }},
	{name: "distribution", means: "logistic regression on the ratings' distributions", groups: []Group{Ratings, Distribution}, strengths: penalties, fit: fitLinear},
	{name: "signals", means: "logistic regression on distributions and signals", groups: []Group{Ratings, Distribution, Signals}, needs: []Group{Signals}, strengths: penalties, fit: fitLinear},
	{name: "signals2", means: "the same with squares and products", groups: []Group{Ratings, Distribution, Signals}, needs: []Group{Signals}, square: true, strengths: penalties, fit: fitLinear},
	{name: "boosted", means: "boosted trees on distributions and signals", groups: []Group{Ratings, Distribution, Signals}, strengths: treeCounts, fit: fitTrees},
	{name: "hidden", means: "logistic regression on the hidden state", groups: []Group{HiddenState}, needs: []Group{HiddenState}, strengths: penalties, fit: fitLinear},
	{name: "everything", means: "logistic regression on distributions, signals and the hidden state", groups: []Group{Ratings, Distribution, Signals, HiddenState}, needs: []Group{HiddenState}, strengths: penalties, fit: fitLinear},
	{name: "average", means: "mean log-odds of boosted and hidden", needs: []Group{HiddenState}, of: []string{"boosted", "hidden"}},
}

// Methods names the methods, the simplest first.
func Methods() []string {
	var names []string
	for _, m := range methods {
		names = append(names, m.name)
	}
	return names
}

// ParseMethods reads names with commas between; "all" alone is every method that the
// scores allow, and nil.
func ParseMethods(list string) ([]string, error) {
	if strings.TrimSpace(list) == "all" || list == "" {
		return nil, nil
	}
	var names []string
	for _, name := range strings.Split(list, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(Methods(), name) {
			return nil, fmt.Errorf("no method %q: want %s, or all alone for each that the scores allow", name, strings.Join(Methods(), ", "))
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// chosen are the methods of these names, or all, that the layout allows.
func chosen(names []string, l *layout) ([]method, error) {
	var out []method
	for _, m := range methods {
		if len(names) > 0 && !slices.Contains(names, m.name) {
			continue
		}
		lacks := slices.IndexFunc(m.needs, func(g Group) bool { return !l.has(g) })
		switch {
		case lacks >= 0 && len(names) > 0:
			what := "--signals all"
			if m.needs[lacks] == HiddenState {
				what = "--signals hidden"
			}
			return nil, fmt.Errorf("the method %s needs what the scores file does not have: grade with %s", m.name, what)
		case lacks >= 0:
			continue
		}
		out = append(out, m)
	}
	return out, nil
}

func named(name string) *method {
	return &methods[slices.IndexFunc(methods, func(m method) bool { return m.name == name })]
}
