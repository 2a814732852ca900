package kernelcases

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// KCenterCase is a set of points of which some are picked.
type KCenterCase struct {
	Name     string
	Rows     int
	Dim      int
	Picks    int
	Clusters int  // the rows lie around so many points; 0: anywhere on the sphere
	Half     bool // as float16
	Weighted bool
	Selected int // rows picked before
	Seed     uint64
	Measure  bool // for measuring, too large for a test
}

// KCenter returns the cases.
func KCenter() (list []KCenterCase) {
	seed := uint64(1)
	add := func(c KCenterCase) {
		c.Seed = seed
		seed++
		list = append(list, c)
	}
	for _, n := range []int{0, 1, 2, 3, 4, 5, 31, 32, 33, 257, 1023} {
		add(KCenterCase{Name: "anywhere", Rows: n, Dim: 8, Picks: n})
		add(KCenterCase{Name: "clusters", Rows: n, Dim: 33, Picks: (n + 1) / 2, Clusters: 1 + n/10, Weighted: true})
		add(KCenterCase{Name: "halves", Rows: n, Dim: 40, Picks: n / 2, Clusters: 1 + n/20, Half: true})
		add(KCenterCase{Name: "going on", Rows: n, Dim: 16, Picks: n / 3, Selected: n / 4, Clusters: 1 + n/8, Half: true, Weighted: true})
	}
	for _, d := range []int{1, 2, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 256, 1023} {
		add(KCenterCase{Name: "columns", Rows: 70, Dim: d, Picks: 60, Clusters: 9})
		add(KCenterCase{Name: "columns of halves", Rows: 70, Dim: d, Picks: 20, Clusters: 9, Half: true, Weighted: true})
	}
	add(KCenterCase{Name: "more than there are", Rows: 20, Dim: 4, Picks: 30})
	add(KCenterCase{Name: "many rounds", Rows: 5000, Dim: 32, Picks: 700, Clusters: 300, Weighted: true})
	add(KCenterCase{Name: "topics", Rows: 52_000, Dim: 256, Picks: 9_000, Clusters: 2_000, Measure: true})
	add(KCenterCase{Name: "anywhere", Rows: 52_000, Dim: 256, Picks: 9_000, Measure: true})
	add(KCenterCase{Name: "topics in halves", Rows: 52_000, Dim: 768, Picks: 9_000, Clusters: 2_000, Half: true, Measure: true})
	return list
}

// Title names the case among the others.
func (c KCenterCase) Title() string {
	return fmt.Sprintf("%s, %d of %d rows of %d", c.Name, c.Picks, c.Rows, c.Dim)
}

// Data returns the case's points: rows of length 1, one in twenty of them the copy of
// another, as float32 or as the bits of float16, and their weights, ratings from 1
// to 5 by halves, or nil.
func (c KCenterCase) Data() (rows []float32, half []uint16, weights []float32) {
	random := rand.New(rand.NewPCG(c.Seed, 0))
	centres := make([]float64, c.Clusters*c.Dim)
	for i := range centres {
		centres[i] = random.NormFloat64()
	}
	row := make([]float64, c.Dim)
	rows = make([]float32, c.Rows*c.Dim)
	for i := range c.Rows {
		to := rows[i*c.Dim:][:c.Dim]
		if i > 0 && random.IntN(20) == 0 {
			copy(to, rows[random.IntN(i)*c.Dim:][:c.Dim])
			continue
		}
		squares := 0.0
		// Clusters are of different widths, as topics are.
		cluster, width := random.IntN(max(c.Clusters, 1)), 0.2+0.6*random.Float64()
		for j := range row {
			row[j] = random.NormFloat64()
			if c.Clusters > 0 {
				row[j] = centres[cluster*c.Dim+j] + width*row[j]
			}
			squares += row[j] * row[j]
		}
		for j := range row {
			to[j] = float32(row[j] / math.Sqrt(squares))
		}
	}
	if c.Weighted {
		weights = make([]float32, c.Rows)
		for i := range weights {
			weights[i] = 1 + 0.5*float32(random.IntN(9))
		}
	}
	if !c.Half {
		return rows, nil, weights
	}
	half = make([]uint16, len(rows))
	for i, x := range rows {
		half[i] = halfBits(x)
	}
	return nil, half, weights
}

// SweepCost returns what picking by a sweep over all rows after each pick takes:
// bytes read, each value once a pick, and operations, a subtraction, a
// multiplication and an addition for each.
func (c KCenterCase) SweepCost() (bytes, operations float64) {
	values := float64(c.Rows) * float64(c.Dim) * float64(c.Picks)
	if c.Half {
		return 2 * values, 3 * values
	}
	return 4 * values, 3 * values
}

// halfBits returns a number of magnitude below 65,504 rounded to IEEE binary16.
func halfBits(x float32) uint16 {
	sign := uint16(math.Float32bits(x) >> 16 & 0x8000)
	a := math.Abs(float64(x))
	if a < 0x1p-14 { // subnormal: steps of 2^-24
		return sign | uint16(math.RoundToEven(a*0x1p24))
	}
	fraction, exponent := math.Frexp(a) // a = fraction·2^exponent, fraction from 1/2
	// The fraction has its leading bit, which counts as one more in the exponent; one
	// that rounds up to 1 carries into it, as it should.
	return sign | uint16((exponent+13)<<10+int(math.RoundToEven(fraction*2048)))
}
