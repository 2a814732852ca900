package record

import "io"

// List is a Source of records that no file has, in order. It has no Layout, so they
// cannot be written back.
type List struct {
	records []*Record
	next    int
}

// FromList returns a source of these records.
func FromList(records []*Record) *List { return &List{records: records} }

// Next implements Source.
func (l *List) Next() (*Record, error) {
	if l.next == len(l.records) {
		return nil, io.EOF
	}
	l.next++
	return l.records[l.next-1], nil
}

// Layout implements Source.
func (l *List) Layout() Layout { return nil }

// Close implements Source.
func (l *List) Close() error { return nil }
