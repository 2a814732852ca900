// Package cascade lets a small judge stand in for a large one where it can tell what the
// large one would say. Small rates all records and large a sample of them; from the
// sample a calibration of small's entries is learned whose label is large's verdict. The
// band of probabilities whose verdict is uncertain goes to large, small decides outside.
package cascade

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"winnow/grader/calibration"
	"winnow/grader/journal"
	"winnow/grader/record"
)

// Options say what is asked of a cascade.
type Options struct {
	Min        float64  // large keeps ratings of this and more
	TopPercent *float64 // if not nil, Min is the rating that this share of the sample reaches by large, in percent
	Agreement  float64  // with large alone, as a share of the records
	Sample     int      // records that large rates to learn from
	Check      int      // records that large rates to measure on alone
	Seed       uint64   // of the sample, the folds and the bootstrap
}

const (
	folds     = 5
	resamples = 1000
	// leastOfClass is how many records of the sample large must keep, and drop.
	leastOfClass = 10
)

// Plan is what was learned from the sample. It depends on the two scores files and the
// Options alone.
type Plan struct {
	Small     journal.Model `json:"small"`
	Large     journal.Model `json:"large"`
	Agreement float64       `json:"agreement"` // that was asked for
	Sample    int           `json:"sample"`    // likewise
	Check     int           `json:"check"`     // likewise
	Seed      uint64        `json:"seed"`
	Cut       float64       `json:"cut"` // large keeps ratings of this and more
	Top       *float64      `json:"top_percent,omitempty"`
	Unrated   int           `json:"unrated"`  // of the sample, by large
	Keep      int           `json:"keep"`     // of the others, large does
	Majority  Figure        `json:"majority"` // agreement with large of who says the commoner verdict of every record
	Band      Measured      `json:"band"`     // on the sample, by probabilities out of fold
	Crossed   Crossed       `json:"crossed"`  // likewise, each fifth of the sample with a band chosen by the others
	Curve     []Measured    `json:"curve"`    // the best bands for shares of 0 % to 100 %, by tens

	Calibration *calibration.File `json:"calibration"` // of small's entries

	bound *calibration.Calibration
	raw   json.RawMessage
}

// Learn makes a plan from what the scores files of small and large say of the sample.
func Learn(ctx context.Context, small, large string, sample Set, o Options) (*Plan, error) {
	p := &Plan{Agreement: o.Agreement, Sample: o.Sample, Check: o.Check, Seed: o.Seed, Cut: o.Min, Top: o.TopPercent}
	m, said, err := answers(large, sample)
	if err != nil {
		return nil, err
	}
	p.Large = m.Model
	values := make(map[record.Key]float64, len(said))
	for key, a := range said {
		if a.status == record.OK {
			values[key] = a.value
		}
	}
	p.Unrated = len(sample) - len(values)
	if o.TopPercent != nil && len(values) > 0 {
		p.Cut = reached(values, *o.TopPercent)
	}
	keep := make(map[record.Key]bool, len(values))
	for key, x := range values {
		if keep[key] = x >= p.Cut; x >= p.Cut {
			p.Keep++
		}
	}
	if drop := len(values) - p.Keep; p.Keep < leastOfClass || drop < leastOfClass {
		return nil, fmt.Errorf("too few to learn from: of %d records that large rates, %d reach the rating %s and %d do not, want at least %d of each: give a larger --cascade-sample, or a cut nearer to the middle of large's ratings, such as with --top-percent 20",
			len(values), p.Keep, number(p.Cut), drop, leastOfClass)
	}
	p.Majority = Figure(float64(max(p.Keep, len(values)-p.Keep)) / float64(len(values)))
	points, err := p.learn(ctx, small, keep)
	if err != nil {
		return nil, err
	}
	p.Crossed = crossed(points, o.Agreement)
	f := newFrontier(points)
	b := Bootstrap{Resamples: resamples, Seed: o.Seed}
	if p.Band, err = Measure(ctx, points, f.narrowest(o.Agreement), b); err != nil {
		return nil, err
	}
	for tenth := range 11 {
		c, err := Measure(ctx, points, f.within(float64(tenth)/10), b)
		if err != nil {
			return nil, err
		}
		if last := len(p.Curve) - 1; last < 0 || p.Curve[last].Band != c.Band {
			p.Curve = append(p.Curve, c)
		}
	}
	if p.raw, err = json.Marshal(p); err != nil {
		return nil, fmt.Errorf("writing the evidence: %w", err)
	}
	return p, nil
}

