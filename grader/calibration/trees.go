package calibration

import (
	"fmt"
	"math"
	"slices"
)

// Boosted trees (J. Friedman, "Greedy function approximation: a gradient boosting
// machine", 2001), with second-order leaves as in T. Chen, C. Guestrin, "XGBoost",
// 2016. They are few, shallow and cautious: labels are few.
const (
	treeDepth = 3
	treeRate  = 0.05
	treeL2    = 5.0
	leafLeast = 10 // records of a leaf
	binsMost  = 32 // of a column
)

// treeCounts are the numbers of trees that are tried.
var treeCounts = []float64{25, 50, 100, 200}

const (
	inner  = 1<<treeDepth - 1 // of one tree, children of node i are 2i+1 and 2i+2
	leaves = 1 << treeDepth
)

// trees add up to log-odds. Each has inner nodes that send a row to the left if its
// column is at most the cut, and then its leaves, left to right.
type trees struct {
	Start  float64 `json:"start"`
	Column []int32 `json:"column"`
	Cut    vector  `json:"cut"`
	Leaf   vector  `json:"leaf"`
}

func (t *trees) logit(row []float64) float64 {
	z := t.Start
	for k := range len(t.Leaf) / leaves {
		z += float64(t.Leaf[k*leaves+t.leaf(k, row)])
	}
	return z
}

// leaf is the leaf of tree k that a row comes to.
func (t *trees) leaf(k int, row []float64) int {
	node := 0
	for range treeDepth {
		i := k*inner + node
		node = 2*node + 1
		if row[t.Column[i]] > float64(t.Cut[i]) {
			node++
		}
	}
	return node - inner
}

func (t *trees) validate(width int) error {
	n := len(t.Leaf) / leaves
	if len(t.Leaf) != n*leaves || len(t.Column) != n*inner || len(t.Cut) != n*inner {
		return fmt.Errorf("boosted trees have %d columns, %d cuts and %d leaves: want %d, %d and %d a tree", len(t.Column), len(t.Cut), len(t.Leaf), inner, inner, leaves)
	}
	for _, c := range t.Column {
		if c < 0 || int(c) >= width {
			return fmt.Errorf("boosted trees split column %d, want 0 to %d", c, width-1)
		}
	}
	return nil
}

func (t *trees) name() string { return "boosted trees" }

// fitTrees fits the largest number of trees; fewer of them are its first ones.
func fitTrees(rows [][]float64, keep []bool, counts []float64) ([]learner, error) {
	g := newGrower(rows)
	t := &trees{Start: logit(baseRate(keep))}
	z := make([]float64, len(rows))
	for i := range z {
		z[i] = t.Start
	}
	for k := range int(slices.Max(counts)) {
		for i := range z {
			p := probability(z[i])
			g.slope[i], g.bend[i] = p, p*(1-p)
			if keep[i] {
				g.slope[i]--
			}
		}
		g.grow(t)
		for i, r := range rows {
			z[i] += float64(t.Leaf[k*leaves+t.leaf(k, r)])
		}
	}
	var out []learner
	for _, c := range counts {
		n := int(c)
		out = append(out, &trees{Start: t.Start, Column: t.Column[:n*inner], Cut: t.Cut[:n*inner], Leaf: t.Leaf[:n*leaves]})
	}
	return out, nil
}

// grower grows trees on binned columns.
type grower struct {
	cuts        [][]float32 // of each column: bin b holds what is above cut b-1 and at most cut b
	bins        [][]uint8   // of each column, of each row
	slope, bend []float64   // of the loss, by each row's log-odds
}

func newGrower(rows [][]float64) *grower {
	n, d := len(rows), len(rows[0])
	g := &grower{cuts: make([][]float32, d), bins: make([][]uint8, d), slope: make([]float64, n), bend: make([]float64, n)}
	column := make([]float64, n)
	for j := range d {
		for i := range rows {
			column[i] = rows[i][j]
		}
		slices.Sort(column)
		for b := 1; b < binsMost; b++ {
			at := b * n / binsMost
			if at == 0 || column[at-1] == column[n-1] {
				continue
			}
			next := at // the first value above the one before the cut
			for column[next] == column[at-1] {
				next++
			}
			cut := float32((column[at-1] + column[next]) / 2)
			if k := len(g.cuts[j]); k == 0 || cut > g.cuts[j][k-1] {
				g.cuts[j] = append(g.cuts[j], cut)
			}
		}
		g.bins[j] = make([]uint8, n)
		for i := range rows {
			b, _ := slices.BinarySearchFunc(g.cuts[j], rows[i][j], func(cut float32, x float64) int {
				if float64(cut) < x {
					return -1
				}
				return 1
			})
			g.bins[j][i] = uint8(b)
		}
	}
	return g
}

// cell sums what a bin holds.
type cell struct{ slope, bend, n float64 }

// grow appends a tree to t.
func (g *grower) grow(t *trees) {
	members := [][]int32{make([]int32, len(g.slope))}
	for i := range members[0] {
		members[0][i] = int32(i)
	}
	for range treeDepth {
		var next [][]int32
		for _, m := range members {
			column, bin := g.split(m)
			cut := float32(math.MaxFloat32) // everything goes left
			if bin >= 0 {
				cut = g.cuts[column][bin]
			}
			var left, right []int32
			for _, i := range m {
				if bin >= 0 && int(g.bins[column][i]) > bin {
					right = append(right, i)
				} else {
					left = append(left, i)
				}
			}
			t.Column, t.Cut = append(t.Column, int32(column)), append(t.Cut, cut)
			next = append(next, left, right)
		}
		members = next
	}
	for _, m := range members {
		var sum cell
		for _, i := range m {
			sum.slope, sum.bend = sum.slope+g.slope[i], sum.bend+g.bend[i]
		}
		t.Leaf = append(t.Leaf, float32(-treeRate*sum.slope/(sum.bend+treeL2)))
	}
}

// split returns the column and the last bin of the left side that lower the loss most;
// bin is -1 if there is none. Of equals it is the first.
func (g *grower) split(m []int32) (column, bin int) {
	bin = -1
	best := 1e-12
	score := func(c cell) float64 { return c.slope * c.slope / (c.bend + treeL2) }
	for j, cuts := range g.cuts {
		var bins [binsMost]cell
		var all cell
		for _, i := range m {
			c := &bins[g.bins[j][i]]
			c.slope, c.bend, c.n = c.slope+g.slope[i], c.bend+g.bend[i], c.n+1
		}
		for b := range len(cuts) + 1 {
			all.slope, all.bend, all.n = all.slope+bins[b].slope, all.bend+bins[b].bend, all.n+bins[b].n
		}
		var left cell
		for b := range cuts {
			left.slope, left.bend, left.n = left.slope+bins[b].slope, left.bend+bins[b].bend, left.n+bins[b].n
			right := cell{all.slope - left.slope, all.bend - left.bend, all.n - left.n}
			if left.n < leafLeast || right.n < leafLeast {
				continue
			}
			if gain := score(left) + score(right) - score(all); gain > best {
				best, column, bin = gain, j, b
			}
		}
	}
	return column, bin
}
