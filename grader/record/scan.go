package record

import "io"

// Summary is what a first pass over a source found.
type Summary struct {
	Records    int     // read, faulty ones included
	Faulty     int     // of these, cannot be rated
	FirstFault *Record // the first of the faulty ones; nil if there is none
	Shape      Shape   // complete unless a limit ended the pass early
}

// Scan reads the file at path, or its first limit records if limit is above 0,
// and finds damage before anything costly is begun. Faulty records are counted;
// an error is damage to the file itself, and what was counted until then comes
// with it.
func Scan(path string, o Options, limit int) (Summary, error) {
	r, err := Open(path, o)
	if err != nil {
		return Summary{}, err
	}
	s, err := scan(r, limit)
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	return s, err
}

func scan(r *Reader, limit int) (Summary, error) {
	var s Summary
	for limit <= 0 || s.Records < limit {
		rec, err := r.Next()
		if err != nil {
			s.Shape = r.Shape()
			if err == io.EOF {
				err = nil
			}
			return s, err
		}
		s.Records++
		if rec.Fault != nil {
			if s.Faulty++; s.FirstFault == nil {
				s.FirstFault = rec
			}
		}
	}
	s.Shape = r.Shape()
	return s, nil
}
