// Package grader rates instruction-tuning records with a model and decides
// which to keep.
//
// A record's way through it, one type an arrow:
//
//	io.Reader → record.Record → Prompt → batch → rating.Rating → journal.Entry → verdict.Verdict → kept file
//
// Grade takes records to the journal, Filter takes the journal's entries to the
// kept and dropped files. Only the record reader, the Engine and the journal
// touch the world. The Engine is an interface: nothing here knows of llama.cpp,
// and package grader/engine, which does, is the only one to link it.
//
// Three promises hold throughout. A record that could not be rated has a status
// and a reason, never a number. Ratings find their records by content, never by
// position. What the journal has acknowledged survives a crash, and a run that
// was killed and resumed writes the bytes that an uninterrupted one would have.
package grader
