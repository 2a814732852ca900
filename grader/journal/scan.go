package journal

import (
	"fmt"
	"os"

	"winnow/grader/record"
)

// Score is what Scan gives of an entry, its values and off-scale masses at hand.
// Values and OffScale hold one number for each criterion, none without a rating, and
// are valid until the next entry.
type Score struct {
	Key              record.Key
	Index            int // of the record in its source, from 0
	Status           record.Status
	Values, OffScale []float64

	// Entry is the whole entry with its distributions, signals and hidden state. It is
	// valid until the next one, as all that it points to.
	Entry *Entry
}

// Scan reads the journal at path once, without locking or changing it, and keeps
// nothing: it hands out the manifest and then each entry, in the order of the file.
// torn counts the bytes of an unfinished last line, which is left out. Damage is as
// with Read, but for keys that stand twice, which Scan does not look for: an error of
// add makes its line a damaged one.
func Scan(path string, begin func(Manifest), add func(Score) error) (torn int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("read journal: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	c, err := loadWhole(path, f, &scan{manifest: begin, entry: add, statuses: map[string]record.Status{}})
	return c.torn, err
}

// Twice is what add of Scan returns for a key that an earlier line has too.
func Twice(key record.Key) error { return errTwice(key) }

// scan hands entries on.
type scan struct {
	manifest         func(Manifest)
	entry            func(Score) error
	form             form
	e                Entry
	statuses         map[string]record.Status
	values, offScale []float64
}

// begin implements sink.
func (s *scan) begin(m Manifest) {
	s.form = newForm(m)
	s.manifest(m)
}

// add implements sink.
func (s *scan) add(f flat) error {
	status, ok := s.statuses[string(f.status)]
	if !ok {
		status = record.Status(f.status)
		s.statuses[string(status)] = status
	}
	s.e = Entry{
		Key: f.key, Index: int(f.index), Status: status, Reason: string(f.reason), Ratings: s.e.Ratings[:0],
		Tokens: int(f.tokens), Cut: int(f.cut), Hidden: f.hidden,
	}
	s.values, s.offScale = s.values[:0], s.offScale[:0]
	if len(f.modes) > 0 {
		s.form.fill(&s.e, f.modes, f.numbers)
	}
	for i := range s.e.Ratings {
		s.values, s.offScale = append(s.values, s.e.Ratings[i].Value), append(s.offScale, s.e.Ratings[i].OffScale)
	}
	return s.entry(Score{Key: f.key, Index: s.e.Index, Status: status, Values: s.values, OffScale: s.offScale, Entry: &s.e})
}

// Between says in which fields two manifests differ, one sentence for each, where
// they are called by these names. Names of models are not compared.
func Between(a, b Manifest, nameA, nameB string) []string { return a.differences(b, nameA, nameB) }
