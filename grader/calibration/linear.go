package calibration

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/optimize"
)

// linear is a logistic regression.
type linear struct {
	Weights   vector  `json:"weights"`
	Intercept float64 `json:"intercept"`
}

func (l *linear) logit(row []float64) float64 {
	z := l.Intercept
	for j, w := range l.Weights {
		z += float64(w) * row[j]
	}
	return z
}

func (l *linear) validate(width int) error {
	if len(l.Weights) != width {
		return fmt.Errorf("a model has %d weights, want %d", len(l.Weights), width)
	}
	return nil
}

func (l *linear) name() string { return "logistic" }

// penalties are the strengths of regularisation that are tried, the strongest first:
// half of each, times the squared length of the weights, is added to the mean log loss.
var penalties = []float64{0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001}

// fitLinear fits one logistic regression for each penalty, each from where the one
// before ended. The intercept is not penalised.
func fitLinear(rows [][]float64, keep []bool, penalties []float64) ([]learner, error) {
	d := len(rows[0])
	f := &logistic{rows: rows, keep: keep, margin: make([]float64, len(rows)), at: make([]float64, d+1), slope: make([]float64, d+1)}
	f.at[0] = math.NaN() // nothing is computed yet
	x := make([]float64, d+1)
	x[d] = logit(baseRate(keep))
	out := make([]learner, 0, len(penalties))
	for _, p := range penalties {
		f.penalty = p
		f.at[0] = math.NaN()
		settings := &optimize.Settings{GradientThreshold: 1e-6, MajorIterations: 300, Converger: &optimize.FunctionConverge{Absolute: 1e-9, Iterations: 10}}
		result, err := optimize.Minimize(optimize.Problem{Func: f.value, Grad: f.gradient}, x, settings, &optimize.LBFGS{Store: 10})
		if result == nil {
			return nil, fmt.Errorf("logistic regression: %w", err)
		}
		// Close to the minimum a line search may find no better point.
		f.gradient(f.slope, result.X)
		if steep := floats.Norm(f.slope, math.Inf(1)); err != nil && !(steep < 1e-3) {
			return nil, fmt.Errorf("logistic regression with penalty %g: %w", p, err)
		}
		if floats.HasNaN(result.X) {
			return nil, errors.New("logistic regression: the weights are not finite")
		}
		copy(x, result.X)
		out = append(out, &linear{Weights: rounded(x[:d]), Intercept: x[d]})
	}
	return out, nil
}

// logistic is the penalised mean log loss of weights, of which the last is the
// intercept.
type logistic struct {
	rows    [][]float64
	keep    []bool
	penalty float64

	at     []float64 // where margin was computed
	margin []float64
	slope  []float64
}

func (f *logistic) move(x []float64) {
	if floats.Equal(x, f.at) {
		return
	}
	copy(f.at, x)
	d := len(x) - 1
	for i, r := range f.rows {
		f.margin[i] = floats.Dot(r, x[:d]) + x[d]
	}
}

func (f *logistic) value(x []float64) float64 {
	f.move(x)
	w := x[:len(x)-1]
	sum := 0.0
	for i, z := range f.margin {
		sum += loss(z, f.keep[i])
	}
	return sum/float64(len(f.rows)) + f.penalty/2*floats.Dot(w, w)
}

func (f *logistic) gradient(g, x []float64) {
	f.move(x)
	d := len(x) - 1
	clear(g)
	n := float64(len(f.rows))
	for i, z := range f.margin {
		e := probability(z)
		if f.keep[i] {
			e--
		}
		floats.AddScaled(g[:d], e/n, f.rows[i])
		g[d] += e / n
	}
	floats.AddScaled(g[:d], f.penalty, x[:d])
}

// loss is the negative log-likelihood of an outcome whose log-odds are z.
func loss(z float64, keep bool) float64 {
	if keep {
		z = -z
	}
	return max(z, 0) + math.Log1p(math.Exp(-math.Abs(z)))
}

// baseRate is the share of records to be kept, with half a record of either kind more
// so that it is neither 0 nor 1.
func baseRate(keep []bool) float64 {
	n := 0.5
	for _, k := range keep {
		if k {
			n++
		}
	}
	return n / (float64(len(keep)) + 1)
}
