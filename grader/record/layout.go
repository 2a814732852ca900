package record

import "io"

// Source is data that is read record by record, whatever its format. It is for
// one goroutine.
type Source interface {
	// Next returns the next record, or io.EOF after the last one. A record that
	// cannot be rated has a Fault; it is not an error. Any other error is a
	// *SourceError, and every later call returns it again. The record is the
	// caller's to keep.
	Next() (*Record, error)
	// Layout says how records are written back. It is complete after io.EOF and
	// outlives Close.
	Layout() Layout
	// Close frees the source. It may be called more than once.
	Close() error
}

// Layout writes records in the form in which they were read.
type Layout interface {
	// NewWriter returns a Writer to w. All records of one with notes have a note.
	NewWriter(w io.Writer, notes bool) (Writer, error)
}

// Writer writes records one after another. A conversation is written once,
// whichever of its turns is given. A Writer is for one goroutine.
type Writer interface {
	// Write writes a record as it was read.
	Write(rec *Record) error
	// WriteNote writes a record with a note, which is a value for encoding/json,
	// in the member or column NoteMember.
	WriteNote(rec *Record, note any) error
	// Close writes what belongs behind the last record. It does not close the
	// underlying writer.
	Close() error
}

// NoteMember is the member or column that holds what is noted of a record.
const NoteMember = "winnow"
