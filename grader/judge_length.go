package grader

import "math"

// lengthFit says how often A wins where both answers have the same length: a logistic
// regression of the outcome on the difference of the logarithms of the lengths, with a
// win as 1, a tie as a half, a loss as 0,
//
//	P(A wins) = 1 / (1 + exp(-(t + c·log(length of A / length of B)))),
//
// and the win probability at equal length is that of t alone. This is the idea of
// Y. Dubois and others, "Length-Controlled AlpacaEval" (2024), without their terms for
// the difficulty of an instruction and with the log of the ratio in place of the
// hyperbolic tangent of the difference of lengths.
//
// The weight c is kept finite where length alone tells the winner: half of
// lengthPenalty times its square, with log ratios in units of their root mean square, is
// added to the mean loss. t is not penalised, so without an effect of length the win
// rate stays as it is. Pairs that are decided without the judge, as the answers are equal
// or one is empty, say nothing of what length is worth to it: they count with their
// outcome.
//
// Every step negates t and keeps c, to the last bit, if A and B are exchanged.
type lengthFit struct {
	duels []duel
	unit  float64 // root mean square of the log ratios of the pairs that are fitted
}

// lengthPenalty is far below the curvature of the loss, a quarter at most, unless nearly
// all outcomes are foretold.
const lengthPenalty = 1e-3

func newLengthFit(duels []duel) *lengthFit {
	sum, n := 0.0, 0
	for _, d := range duels {
		if d.judged {
			sum += d.length * d.length
			n++
		}
	}
	return &lengthFit{duels, math.Sqrt(sum / float64(max(n, 1)))}
}

// net returns twice the length-controlled win rate less 1, and the weight of the log
// ratio, which is NaN where nothing tells it.
func (f *lengthFit) net(w []int32) (net, weight float64) {
	sums := newtonSums{}
	ruled, total := 0.0, 0.0
	least, most := 1, -1
	for i, d := range f.duels {
		t := timesOf(w, i)
		total += t
		switch {
		case t == 0:
		case !d.judged:
			ruled += t * float64(d.side)
		default:
			sums.n += t
			least, most = min(least, d.side), max(most, d.side)
		}
	}
	weight = math.NaN()
	var fitted float64
	switch {
	case sums.n == 0:
	case least == most: // all one outcome: t is infinite, or 0
		fitted = float64(least)
		if f.unit > 0 && least == 0 {
			weight = 0
		}
	default:
		t, c := f.solve(w, sums.n)
		fitted = math.Tanh(t / 2)
		if f.unit > 0 {
			weight = c / f.unit
		}
	}
	return (sums.n*fitted + ruled) / total, weight
}

// newtonSums are the sums of one step: the loss, its slopes and its curvatures.
type newtonSums struct {
	n                  float64
	loss               float64
	slopeT, slopeC     float64
	bendT, bend, bendC float64
}

// at computes the sums at t and c.
func (f *lengthFit) at(w []int32, n, t, c float64) newtonSums {
	s := newtonSums{n: n}
	for i, d := range f.duels {
		times := timesOf(w, i)
		if !d.judged || times == 0 {
			continue
		}
		x := f.scaled(d)
		z := t + c*x
		half := math.Tanh(z / 2)
		miss := half/2 - float64(d.side)/2
		bend := (1 - half*half) / 4
		away := math.Abs(z)
		s.loss += times * (away/2 + math.Log1p(math.Exp(-away)) - float64(d.side)*z/2)
		s.slopeT += times * miss
		s.slopeC += times * miss * x
		s.bendT += times * bend
		s.bend += times * bend * x
		s.bendC += times * bend * x * x
	}
	s.loss = s.loss/n + lengthPenalty/2*c*c
	s.slopeT, s.slopeC = s.slopeT/n, s.slopeC/n+lengthPenalty*c
	s.bendT, s.bend, s.bendC = s.bendT/n, s.bend/n, s.bendC/n+lengthPenalty
	return s
}

func (f *lengthFit) scaled(d duel) float64 {
	if f.unit == 0 {
		return 0
	}
	return d.length / f.unit
}

// solve minimises the loss by Newton's method with halved steps.
func (f *lengthFit) solve(w []int32, n float64) (t, c float64) {
	const rounds, halvings, enough = 100, 40, 1e-12
	s := f.at(w, n, t, c)
	for range rounds {
		det := s.bendT*s.bendC - s.bend*s.bend
		stepT := (s.bendC*s.slopeT - s.bend*s.slopeC) / det
		stepC := (s.bendT*s.slopeC - s.bend*s.slopeT) / det
		if !(det > 0) || math.IsNaN(stepT+stepC) {
			return t, c
		}
		next, better := s, false
		for range halvings {
			if next = f.at(w, n, t-stepT, c-stepC); next.loss <= s.loss {
				better = true
				break
			}
			stepT, stepC = stepT/2, stepC/2
		}
		if !better {
			return t, c // within rounding of the minimum
		}
		t, c, s = t-stepT, c-stepC, next
		if max(math.Abs(stepT), math.Abs(stepC)) < enough {
			return t, c
		}
	}
	return t, c
}

// timesOf is how often a record counts.
func timesOf(w []int32, i int) float64 {
	if w == nil {
		return 1
	}
	return float64(w[i])
}
