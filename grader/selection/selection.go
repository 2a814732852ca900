// Package selection picks records that differ from one another. It is pure: the same
// records and ratings give the same picks, whatever the number of cores.
//
// A record becomes a vector of 256 numbers: the words of instruction, input and
// response, in lower case, and each two that follow one another in a text, are terms;
// a term that occurs c times counts 1 + ln c, with a sign and at a place that its hash
// chooses; the vector is scaled to length 1. (K. Weinberger and others, "Feature
// hashing for large scale multitask learning", 2009.) The cosine of two vectors is
// about that of the whole lists of terms: hashing moves it by about 1/16, chance, not
// bias. It sees words, not what they mean, and common ones count like rare ones. Two
// records without any word are alike.
//
// Picks are made by kernels.KCenter: each is the record with the greatest product of
// weight and distance to the nearest one picked before, the first that with the
// greatest weight. The weight is where the rating lies on the scale, from 0 at its
// lowest value to 1 at its highest, but at least MinWeight.
//
// A record that may be picked takes 1 KiB, and while picking another one.
package selection

import (
	"context"
	"math"
	"slices"

	"winnow/grader/dedup"
	"winnow/grader/rating"
	"winnow/kernels"
)

// Dim is the length of a record's vector, in numbers.
const Dim = 256

// MinWeight is the least weight, that of the scale's lowest rating.
const MinWeight = 0.01

// Picker takes the records among which some are picked. It is for one goroutine.
type Picker struct {
	lowest, span float64
	at           []int32 // of each record added its vector, or -1
	vectors      []float32
	weights      []float32
	words, terms []uint64
}

// New returns an empty Picker for records rated on a scale.
func New(s rating.Scale) *Picker {
	lowest := s.Values[0]
	return &Picker{lowest: lowest, span: s.Values[len(s.Values)-1] - lowest}
}

// Add takes the next record's texts and its rating. Only a candidate can be picked.
func (p *Picker) Add(candidate bool, texts [3]string, value float64) {
	if !candidate {
		p.at = append(p.at, -1)
		return
	}
	p.at = append(p.at, int32(len(p.weights)))
	weight := (value - p.lowest) / p.span
	if !(weight >= MinWeight) { // also of a scale of one value
		weight = MinWeight
	}
	p.weights = append(p.weights, float32(min(weight, 1)))
	p.vectors = append(p.vectors, make([]float32, Dim)...)
	p.embed(p.vectors[len(p.vectors)-Dim:], texts)
}

// Withdraw takes back that the nth record added, from 0, is a candidate.
func (p *Picker) Withdraw(n int) { p.at[n] = -1 }

// Pick returns n records, all candidates if there are no more than that. The work
// is done by d, or, if d is nil, on all cores.
func (p *Picker) Pick(ctx context.Context, d *kernels.Device, n int) (*Picks, error) {
	// Records may have been withdrawn: the others close up.
	all := &Picks{ranks: slices.Clone(p.at)}
	var rows []int32 // of each vector its record
	for record, from := range p.at {
		if from < 0 {
			continue
		}
		to := len(rows)
		rows = append(rows, int32(record))
		all.ranks[record] = 0
		if int(from) != to {
			copy(p.vectors[to*Dim:][:Dim], p.vectors[int(from)*Dim:][:Dim])
			p.weights[to], p.at[record] = p.weights[from], int32(to)
		}
	}
	p.vectors, p.weights = p.vectors[:len(rows)*Dim], p.weights[:len(rows)]
	in := kernels.KCenterInput{Dim: Dim, Rows: p.vectors, Weights: p.weights}
	got, err := kernels.KCenter(ctx, d, in, kernels.KCenterOptions{K: n})
	if err != nil {
		return nil, err
	}
	for place, row := range got.Rows {
		all.ranks[rows[row]] = int32(place + 1)
	}
	all.radii = got.Radii
	return all, nil
}

// embed writes the vector of a record.
func (p *Picker) embed(to []float32, texts [3]string) {
	p.terms = p.terms[:0]
	for _, s := range texts {
		p.words = dedup.AppendWords(p.words[:0], s)
		for i, word := range p.words {
			p.terms = append(p.terms, word)
			if i > 0 {
				p.terms = append(p.terms, pair(p.words[i-1], word))
			}
		}
	}
	slices.Sort(p.terms)
	squares := 0.0
	var sums [Dim]float64
	for i := 0; i < len(p.terms); {
		term, count := p.terms[i], 0
		for ; i < len(p.terms) && p.terms[i] == term; i++ {
			count++
		}
		x := 1 + math.Log(float64(count))
		if term&Dim != 0 {
			x = -x
		}
		sums[term%Dim] += x
	}
	for _, x := range sums {
		squares += x * x
	}
	if squares == 0 {
		return
	}
	length := math.Sqrt(squares)
	for i, x := range sums {
		to[i] = float32(x / length)
	}
}

// pair returns the hash of two words in their order. Its low bits depend on all of
// theirs: the words' own are hashes already.
func pair(a, b uint64) uint64 {
	x := a*0x9e3779b97f4a7c15 + b
	x = (x ^ x>>32) * 0xd6e8feb86659fd93
	return x ^ x>>32
}
