package calibration

import (
	"fmt"
	"math"
	"slices"

	"winnow/grader/metric"
	"winnow/grader/signal"
)

// Names of the baselines.
const (
	theRating  = "rating"
	theLength  = "length"
	theLengths = "lengths"
	theIFD     = "ifd"
)

// measure fills in the table and the first curve.
func (t *trainer) measure(f *File, list []method) error {
	s := newSheet(t.holdout)
	rating := make([]float64, len(t.holdout))
	for i := range t.holdout {
		rating[i] = t.holdout[i].Entry.Value()
	}
	ratingCV := make([]float64, len(t.train))
	for i := range t.train {
		ratingCV[i] = t.train[i].Entry.Value()
	}
	auc, _ := newSheet(t.train).rank(ratingCV).auc(nil)
	all := []judged{{result: &Result{Method: theRating, Means: "the rating as it is", Baseline: true, TrainAUC: Figure(auc), TrainLoss: Figure(math.NaN())}, z: rating}}
	baseline := func(name, means string, of ...func(*Example) float64) error {
		z, err := curved(t.train, t.keep, t.holdout, of)
		if err != nil {
			return fmt.Errorf("baseline %s: %w", name, err)
		}
		all = append(all, judged{result: &Result{Method: name, Means: means, Baseline: true, TrainAUC: Figure(math.NaN()), TrainLoss: Figure(math.NaN())}, z: z, probs: true})
		return nil
	}
	length := func(e *Example) float64 { return math.Log1p(max(e.Length, 0)) }
	if err := baseline(theLength, "the response's length alone", length); err != nil {
		return err
	}
	if i := slices.Index(t.layout.names, signal.InstructionTokens); i >= 0 {
		asked := func(e *Example) float64 { return shaped(signal.InstructionTokens, e.Entry.Signals[t.layout.at[i]]) }
		if err := baseline(theLengths, "the lengths of instruction and response", length, asked); err != nil {
			return err
		}
	}
	if i := slices.Index(t.layout.names, signal.IFD); i >= 0 {
		if err := baseline(theIFD, "instruction-following difficulty alone", func(e *Example) float64 { return e.Entry.Signals[t.layout.at[i]] }); err != nil {
			return err
		}
	}
	for _, m := range list {
		fit := t.fits[m.name]
		z, err := fit.logOdds(t.layout, t.holdout)
		if err != nil {
			return err
		}
		r := &Result{Method: m.name, Means: m.means, Strength: fit.strength, TrainAUC: Figure(fit.auc), TrainLoss: Figure(fit.loss)}
		all = append(all, judged{result: r, z: z, probs: true})
	}
	for i := range all {
		all[i].rank = s.rank(all[i].z)
	}
	rate := make([]float64, len(t.holdout))
	for i := range rate {
		rate[i] = logit(baseRate(t.keep))
	}
	platt, err := t.learn(*named("platt"))
	if err != nil {
		return err
	}
	line, err := platt.logOdds(t.layout, t.holdout)
	if err != nil {
		return err
	}
	basis := func(r *Result) []float64 {
		if onRating(r.Method) || r.Baseline {
			return rate
		}
		return line
	}
	if err := measure(t.ctx, s, all, 0, 1, basis, metric.Resampling{Resamples: t.o.Resamples, Seed: t.o.Seed, Level: level}); err != nil {
		return err
	}
	for _, j := range all {
		f.Evidence.Methods = append(f.Evidence.Methods, *j.result)
	}
	return nil
}

// onRating reports whether a method reads nothing but the rating. Such a one cannot
// order records in a new way, only give probabilities: its log loss is compared with
// that of the share of records to keep.
func onRating(name string) bool { return name == "platt" || name == "isotonic" }

// curved is a logistic regression on a few numbers, their squares and products,
// measured on others.
func curved(train []Example, keep []bool, on []Example, of []func(*Example) float64) ([]float64, error) {
	row := func(e *Example) (r []float64) {
		for _, f := range of {
			x, undefined := f(e), 0.0
			if math.IsNaN(x) || math.IsInf(x, 0) {
				x, undefined = math.NaN(), 1
			}
			r = append(r, x, undefined)
		}
		return r
	}
	s := space{}
	raw := make([][]float64, len(train))
	for i := range train {
		raw[i] = row(&train[i])
	}
	for i := range of {
		s.block = append(s.block, 1, 1)
		for j := i; j < len(of); j++ {
			s.pairs = append(s.pairs, [2]int{2 * i, 2 * j})
		}
	}
	s.standardise(raw)
	rows := make([][]float64, len(raw))
	for i := range raw {
		rows[i] = s.row(raw[i])
	}
	learners, err := fitLinear(rows, keep, light)
	if err != nil {
		return nil, err
	}
	z := make([]float64, len(on))
	for i := range on {
		z[i] = learners[0].logit(s.row(row(&on[i])))
	}
	return z, nil
}

// curves shows what the rating and the chosen method said of the hold-out.
func (t *trainer) curves(f *File, best *fit) error {
	z, err := best.logOdds(t.layout, t.holdout)
	if err != nil {
		return err
	}
	values := f.Judge.Scale.Values
	low, high := values[0], values[len(values)-1]
	before, after, keep := make([]float64, len(z)), make([]float64, len(z)), make([]bool, len(z))
	for i := range t.holdout {
		e := &t.holdout[i]
		before[i], after[i], keep[i] = (e.Entry.Value()-low)/(high-low), probability(z[i]), e.Keep
	}
	f.Evidence.Before, f.Evidence.After = curve(before, keep), curve(after, keep)
	return nil
}
