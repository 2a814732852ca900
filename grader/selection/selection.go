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
// Picks are made by one of two rules. KCenter (kernels.KCenter) picks the record with the
// greatest product of weight and distance to the nearest one picked before, the first that
// with the greatest weight. The weight is where the rating lies on the scale, from 0 at
// its lowest value to 1 at its highest, but at least MinWeight. Deita goes through the
// records from the greatest worth to the least and picks each one whose cosine to all
// picks before it is at most a threshold. For Deita two records without any word are not
// alike. Both may have quotas: how many picks may have the same value of a field.
//
// A record that may be picked takes 1 KiB, and while picking another one.
package selection

import (
	"context"
	"math"
	"slices"

	"winnow/grader/dedup"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/kernels"
)

// Dim is the length of a record's vector, in numbers.
const Dim = 256

// MinWeight is the least weight, that of the scale's lowest rating.
const MinWeight = 0.01

// Picker takes the records among which some are picked. It is for one goroutine.
type Picker struct {
	options      Options
	lowest, span float64
	places       []fate  // of each record added: where it stands
	at           []int32 // of each record added its candidate, or -1
	candidates   []candidate
	vectors      []float32 // of each candidate
	quotas       ledger
	words, terms []uint64
}

// candidate is a record that may be picked.
type candidate struct {
	key           record.Key
	worth, rating float64
}

// New returns an empty Picker for records rated on a scale.
func New(s rating.Scale, o Options) (*Picker, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	lowest := s.Values[0]
	return &Picker{options: o, lowest: lowest, span: s.Values[len(s.Values)-1] - lowest, quotas: newLedger(o.Quotas)}, nil
}

// Candidate is a record that may be picked.
type Candidate struct {
	Key    record.Key
	Texts  [3]string // instruction, input, response
	Rating float64
	Worth  float64  // what Deita orders by; that of KCenter is the rating
	Values []string // of the fields of the quotas, in their order
	File   string   // where it stands
	Line   int
	Index  int
}

// Add takes the next record.
func (p *Picker) Add(c Candidate) {
	p.at = append(p.at, int32(len(p.candidates)))
	p.places = append(p.places, fate{full: -1, like: -1, index: int32(c.Index), line: int32(c.Line), file: c.File})
	p.candidates = append(p.candidates, candidate{key: c.Key, worth: c.Worth, rating: c.Rating})
	p.quotas.add(c.Values)
	p.vectors = append(p.vectors, make([]float32, Dim)...)
	p.embed(p.vectors[len(p.vectors)-Dim:], c.Texts)
}

// Skip takes the next record, which cannot be picked.
func (p *Picker) Skip() {
	p.at = append(p.at, -1)
	p.places = append(p.places, fate{full: -1, like: -1})
}

// Withdraw takes back that the nth record added, from 0, is a candidate.
func (p *Picker) Withdraw(n int) { p.at[n] = -1 }

// Vector returns the vector of the nth record added, from 0; nil if it is no candidate.
// It is valid until the next Add or Pick.
func (p *Picker) Vector(n int) []float32 {
	if p.at[n] < 0 {
		return nil
	}
	return p.vectors[int(p.at[n])*Dim:][:Dim:Dim]
}

// Pick makes the picks: as many as the options ask for, or fewer if there are no more. The
// work is done by d, or, if d is nil, on all cores. It is called once.
func (p *Picker) Pick(ctx context.Context, d *kernels.Device) (*Picks, error) {
	rows := p.close()
	picks := &Picks{rule: p.options.Rule, threshold: p.options.threshold(), fates: p.places, rows: len(rows), names: p.quotas.names, limits: p.quotas.limits}
	for n, row := range p.at {
		if row < 0 {
			picks.fates[n].rank = -1
		}
	}
	pick := p.kcenter
	if p.options.Rule == Deita {
		pick = p.deita
	}
	if err := pick(ctx, d, p.options, picks, rows); err != nil {
		return nil, err
	}
	return picks, nil
}

// close removes the candidates that were withdrawn, so that the others have neighbouring
// vectors, and returns of each its record.
func (p *Picker) close() (rows []int32) {
	k := len(p.quotas.quotas)
	for n, from := range p.at {
		if from < 0 {
			continue
		}
		from, to := int(from), len(rows)
		rows = append(rows, int32(n))
		if from != to {
			copy(p.vectors[to*Dim:][:Dim], p.vectors[from*Dim:][:Dim])
			copy(p.quotas.of[to*k:][:k], p.quotas.of[from*k:][:k])
			p.candidates[to], p.at[n] = p.candidates[from], int32(to)
		}
	}
	p.vectors, p.candidates = p.vectors[:len(rows)*Dim], p.candidates[:len(rows)]
	return rows
}

// weights returns those of all candidates.
func (p *Picker) weights() []float32 {
	list := make([]float32, len(p.candidates))
	for i, c := range p.candidates {
		w := (c.rating - p.lowest) / p.span
		if !(w >= MinWeight) { // also of a scale of one value
			w = MinWeight
		}
		list[i] = float32(min(w, 1))
	}
	return list
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
