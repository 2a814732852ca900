package calibration

import (
	"fmt"
	"math"
	"slices"

	"winnow/grader/journal"
	"winnow/grader/record"
	"winnow/grader/signal"
)

// Example is a rated record with its label.
type Example struct {
	Key    record.Key
	Entry  journal.Entry
	Keep   bool
	Length float64 // of the response
}

// Labelled is what a scores file and labels have in common.
type Labelled struct {
	Manifest journal.Manifest
	Examples []Example
	Labels   int // of records
	Unknown  int // labels of records that the scores file does not have
	Unrated  int // labels of records that have no rating
}

// Load reads the entries of labelled records from the scores file at path. The length
// of a response is the signal response_tokens where the file has it, else what lengths
// has for the record, in any unit; a record of which neither is known is an error.
func Load(path string, keep map[record.Key]bool, lengths map[record.Key]float64) (*Labelled, error) {
	out := &Labelled{Labels: len(keep)}
	tokens, unknown := -1, false
	seen := make(map[record.Key]bool, len(keep))
	begin := func(m journal.Manifest) {
		out.Manifest = m
		tokens = slices.Index(m.Signals, signal.ResponseTokens)
	}
	_, err := journal.Scan(path, begin, func(s journal.Score) error {
		kept, ok := keep[s.Key]
		if !ok {
			return nil
		}
		if seen[s.Key] {
			return journal.Twice(s.Key)
		}
		seen[s.Key] = true
		if s.Status != record.OK {
			out.Unrated++
			return nil
		}
		x := Example{Key: s.Key, Keep: kept, Entry: copyOf(s.Entry)}
		if tokens >= 0 && !math.IsNaN(x.Entry.Signals[tokens]) {
			x.Length = x.Entry.Signals[tokens]
		} else if x.Length, ok = lengths[s.Key]; !ok {
			unknown = true
		}
		out.Examples = append(out.Examples, x)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if unknown {
		return nil, fmt.Errorf("%s: the lengths of responses are not known: give --data, with the records of all labels, or grade with --signals tokens", path)
	}
	out.Unknown = len(keep) - len(seen)
	return out, nil
}

// copyOf keeps an entry beyond the next one.
func copyOf(e *journal.Entry) journal.Entry {
	c := *e
	c.Ratings = slices.Clone(e.Ratings)
	for i := range c.Ratings {
		c.Ratings[i].Probs = slices.Clone(c.Ratings[i].Probs)
	}
	c.Signals, c.Hidden = slices.Clone(e.Signals), slices.Clone(e.Hidden)
	return c
}
