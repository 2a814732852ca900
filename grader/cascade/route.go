package cascade

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"

	"winnow/grader/journal"
	"winnow/grader/record"
)

// Set is records by their keys.
type Set map[record.Key]struct{}

// Has reports whether a record is in it.
func (s Set) Has(key record.Key) bool {
	_, ok := s[key]
	return ok
}

// place is a record in an order that its texts and a seed alone decide.
type place struct {
	at  uint64
	key record.Key
}

func placeOf(key record.Key, seed uint64) place {
	return place{at: key.Lot("cascade", seed), key: key}
}

// first returns the first n in that order.
func first(places []place, n int) Set {
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.at, b.at), bytes.Compare(a.key[:], b.key[:]))
	})
	s := Set{}
	for _, p := range places[:min(n, len(places))] {
		s[p.key] = struct{}{}
	}
	return s
}

// Draw returns n of the records that small rates, or all if there are fewer.
func Draw(small string, n int, seed uint64) (Set, error) {
	var places []place
	_, err := journal.Scan(small, func(journal.Manifest) {}, func(s journal.Score) error {
		if s.Status == record.OK {
			places = append(places, placeOf(s.Key, seed))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(places) == 0 {
		return nil, fmt.Errorf("%s has no rated records: a cascade has nothing to learn from", small)
	}
	return first(places, n), nil
}

// Route is which records large rates.
type Route struct {
	Sample Set // what the plan was learned from
	Band   Set // the others that small does not decide
	Check  Set // others, to measure on
}

// Large is all records that large rates.
func (r *Route) Large() Set {
	all := make(Set, len(r.Sample)+len(r.Band)+len(r.Check))
	for _, s := range []Set{r.Sample, r.Band, r.Check} {
		for key := range s {
			all[key] = struct{}{}
		}
	}
	return all
}

// Route applies the plan to small's scores file.
func (p *Plan) Route(small string, sample Set) (*Route, error) {
	r := &Route{Sample: sample, Band: Set{}}
	var outside []place
	_, err := journal.Scan(small, func(journal.Manifest) {}, func(s journal.Score) error {
		if s.Status != record.OK || sample.Has(s.Key) {
			return nil
		}
		x, err := p.probability(s.Entry)
		switch {
		case err != nil:
			return err
		case p.Band.Band.Has(x):
			r.Band[s.Key] = struct{}{}
		case p.Check > 0:
			outside = append(outside, placeOf(s.Key, p.Seed))
		}
		return nil
	})
	r.Check = first(outside, p.Check)
	return r, err
}

// Only leaves of a source the records of a set, with their index in the whole. A limit
// above 0 ends the source behind that many of its records.
func Only(src record.Source, s Set, limit int) record.Source {
	return &part{Source: src, set: s, limit: limit}
}

type part struct {
	record.Source
	set   Set
	limit int
	ended bool // by the limit
}

// Next implements record.Source.
func (p *part) Next() (*record.Record, error) {
	for !p.ended {
		rec, err := p.Source.Next()
		if err != nil {
			return nil, err
		}
		p.ended = p.limit > 0 && rec.Index >= p.limit-1 && rec.Turn >= rec.Turns-1
		if rec.Fault == nil && p.set.Has(rec.Key) {
			return rec, nil
		}
	}
	return nil, io.EOF
}
