package cascade

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"winnow/grader/metric"
)

// Point is what small says of a record, and what large decides.
type Point struct {
	Probability float64 // that large keeps it, by what was learned without the record
	Keep        bool    // large does
}

// Band is the probabilities that small does not decide on: from Low on and below High.
// Below it small drops, from High on it keeps. A High of 1 is in the band itself, so
// that 0 to 1 is everything; equal ends are a band of nothing. The half that small's
// verdicts lie on either side of is never outside: Low is at most 0.5, High at least.
type Band struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Has reports whether large decides where small says p.
func (b Band) Has(p float64) bool { return p >= b.Low && (p < b.High || b.High == 1) }

// All reports whether large decides everywhere.
func (b Band) All() bool { return b.Low == 0 && b.High == 1 }

// Figure and Estimate are those of package metric.
type (
	Figure   = metric.Figure
	Estimate = metric.Estimate
)

// level is that of all intervals.
const level = 0.95

// frontier is, for each number of points inside, the band outside of which small errs
// least.
type frontier struct {
	points []Point // by probability
	best   []cut   // best[k] has k points inside
}

// cut is a band as places in points: from and to enclose what is inside.
type cut struct {
	from, to int
	wrong    int // points outside on which small and large differ; -1 if no band has as many inside
}

func newFrontier(points []Point) *frontier {
	f := &frontier{points: slices.Clone(points)}
	slices.SortStableFunc(f.points, func(a, b Point) int { return cmp.Compare(a.Probability, b.Probability) })
	n := len(f.points)
	f.best = make([]cut, n+1)
	for k := range f.best {
		f.best[k].wrong = -1
	}
	half := 0
	missed := make([]int, n+1)  // to keep, among the first points
	mistook := make([]int, n+1) // to drop, from here on
	for i, p := range f.points {
		missed[i+1] = missed[i]
		if p.Keep {
			missed[i+1]++
		}
		if p.Probability < 0.5 {
			half = i + 1
		}
	}
	for i := n - 1; i >= 0; i-- {
		mistook[i] = mistook[i+1]
		if !f.points[i].Keep {
			mistook[i]++
		}
	}
	for i := 0; i <= half; i++ {
		if !f.between(i) {
			continue
		}
		for j := half; j <= n; j++ {
			if !f.between(j) {
				continue
			}
			wrong := missed[i] + mistook[j]
			if b := &f.best[j-i]; b.wrong < 0 || wrong < b.wrong {
				*b = cut{from: i, to: j, wrong: wrong}
			}
		}
	}
	return f
}

// between reports whether a band may end before point i: not between equal ones.
func (f *frontier) between(i int) bool {
	return i == 0 || i == len(f.points) || f.points[i-1].Probability < f.points[i].Probability
}

// band is a cut in probabilities. Its ends lie in the middle between two points; where
// nothing is outside on a side, they are 0 or 1, and where nothing is inside, 0.5.
func (f *frontier) band(c cut) Band {
	n := len(f.points)
	if c.from == 0 && c.to == n {
		return Band{0, 1}
	}
	end := func(i int, inside bool, extreme float64) float64 {
		switch {
		case !inside:
			return 0.5
		case i == 0 || i == n:
			return extreme
		}
		return (f.points[i-1].Probability + f.points[i].Probability) / 2
	}
	half, _ := slices.BinarySearchFunc(f.points, 0.5, func(p Point, x float64) int { return cmp.Compare(p.Probability, x) })
	return Band{end(c.from, c.from < half, 0), end(c.to, c.to > half, 1)}
}

// narrowest returns the band with the fewest points inside that agrees with large on as
// great a share of all points. The one with all of them inside always does.
func (f *frontier) narrowest(agreement float64) Band {
	n := len(f.points)
	allowed := int(math.Floor(float64(n)*(1-agreement) + 1e-9))
	for _, c := range f.best {
		if c.wrong >= 0 && c.wrong <= allowed {
			return f.band(c)
		}
	}
	return Band{0, 1} // of no points
}

// within returns the band that agrees best with large, of those with at most this share
// of the points inside.
func (f *frontier) within(share float64) Band {
	most := int(math.Floor(float64(len(f.points))*share + 1e-9))
	best := cut{wrong: -1}
	for _, c := range f.best[:most+1] {
		if c.wrong >= 0 && (best.wrong < 0 || c.wrong < best.wrong) {
			best = c
		}
	}
	if best.wrong < 0 {
		return Band{0, 1} // equal points admit none that is as narrow
	}
	return f.band(best)
}

