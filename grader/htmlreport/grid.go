package htmlreport

import (
	"fmt"
	"math"
	"strconv"
)

// Cuts on the page lie on a grid of decimal numbers, so that counting ratings between
// neighbours is enough to say exactly how many any cut keeps.
const (
	mostSteps = 1000
	mostBars  = 60
)

// grid is the cuts of a scale: (first+i)/10^digits for i from 0 to n.
type grid struct {
	first  float64 // a whole number
	digits int     // after the point; negative for steps of 10 and more
	n      int
	bar    int // steps of one bar of the histogram
}

// newGrid covers lowest to highest.
func newGrid(lowest, highest float64) (grid, error) {
	digits := int(math.Floor(math.Log10(mostSteps / (highest - lowest))))
	g := grid{digits: digits}
	if !(highest > lowest) || digits > 12 || digits < -12 || math.Abs(g.scaled(lowest)) > 1e12 {
		return g, fmt.Errorf("a scale from %g to %g: its ratings are too near to one another, or too far, for a report", lowest, highest)
	}
	g.first = math.Floor(g.scaled(lowest))
	if g.value(0) > lowest {
		g.first--
	}
	g.n = int(math.Ceil(g.scaled(highest)) - g.first)
	if g.value(g.n) < highest {
		g.n++
	}
	for _, g.bar = range []int{1, 2, 5, 10, 20, 50} {
		if g.n/g.bar <= mostBars {
			break
		}
	}
	return g, nil
}

func (g grid) scaled(x float64) float64 {
	if g.digits < 0 {
		return x / math.Pow10(-g.digits)
	}
	return x * math.Pow10(g.digits)
}

// value returns the ith cut: the number nearest to its decimal form.
func (g grid) value(i int) float64 {
	if g.digits < 0 {
		return (g.first + float64(i)) * math.Pow10(-g.digits)
	}
	return (g.first + float64(i)) / math.Pow10(g.digits)
}

// below returns the greatest cut that x reaches.
func (g grid) below(x float64) int {
	i := min(max(int(g.scaled(x)-g.first), 0), g.n)
	for i < g.n && g.value(i+1) <= x {
		i++
	}
	for i > 0 && g.value(i) > x {
		i--
	}
	return i
}

// at returns the place of a cut; false if it is none of the grid's.
func (g grid) at(x float64) (int, bool) {
	i := g.below(x)
	return i, g.value(i) == x
}

// nearest returns the cut next to x.
func (g grid) nearest(x float64) float64 {
	i := g.below(x)
	if i < g.n && g.value(i+1)-x < x-g.value(i) {
		i++
	}
	return g.value(i)
}

func (g grid) step() float64 {
	if g.digits < 0 {
		return math.Pow10(-g.digits)
	}
	return 1 / math.Pow10(g.digits)
}

// text spells a cut.
func (g grid) text(x float64) string { return strconv.FormatFloat(x, 'f', max(g.digits, 0), 64) }

// rounded is x with two digits more than a cut has, rounded down: the page compares it
// with cuts, and must come to what the rating itself would.
func (g grid) rounded(x float64) number {
	digits := max(g.digits, 0) + 2
	p := math.Pow10(digits)
	q := math.Floor(x * p)
	if (q+1)/p <= x {
		q++
	}
	if q/p > x {
		q--
	}
	return number(strconv.FormatFloat(q/p, 'f', -1, 64))
}

// counts says how many ratings lie at each cut of a grid and below the next.
type counts []int

func (c counts) above(i int) (n int) {
	for _, k := range c[min(i, len(c)):] {
		n += k
	}
	return n
}

// pairs is places and counts in turn, without the places that have none.
func (c counts) pairs() []int {
	list := []int{}
	for i, k := range c {
		if k > 0 {
			list = append(list, i, k)
		}
	}
	return list
}
