// Package calibration learns from labels how a judge's entries should be read: what
// the probability is that a record is worth keeping, given its ratings, signals and
// hidden state. What it learns is accepted only if it beats the rating itself on
// records that it has not seen, and if it knows more than the response's length.
package calibration

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"winnow/grader/journal"
	"winnow/grader/signal"
)

const (
	fileKind    = "calibration"
	fileVersion = 1
)

// File is a calibration with its evidence.
type File struct {
	Kind     string   `json:"kind"`
	Version  int      `json:"version"`
	Method   string   `json:"method"`
	Accepted bool     `json:"accepted"`
	Reason   string   `json:"reason"` // for or against
	Judge    Judge    `json:"judge"`
	Slope    float64  `json:"slope"` // of the parts' mean log-odds
	Offset   float64  `json:"offset"`
	Parts    []part   `json:"parts"`
	Evidence Evidence `json:"evidence"`

	name, sum string // of the file that was read
}

// Judge is whose entries can be read.
type Judge struct {
	Model    journal.Model    `json:"model"`
	Rubrics  []journal.Rubric `json:"rubrics"`
	Scale    journal.Scale    `json:"scale"`
	Template journal.Template `json:"template"`
	Signals  []string         `json:"signals,omitempty"` // that are needed
	Hidden   *journal.Hidden  `json:"hidden,omitempty"`  // that is needed
}

// part is a space and what was learned in it.
type part struct {
	Space    space     `json:"space"`
	Linear   *linear   `json:"logistic,omitempty"`
	Isotonic *isotonic `json:"isotonic,omitempty"`
	Trees    *trees    `json:"boosted,omitempty"`
}

func newPart(s space, l learner) part {
	p := part{Space: s}
	switch l := l.(type) {
	case *linear:
		p.Linear = l
	case *isotonic:
		p.Isotonic = l
	case *trees:
		p.Trees = l
	}
	return p
}

func (p *part) learner() (learner, error) {
	var found []learner
	if p.Linear != nil {
		found = append(found, p.Linear)
	}
	if p.Isotonic != nil {
		found = append(found, p.Isotonic)
	}
	if p.Trees != nil {
		found = append(found, p.Trees)
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("a part has %d models, want 1", len(found))
	}
	return found[0], nil
}

// Evidence is what a calibration rests on. It has no date: equal labels and scores give
// the same bytes.
type Evidence struct {
	LabelsSHA256  string   `json:"labels_sha256"`  // of the file of labels
	RecordsSHA256 string   `json:"records_sha256"` // of the keys and labels that were used, in order of keys
	Labels        int      `json:"labels"`         // of records
	Unknown       int      `json:"without_entry"`  // labels of records that the scores file does not have
	Unrated       int      `json:"without_rating"` // labels of records that have no rating
	Train         Part     `json:"train"`
	Holdout       Part     `json:"holdout"`
	Share         float64  `json:"holdout_share"`
	Seed          uint64   `json:"seed"`
	Folds         int      `json:"folds"`
	Resamples     int      `json:"resamples"`
	Lengths       string   `json:"lengths"` // what the length of a response is
	Methods       []Result `json:"methods"`
	Before        []Bin    `json:"curve_before"` // on the hold-out: the rating's place on its scale, 0 to 1
	After         []Bin    `json:"curve_after"`
}

// Part is a part of the labelled records.
type Part struct {
	Records int `json:"records"`
	Keep    int `json:"keep"`
}

// Bytes is the content of the calibration's file: one line of JSON.
func (f *File) Bytes() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(f); err != nil {
		return nil, fmt.Errorf("writing a calibration: %w", err)
	}
	return b.Bytes(), nil
}

// Read reads the calibration at path.
func Read(path string) (*File, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read calibration: %w", err)
	}
	f, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("calibration %s: %w: want a file that winnow calibrate wrote", path, err)
	}
	sum := sha256.Sum256(b)
	f.name, f.sum = filepath.Base(path), hex.EncodeToString(sum[:])
	return f, nil
}

