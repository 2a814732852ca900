// Package audit says without labels how far a judge can be trusted: it makes
// variants of sampled records whose right order is known, and reads from their
// ratings whether the judge sees it. It is pure: records and ratings in, a report out.
package audit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"winnow/grader/record"
)

// Sample is the records that an audit is about.
type Sample struct {
	Records  []*record.Record      // made, in an order that depends on their texts and the seed alone
	Read     int                   // records of the source; each turn of a conversation counts as one
	Eligible int                   // of these, could have been drawn; a record that repeats counts each time
	LeftOut  map[record.Status]int // the others, by what is wrong with them
	Seed     uint64
}

// Draw draws n records of a source, or of its first limit records if limit is above 0.
// Every distinct record that can be read and has a response has the same chance.
// Which ones are drawn depends on texts and the seed, not on the order of the source:
// they are those with the least hash of content key and seed.
func Draw(ctx context.Context, src record.Source, limit, n int, seed uint64) (*Sample, error) {
	if n < 1 {
		return nil, fmt.Errorf("a sample of %d records: want at least 1", n)
	}
	s := &Sample{LeftOut: map[record.Status]int{}, Seed: seed}
	d := drawing{n: n}
	for whole := 0; limit <= 0 || whole < limit; {
		rec, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if s.Read%1024 == 0 {
			if err := context.Cause(ctx); err != nil {
				return nil, fmt.Errorf("drawing a sample: %w", err)
			}
		}
		s.Read++
		if rec.Last() {
			whole++
		}
		switch {
		case rec.Fault != nil:
			s.LeftOut[rec.Fault.Status]++
		case strings.TrimSpace(rec.Response) == "":
			s.LeftOut[record.EmptyResponse]++
		default:
			s.Eligible++
			d.add(rec, rec.Key.Lot(drawn, seed))
		}
	}
	d.settle()
	for i, l := range d.lots {
		s.Records = append(s.Records, record.Made(i, l.rec.Instruction, l.rec.Input, l.rec.Response))
	}
	return s, nil
}

// drawn is the purpose of the lots that a sample is drawn by.
const drawn = "audit"

// lot is a record with its place.
type lot struct {
	at  uint64
	rec *record.Record
}

// drawing keeps the n lots with the least places, and some more until it settles.
type drawing struct {
	n    int
	lots []lot
	full bool // the last of n lots is the limit
}

func (d *drawing) add(rec *record.Record, at uint64) {
	if d.full && at > d.lots[d.n-1].at {
		return
	}
	d.lots = append(d.lots, lot{at, rec})
	if len(d.lots) >= 2*d.n+64 {
		d.settle()
	}
}

// settle drops records that repeat, and what is behind the first n.
func (d *drawing) settle() {
	slices.SortStableFunc(d.lots, func(a, b lot) int {
		return cmp.Or(cmp.Compare(a.at, b.at), bytes.Compare(a.rec.Key[:], b.rec.Key[:]))
	})
	d.lots = slices.CompactFunc(d.lots, func(a, b lot) bool { return a.rec.Key == b.rec.Key })
	d.lots = d.lots[:min(len(d.lots), d.n)]
	d.full = len(d.lots) == d.n
}
