package grader

import (
	"math"
	"math/rand/v2"
	"testing"
)

// dueling makes judged pairs.
func dueling(n int, of func(i int) (side int, length float64)) []duel {
	list := make([]duel, n)
	for i := range list {
		list[i].judged = true
		list[i].side, list[i].length = of(i)
	}
	return list
}

// A judge that goes by length alone says nothing at equal length; one that does not is
// taken at its word; a mixture is told apart.
func TestLengthControlled(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	outcome := func(logit float64) int {
		if random.Float64() < logistic(logit) {
			return 1
		}
		return -1
	}
	for _, c := range []struct {
		name             string
		quality, length  float64 // log-odds of a win at equal length, and what a unit of length adds
		longer           float64 // mean log ratio
		net, off, weight float64
	}{
		{"length alone", 0, 2, 1, 0, 0.06, 2},
		{"quality alone", 1, 0, 1, 2*logistic(1) - 1, 0.06, 0},
		{"both, against one another", -1, 2, 1, 2*logistic(-1) - 1, 0.08, 2},
		{"shorter is better", 0.5, -1.5, 0.5, 2*logistic(0.5) - 1, 0.06, -1.5},
	} {
		duels := dueling(4000, func(int) (int, float64) {
			x := c.longer + 0.7*random.NormFloat64()
			return outcome(c.quality + c.length*x), x
		})
		net, weight := newLengthFit(duels).net(nil)
		if !(math.Abs(net-c.net) < c.off) || !(math.Abs(weight-c.weight) < 0.25) {
			t.Errorf("%s: net %.3f, weight %.3f, want about %.3f and %g", c.name, net, weight, c.net, c.weight)
		}
	}
}

// Where the minimum can be written down, it is found.
func TestLengthFitExact(t *testing.T) {
	sides := []int{1, 1, 0, -1, 1}
	raw := 2.0 / 5
	flat := dueling(5, func(i int) (int, float64) { return sides[i], 0 })
	if net, weight := newLengthFit(flat).net(nil); math.Abs(net-raw) > 1e-12 || !math.IsNaN(weight) {
		t.Errorf("equal lengths: net %v, weight %v, want the raw %v and none", net, weight, raw)
	}
	// The same outcomes at both lengths.
	two := dueling(10, func(i int) (int, float64) { return sides[i%5], []float64{-1, 1}[i/5] })
	if net, weight := newLengthFit(two).net(nil); math.Abs(net-raw) > 1e-9 || math.Abs(weight) > 1e-9 {
		t.Errorf("length without effect: net %v, weight %v, want %v and 0", net, weight, raw)
	}
	// The slopes of the penalised loss are 0 at the minimum.
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 200 {
		n := 2 + random.IntN(20)
		duels := dueling(n, func(int) (int, float64) { return random.IntN(3) - 1, 3 * random.NormFloat64() })
		duels[0].side, duels[1].side = 1, random.IntN(2)-1
		f := newLengthFit(duels)
		at, c := f.solve(nil, float64(n))
		if s := f.at(nil, float64(n), at, c); !(math.Abs(s.slopeT) < 1e-7 && math.Abs(s.slopeC) < 1e-7) {
			t.Fatalf("round %d: slopes %v and %v at %v and %v", round, s.slopeT, s.slopeC, at, c)
		}
	}
}

func TestLengthFitEdges(t *testing.T) {
	for _, c := range []struct {
		name   string
		duels  []duel
		w      []int32
		net    float64
		weight float64
	}{
		{"all won", dueling(3, func(i int) (int, float64) { return 1, float64(i) }), nil, 1, math.NaN()},
		{"all lost", dueling(3, func(i int) (int, float64) { return -1, float64(i) }), nil, -1, math.NaN()},
		{"all tied", dueling(3, func(i int) (int, float64) { return 0, float64(i) }), nil, 0, 0},
		{"drawn alone", dueling(3, func(i int) (int, float64) { return i - 1, float64(i) }), []int32{0, 0, 3}, 1, math.NaN()},
		{"none judged", []duel{{side: 1}, {side: -1}, {side: 1}, {}}, nil, 0.25, math.NaN()},
		{"none drawn", []duel{{side: 1}}, []int32{0}, math.NaN(), math.NaN()},
		{"won, and two without the judge", append(dueling(2, func(i int) (int, float64) { return 1, float64(i) }), duel{side: -1}, duel{}), nil, 0.25, math.NaN()},
	} {
		net, weight := newLengthFit(c.duels).net(c.w)
		if !figureIs(Figure(net), c.net) || !figureIs(Figure(weight), c.weight) {
			t.Errorf("%s: net %v, weight %v, want %v and %v", c.name, net, weight, c.net, c.weight)
		}
	}
	// Length tells the winner: the weight is large, but finite.
	if net, weight := newLengthFit(dueling(4, func(i int) (int, float64) { return 2*(i%2) - 1, float64(2*(i%2) - 1) })).net(nil); net != 0 || !(weight > 3 && weight < 20) {
		t.Errorf("separated by length: net %v, weight %v", net, weight)
	}
}

// aboveOne's values of x and -x sum to exactly 2.
func TestAboveOne(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 10000 {
		x := 2*random.Float64() - 1
		if a, b := aboveOne(x), aboveOne(-x); a+b != 2 || math.Abs(a-(1+x)) > 1e-15 {
			t.Fatalf("%v: %v and %v", x, a, b)
		}
	}
}