func parse(b []byte) (*File, error) {
	var head struct {
		Kind    string `json:"kind"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	switch {
	case head.Kind != fileKind:
		return nil, fmt.Errorf("its kind is %q and not %q", head.Kind, fileKind)
	case head.Version != fileVersion:
		return nil, fmt.Errorf("its version is %d and not %d", head.Version, fileVersion)
	}
	f := &File{}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(f); err != nil {
		return nil, err
	}
	if len(f.Parts) == 0 {
		return nil, errors.New("it has no model")
	}
	if len(f.Judge.Rubrics) == 0 || len(f.Judge.Scale.Strings) == 0 {
		return nil, errors.New("it does not say whose entries it reads")
	}
	if _, err := f.bound(f.manifest()); err != nil {
		return nil, err
	}
	return f, nil
}

// manifest is that of the least judge whose entries can be read.
func (f *File) manifest() journal.Manifest {
	j := f.Judge
	return journal.Manifest{Model: j.Model, Rubrics: j.Rubrics, Scale: j.Scale, Template: j.Template, Signals: j.Signals, Hidden: j.Hidden}
}

// Needs returns the signals that entries must have, and the layer of the hidden state,
// -1 if none is needed.
func (f *File) Needs() (set signal.Set, layer int, err error) {
	if set, err = signal.Of(f.Judge.Signals); err != nil {
		return nil, -1, fmt.Errorf("calibration %s: %w", f.name, err)
	}
	if f.Judge.Hidden == nil {
		return set, -1, nil
	}
	return set.Union(signal.Set{signal.Hidden}), f.Judge.Hidden.Layer, nil
}

// Bind makes a calibration ready for a judge's entries. It fails for another judge:
// model, rubrics, scale and template must be those that it was learned with, and the
// signals and hidden state that it reads must be there. Runtime and settings may
// differ: they move ratings by roundings only, or concern what is too long.
func (f *File) Bind(m journal.Manifest) (*Calibration, error) {
	own := f.manifest()
	same := journal.Manifest{Version: m.Version, Model: m.Model, Rubrics: m.Rubrics, Scale: m.Scale, Template: m.Template}
	want := journal.Manifest{Version: m.Version, Model: own.Model, Rubrics: own.Rubrics, Scale: own.Scale, Template: own.Template}
	if diffs := journal.Between(want, same, "the calibration", "the judge"); len(diffs) > 0 {
		return nil, fmt.Errorf("calibration %s is of another judge: %s: learn one for this judge with winnow calibrate", f.name, strings.Join(diffs, "; "))
	}
	if h := own.Hidden; h != nil && (m.Hidden == nil || *m.Hidden != *h) {
		have := "none"
		if m.Hidden != nil {
			have = fmt.Sprintf("that of layer %d with %d numbers", m.Hidden.Layer, m.Hidden.Size)
		}
		return nil, fmt.Errorf("calibration %s reads the hidden state of layer %d with %d numbers, the entries have %s: grade with --signals hidden --hidden-layer %d, which counts from 1", f.name, h.Layer, h.Size, have, h.Layer+1)
	}
	c, err := f.bound(m)
	if err != nil {
		return nil, fmt.Errorf("calibration %s: %w", f.name, err)
	}
	return c, nil
}

func (f *File) bound(m journal.Manifest) (*Calibration, error) {
	names := f.Judge.Signals
	if names == nil {
		names = []string{} // none, and not all
	}
	l, err := layoutOf(m, names)
	if err != nil {
		return nil, err
	}
	c := &Calibration{file: f, layout: l}
	for _, x := range []float64{f.Slope, f.Offset} {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, errors.New("slope and offset are not finite")
		}
	}
	for _, p := range f.Parts {
		model, err := p.learner()
		if err != nil {
			return nil, err
		}
		s := p.Space
		if err := s.validate(l); err != nil {
			return nil, err
		}
		s.bind(l)
		if err := model.validate(s.width()); err != nil {
			return nil, err
		}
		c.hidden = c.hidden || s.uses(HiddenState)
		c.spaces, c.models = append(c.spaces, s), append(c.models, model)
	}
	return c, nil
}

// Calibration gives probabilities for the entries of one judge. It may be used by
// several goroutines at once.
type Calibration struct {
	file   *File
	layout layout
	spaces []space
	models []learner
	hidden bool
}

// Manifest names the calibration in the fingerprint of a run.
func (c *Calibration) Manifest() journal.Calibration {
	return journal.Calibration{Name: c.file.name, SHA256: c.file.sum}
}

// Probability returns the probability that the record of a rated entry is to be kept.
// It fails if the entry is not of the judge. It is between 0 and 1.
func (c *Calibration) Probability(e *journal.Entry) (float64, error) {
	if err := c.layout.check(e, c.hidden); err != nil {
		return 0, fmt.Errorf("calibrated probability: %w", err)
	}
	return probability(c.logOdds(e)), nil
}

// logOdds is of an entry that has passed check.
func (c *Calibration) logOdds(e *journal.Entry) float64 {
	sum := 0.0
	for i := range c.spaces {
		s := &c.spaces[i]
		sum += c.models[i].logit(s.row(s.raw(nil, e)))
	}
	return c.file.Offset + c.file.Slope*sum/float64(len(c.models))
}
