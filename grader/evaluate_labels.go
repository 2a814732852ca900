package grader

import (
	"context"
	"fmt"
	"math"

	"winnow/grader/gold"
	"winnow/grader/journal"
	"winnow/grader/metric"
	"winnow/grader/record"
)

// LabelEvaluation is how well a judge foretells labels. What needs to know which
// records are worth keeping is missing where scores have no cut.
type LabelEvaluation struct {
	Labels        int                   `json:"labels"`
	Rated         int                   `json:"rated"`   // of their records
	Unrated       map[record.Status]int `json:"unrated"` // the others, by status; not_graded if the scores file has no entry
	Binary        bool                  `json:"binary"`  // labels say keep or drop; if not, they are scores
	Kept          *int                  `json:"kept"`    // of the rated, by their labels
	BaseRate      *Figure               `json:"base_rate"`
	Resamples     int                   `json:"resamples"`
	Readings      []LabelReading        `json:"readings"`
	Verdicts      []LabelVerdict        `json:"verdicts"`
	Probabilities []LabelProbability    `json:"probabilities"`
	Bands         *LengthBands          `json:"bands"` // needs the lengths of responses
}

// LabelReading is how a number of the judge orders the records, compared with their
// labels. A number that is high where records are bad has an AUC below 0.5 and negative
// correlations: nothing is turned round.
type LabelReading struct {
	Name     string    `json:"name"`
	Records  int       `json:"records"`  // that have it
	AUC      *Estimate `json:"auc"`      // of those worth keeping against the others
	Spearman *Estimate `json:"spearman"` // with the scores; not of binary labels
	Kendall  *Estimate `json:"kendall"`  // tau-b, likewise
}

// LabelVerdict is what a cut keeps, compared with what is worth keeping.
type LabelVerdict struct {
	Name      string    `json:"name"`
	Cut       float64   `json:"cut"`
	Both      int64     `json:"kept_both"`
	OnlyJudge int64     `json:"kept_judge"`
	OnlyGold  int64     `json:"kept_gold"`
	Neither   int64     `json:"kept_neither"`
	Share     *Estimate `json:"kept_share"` // by the judge
	Precision *Estimate `json:"precision"`
	Recall    *Estimate `json:"recall"`
	Kappa     *Estimate `json:"kappa"` // Cohen's
}

// LabelProbability is how true a probability is that a record is worth keeping.
type LabelProbability struct {
	Name  string    `json:"name"`
	Mean  *Estimate `json:"mean"`
	Bins  int       `json:"bins"`
	Error *Estimate `json:"calibration_error"`
}

// calibrationBins is the number of bins that calibration errors are usually given for.
const calibrationBins = 10

// EvaluateLabels measures a judge by labels. chars has the lengths of responses; of
// records that it lacks none is known.
func EvaluateLabels(ctx context.Context, labels gold.Labels, chars map[record.Key]int, j Judged, o EvaluateOptions) (*LabelEvaluation, error) {
	out := &LabelEvaluation{Labels: len(labels), Unrated: map[record.Status]int{}, Binary: labels.Binary()}
	t := labelTable{keeps: out.Binary || o.Keep}
	for _, l := range labels {
		e, why := j.rated(l.Key)
		if why != "" {
			out.Unrated[why]++
			continue
		}
		length := math.NaN()
		if n, ok := chars[l.Key]; ok {
			length = float64(n)
		}
		t.add(l, e, length)
	}
	out.Rated, out.Resamples = len(t.entries), o.Resamples
	if o.Resamples == 0 {
		out.Resamples = DefaultResamples(out.Rated)
	}
	all := &estimates{n: out.Rated}
	if err := t.readings(out, j, all); err != nil {
		return nil, fmt.Errorf("evaluating: %w", err)
	}
	if t.keeps {
		kept, rate := sumOf(t.class), Figure(share(t.keepShare())(nil))
		out.Kept, out.BaseRate = &kept, &rate
		if err := t.verdicts(out, j, o, all); err != nil {
			return nil, fmt.Errorf("evaluating: %w", err)
		}
		var err error
		if out.Bands, err = t.bands(j, all); err != nil {
			return nil, fmt.Errorf("evaluating: %w", err)
		}
	}
	return out, all.run(ctx, out.Resamples)
}

// labelTable is the labelled records that have a rating.
type labelTable struct {
	keeps   bool // whether keep is known
	keep    []bool
	class   []int // 1 for keep
	score   []float64
	entries []journal.Entry
	length  []float64 // characters of the response; NaN if unknown
}

func (t *labelTable) add(l gold.Label, e journal.Entry, length float64) {
	class := 0
	if l.Keep {
		class = 1
	}
	t.keep, t.class, t.score = append(t.keep, l.Keep), append(t.class, class), append(t.score, l.Score)
	t.entries, t.length = append(t.entries, e), append(t.length, length)
}

