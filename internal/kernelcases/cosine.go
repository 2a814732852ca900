package kernelcases

import (
	"math"
	"math/bits"
	"math/rand/v2"
)

// Cosine is one case of kernels.CosinePairs: vectors as sentence embeddings are, in
// clusters round a common mean, with near-duplicates planted among them.
type Cosine struct {
	Name      string
	Rows, Dim int
	Against   int // rows of the second set; 0 is one set
	Threshold float32
	Seed      uint64

	Clusters int     // 0 is a hundredth of the rows
	Decay    float64 // the k-th direction has standard deviation (k+1)^-Decay; 0 is the same for all, the hardest to prune
	Copies   int     // one in so many rows is an earlier one, with noise or without; 0 is none
	Zeros    int     // one in so many rows is zero; 0 is none
	Same     bool    // all rows are one row

	Bench bool // for measuring; else for tests
}

// CosineCases returns all cases.
func CosineCases() []Cosine {
	cases := []Cosine{
		{Name: "one row", Rows: 1, Dim: 4, Threshold: 0.5},
		{Name: "two rows of one element", Rows: 2, Dim: 1, Threshold: 1, Same: true},
		{Name: "signs", Rows: 40, Dim: 1, Threshold: 0.5},
		{Name: "all the same", Rows: 70, Dim: 20, Threshold: 0.999, Same: true},
		{Name: "zeros only", Rows: 33, Dim: 8, Threshold: 0.1, Zeros: 1},
		{Name: "many reach it", Rows: 130, Dim: 64, Threshold: 0.05, Copies: 3},
		{Name: "few dimensions", Rows: 1023, Dim: 3, Threshold: 0.999, Copies: 9, Zeros: 50},
		{Name: "decaying", Rows: 1023, Dim: 256, Threshold: 0.9, Decay: 0.7, Copies: 8},
		{Name: "one a side", Rows: 1, Against: 1, Dim: 7, Threshold: 0.2, Same: true},
		{Name: "two sets", Rows: 300, Against: 1023, Dim: 65, Threshold: 0.85, Copies: 5, Zeros: 40},
		{Name: "a row against many", Rows: 1, Against: 333, Dim: 128, Threshold: 0.3, Copies: 2},
		{Name: "wide", Rows: 65, Dim: 1025, Threshold: 0.95, Copies: 4},
	}
	for _, rows := range []int{31, 32, 33, 1023} {
		for _, dim := range []int{31, 33, 64, 96} {
			cases = append(cases, Cosine{Name: "clusters", Rows: rows, Dim: dim, Threshold: 0.8, Copies: 6, Zeros: 31})
		}
	}
	for i := range cases {
		cases[i].Seed = uint64(i + 1)
	}
	for _, t := range []float32{0.8, 0.9, 0.95} {
		cases = append(cases, Cosine{Name: "50k flat", Rows: 50_000, Dim: 256, Threshold: t, Copies: 20, Seed: 101, Bench: true})
	}
	return append(cases,
		Cosine{Name: "50k decaying", Rows: 50_000, Dim: 256, Threshold: 0.9, Decay: 0.5, Copies: 20, Seed: 102, Bench: true},
		Cosine{Name: "100k flat", Rows: 100_000, Dim: 384, Threshold: 0.9, Copies: 20, Seed: 103, Bench: true},
		Cosine{Name: "100k decaying", Rows: 100_000, Dim: 384, Threshold: 0.9, Decay: 0.5, Copies: 20, Seed: 104, Bench: true},
		Cosine{Name: "5k against 100k", Rows: 5_000, Against: 100_000, Dim: 384, Threshold: 0.9, Copies: 20, Seed: 105, Bench: true},
	)
}

// Pairs is how many pairs are compared.
func (c Cosine) Pairs() int64 {
	if c.Against > 0 {
		return int64(c.Rows) * int64(c.Against)
	}
	return int64(c.Rows) * int64(c.Rows-1) / 2
}

