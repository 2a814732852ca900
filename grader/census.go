package grader

import (
	"winnow/grader/record"
)

// Census is a Source that remembers how often each key passed through it, so
// that the statuses of a source's records can be counted when all have an entry
// without reading it again. It takes about 40 bytes for each distinct key. It
// is for one goroutine at a time.
type Census struct {
	src   Source
	times map[record.Key]uint32
}

// NewCensus returns a Census of what src yields.
func NewCensus(src Source) *Census { return &Census{src: src, times: map[record.Key]uint32{}} }

// Next returns the next record of the source.
func (c *Census) Next() (*record.Record, error) {
	rec, err := c.src.Next()
	if err == nil {
		c.times[rec.Key]++
	}
	return rec, err
}

// Statuses counts the records that were read by their statuses. of tells that
// of a key; a record of which it knows nothing counts as record.NotGraded.
func (c *Census) Statuses(of func(key record.Key) (record.Status, bool)) map[record.Status]int {
	counts := map[record.Status]int{}
	for key, times := range c.times {
		status, ok := of(key)
		if !ok {
			status = record.NotGraded
		}
		counts[status] += int(times)
	}
	return counts
}