// learn fits the calibration, and returns what it says of the sample out of fold.
func (p *Plan) learn(ctx context.Context, small string, keep map[record.Key]bool) ([]Point, error) {
	lengths := make(map[record.Key]float64, len(keep))
	for key := range keep {
		lengths[key] = 0 // not used: nothing is measured by length
	}
	in, err := calibration.Load(small, keep, lengths)
	if err != nil {
		return nil, err
	}
	if in.Unknown+in.Unrated > 0 {
		return nil, fmt.Errorf("%s: %d records of the sample have no rating: it has changed since the sample was drawn", small, in.Unknown+in.Unrated)
	}
	p.Small = in.Manifest.Model
	f, crossed, err := calibration.CrossFit(ctx, in, calibration.Options{Folds: folds, Seed: p.Seed})
	if err != nil {
		return nil, err
	}
	p.Calibration = f
	if p.bound, err = f.Bind(in.Manifest); err != nil {
		return nil, err
	}
	points := make([]Point, len(crossed))
	for i, c := range crossed {
		points[i] = Point{Probability: single(c.Probability), Keep: c.Keep}
	}
	return points, nil
}

// probability of a rated entry of small's, as a scores file spells it.
func (p *Plan) probability(e *journal.Entry) (float64, error) {
	x, err := p.bound.Probability(e)
	return single(x), err
}

// single rounds as a scores file does, so that what it says is on the same side of the
// band's ends and of a half.
func single(x float64) float64 { return float64(float32(x)) }

// Manifest is that of the result, given small's: with what decides the verdicts, without
// the hidden state, which small's own file keeps.
func (p *Plan) Manifest(small journal.Manifest) journal.Manifest {
	m := small
	m.Hidden = nil
	m.Settings = maps.Clone(small.Settings)
	if m.Settings == nil {
		m.Settings = map[string]string{}
	}
	m.Settings["cascade_model_sha256"] = p.Large.SHA256
	m.Settings["cascade_cut"] = number(p.Cut)
	m.Settings["cascade_band"] = number(p.Band.Band.Low) + " to " + number(p.Band.Band.High)
	m.Settings["cascade_seed"] = strconv.FormatUint(p.Seed, 10)
	m.Calibration = &journal.Calibration{Name: "cascade", SHA256: p.SHA256()}
	return m
}

// SHA256 is of the plan as Evidence has it.
func (p *Plan) SHA256() string {
	sum := sha256.Sum256(p.raw)
	return hex.EncodeToString(sum[:])
}

// reached is the rating that the best percent of the records reach, one at least.
func reached(values map[record.Key]float64, percent float64) float64 {
	list := slices.Sorted(maps.Values(values))
	n := int(math.Round(percent / 100 * float64(len(list))))
	return list[len(list)-min(max(n, 1), len(list))]
}

// answer is what large says of a record.
type answer struct {
	value  float64 // NaN without a rating
	tokens int
	status record.Status
	reason string
}

// answers reads what the scores file of large says of records. All must be there.
func answers(large string, of Set) (m journal.Manifest, list map[record.Key]answer, err error) {
	list = make(map[record.Key]answer, len(of))
	_, err = journal.Scan(large, func(have journal.Manifest) { m = have }, func(s journal.Score) error {
		if !of.Has(s.Key) {
			return nil
		}
		if _, ok := list[s.Key]; ok {
			return journal.Twice(s.Key)
		}
		list[s.Key] = answer{value: s.Entry.Value(), tokens: s.Entry.Tokens, status: s.Status, reason: s.Entry.Reason}
		return nil
	})
	if err != nil {
		return m, nil, err
	}
	for key := range of {
		if _, ok := list[key]; !ok {
			return m, nil, fmt.Errorf("record %s has no entry in %s: grade with the same DATA and --limit as before, or give another -o", key, large)
		}
	}
	return m, list, nil
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// Validate reports what is wrong with the options.
func (o Options) Validate() error {
	switch {
	case !(o.Agreement > 0.5 && o.Agreement <= 1):
		return fmt.Errorf("an agreement of %s: want more than 0.5 and at most 1", number(o.Agreement))
	case o.Sample < 2*leastOfClass || o.Sample > mostSampled:
		return fmt.Errorf("a sample of %d records: want %d to %d", o.Sample, 2*leastOfClass, mostSampled)
	case o.Check < 0 || o.Check > mostSampled:
		return fmt.Errorf("a check of %d records: want 0 to %d", o.Check, mostSampled)
	case math.IsNaN(o.Min) || math.IsInf(o.Min, 0):
		return errors.New("the rating that large must give is no number")
	case o.TopPercent != nil && !(*o.TopPercent > 0 && *o.TopPercent < 100):
		return fmt.Errorf("the best %s percent: want more than 0 and less than 100", number(*o.TopPercent))
	}
	return nil
}

// mostSampled bounds the time that choosing a band takes.
const mostSampled = 10_000
