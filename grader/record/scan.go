package record

import (
	"errors"
	"io"
)

// Summary is what a first pass over a source found.
type Summary struct {
	Records    int     // read, faulty ones included; a conversation is one
	Turns      int     // what is rated or faulty: each record, and each turn of a conversation
	Faulty     int     // of the turns, cannot be rated
	FirstFault *Record // the first of the faulty ones; nil if there is none
}

// Scan reads a source, or its first limit records if limit is above 0, and finds
// damage before anything costly is begun. What is faulty is counted; an error
// is damage to the source itself, and what was counted until then comes with it.
func Scan(r Source, limit int) (Summary, error) {
	var s Summary
	for limit <= 0 || s.Records < limit {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return s, err
		}
		s.Turns++
		if rec.Last() {
			s.Records++
		}
		if rec.Fault != nil {
			if s.Faulty++; s.FirstFault == nil {
				s.FirstFault = rec
			}
		}
	}
	return s, nil
}
