package audit

import (
	"math"
	"slices"

	"winnow/grader/metric"
)

// Drift is how the sampled records' ratings move where nothing of the records changed.
type Drift struct {
	Name     string          `json:"name"`
	Text     string          `json:"text"`
	Exact    bool            `json:"exact"`   // the ratings must be equal to the last bit
	Records  int             `json:"records"` // with both ratings
	Equal    int             `json:"equal"`   // of these, to the last bit
	Max      metric.Figure   `json:"abs_max"`
	Mean     metric.Figure   `json:"abs_mean"`
	Spearman metric.Estimate `json:"spearman"`
	Flips    int             `json:"flips"` // records that are kept at the cut by one rating alone
	Result
}

func (a *auditor) drift(g Again) Drift {
	d := Drift{Name: g.Name, Text: g.Text, Exact: g.Exact, Max: metric.Figure(math.NaN())}
	var x, y, differences []float64
	for i, e := range a.base {
		v, ok := a.rating(g.Ratings, a.plan.sample.Records[i])
		if !ok || e == nil {
			continue
		}
		x, y, differences = append(x, e.Value()), append(y, v), append(differences, math.Abs(v-e.Value()))
		if v == e.Value() {
			d.Equal++
		}
		if (v >= a.o.Min) != (e.Value() >= a.o.Min) {
			d.Flips++
		}
	}
	d.Records, d.Mean, d.Spearman = len(x), mean(differences), a.spearman(x, y)
	if len(differences) > 0 {
		d.Max = metric.Figure(slices.Max(differences))
	}
	d.Result = judgeDrift(d, a.scope)
	return d
}

// Canary is how a change of the response moved the rating.
type Canary struct {
	Name    string          `json:"name"`
	Text    string          `json:"text"`
	Aim     Aim             `json:"aim"`
	Made    int             `json:"made"`    // variants
	Records int             `json:"records"` // with both ratings
	Median  metric.Estimate `json:"median"`  // of the change: the variant's rating less the record's own
	P10     metric.Figure   `json:"p10"`
	P90     metric.Figure   `json:"p90"`
	Mean    metric.Figure   `json:"mean"`
	Up      int             `json:"crossed_up"` // variants that are kept at the cut where the record itself is not
	Down    int             `json:"crossed_down"`
	Result
}

func (a *auditor) canary(f flock) Canary {
	c := Canary{Name: f.name, Text: f.text, Aim: f.aim, Made: len(f.made)}
	var changes []float64
	for k, rec := range f.made {
		e := a.base[f.of[k]]
		v, ok := a.rating(a.known, rec)
		if !ok || e == nil {
			continue
		}
		before := e.Value()
		changes = append(changes, v-before)
		switch {
		case before < a.o.Min && v >= a.o.Min:
			c.Up++
		case before >= a.o.Min && v < a.o.Min:
			c.Down++
		}
	}
	slices.Sort(changes)
	c.Records, c.Mean = len(changes), mean(changes)
	c.P10, c.P90 = metric.Figure(metric.Quantile(changes, 0.1)), metric.Figure(metric.Quantile(changes, 0.9))
	c.Median = a.estimates(len(changes), 1, func(w []int32, out []float64) {
		drawn := make([]float64, 0, len(changes))
		for i, x := range changes {
			for range times(w, i) {
				drawn = append(drawn, x)
			}
		}
		out[0] = metric.Quantile(drawn, 0.5)
	})[0]
	c.Result = judgeCanary(c, a.scope)
	return c
}