// Measured is how a band does on points, where large decides inside it.
type Measured struct {
	Band      Band     `json:"band"`
	Records   int      `json:"records"`
	Inside    int      `json:"inside"` // of them, large decides
	Share     Figure   `json:"share"`  // of them
	Wrong     int      `json:"wrong"`  // of those outside: large decides otherwise
	Agreement Estimate `json:"agreement"`
	Kappa     Estimate `json:"kappa"`
	Found     Figure   `json:"found"` // of what large keeps, the share that is kept
	Right     Figure   `json:"right"` // of what is kept, the share that large keeps
}

// Crossed is the agreement of bands with points that they were not chosen by, which the
// choice of a band does not flatter.
type Crossed struct {
	Inside    int      `json:"inside"`
	Share     Figure   `json:"share"` // of the points, inside
	Wrong     int      `json:"wrong"`
	Agreement Estimate `json:"agreement"` // Wilson's interval
}

// crossed chooses a band for every fifth point by the others. The points are in an
// order that has nothing to do with them.
func crossed(points []Point, agreement float64) (c Crossed) {
	for fold := range folds {
		var others []Point
		for i, p := range points {
			if i%folds != fold {
				others = append(others, p)
			}
		}
		b := newFrontier(others).narrowest(agreement)
		for i := fold; i < len(points); i += folds {
			switch p := points[i]; {
			case b.Has(p.Probability):
				c.Inside++
			case (p.Probability >= 0.5) != p.Keep:
				c.Wrong++
			}
		}
	}
	n := len(points)
	c.Share, c.Agreement = Figure(float64(c.Inside)/float64(n)), Wilson(n-c.Wrong, n)
	return c
}

// Bootstrap says how intervals other than that of an agreement are drawn.
type Bootstrap struct {
	Resamples int
	Seed      uint64
}

// Measure holds a band against large on points. The interval of the agreement is
// Wilson's, that of kappa (J. Cohen, 1960) of resamples, both of 95 %.
func Measure(ctx context.Context, points []Point, b Band, o Bootstrap) (Measured, error) {
	m := Measured{Band: b, Records: len(points)}
	verdict := make([]int, len(points)) // the cell: twice the cascade's, plus large's
	for i, p := range points {
		keep := p.Probability >= 0.5
		if b.Has(p.Probability) {
			keep = p.Keep
			m.Inside++
		} else if keep != p.Keep {
			m.Wrong++
		}
		if keep {
			verdict[i] += 2
		}
		if p.Keep {
			verdict[i]++
		}
	}
	n := len(points)
	m.Share = Figure(float64(m.Inside) / float64(n))
	m.Agreement = Wilson(n-m.Wrong, n)
	count := func(w []int32) (cells [4]float64) {
		for i, v := range verdict {
			if w == nil {
				cells[v]++
			} else {
				cells[v] += float64(w[i])
			}
		}
		return cells
	}
	cells := count(nil)
	intervals, err := metric.Bootstrap(ctx, n, 1, metric.Resampling{Resamples: o.Resamples, Seed: o.Seed, Level: level}, func(w []int32, out []float64) {
		out[0] = kappa(count(w))
	})
	if err != nil {
		return m, fmt.Errorf("measuring a band: %w", err)
	}
	m.Kappa = Estimate{Value: Figure(kappa(cells)), Low: Figure(intervals[0].Low), High: Figure(intervals[0].High)}
	m.Found, m.Right = Figure(cells[3]/(cells[3]+cells[1])), Figure(cells[3]/(cells[3]+cells[2]))
	return m, nil
}

// kappa is Cohen's of weighted counts: both drop, large alone keeps, the cascade alone
// keeps, both keep. It is NaN if both always say one and the same.
func kappa(cells [4]float64) float64 {
	n := cells[0] + cells[1] + cells[2] + cells[3]
	cascade, large := (cells[2]+cells[3])/n, (cells[1]+cells[3])/n
	chance := cascade*large + (1-cascade)*(1-large)
	if !(chance < 1) {
		return math.NaN()
	}
	return ((cells[0]+cells[3])/n - chance) / (1 - chance)
}

// Wilson returns a share with its score interval of 95 % (E. Wilson, "Probable
// inference, the law of succession, and statistical inference", 1927). All three are
// NaN of nothing.
func Wilson(of, n int) Estimate {
	const z = 1.959963984540054 // the normal distribution's quantile of 0.975
	size, share := float64(n), float64(of)/float64(n)
	scale := 1 + z*z/size
	middle := (share + z*z/(2*size)) / scale
	half := z / scale * math.Sqrt(share*(1-share)/size+z*z/(4*size*size))
	// The ends are exact where nothing is rounded off: at 0 and at n.
	low, high := middle-half, middle+half
	if of == 0 {
		low = 0
	}
	if of == n {
		high = 1
	}
	if n == 0 {
		low, high = math.NaN(), math.NaN()
	}
	return Estimate{Value: Figure(share), Low: Figure(low), High: Figure(high)}
}