// FLOPs is what the pairs cost if each is computed: a multiplication and an
// addition an element.
func (c Cosine) FLOPs() int64 { return 2 * c.Pairs() * int64(c.Dim) }

// Bytes is the input, read once.
func (c Cosine) Bytes() int64 { return 4 * int64(c.Rows+c.Against) * int64(c.Dim) }

// Data makes the rows and those to compare with (nil if there are none).
func (c Cosine) Data() (rows, against []float32) {
	r := rand.New(rand.NewPCG(c.Seed, 0))
	all := c.vectors(r, c.Rows+c.Against)
	if c.Against == 0 {
		return all, nil
	}
	// Copies are of earlier rows, so the second set comes from the first half.
	return all[c.Against*c.Dim:], all[:c.Against*c.Dim]
}

// vectors makes n rows: a fifth of their square is the mean's, two fifths their
// cluster's, two fifths their own. Similarities are about 0.2 between clusters and
// 0.6 within one.
func (c Cosine) vectors(r *rand.Rand, n int) []float32 {
	d := c.Dim
	spread := make([]float64, d)
	for k := range spread {
		spread[k] = math.Pow(float64(k+1), -c.Decay)
	}
	draw := func(scale float64, out []float64) {
		for k := range out {
			out[k] = scale * spread[k] * r.NormFloat64()
		}
	}
	mean := make([]float64, d)
	draw(math.Sqrt(0.2), mean)
	clusters := c.Clusters
	if clusters == 0 {
		clusters = n/100 + 1
	}
	centres := make([]float64, clusters*d)
	for i := range clusters {
		draw(math.Sqrt(0.4), centres[i*d:(i+1)*d])
	}
	mix := newMixer(r, d)
	all := make([]float32, n*d)
	own := make([]float64, d)
	for i := range n {
		row := all[i*d : (i+1)*d]
		if c.Zeros > 0 && r.IntN(c.Zeros) == 0 {
			continue
		}
		if i > 0 && (c.Same || c.Copies > 0 && r.IntN(c.Copies) == 0) {
			of := r.IntN(i)
			copy(row, all[of*d:(of+1)*d])
			if noise := r.IntN(4); noise > 0 && !c.Same {
				var square float64
				for _, x := range row {
					square += float64(x) * float64(x)
				}
				// Similarities of about 0.995, 0.95 and 0.86.
				scale := math.Sqrt(square/float64(d)) * []float64{0, 0.1, 0.33, 0.6}[noise]
				for k := range row {
					row[k] += float32(scale * r.NormFloat64())
				}
			}
			continue
		}
		draw(math.Sqrt(0.4), own)
		centre := centres[r.IntN(clusters)*d:][:d]
		for k := range own {
			own[k] += mean[k] + centre[k]
		}
		mix.apply(own)
		length := math.Exp(r.NormFloat64())
		for k, x := range own {
			row[k] = float32(length * x)
		}
	}
	return all
}

// mixer turns vectors by layers of plane rotations, so that no direction is an axis:
// a model's dimensions are no principal components either.
type mixer struct {
	d        int
	sin, cos [][]float64
}

func newMixer(r *rand.Rand, d int) mixer {
	m := mixer{d: d}
	for range bits.Len(uint(d - 1)) {
		sin, cos := make([]float64, d), make([]float64, d)
		for k := range sin {
			sin[k], cos[k] = math.Sincos(2 * math.Pi * r.Float64())
		}
		m.sin, m.cos = append(m.sin, sin), append(m.cos, cos)
	}
	return m
}

func (m mixer) apply(v []float64) {
	for layer := range m.sin {
		step := 1 << layer
		for a := range v {
			if b := a | step; b != a && b < m.d {
				s, c := m.sin[layer][a], m.cos[layer][a]
				v[a], v[b] = c*v[a]-s*v[b], s*v[a]+c*v[b]
			}
		}
	}
}
