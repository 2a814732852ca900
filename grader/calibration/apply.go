package calibration

import (
	"context"
	"errors"

	"winnow/grader/journal"
	"winnow/grader/record"
)

// Applied counts what Apply wrote.
type Applied struct {
	Entries    int `json:"entries"`
	Calibrated int `json:"calibrated"` // of them, with a probability
	Torn       int `json:"torn_bytes"` // of an unfinished last line of the file that was read
}

// together is how many entries are written at once.
const together = 256

// Apply writes the entries of the scores file from, with their probabilities, to a
// scores file to. If that was begun, it goes on with what is missing.
func Apply(ctx context.Context, f *File, from, to string) (_ *Applied, err error) {
	m, err := journal.ReadManifest(from)
	if err != nil {
		return nil, err
	}
	c, err := f.Bind(m)
	if err != nil {
		return nil, err
	}
	name := c.Manifest()
	m.Calibration = &name
	j, err := journal.Open(to, m)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	out := &Applied{}
	seen := map[record.Key]bool{}
	var batch []journal.Entry
	var failed error // of what is no damage of from
	flush := func() {
		if failed = ctx.Err(); failed == nil {
			failed = j.Append(batch)
		}
		batch = batch[:0]
	}
	out.Torn, err = journal.Scan(from, func(journal.Manifest) {}, func(s journal.Score) error {
		if failed != nil {
			return nil
		}
		if seen[s.Key] {
			return journal.Twice(s.Key)
		}
		seen[s.Key] = true
		out.Entries++
		e := copyOf(s.Entry)
		if e.Status == record.OK {
			p, err := c.Probability(&e)
			if err != nil {
				return err
			}
			e.Calibrated = p
			out.Calibrated++
		}
		if _, known := j.Status(s.Key); known {
			return nil
		}
		if batch = append(batch, e); len(batch) == together {
			flush()
		}
		return nil
	})
	if err == nil && failed == nil {
		flush()
	}
	return out, errors.Join(err, failed)
}
