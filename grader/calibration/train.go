package calibration

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"winnow/grader/journal"
)

// Options say how to learn.
type Options struct {
	Methods      []string // nil: each that the scores allow
	Folds        int      // of the cross-validation
	Holdout      float64  // share of the labelled records that are only measured on
	Seed         uint64   // of the split, the folds and the bootstrap
	Resamples    int      // of the bootstrap; 0: 1000
	LabelsSHA256 string   // for the evidence
	Lengths      string   // likewise: what a Length is, such as "tokens"
}

// least is how many records of each kind both parts must have for each fold.
const least = 2

// Train learns by each method from one part of the labelled records, chooses one by
// cross-validation there, and measures on the other part, once. The file says whether
// what was learned is accepted, and why. It depends on the examples, whatever their
// order, and the options alone.
//
// A method's strength of regularisation is chosen on the same folds that its
// cross-validated figures are of; those are a little too good. The hold-out's are not.
func Train(ctx context.Context, in *Labelled, o Options) (*File, error) {
	l, err := layoutOf(in.Manifest, nil)
	if err != nil {
		return nil, err
	}
	if o.Resamples == 0 {
		o.Resamples = 1000
	}
	list, err := chosen(o.Methods, &l)
	if err != nil {
		return nil, err
	}
	t := &trainer{ctx: ctx, o: o, layout: l, fits: map[string]*fit{}}
	examples := slices.Clone(in.Examples)
	slices.SortFunc(examples, func(a, b Example) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	for i := range examples {
		e := &examples[i]
		if err := l.check(&e.Entry, true); err != nil {
			return nil, fmt.Errorf("record %s: %w", e.Key, err)
		}
		if Split(e.Key, o.Seed, o.Holdout) {
			t.holdout = append(t.holdout, *e)
		} else {
			t.train = append(t.train, *e)
		}
	}
	f := &File{Kind: fileKind, Version: fileVersion, Evidence: Evidence{
		LabelsSHA256: o.LabelsSHA256, RecordsSHA256: fingerprint(examples),
		Labels: in.Labels, Unknown: in.Unknown, Unrated: in.Unrated,
		Train: count(t.train), Holdout: count(t.holdout),
		Share: o.Holdout, Seed: o.Seed, Folds: o.Folds, Resamples: o.Resamples, Lengths: o.Lengths,
	}}
	if err := f.Evidence.enough(); err != nil {
		return nil, err
	}
	t.fold = folds(t.train, o.Folds, o.Seed)
	for _, e := range t.train {
		t.keep = append(t.keep, e.Keep)
	}
	for _, m := range list {
		if _, err := t.learn(m); err != nil {
			return nil, fmt.Errorf("method %s: %w", m.name, err)
		}
	}
	best := t.best(list)
	if err := t.measure(f, list); err != nil {
		return nil, err
	}
	t.complete(f, in.Manifest, best)
	if err := t.curves(f, best); err != nil {
		return nil, err
	}
	decide(f, best)
	return f, nil
}

func count(examples []Example) (p Part) {
	for _, e := range examples {
		p.Records++
		if e.Keep {
			p.Keep++
		}
	}
	return p
}

// enough reports why there is too little to learn from.
func (e *Evidence) enough() error {
	want := least * e.Folds
	for _, p := range []struct {
		name string
		Part
	}{{"training part", e.Train}, {"hold-out", e.Holdout}} {
		if p.Keep < want || p.Records-p.Keep < want {
			return fmt.Errorf("too few labels: the %s has %d records to keep and %d to drop, want at least %d of each (of %d labels %d are of records without an entry in the scores file and %d of records without a rating)",
				p.name, p.Keep, p.Records-p.Keep, want, e.Labels, e.Unknown, e.Unrated)
		}
	}
	return nil
}

// fingerprint is of the keys and labels, which are in order of keys.
func fingerprint(examples []Example) string {
	h := sha256.New()
	for _, e := range examples {
		h.Write(e.Key[:])
		if e.Keep {
			h.Write([]byte{1})
		} else {
			h.Write([]byte{0})
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// trainer has the two parts.
type trainer struct {
	ctx            context.Context
	o              Options
	layout         layout
	train, holdout []Example
	keep           []bool // of train
	fold           []int  // of train
	fits           map[string]*fit
}

// fit is what one method learned.
type fit struct {
	method        method
	strength      float64
	cv            []float64 // log-odds of train, each by what was learned without its fold
	auc, loss     float64   // of cv
	parts         []part
	slope, offset float64
}

// learn fits a method, with its strength chosen by cross-validated log loss.
func (t *trainer) learn(m method) (*fit, error) {
	if done := t.fits[m.name]; done != nil {
		return done, nil
	}
	f := &fit{method: m, slope: 1}
	var err error
	if len(m.of) > 0 {
		err = t.average(f)
	} else {
		err = t.single(f)
	}
	if err != nil {
		return nil, err
	}
	s := newSheet(t.train)
	f.auc, _ = s.rank(f.cv).auc(nil)
	f.loss = s.meanLoss(f.cv, nil)
	t.fits[m.name] = f
	return f, nil
}

func (t *trainer) single(f *fit) error {
	m := f.method
	s := space{Groups: slices.DeleteFunc(slices.Clone(m.groups), func(g Group) bool { return !t.layout.has(g) }), Raw: m.raw, Products: m.square, layout: t.layout}
	raw := make([][]float64, len(t.train))
	for i := range t.train {
		raw[i] = s.raw(nil, &t.train[i].Entry)
	}
	cv := make([][]float64, len(m.strengths))
	for k := range cv {
		cv[k] = make([]float64, len(t.train))
	}
	for fold := range t.o.Folds {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		_, learners, err := t.fit(s, m, raw, func(i int) bool { return t.fold[i] != fold }, func(s *space, learners []learner) {
			for i, at := range t.fold {
				if at != fold {
					continue
				}
				row := s.row(raw[i])
				for k, l := range learners {
					cv[k][i] = l.logit(row)
				}
			}
		})
		if err != nil || len(learners) != len(cv) {
			return err
		}
	}
	best, least := 0, math.Inf(1)
	sheet := &sheet{keep: t.keep}
	for k := range cv {
		if l := sheet.meanLoss(cv[k], nil); l < least {
			best, least = k, l
		}
	}
	s, learners, err := t.fit(s, m, raw, func(int) bool { return true }, nil)
	if err != nil {
		return err
	}
	f.strength, f.cv, f.parts = m.strengths[best], cv[best], []part{newPart(s, learners[best])}
	return nil
}

// fit learns from the rows that are in, and shows what it learned to see.
func (t *trainer) fit(s space, m method, raw [][]float64, in func(int) bool, see func(*space, []learner)) (space, []learner, error) {
	var rows [][]float64
	var keep []bool
	for i := range raw {
		if in(i) {
			rows, keep = append(rows, raw[i]), append(keep, t.keep[i])
		}
	}
	s.fit(rows)
	for i := range rows {
		rows[i] = s.row(rows[i])
	}
	learners, err := m.fit(rows, keep, m.strengths)
	if err == nil && see != nil {
		see(&s, learners)
	}
	return s, learners, err
}

// average joins other methods. A mean of log-odds is too cautious; slope and offset,
// learned from the cross-validated log-odds, make it a probability again.
func (t *trainer) average(f *fit) error {
	f.cv = make([]float64, len(t.train))
	for _, name := range f.method.of {
		one, err := t.learn(*named(name))
		if err != nil {
			return err
		}
		for i, z := range one.cv {
			f.cv[i] += z / float64(len(f.method.of))
		}
		f.parts = append(f.parts, one.parts...)
	}
	rows := make([][]float64, len(f.cv))
	for i, z := range f.cv {
		rows[i] = []float64{z}
	}
	learners, err := fitLinear(rows, t.keep, []float64{1e-4})
	if err != nil {
		return err
	}
	l := learners[0].(*linear)
	f.slope, f.offset = float64(l.Weights[0]), l.Intercept
	for i := range f.cv {
		f.cv[i] = f.offset + f.slope*f.cv[i]
	}
	return nil
}

// alike is how little two cross-validated AUCs differ to count as equal.
const alike = 0.005

// best chooses by the training part alone: of the methods whose log loss is less than
// that of the share of records to keep, said of each record, the one with the greatest
// AUC; among those that are alike in it, the one with the least log loss. If no log loss
// is less than that share's, of all methods.
func (t *trainer) best(list []method) *fit {
	rate := logit(baseRate(t.keep))
	constant := make([]float64, len(t.keep))
	for i := range constant {
		constant[i] = rate
	}
	limit := (&sheet{keep: t.keep}).meanLoss(constant, nil)
	var able []*fit
	for _, m := range list {
		if f := t.fits[m.name]; f.loss < limit {
			able = append(able, f)
		}
	}
	if len(able) == 0 {
		for _, m := range list {
			able = append(able, t.fits[m.name])
		}
	}
	top := 0.0
	for _, f := range able {
		top = max(top, f.auc)
	}
	able = slices.DeleteFunc(able, func(f *fit) bool { return !(f.auc >= top-alike) })
	return slices.MinFunc(able, func(f, g *fit) int { return cmp.Compare(f.loss, g.loss) })
}

// logOdds of examples by a fit.
func (f *fit) logOdds(l layout, examples []Example) ([]float64, error) {
	c := Calibration{file: &File{Slope: f.slope, Offset: f.offset}, layout: l}
	for _, p := range f.parts {
		model, err := p.learner()
		if err != nil {
			return nil, err
		}
		p.Space.bind(l)
		c.spaces, c.models = append(c.spaces, p.Space), append(c.models, model)
	}
	z := make([]float64, len(examples))
	for i := range examples {
		z[i] = c.logOdds(&examples[i].Entry)
	}
	return z, nil
}

// complete puts the chosen method and its curves into the file.
func (t *trainer) complete(f *File, m journal.Manifest, best *fit) {
	f.Method, f.Slope, f.Offset, f.Parts = best.method.name, best.slope, best.offset, best.parts
	f.Judge = Judge{Model: m.Model, Rubrics: m.Rubrics, Scale: m.Scale, Template: m.Template}
	for i := range f.Parts {
		if f.Parts[i].Space.uses(Signals) {
			f.Judge.Signals = m.Signals
		}
		if f.Parts[i].Space.uses(HiddenState) {
			f.Judge.Hidden = m.Hidden
		}
	}
}

// decide says whether what was learned is accepted.
func decide(f *File, best *fit) {
	r := f.Evidence.Methods[slices.IndexFunc(f.Evidence.Methods, func(r Result) bool { return !r.Baseline && r.Method == best.method.name })]
	f.Accepted, f.Reason = verdict(&r)
}
