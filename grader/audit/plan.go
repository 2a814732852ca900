package audit

import (
	"fmt"

	"winnow/grader/record"
	"winnow/grader/rubric"
)

// DefaultSample and DefaultCanaries are how many records an audit draws, and how many
// of them it makes each canary of.
const (
	DefaultSample   = 200
	DefaultCanaries = 60
)

// Plan is all that is to be rated: the sampled records and their variants.
type Plan struct {
	sample   *Sample
	partner  []int            // of each sampled record, the one whose response its shuffled variant has; -1 for none
	shuffled []*record.Record // of each sampled record; nil for none
	canaries []flock
}

// flock is one canary's variants.
type flock struct {
	canary
	of   []int // of which sampled records
	made []*record.Record
}

// NewPlan plans the audit of a sample by these rubrics, with up to perCanary variants
// for each canary. The same sample and rubrics give the same plan.
func NewPlan(s *Sample, rubrics []rubric.Rubric, perCanary int) (*Plan, error) {
	f, err := forge(rubrics)
	if err != nil {
		return nil, fmt.Errorf("planning an audit: %w", err)
	}
	p := &Plan{sample: s, partner: derange(s.Records), shuffled: make([]*record.Record, len(s.Records))}
	index := len(s.Records)
	made := func(r *record.Record, response string) *record.Record {
		index++
		return record.Made(index-1, r.Instruction, r.Input, response)
	}
	for i, r := range s.Records {
		if to := p.partner[i]; to >= 0 {
			p.shuffled[i] = made(r, s.Records[to].Response)
		}
	}
	for _, c := range canaries(f, s.Seed) {
		flock := flock{canary: c}
		for i, r := range s.Records {
			if len(flock.made) >= perCanary {
				break
			}
			if text, ok := c.change(r); ok && text != r.Response {
				flock.of, flock.made = append(flock.of, i), append(flock.made, made(r, text))
			}
		}
		p.canaries = append(p.canaries, flock)
	}
	return p, nil
}

// Records returns all that is to be rated, the sampled records first.
func (p *Plan) Records() []*record.Record {
	all := append([]*record.Record{}, p.sample.Records...)
	for _, r := range p.shuffled {
		if r != nil {
			all = append(all, r)
		}
	}
	for _, f := range p.canaries {
		all = append(all, f.made...)
	}
	return all
}

// Originals returns the sampled records, which drift is measured on.
func (p *Plan) Originals() []*record.Record { return p.sample.Records }

// Reversed returns the sampled records in the opposite order.
func (p *Plan) Reversed() []*record.Record {
	n := len(p.sample.Records)
	list := make([]*record.Record, n)
	for i, r := range p.sample.Records {
		list[n-1-i] = record.Made(n-1-i, r.Instruction, r.Input, r.Response)
	}
	return list
}
