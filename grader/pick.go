package grader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"winnow/grader/data"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/selection"
	"winnow/grader/verdict"
)

// picker chooses among the records that a rule keeps; a nil one keeps all.
type picker struct {
	*selection.Picker
	quotas []selection.Quota
	met    []bool             // of each quota: a record has its field
	added  bool               // there is a record
	worth  *verdict.Selection // of which only the order is asked
}

// newPicker returns the picker of the options, nil if they ask for none.
func newPicker(o *FilterOptions, scale rating.Scale, criteria []string) (*picker, error) {
	inner, err := selection.New(scale, o.Pick)
	switch {
	case err != nil:
		return nil, fmt.Errorf("pick records: %w", err)
	case o.By != nil && o.Pick.Rule != selection.Deita:
		return nil, fmt.Errorf("pick records by %s: only the rule %s has an order", o.By, selection.Deita)
	case !o.Pick.On():
		return nil, nil
	case o.Rule.Top != nil || o.Rule.TopPercent != nil:
		return nil, errors.New("pick records of those that a rule keeps: want a rule without a budget")
	}
	return &picker{
		Picker: inner, quotas: o.Pick.Quotas, met: make([]bool, len(o.Pick.Quotas)),
		worth: verdict.Rule{By: o.By}.Select(scale, criteria),
	}, nil
}

// add takes the next record by its last turn, whose input is all that was said before.
func (p *picker) add(last *record.Record, c *candidate, passes bool, judged verdict.Candidate) error {
	if p == nil {
		return nil
	}
	if !passes {
		p.Skip()
		return nil
	}
	values, err := p.values(last)
	if err != nil {
		return err
	}
	p.added = true
	p.Add(selection.Candidate{
		Key: c.entry.Key, Texts: [3]string{last.Instruction, last.Input, last.Response}, Rating: c.entry.Value(), Worth: p.worth.Worth(judged),
		Values: values, File: last.File, Line: last.Line, Index: last.Index,
	})
	return place(last, p.worth.Err())
}

// values returns what a record has in the fields of the quotas.
func (p *picker) values(rec *record.Record) ([]string, error) {
	if len(p.quotas) == 0 {
		return nil, nil
	}
	object, err := data.Object(rec)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil {
		return nil, fmt.Errorf("%s: record %d has no fields for a quota: %w", rec.Where(), rec.Index, err)
	}
	values := make([]string, len(p.quotas))
	for i, q := range p.quotas {
		raw, ok := members[q.Field]
		p.met[i] = p.met[i] || ok
		switch {
		case !ok || string(raw) == "null":
		case raw[0] == '"':
			if err := json.Unmarshal(raw, &values[i]); err != nil {
				return nil, fmt.Errorf("%s: record %d: member %q: %w", rec.Where(), rec.Index, q.Field, err)
			}
		default:
			values[i] = string(raw)
		}
	}
	return values, nil
}

func (p *picker) withdraw(n int) {
	if p != nil {
		p.Withdraw(n)
	}
}

// pick makes the picks; nil if there is no picker. A field that no record has is an error:
// its quota would be one of all records.
func (p *picker) pick() (*selection.Picks, error) {
	if p == nil {
		return nil, nil
	}
	var missing []string
	for i, met := range p.met {
		if !met {
			missing = append(missing, p.quotas[i].Field)
		}
	}
	if len(missing) > 0 && p.added {
		return nil, fmt.Errorf("no record that can be picked has the field %s: give a quota for a member or column of the data", strings.Join(missing, ", "))
	}
	picks, err := p.Pick(context.Background(), nil)
	if err != nil {
		return nil, fmt.Errorf("pick records: %w", err)
	}
	return picks, nil
}

// diverse adds to the verdict on a record that the rule keeps what became of it among
// the picks.
func diverse(v verdict.Verdict, pick selection.Pick) verdict.Verdict {
	if pick.Rank == 0 {
		v.Decision = verdict.Drop
	}
	v.Reason += ", " + pick.Reason()
	return v
}
