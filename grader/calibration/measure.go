package calibration

import (
	"cmp"
	"context"
	"math"
	"slices"

	"winnow/grader/metric"
)

// Figure is a number that may be undefined: NaN is null in JSON.
type Figure = metric.Figure

// Estimate is a figure with its bootstrap interval of 95 %.
type Estimate = metric.Estimate

// bands is how many bands of length there are, with as many records each.
const bands = 5

// sheet is what is measured on: outcomes, and the band of length of each record.
type sheet struct {
	keep []bool
	band []int
}

func newSheet(examples []Example) *sheet {
	s := &sheet{keep: make([]bool, len(examples)), band: make([]int, len(examples))}
	lengths := make([]float64, len(examples))
	for i, e := range examples {
		s.keep[i], lengths[i] = e.Keep, e.Length
	}
	slices.Sort(lengths)
	for i, e := range examples {
		for k := 1; k < bands; k++ {
			if e.Length > metric.Quantile(lengths, float64(k)/bands) {
				s.band[i] = k
			}
		}
	}
	return s
}

// ranked is scores in order.
type ranked struct {
	*sheet
	scores []float64
	order  []int32
}

func (s *sheet) rank(scores []float64) *ranked {
	r := &ranked{sheet: s, scores: scores, order: make([]int32, len(scores))}
	for i := range r.order {
		r.order[i] = int32(i)
	}
	slices.SortStableFunc(r.order, func(a, b int32) int { return cmp.Compare(scores[a], scores[b]) })
	return r
}

// auc returns the area under the ROC curve of records that count w times each (nil:
// once), and that of pairs within one band of length: the share of pairs of a record
// to keep and one to drop that are in the right order, ties counted half. The mean
// over bands is weighted by their pairs. NaN without such pairs.
func (r *ranked) auc(w []int32) (all, within float64) {
	var dropped, kept, tiesDropped, tiesKept [bands + 1]float64
	right, pairs := [2]float64{}, [2]float64{}
	close := func() { // a run of equal scores ends
		for b := range tiesDropped {
			k := 0
			if b < bands {
				k = 1
			}
			right[k] += tiesKept[b] * (dropped[b] + tiesDropped[b]/2)
			dropped[b], kept[b] = dropped[b]+tiesDropped[b], kept[b]+tiesKept[b]
			tiesDropped[b], tiesKept[b] = 0, 0
		}
	}
	last := math.NaN()
	for _, i := range r.order {
		if r.scores[i] != last {
			close()
			last = r.scores[i]
		}
		n := 1.0
		if w != nil {
			n = float64(w[i])
		}
		for _, b := range [2]int{r.band[i], bands} {
			if r.keep[i] {
				tiesKept[b] += n
			} else {
				tiesDropped[b] += n
			}
		}
	}
	close()
	for b := range kept {
		k := 0
		if b < bands {
			k = 1
		}
		pairs[k] += kept[b] * dropped[b]
	}
	return right[0] / pairs[0], right[1] / pairs[1]
}

// meanLoss is the mean log loss of log-odds.
func (s *sheet) meanLoss(z []float64, w []int32) float64 {
	sum, n := 0.0, 0.0
	for i, x := range z {
		k := 1.0
		if w != nil {
			k = float64(w[i])
		}
		if k > 0 {
			sum, n = sum+k*loss(x, s.keep[i]), n+k
		}
	}
	return sum / n
}

// Result is how one method did. What is learned is measured on the hold-out after
// learning on the whole training part.
type Result struct {
	Method   string  `json:"method"`
	Means    string  `json:"means"`
	Baseline bool    `json:"baseline,omitempty"` // it is only there to compare with
	Strength float64 `json:"strength,omitempty"` // penalty, or number of trees, that cross-validation chose

	TrainAUC  Figure `json:"cv_auc"` // by cross-validation on the training part
	TrainLoss Figure `json:"cv_log_loss"`

	AUC         Estimate `json:"auc"`
	WithinAUC   Estimate `json:"auc_within_length"` // of pairs of records of like length
	LogLoss     Estimate `json:"log_loss"`
	Calibration Figure   `json:"calibration_error"` // expected, of 10 bins

	OverRating Estimate `json:"auc_over_rating"`               // AUC less that of the rating
	OverLength Estimate `json:"auc_within_length_over_length"` // likewise within bands, less that of length alone
	LossSaved  Estimate `json:"log_loss_saved"`                // of what it must beat in log loss, less its own
}

// judged is log-odds of the hold-out, and which of the others they are compared with.
type judged struct {
	result *Result
	z      []float64
	rank   *ranked
	probs  bool // z are log-odds and not only an order
}

const (
	figuresEach = 6
	level       = 0.95
)

// measure fills in results. rating and length are those that others are compared with;
// basis gives the log-odds that a method must beat in log loss.
func measure(ctx context.Context, s *sheet, list []judged, rating, length int, basis func(*Result) []float64, o metric.Resampling) error {
	figures := func(w []int32, out []float64) {
		all, within := make([]float64, len(list)), make([]float64, len(list))
		for i, j := range list {
			all[i], within[i] = j.rank.auc(w)
		}
		for i, j := range list {
			f := out[i*figuresEach:][:figuresEach]
			f[0], f[1], f[2] = all[i], within[i], math.NaN()
			f[3], f[4], f[5] = all[i]-all[rating], within[i]-within[length], math.NaN()
			if j.probs {
				f[2] = s.meanLoss(j.z, w)
				f[5] = s.meanLoss(basis(j.result), w) - f[2]
			}
		}
	}
	values := make([]float64, len(list)*figuresEach)
	figures(nil, values)
	intervals, err := metric.Bootstrap(ctx, len(s.keep), len(values), o, figures)
	if err != nil {
		return err
	}
	for i, j := range list {
		r := j.result
		for k, to := range []*Estimate{&r.AUC, &r.WithinAUC, &r.LogLoss, &r.OverRating, &r.OverLength, &r.LossSaved} {
			at := i*figuresEach + k
			*to = Estimate{Value: Figure(values[at]), Low: Figure(intervals[at].Low), High: Figure(intervals[at].High)}
		}
		r.Calibration = Figure(math.NaN())
		if j.probs {
			p := make([]float64, len(j.z))
			for i, z := range j.z {
				p[i] = probability(z)
			}
			e, err := metric.CalibrationError(p, s.keep, curveBins)
			if err != nil {
				return err
			}
			r.Calibration = Figure(e)
		}
	}
	return nil
}

// curveBins is how many bins a calibration curve has.
const curveBins = 10

// Bin is one of the bins of a calibration curve.
type Bin struct {
	Records int    `json:"records"`
	Mean    Figure `json:"mean"` // what was said
	Kept    Figure `json:"kept"` // share of records to be kept
}

// curve sorts shares, each from 0 to 1, into bins of equal width.
func curve(shares []float64, keep []bool) []Bin {
	var sum, kept, n [curveBins]float64
	for i, p := range shares {
		b := min(max(int(p*curveBins), 0), curveBins-1)
		sum[b], n[b] = sum[b]+p, n[b]+1
		if keep[i] {
			kept[b]++
		}
	}
	out := make([]Bin, curveBins)
	for b := range out {
		out[b] = Bin{int(n[b]), Figure(sum[b] / n[b]), Figure(kept[b] / n[b])} // 0/0: undefined
	}
	return out
}
