package calibration

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"

	"winnow/grader/record"
)

// Crossed is what was said of a labelled record by what was learned without its fold.
type Crossed struct {
	Key         record.Key
	Keep        bool
	Probability float64
}

// CrossFit learns as Train does, but from all of the labelled records: none are held
// out. The file's method is chosen by cross-validation, and so are the only figures of
// its evidence; it is neither accepted nor refused. Beside it are the probabilities of
// the records, in order of their keys, each by what was learned without the record's
// fold. The choice of the method and of its strength of regularisation has seen them
// all, so that they are a little too good.
func CrossFit(ctx context.Context, in *Labelled, o Options) (*File, []Crossed, error) {
	l, err := layoutOf(in.Manifest, nil)
	if err != nil {
		return nil, nil, err
	}
	list, err := chosen(o.Methods, &l)
	if err != nil {
		return nil, nil, err
	}
	t := &trainer{ctx: ctx, o: o, layout: l, fits: map[string]*fit{}}
	t.train = slices.Clone(in.Examples)
	slices.SortFunc(t.train, func(a, b Example) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	for i := range t.train {
		e := &t.train[i]
		if err := l.check(&e.Entry, true); err != nil {
			return nil, nil, fmt.Errorf("record %s: %w", e.Key, err)
		}
		t.keep = append(t.keep, e.Keep)
	}
	f := &File{Kind: fileKind, Version: fileVersion, Reason: "learned from all labels: nothing was held out to measure it on", Evidence: Evidence{
		LabelsSHA256: o.LabelsSHA256, RecordsSHA256: fingerprint(t.train),
		Labels: in.Labels, Unknown: in.Unknown, Unrated: in.Unrated,
		Train: count(t.train), Seed: o.Seed, Folds: o.Folds, Lengths: o.Lengths,
	}}
	p := f.Evidence.Train
	if want := least * o.Folds; o.Folds < 2 || p.Keep < want || p.Records-p.Keep < want {
		return nil, nil, fmt.Errorf("too few labels for %d folds: %d records to keep and %d to drop, want at least 2 folds and %d of each", o.Folds, p.Keep, p.Records-p.Keep, want)
	}
	t.fold = folds(t.train, o.Folds, o.Seed)
	none := Figure(math.NaN())
	unknown := Estimate{Value: none, Low: none, High: none}
	for _, m := range list {
		fit, err := t.learn(m)
		if err != nil {
			return nil, nil, fmt.Errorf("method %s: %w", m.name, err)
		}
		f.Evidence.Methods = append(f.Evidence.Methods, Result{
			Method: m.name, Means: m.means, Strength: fit.strength, TrainAUC: Figure(fit.auc), TrainLoss: Figure(fit.loss),
			AUC: unknown, WithinAUC: unknown, LogLoss: unknown, Calibration: none, OverRating: unknown, OverLength: unknown, LossSaved: unknown,
		})
	}
	best := t.best(list)
	t.complete(f, in.Manifest, best)
	out := make([]Crossed, len(t.train))
	for i := range out {
		out[i] = Crossed{Key: t.train[i].Key, Keep: t.keep[i], Probability: probability(best.cv[i])}
	}
	return f, out, nil
}