func sumOf(list []int) (sum int) {
	for _, x := range list {
		sum += x
	}
	return sum
}

// keepShare is class as numbers.
func (t *labelTable) keepShare() []float64 {
	out := make([]float64, len(t.class))
	for i, x := range t.class {
		out[i] = float64(x)
	}
	return out
}

// column is what a reading says of the table's records.
func (t *labelTable) column(r reading) column {
	return newColumn(len(t.entries), func(i int) float64 { return r.of(t.entries[i]) })
}

// lengths is the column of lengths.
func (t *labelTable) lengths() column {
	return newColumn(len(t.length), func(i int) float64 { return t.length[i] })
}

// readings measures the order that each reading makes, and that of the lengths.
func (t *labelTable) readings(out *LabelEvaluation, j Judged, all *estimates) error {
	add := func(name string, c column) error {
		r := LabelReading{Name: name, Records: len(c.rows)}
		if t.keeps {
			ranking, err := metric.NewRanking(c.values, pick(c, t.keep))
			if err != nil {
				return err
			}
			r.AUC = all.add(c.weights(ranking.AUC))
		}
		if !out.Binary {
			pairs, err := metric.NewPairs(c.finite(), pick(c, t.score))
			if err != nil {
				return err
			}
			r.Spearman, r.Kendall = all.add(c.weights(pairs.Spearman)), all.add(c.weights(pairs.Kendall))
		}
		out.Readings = append(out.Readings, r)
		return nil
	}
	for _, r := range j.readings() {
		if err := add(r.name, t.column(r)); err != nil {
			return err
		}
	}
	if c := t.lengths(); len(c.rows) > 0 {
		return add(lengthName, c)
	}
	return nil
}

// verdicts measures what cuts keep, and the probabilities behind them.
func (t *labelTable) verdicts(out *LabelEvaluation, j Judged, o EvaluateOptions, all *estimates) error {
	scale := j.Scale()
	names := j.Manifest.Criteria()
	for i, name := range names {
		if len(names) == 1 {
			name = ratingName
		} else {
			name = "criterion " + name
		}
		err := t.probability(fmt.Sprintf("P(%s ≥ %g)", name, o.Cut), func(e journal.Entry) float64 {
			return scale.AtLeast(ratingAt(e, i).Probs, o.Cut)
		}, out, all)
		if err != nil {
			return err
		}
	}
	t.verdict(ratingName, o.Cut, journal.Entry.Value, out, all)
	if j.Manifest.Calibration == nil {
		return nil
	}
	calibrated := func(e journal.Entry) float64 { return e.Calibrated }
	t.verdict(calibratedName, o.Probability, calibrated, out, all)
	return t.probability(calibratedName, calibrated, out, all)
}

func (t *labelTable) probability(name string, of func(journal.Entry) float64, out *LabelEvaluation, all *estimates) error {
	probs := make([]float64, len(t.entries))
	for i, e := range t.entries {
		probs[i] = min(1, of(e)) // sums of single precision can end above it
	}
	r, err := metric.NewReliability(probs, t.keep, calibrationBins)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	out.Probabilities = append(out.Probabilities, LabelProbability{Name: name, Mean: all.add(share(probs)), Bins: calibrationBins, Error: all.add(r.Error)})
	return nil
}

func (t *labelTable) verdict(name string, cut float64, of func(journal.Entry) float64, out *LabelEvaluation, all *estimates) {
	verdict := make([]int, len(t.entries))
	for i, e := range t.entries {
		if of(e) >= cut {
			verdict[i] = 1
		}
	}
	cells := func(w []int32) [][]int64 { return crossed(2, verdict, t.class, w) }
	ratio := func(of func(c [][]int64) (part, whole int64)) *Estimate {
		return all.add(func(w []int32) float64 {
			part, whole := of(cells(w))
			return float64(part) / float64(whole) // 0/0 is NaN
		})
	}
	c := cells(nil)
	out.Verdicts = append(out.Verdicts, LabelVerdict{
		Name: name, Cut: cut, Both: c[1][1], OnlyJudge: c[1][0], OnlyGold: c[0][1], Neither: c[0][0],
		Share:     ratio(func(c [][]int64) (part, whole int64) { return c[1][0] + c[1][1], c[0][0] + c[0][1] + c[1][0] + c[1][1] }),
		Precision: ratio(func(c [][]int64) (part, whole int64) { return c[1][1], c[1][0] + c[1][1] }),
		Recall:    ratio(func(c [][]int64) (part, whole int64) { return c[1][1], c[0][1] + c[1][1] }),
		Kappa:     all.add(kappaFigure(2, verdict, t.class)),
	})
}
